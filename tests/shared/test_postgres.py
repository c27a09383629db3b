import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import psycopg2
import pytest
from psycopg2.extras import RealDictCursor

from shared.errors import Busy, DatabaseUnavailable
from shared.postgres import ConstraintViolated, Database, servers_of
from shared.settings import Settings

pytestmark = pytest.mark.anyio

KILL_OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'predicthealth-test' AND pid <> pg_backend_pid()
"""


def small_pool(settings: Settings, wait_seconds: float) -> Database:
    """Two connections, short limits, marked so that a test can kill them and no others."""
    url = settings.database_url.get_secret_value() + "?application_name=predicthealth-test"
    changes = {
        "database_url": url,
        "database_pool_size": 2,
        "database_pool_wait_seconds": wait_seconds,
        "database_pool_queue": 3,
        "database_statement_timeout_seconds": 0.5,
    }
    return Database(Settings(**(settings.model_dump(exclude={"database_url"}) | changes)))


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[Database]:
    """A small pool; patient, since a busy machine may take its time to open connections anew."""
    database = small_pool(settings, wait_seconds=5.0)
    yield database
    database.close()


@pytest.fixture
async def impatient(settings: Settings) -> AsyncIterator[Database]:
    """A small pool in which nobody waits for long."""
    database = small_pool(settings, wait_seconds=0.3)
    yield database
    database.close()


RUNNING = """
    SELECT count(*) AS running FROM pg_stat_activity
    WHERE application_name = 'predicthealth-test' AND state = 'active' AND query LIKE 'SELECT pg_sleep%'
