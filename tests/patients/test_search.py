"""The patients' list: searched, filtered, in either order, walked while others write; and the indexes that serve it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from patients_app import db
from psycopg2.extras import RealDictCursor

from shared import audit
from shared.caller import Caller
from shared.search import contains
from tests.support import Api, User, assert_problem, unique

PATIENTS = "/api/v1/patients"
NAMES = [
    *(("Zoe", "Álvarez"), ("Eva", "alvarez"), ("Ana", "Núñez")),
    *(("Ana", "Nunez"), ("Íñigo", "ñandú"), ("Bea", "Zúñiga")),
]
IN_ORDER = ["Eva alvarez", "Zoe Álvarez", "Íñigo ñandú", "Ana Núñez", "Ana Nunez", "Bea Zúñiga"]
ROWS = 4_000


def walk(user: User, **parameters: Any) -> Iterator[list[dict[str, Any]]]:
    """The list page by page, each fetched when it is asked for."""
    cursor: str | None = None
    for _ in range(30):  # a cursor that goes round in circles must not hang the tests
        answer = user.patients.get(PATIENTS, params=parameters | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        yield answer.json()["items"]
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return
    raise AssertionError("the list does not end")


def names(pages: Iterator[list[dict[str, Any]]]) -> list[str]:
    return [f"{item['first_name']} {item['last_name']}" for page in pages for item in page]


@pytest.fixture(scope="module")
def named(api: Api) -> User:
    """An institution with patients of known names."""
    institution = api.new_institution()
    for number, (first, last) in enumerate(NAMES):
        birth = f"198{number}-05-17"  # two of them have the same name
        api.new_patient(institution=institution, first_name=first, last_name=last, date_of_birth=birth)
    return institution


@pytest.mark.parametrize("limit", [1, 2, 5, 6, 50])
def test_by_last_name_without_case_and_accents_each_once(named: User, limit: int) -> None:
    found = names(walk(named, sort="last_name", limit=limit))
    assert sorted(found) == sorted(IN_ORDER)
    twins = {"Ana Núñez", "Ana Nunez"}  # alike: their ids decide
    assert [name for name in found if name not in twins] == [name for name in IN_ORDER if name not in twins]
    assert {found.index(name) for name in twins} == {3, 4}


def test_newest_first_unless_told_otherwise(named: User) -> None:
    newest_first = [f"{first} {last}" for first, last in reversed(NAMES)]
    assert names(walk(named, limit=2)) == names(walk(named, limit=2, sort="created_at")) == newest_first


def test_a_search_keeps_the_order(named: User) -> None:
    assert names(walk(named, q="ALVAREZ", sort="last_name", limit=1)) == ["Eva alvarez", "Zoe Álvarez"]
    assert names(walk(named, q="alvarez", limit=1)) == ["Eva alvarez", "Zoe Álvarez"]
    assert set(names(walk(named, q="nunez", sort="last_name", limit=1))) == {"Ana Núñez", "Ana Nunez"}
    assert len(names(walk(named, q="example.com", sort="last_name", limit=2))) == len(NAMES)


def test_a_cursor_belongs_to_its_order(named: User) -> None:
    cursor = named.patients.get(PATIENTS, params={"limit": 1}).json()["next_cursor"]
    answer = named.patients.get(PATIENTS, params={"limit": 1, "sort": "last_name", "cursor": cursor})
    assert_problem(answer, 400, "invalid_cursor")
    problem = assert_problem(named.patients.get(PATIENTS, params={"sort": "age"}), 422, "validation_failed")
    assert [error["field"] for error in problem["errors"]] == ["sort"]


@pytest.mark.parametrize("sort", ["created_at", "last_name"])
def test_each_row_once_and_none_skipped_while_others_write(api: Api, sort: str) -> None:
    institution = api.new_institution()
    ours = [api.new_patient(institution=institution, last_name=unique("M")).id for _ in range(6)]
    seen: list[str] = []
    for number, page in enumerate(walk(institution, sort=sort, limit=2)):
        seen += [item["id"] for item in page]
        if number < 3:
            for last_name in (unique("A"), unique("Z")):
                api.new_patient(institution=institution, last_name=last_name)
            first_seen = f"{PATIENTS}/{seen[0]}"
            assert api.admin.patients.put(first_seen, json={"contact_phone": f"55 0000 000{number}"}).status_code == 200
    assert len(seen) == len(set(seen)) and set(ours) <= set(seen)


# The plans at some thousand rows, on statistics of those rows.


@pytest.fixture
def many(owner: RealDictCursor, named: User) -> Iterator[RealDictCursor]:
    """Thousands of patients of one institution, until the test ends."""
    owner.execute("BEGIN")
    owner.execute(
        """
        CREATE TEMPORARY TABLE made ON COMMIT DROP AS
            SELECT gen_random_uuid() AS id, n FROM generate_series(1, %(rows)s) n;
        INSERT INTO users (id, email, user_type) SELECT id, 'fila' || n || '@example.org', 'patient' FROM made;
        INSERT INTO patients (id, institution_id, first_name, last_name, date_of_birth, created_at)
            SELECT id, %(institution)s, 'Fila ' || md5(n::text), 'Número ' || md5(n::text || 'x'), '1990-01-01',
                   now() - n * interval '1 minute'
            FROM made;
        INSERT INTO emails (entity_type, entity_id, email_address, is_primary)
            SELECT 'patient', id, 'fila' || n || '@example.org', true FROM made;
        -- As autovacuum does before long: what is new in a trigram index waits in a list, dear to read when long.
        SELECT gin_clean_pending_list('ix_patients_search'), gin_clean_pending_list('ix_emails_search');
        ANALYZE users, patients, emails
        """,
        {"rows": ROWS, "institution": named.id},
    )
    yield owner
    owner.execute("ROLLBACK")


def plan(owner: RealDictCursor, statement: str, user: User, **filters: Any) -> str:
    scope = {"caller_type": user.user_type, "caller_id": UUID(user.id)}
    event = audit.parameters("service-patients", Caller(user.user_type, UUID(user.id)), "read", "patient_list")
    place = {"after_created_at": None, "after_id": None, "after_last_key": None, "after_first_key": None, "limit": 50}
    no_filters = dict.fromkeys(("q", "doctor_id", "institution_id", "validation_status", "born_after", "born_before"))
    parameters = no_filters | {"is_active": True} | scope | db._own(scope) | place | event | filters
    owner.execute("EXPLAIN " + statement, parameters)
    return "\n".join(row["QUERY PLAN"] for row in owner.fetchall()).partition("CTE recorded")[0]


@pytest.mark.parametrize("sort", ["created_at", "last_name"])
@pytest.mark.parametrize("word", ["Número " + "c4ca4238", "fila1234@", "nadie se llama así"])
def test_a_rare_word_is_found_by_trigrams(many: RealDictCursor, api: Api, sort: str, word: str) -> None:
    found = plan(many, db.SEARCH_PATIENTS[sort], api.admin, q=contains(word))
    assert "ix_patients_search" in found and "ix_emails_search" in found, found
    assert "Seq Scan on patients" not in found and "Seq Scan on emails" not in found, found


@pytest.mark.parametrize(("sort", "index"), [("created_at", "created"), ("last_name", "name")])
def test_a_page_walks_an_index_in_its_order(many: RealDictCursor, api: Api, named: User, sort: str, index: str) -> None:
    start = {
        "after_created_at": datetime.now(UTC) - timedelta(days=1),
        "after_id": uuid4(),
        "after_last_key": "n",
        "after_first_key": "f",
    }
    for user, name in ((api.admin, f"ix_patients_{index}"), (named, f"ix_patients_institution_{index}")):
        found = plan(many, db.LIST_PATIENTS[sort], user, **start)
        served = {name, f"ix_patients_{index}"}  # where all but a few are one institution's, either will do
        assert any(f"using {one} on patients" in found for one in served), found
        assert "Seq Scan on patients" not in found and "Sort" not in found, found


def test_namesakes_are_found_by_their_name(many: RealDictCursor, api: Api) -> None:
    person = {"first_name": "Fila", "last_name": "Número", "date_of_birth": "1990-01-01"}
    assert "ix_patients_name" in plan(many, db.FIND_NAMESAKES, api.admin, **person)
