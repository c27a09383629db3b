import pkgutil
import re
from importlib import import_module
from itertools import chain, product

import psycopg2
import pytest
from psycopg2.extras import RealDictCursor

from shared.audit import audited
from shared.errors import DatabaseUnavailable
from shared.postgres import Database
from shared.prepared import Prepared, names_in
from shared.settings import Settings


@pytest.fixture(autouse=True)
def scratch(owner: RealDictCursor) -> None:
    owner.execute("DROP TABLE IF EXISTS prepared_scratch; CREATE TABLE prepared_scratch (n integer)")
    owner.execute("INSERT INTO prepared_scratch VALUES (1), (2), (3); GRANT SELECT ON prepared_scratch TO PUBLIC")


LAST = Prepared("SELECT *, '100 %%' AS share FROM prepared_scratch WHERE n <= %(last)s AND n <> %(not)s ORDER BY n")
KNOWN = "SELECT generic_plans + custom_plans AS used FROM pg_prepared_statements WHERE name = %(name)s"


def test_placeholders_are_numbered_in_the_order_of_their_first_use() -> None:
    statement = Prepared("SELECT %(a)s, %(b)s, 5 %% 2, %(a)s::text")
    assert statement.preparation == f"PREPARE {statement.name} AS SELECT $1, $2, 5 % 2, $1::text"
    assert statement.execution == f"EXECUTE {statement.name} (%(a)s, %(b)s)"
    assert Prepared("SELECT 1").execution == f"EXECUTE {Prepared('SELECT 1').name}"


@pytest.mark.parametrize("page", [False, True])
def test_an_audited_read_is_prepared(page: bool) -> None:
    assert isinstance(audited("SELECT 1 AS patient_id", page=page), Prepared)


def test_a_condition_that_nobody_asked_for_is_left_out_and_a_planned_one_is_not_prepared() -> None:
    statement = Prepared("SELECT 1 WHERE true [AND 1 = %(a)s] [PLAN AND 2 > %(b)s + %(c)s]")
    nothing = {"a": None, "b": None, "c": None}
    assert statement.given(nothing) == "SELECT 1 WHERE true  "
    assert statement.given(nothing | {"c": 1}) == statement.given(nothing), "only one of its two parameters"
    one = statement.given(nothing | {"a": 0})
    assert isinstance(one, Prepared) and one.execution == f"EXECUTE {one.name} (%(a)s)"
    assert statement.given(nothing | {"a": False}) is one, "made once for all that ask the same"
    planned = statement.given({"a": None, "b": 1, "c": 2})
    assert planned == "SELECT 1 WHERE true  AND 2 > %(b)s + %(c)s" and not isinstance(planned, Prepared)
    with pytest.raises(KeyError):
        statement.given({})


@pytest.mark.anyio
async def test_a_connection_prepares_no_more_than_so_many(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.driver._MOST_PREPARED", 2)
    pool = Database(database._settings)
    many = [Prepared(f"SELECT n, {number} FROM prepared_scratch WHERE n <= %(last)s") for number in range(4)]
    async with pool.transaction() as tx:
        for statement in (*many, *many):
            assert len(await tx.fetch_all(statement, {"last": 2})) == 2
        used = [await tx.fetch_one(KNOWN, {"name": statement.name}) for statement in many]
    pool.close()
    assert used == [{"used": 2}, {"used": 2}, None, None]


def test_a_name_means_one_text() -> None:
    assert Prepared("SELECT 1").name == Prepared("SELECT 1").name != Prepared("SELECT 2").name


@pytest.mark.anyio
async def test_a_connection_prepares_a_statement_once(database: Database) -> None:
    async with database.transaction() as tx:
        for last in (1, 2, 3):
            rows = await tx.fetch_all(LAST, {"last": last, "not": 0, "unused": 1})
            assert rows == [{"n": n, "share": "100 %"} for n in range(1, last + 1)]
        assert await tx.fetch_one(KNOWN, {"name": LAST.name}) == {"used": 3}


@pytest.mark.anyio
@pytest.mark.parametrize("event", ["ALTER TABLE prepared_scratch ALTER n TYPE bigint", "SELECT 1"])
async def test_a_read_goes_on_when_the_schema_has_changed_or_the_statement_is_gone(
    event: str, database: Database, owner: RealDictCursor
) -> None:
    async with database.transaction() as first, database.transaction() as second:
        for tx in (first, second):
            await tx.fetch_all(LAST, {"last": 1, "not": 0})
            if event == "SELECT 1":
                await tx.execute("DEALLOCATE ALL")
    owner.execute(event)
    assert len(await database.fetch_all(LAST, {"last": 2, "not": 0})) == 2


@pytest.mark.anyio
async def test_a_statement_of_the_same_name_that_is_not_ours_is_a_503(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(LAST.preparation)  # as behind a pooler that nobody was told of
        with pytest.raises(psycopg2.errors.DuplicatePreparedStatement):
            await tx.fetch_all(LAST, {"last": 1, "not": 0})
        await tx.execute("ROLLBACK")
    with pytest.raises(DatabaseUnavailable):
        async with database.transaction() as tx:
            await tx.execute(LAST.preparation)
            await tx.fetch_all(LAST, {"last": 1, "not": 0})


@pytest.mark.anyio
async def test_nothing_is_prepared_where_connections_are_shared(settings: Settings) -> None:
    pool = Database(settings.model_copy(update={"database_prepared_statements": False}))
    async with pool.transaction() as tx:
        assert len(await tx.fetch_all(LAST, {"last": 2, "not": 0})) == 2
        assert await tx.fetch_one(KNOWN, {"name": LAST.name}) is None
    pool.close()


@pytest.mark.parametrize("service", ["auth_app", "doctors_app", "institutions_app", "patients_app"])
def test_postgresql_can_tell_the_types_of_every_parameter(service: str, owner: RealDictCursor) -> None:
    package = import_module(service)
    modules = [import_module(f"{service}.{module.name}") for module in pkgutil.iter_modules(package.__path__)]
    values = chain.from_iterable(vars(module).values() for module in modules if module.__name__.endswith("db"))
    values = chain.from_iterable(value.values() if isinstance(value, dict) else (value,) for value in values)
    statements = [value for value in values if isinstance(value, Prepared)]
    assert statements
    for whole, given in product(statements, (None, 1)):
        planned = chain.from_iterable(names_in(condition) for condition in re.findall(r"\[PLAN (.*?)\]", whole))
        statement = whole.given(dict.fromkeys(names_in(whole), given) | dict.fromkeys(planned))
        assert isinstance(statement, Prepared)
        owner.execute(statement.preparation)
        owner.execute(f"DEALLOCATE {statement.name}")