"""


ID = UUID("6f1c0bd0-0000-4000-8000-000000000001")


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("'2026-11-30 06:00:00.1205-06'::timestamptz", datetime(2026, 11, 30, 12, 0, 0, 120_500, UTC)),
        ("'0850-01-01 00:00:00Z'::timestamptz", datetime(850, 1, 1, tzinfo=UTC)),
        ("NULL::timestamptz", None),
        ("ARRAY['2026-11-30 12:00Z'::timestamptz, NULL]", [datetime(2026, 11, 30, 12, tzinfo=UTC), None]),
        ("'2026-11-30'::date", date(2026, 11, 30)),
        (f"'{ID}'::uuid", ID),
        ("NULL::uuid", None),
        (f"ARRAY['{ID}'::uuid, NULL]", [ID, None]),
        ("1.25::numeric", 1.25),
        ("""'{"a": [1.5, null, "é"]}'::json""", {"a": [1.5, None, "é"]}),
        ("'[true]'::jsonb", [True]),
    ],
)
async def test_what_postgresql_gives_is_read_as(value: str, read: Any, pool: Database) -> None:
    row = await pool.fetch_one(f"SELECT {value} AS value")
    assert row and row["value"] == read and type(row["value"]) is type(read)


async def until_running(owner: RealDictCursor, statements: int = 1) -> None:
    """Wait until the server works on this many sleeping statements of the pool."""
    for _ in range(200):
        owner.execute(RUNNING)
        row = owner.fetchone()
        if row and row["running"] == statements:
            return
        await asyncio.sleep(0.005)
    raise AssertionError("the statements never ran")


async def one(pool: Database) -> int:
    row = await pool.fetch_one("SELECT 1 AS one")
    assert row is not None
    return int(row["one"])


async def test_rows_are_dictionaries_and_numbers_are_numbers(pool: Database) -> None:
    rows = await pool.fetch_all("SELECT n, n / 2.0 AS half FROM generate_series(1, %(last)s) n", {"last": 2})
    assert rows == [{"n": 1, "half": 0.5}, {"n": 2, "half": 1.0}]
    assert await pool.fetch_one("SELECT 1 WHERE false") is None
    assert await pool.execute("UPDATE countries SET code = code WHERE id = 484") == 1


async def test_a_large_answer_arrives_whole(pool: Database) -> None:
    row = await pool.fetch_one("SELECT repeat('x', 5000000) AS text")
    assert row and len(row["text"]) == 5_000_000


async def test_a_transaction_commits_at_its_end_and_rolls_back_on_an_error(
    pool: Database, owner: RealDictCursor
) -> None:
    owner.execute("CREATE TABLE IF NOT EXISTS scratch (n integer CONSTRAINT uq_scratch UNIQUE); TRUNCATE scratch")
    async with pool.transaction() as tx:
        await tx.execute("INSERT INTO scratch VALUES (1)")
    with pytest.raises(ValueError, match="stop"):
        async with pool.transaction() as tx:
            await tx.execute("INSERT INTO scratch VALUES (2)")
            raise ValueError("stop")
    with pytest.raises(ConstraintViolated) as violated:
        async with pool.transaction() as tx:
            await tx.execute("INSERT INTO scratch VALUES (3)")
            await tx.execute("INSERT INTO scratch VALUES (1)")
    assert violated.value.constraint == "uq_scratch"
    owner.execute("SELECT array_agg(n) AS numbers FROM scratch")
    row = owner.fetchone()
    assert row and row["numbers"] == [1]
    owner.execute("DROP TABLE scratch")


async def test_who_finds_no_connection_waits_and_then_is_refused(impatient: Database) -> None:
    async with impatient.transaction(), impatient.transaction():
        with pytest.raises(Busy):
            await one(impatient)
        waiting = [asyncio.create_task(one(impatient)) for _ in range(3)]
        await asyncio.sleep(0)
        # The queue is full: refused at once, before the three that wait have given up.
        with pytest.raises(Busy):
            await one(impatient)
        assert not any(task.done() for task in waiting)
        await asyncio.gather(*waiting, return_exceptions=True)
    assert await one(impatient) == 1


async def test_who_waits_gets_the_next_free_connection(pool: Database) -> None:
    async with pool.transaction():
        async with pool.transaction():
            waiting = asyncio.create_task(one(pool))
            await asyncio.sleep(0.05)
            assert not waiting.done()
        assert await waiting == 1


async def test_connections_killed_while_idle_are_not_noticed(pool: Database, owner: RealDictCursor) -> None:
    for _ in range(50):
        assert await asyncio.gather(one(pool), one(pool)) == [1, 1]
        owner.execute(KILL_OTHERS)
    # Three, since whoever has met a dead connection queues again: two of those and one that waits fill this queue.
    assert await asyncio.gather(*(one(pool) for _ in range(3))) == [1] * 3


async def test_a_connection_killed_while_busy_is_a_503_and_leaks_no_slot(pool: Database, owner: RealDictCursor) -> None:
    for _ in range(20):
        busy = asyncio.create_task(pool.execute("SELECT pg_sleep(0.4)"))
        await until_running(owner)
        owner.execute(KILL_OTHERS)
        with pytest.raises(DatabaseUnavailable):
            await busy
        assert await asyncio.gather(one(pool), one(pool)) == [1, 1]


async def test_a_transaction_whose_connection_dies_is_a_503(pool: Database, owner: RealDictCursor) -> None:
    with pytest.raises(DatabaseUnavailable):
        async with pool.transaction() as tx:
            owner.execute(KILL_OTHERS)
            await tx.execute("SELECT 1")
    assert await one(pool) == 1


async def test_a_statement_that_takes_too_long_is_a_503(pool: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        await pool.execute("SELECT pg_sleep(2)")
    assert await one(pool) == 1


async def test_a_read_that_takes_too_long_is_not_run_again(pool: Database, owner: RealDictCursor) -> None:
    owner.execute("CREATE SEQUENCE runs")  # what it has counted is not rolled back
    with pytest.raises(DatabaseUnavailable):
        await pool.fetch_one("SELECT nextval('runs'), pg_sleep(10)")
    owner.execute("SELECT last_value AS runs FROM runs")
    assert owner.fetchone() == {"runs": 1}
    owner.execute("DROP SEQUENCE runs")


async def test_a_cancelled_statement_frees_its_place(pool: Database, owner: RealDictCursor) -> None:
    for _ in range(20):
        tasks = [asyncio.create_task(pool.execute("SELECT pg_sleep(0.4)")) for _ in range(2)]
        await until_running(owner, 2)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert await asyncio.gather(one(pool), one(pool)) == [1, 1]


async def test_a_cancelled_transaction_leaves_nothing(pool: Database, owner: RealDictCursor) -> None:
    owner.execute("CREATE TABLE IF NOT EXISTS scratch (n integer); TRUNCATE scratch")

    async def insert_and_wait(statement: str) -> None:
        async with pool.transaction() as tx:
            await tx.execute("INSERT INTO scratch VALUES (1)")
            await tx.execute(statement)
            await asyncio.sleep(10)

    for statement in ("SELECT 1", "SELECT pg_sleep(0.4)"):
        task = asyncio.create_task(insert_and_wait(statement))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    owner.execute("SELECT count(*) AS count FROM scratch")
    row = owner.fetchone()
    assert row and row["count"] == 0
    owner.execute("DROP TABLE scratch")
    assert await asyncio.gather(one(pool), one(pool)) == [1, 1]


async def test_a_server_that_is_not_there_is_a_503(settings: Settings) -> None:
    values = settings.model_dump(exclude={"database_url"})
    nowhere = Database(Settings(**values, database_url="postgresql://u:p@127.0.0.1:1/d"))
    with pytest.raises(DatabaseUnavailable):
        await one(nowhere)


def at(settings: Settings, hosts: str, **changes: object) -> Database:
    """A pool at other hosts of the same URL."""
    url = urlsplit(settings.database_url.get_secret_value())
    user = url.netloc.rpartition("@")[0]
    values = settings.model_dump(exclude={"database_url"}) | changes
    return Database(Settings(**values, database_url=url._replace(netloc=f"{user}@{hosts}").geturl()))


async def test_a_host_that_accepts_and_never_answers_is_passed_over_and_asked_last_from_then_on(
    settings: Settings,
) -> None:
    asked: list[asyncio.StreamWriter] = []
    frozen = await asyncio.start_server(lambda _, writer: asked.append(writer), "127.0.0.1", 0)
    port = urlsplit(settings.database_url.get_secret_value()).port
    hosts = f"127.0.0.1:{frozen.sockets[0].getsockname()[1]},127.0.0.1:{port}"
    # Patient for a busy machine: each of the hosts has half of this.
    pool = at(settings, hosts, database_connect_timeout_seconds=6)
    try:
        assert await one(pool) == 1
        pool.close()
        assert await one(pool) == 1
        assert len(asked) == 1
    finally:
        pool.close()
        frozen.close()


async def test_all_hosts_away_is_a_503(settings: Settings) -> None:
    with pytest.raises(DatabaseUnavailable):
        await one(at(settings, "127.0.0.1:1,127.0.0.1:2"))


def test_several_hosts_are_several_servers_of_which_one_writes() -> None:
    servers = servers_of("postgresql://u:p@first:5432,second:5433/d?sslmode=require")
    assert [(server["host"], server["port"]) for server in servers] == [("first", "5432"), ("second", "5433")]
    assert all(server["target_session_attrs"] == "read-write" for server in servers)
    assert all((server["user"], server["dbname"], server["sslmode"]) == ("u", "d", "require") for server in servers)
    (alone,) = servers_of("postgresql://u:p@first/d")
    assert alone["host"] == "first" and "target_session_attrs" not in alone
    replicas = servers_of("postgresql://u:p@first,second/d?target_session_attrs=standby")
    assert [server["target_session_attrs"] for server in replicas] == ["standby", "standby"]


def test_kerberos_is_for_those_who_ask_for_it() -> None:
    (server,) = servers_of("postgresql://u:p@first/d")
    (asked,) = servers_of("postgresql://u:p@first/d?gssencmode=prefer")
    assert (server["gssencmode"], asked["gssencmode"]) == ("disable", "prefer")


async def test_a_server_that_only_reads_is_a_503_and_its_connections_are_dropped(pool: Database) -> None:
    # What a connection through a pooler sees when a standby has taken the place of the primary.
    for _ in range(2):
        await pool.execute("SET default_transaction_read_only = on")
        with pytest.raises(DatabaseUnavailable):
            await pool.execute("UPDATE countries SET code = code WHERE id = 484")
        assert await pool.execute("UPDATE countries SET code = code WHERE id = 484") == 1


async def test_a_row_that_another_service_has_just_written_and_is_not_there_drops_the_connections(
    pool: Database,
) -> None:
    """Of two primaries, one that was not stopped: it lacks what the others write."""
    assert await one(pool) == 1
    with pytest.raises(DatabaseUnavailable):
        async with pool.transaction() as tx:
            await tx.execute("SET default_transaction_read_only = on")
            raise DatabaseUnavailable
    row = await pool.fetch_one("SHOW default_transaction_read_only")
    assert row == {"default_transaction_read_only": "off"}


@pytest.mark.parametrize("mistake", ["SELECT FROM WHERE", "SELECT 1 / 0"])
async def test_a_mistake_of_our_own_is_no_fault_of_the_database(pool: Database, mistake: str) -> None:
    with pytest.raises(psycopg2.Error):
        await pool.fetch_one(mistake)
    assert await pool.fetch_one("SELECT 1 AS one") == {"one": 1}
