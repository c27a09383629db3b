"""PostgreSQL killed, stopped, frozen, locked, refusing and full: a 503 in time while it lasts, all well afterwards."""

import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg2
import pytest

from dev.fleet import Fleet
from dev.processes import Member
from tests.faults.support import (
    CONNECTIONS,
    SERVICES,
    Clinic,
    Writes,
    ask,
    frozen,
    health,
    query,
    stopped,
    until,
    waiting_for_locks,
)
from tests.support import PASSWORD, Api, assert_problem

KILL_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'predicthealth'"


def postgres_of(fleet: Fleet) -> Member:
    assert fleet.postgres is not None
    return fleet.postgres


def assert_every_connection_can_be_used(fleet: Fleet, clinic: Clinic) -> None:
    """As many statements as the pool has connections wait for one lock at once: no slot of the pool is lost."""
    with locked(fleet, "observations") as unlock, ThreadPoolExecutor(CONNECTIONS) as threads:
        answers = [threads.submit(clinic.observe, patient, Writes()) for patient in clinic.patients[:CONNECTIONS]]
        until(lambda: waiting_for_locks(fleet) == CONNECTIONS)
        unlock()
    assert {answer.result().status for answer in answers} == {201}


@contextmanager
def locked(fleet: Fleet, table: str) -> Iterator[Callable[[], None]]:
    """A table that somebody else has locked, until the block ends or calls what it is given."""
    connection = psycopg2.connect(fleet.database_url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield connection.rollback
    finally:
        connection.close()


def test_every_connection_killed_under_load_loses_nothing_and_leaks_nothing(fleet: Fleet, clinic: Clinic) -> None:
    with clinic.busy() as (writes, reads):
        for _ in range(50):
            done = len(writes.said)
            query(fleet.database_url, KILL_ALL)
            until(lambda done=done: len(writes.said) > done)  # type: ignore[misc]
    assert writes.statuses() <= {201, 503} and 201 in writes.statuses()
    assert {said.status for said in reads} <= {200, 503}
    assert {said.answer.json()["code"] for said in writes.said if said.status == 503} <= {"database_unavailable"}
    clinic.assert_all_works()
    clinic.recount(fleet.database_url, writes)
    assert_every_connection_can_be_used(fleet, clinic)


def test_connections_killed_while_nobody_asks_are_not_noticed(fleet: Fleet, clinic: Clinic) -> None:
    for _ in range(5):
        query(fleet.database_url, KILL_ALL)
        clinic.assert_all_works()


@pytest.mark.parametrize("away", [stopped, frozen])
def test_without_postgres_everything_that_needs_it_is_a_503_and_the_first_request_afterwards_succeeds(
    away: Callable[[Member], AbstractContextManager[None]], fleet: Fleet, api: Api, clinic: Clinic
) -> None:
    with away(postgres_of(fleet)):
        asked = [*clinic.reads().values(), clinic.create_patient, clinic.create_doctor]
        asked.append(lambda: api.anonymous.auth.post("/auth/login", json={"email": "a@example.com", "password": "b"}))
        # More at once than there are connections: whoever waits for one is answered in time too.
        with ThreadPoolExecutor(3 * len(asked)) as threads:
            assert {said.status for said in threads.map(ask, asked * 3)} == {503}
        with ThreadPoolExecutor(len(SERVICES)) as threads:
            for document in threads.map(lambda service: health(api, service), SERVICES):
                assert document["checks"]["postgres"] == {"status": "down", "latency_ms": None}
                assert document["checks"]["redis"]["status"] == "up"
        # What needs Redis alone goes on.
        assert ask(lambda: api.anonymous.auth.post("/auth/verify-token")).status == 200
        assert ask(lambda: clinic.doctor.auth.get("/auth/sessions")).status == 200
    clinic.assert_all_works()
    assert all(health(api, service)["status"] == "healthy" for service in SERVICES)


def test_frozen_under_load_nothing_is_half_there(fleet: Fleet, clinic: Clinic) -> None:
    with clinic.busy() as (writes, reads):
        for _ in range(2):
            until(lambda: writes.said and writes.said[-1].status == 201)
            with frozen(postgres_of(fleet)):
                done = len(writes.said)
                until(lambda done=done: len(writes.said) > done + 2)  # type: ignore[misc]
    assert writes.statuses() == {201, 503}
    assert {said.status for said in reads} == {200, 503}
    clinic.assert_all_works()
    clinic.recount(fleet.database_url, writes)
    assert_every_connection_can_be_used(fleet, clinic)


def test_killed_under_load_it_comes_back_with_all_that_was_acknowledged(fleet: Fleet, clinic: Clinic) -> None:
    postgres = postgres_of(fleet)
    with clinic.busy() as (writes, _):
        until(lambda: len(writes.acknowledged) > 20)
        postgres.kill()
        postgres.start()
    assert writes.statuses() <= {201, 503}
    clinic.assert_all_works()
    clinic.recount(fleet.database_url, writes)


def test_a_locked_table_stops_only_what_needs_it(fleet: Fleet, clinic: Clinic, api: Api) -> None:
    with locked(fleet, "observations"):
        refused = clinic.observe(clinic.patients[0], Writes())
        assert_problem(refused.answer, 503, "database_unavailable")
        for name in ("auth", "doctors", "institutions"):
            assert ask(clinic.reads()[name]).status == 200, name
        assert ask(lambda: clinic.doctor.patients.get("/api/v1/blood-types")).status == 200
        assert health(api, "patients")["status"] == "healthy"
    clinic.assert_all_works()


def by_trigger(statement: str) -> tuple[str, str]:
    """A trigger of an operator's that runs `statement` before each row of the audit trail, and its end."""
    return (
        f"""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {statement}; RETURN NEW; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION refuse()
        """,
        "DROP FUNCTION refuse() CASCADE",
    )


REFUSALS = {
    "revoked": (
        "REVOKE INSERT ON audit_events FROM predicthealth_patients, predicthealth_doctors, predicthealth_auth",
        "GRANT INSERT ON audit_events TO predicthealth_patients, predicthealth_doctors, predicthealth_auth",
    ),
    "a trigger": by_trigger("RAISE EXCEPTION 'no'"),
    "a trigger with a code of its own": by_trigger("RAISE EXCEPTION 'no' USING ERRCODE = 'ZZ001'"),
    "a trigger with the code of a constraint": by_trigger("RAISE EXCEPTION 'no' USING ERRCODE = '23514'"),
    "a trigger that fails": by_trigger("PERFORM 1 / 0"),
    "a trigger that can't be read": by_trigger("EXECUTE 'no SQL'"),
    "a constraint": (
        "ALTER TABLE audit_events ADD CONSTRAINT ck_refuse CHECK (false) NOT VALID",
        "ALTER TABLE audit_events DROP CONSTRAINT ck_refuse",
    ),
    "another name": (
        "ALTER TABLE audit_events RENAME TO audit_events_elsewhere",
        "ALTER TABLE audit_events_elsewhere RENAME TO audit_events",
    ),
    "a column of another name": (
        "ALTER TABLE audit_events RENAME COLUMN resource TO resource_elsewhere",
        "ALTER TABLE audit_events RENAME COLUMN resource_elsewhere TO resource",
    ),
}


@pytest.mark.parametrize("way", REFUSALS)
def test_while_the_audit_trail_refuses_rows_no_health_data_is_read_or_written(
    way: str, fleet: Fleet, clinic: Clinic, api: Api
) -> None:
    before = query(fleet.database_url, "SELECT (SELECT count(*) FROM observations), (SELECT count(*) FROM patients)")
    refuse, allow = REFUSALS[way]
    query(fleet.database_url, refuse)
    try:
        for name in ("doctors", "patients", "record"):
            assert_problem(ask(clinic.reads()[name]).answer, 503, "database_unavailable")
        assert_problem(clinic.observe(clinic.patients[0], Writes()).answer, 503, "database_unavailable")
        assert ask(clinic.create_patient).status == 503
        login = {"email": clinic.doctor.email, "password": PASSWORD}
        assert_problem(
            ask(lambda: api.anonymous.auth.post("/auth/login", json=login)).answer, 503, "database_unavailable"
        )
        assert ask(lambda: clinic.doctor.patients.get("/api/v1/blood-types")).status == 200
        assert ask(clinic.reads()["institutions"]).status == 200
    finally:
        query(fleet.database_url, allow)
    after = query(fleet.database_url, "SELECT (SELECT count(*) FROM observations), (SELECT count(*) FROM patients)")
    assert after == before
    clinic.assert_all_works()


@pytest.fixture
def small_disk(fleet: Fleet) -> Iterator[Path]:
    """The table of observations on a file system of its own of 8 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system that is soon full")
    # Beside the cluster, where PostgreSQL's own account can reach it.
    home = Path(query(fleet.database_url, "SHOW data_directory")[0][0]).parent
    disk = home / "small-disk"
    disk.mkdir()
    options = f"size=8m,mode=0700,uid={home.stat().st_uid}"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        disk.rmdir()
        pytest.skip(f"can't mount a file system that is soon full: {mounted.stderr.strip()}")
    try:
        query(fleet.database_url, f"CREATE TABLESPACE small_disk LOCATION '{disk}'")
        query(fleet.database_url, "ALTER TABLE observations SET TABLESPACE small_disk")
        yield disk
        query(fleet.database_url, "ALTER TABLE observations SET TABLESPACE pg_default")
        query(fleet.database_url, "DROP TABLESPACE small_disk")
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
        disk.rmdir()


def test_a_postgres_that_takes_no_writes_is_down(fleet: Fleet, clinic: Clinic, api: Api) -> None:
    query(fleet.database_url, "ALTER SYSTEM SET default_transaction_read_only = on")
    try:
        query(fleet.database_url, "SELECT pg_reload_conf()")
        until(lambda: ask(clinic.reads()["record"]).status == 503)
        for service in SERVICES:
            document = health(api, service)
            assert document["checks"]["postgres"] == {"status": "down", "latency_ms": None}
            assert document["checks"]["redis"]["status"] == "up"
    finally:
        query(fleet.database_url, "ALTER SYSTEM RESET default_transaction_read_only")
        query(fleet.database_url, "SELECT pg_reload_conf()")
    until(lambda: query(fleet.database_url, "SHOW transaction_read_only") == [("off",)])
    assert {health(api, service)["status"] for service in SERVICES} == {"healthy"}
    clinic.assert_all_works()


def test_a_full_disk_refuses_writes_loses_none_and_goes_on_reading(
    small_disk: Path, fleet: Fleet, clinic: Clinic, api: Api
) -> None:
    path = f"/api/v1/patients/{clinic.patients[0].id}/observations"
    moments = (datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=n) for n in range(1_000_000))

    def batch() -> httpx.Response:
        entry = {"code": "8480-6", "value": 120, "unit": "mm[Hg]"}
        entries = [{**entry, "effective_at": next(moments).isoformat()} for _ in range(200)]
        return clinic.patients[0].patients.post(path, json={"observations": entries})

    before = query(fleet.database_url, "SELECT count(*) FROM observations")[0][0]
    (small_disk / "ballast").write_bytes(
        bytes(os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize - 65_536)
    )
    said = [ask(batch) for _ in range(8)]
    assert said[-1].status == 503 and said[-1].answer.json()["code"] == "database_unavailable"
    kept = sum(200 for each in said if each.status == 201)
    for name, read in clinic.reads().items():
        assert ask(read).status == 200, name
    assert health(api, "patients")["checks"]["postgres"]["status"] == "up"
    (small_disk / "ballast").unlink()
    assert ask(batch).status == 201
    assert query(fleet.database_url, "SELECT count(*) FROM observations")[0][0] == before + kept + 200
    clinic.assert_all_works()
