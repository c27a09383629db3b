"""The benchmark's data: loaded past triggers and keys, and yet as if the services had written it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from database.migrate import migrate
from dev.bench import data
from dev.servers import EmbeddedPostgres

SCHEMA = """
    SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) || convalidated FROM pg_constraint
    UNION ALL
    SELECT tgrelid::regclass::text, tgname, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal
    ORDER BY 1, 2, 3
"""
# What the triggers and rules of the schema and of the services promise; each finds rows that break it.
BROKEN = {
    "accounts know their owner": "SELECT FROM users WHERE owner_status <> 'active'",
    "every account has its primary e-mail": """
        SELECT FROM users u WHERE NOT EXISTS (
            SELECT FROM emails e WHERE e.entity_id = u.id AND e.is_primary AND e.email_address = u.email)
    """,
    "a profile says since when each of its fields is known": """
        SELECT FROM health_profiles h WHERE EXISTS (
            SELECT FROM jsonb_each(to_jsonb(h) - ARRAY['patient_id', 'created_at', 'updated_at', 'stated_at', 'notes'])
            WHERE (value <> 'null') <> (h.stated_at ? key))
    """,
    "pressures don't contradict each other": """
        SELECT FROM observations high JOIN observations low USING (patient_id, effective_at)
        WHERE high.code = '8480-6' AND low.code = '8462-4' AND high.value <= low.value
    """,
    "an appointment is with the patient's doctor": """
        SELECT FROM appointments a JOIN patients p ON p.id = a.patient_id WHERE a.doctor_id IS DISTINCT FROM p.doctor_id
    """,
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database of its own with the schema and no rows."""
    server = EmbeddedPostgres(Path(tmp_path_factory.mktemp("data")))
    try:
        address = server.start()
        migrate(address)
        yield address
    finally:
        server.remove()


def asked(url: str, statement: str) -> list[Any]:
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(statement)
        rows = cursor.fetchall()
    connection.close()
    return rows


def test_the_load_leaves_the_schema_as_it_was_and_keeps_every_promise(url: str) -> None:
    before = asked(url, SCHEMA)
    population = data.load(url, 300, print)
    assert asked(url, SCHEMA) == before
    assert {promise: len(asked(url, rows)) for promise, rows in BROKEN.items()} == dict.fromkeys(BROKEN, 0)
    assert asked(url, "SELECT count(*) FROM patients") == [(300,)]
    with_password = {str(row[0]) for row in asked(url, "SELECT id FROM users WHERE password_hash IS NOT NULL")}
    assert with_password == {account.id for account in population.doctors + population.patients}


@pytest.mark.parametrize("doctors", [20, 50, 4_999])
def test_who_calls_is_spread_alike_over_doctors_with_many_patients_and_with_few(doctors: int) -> None:
    places = [index / doctors for index in data._calling(doctors)]
    assert len(places) == data.CALLING_DOCTORS
    assert sum(places) / len(places) == pytest.approx(0.5, abs=0.03)
    assert places[0] < 0.05 and places[-1] >= 0.95


def test_a_few_doctors_all_call() -> None:
    assert data._calling(5) == [0, 1, 2, 3, 4]


def test_every_run_draws_the_same_people() -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    first, second = (data._staff(data.Draw(data.SEED), now, 300, "hash")[1] for _ in range(2))
    assert first == second and len(first) == 5


def test_a_broken_foreign_key_is_found_at_the_end(url: str) -> None:
    # The last one: it leaves the database without its indexes.
    connection = psycopg2.connect(url)
    with pytest.raises(psycopg2.errors.ForeignKeyViolation), connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        with data._indexes_and_keys_last(connection, print):
            row = "INSERT INTO emails (entity_type, entity_id, email_address) VALUES ('patient', %s, 'a@example.com')"
            cursor.execute(row, ["00000000-0000-4000-8000-000000000000"])
    connection.close()
