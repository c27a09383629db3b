"""The audit trail's chains: whole under concurrent writers, and whatever is done behind the trigger's back shows."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest

from database.audit import findings
from database.migrate import migrate
from database.roles import SERVICES, service_url
from dev import ROOT
from dev.fleet import Fleet

from ..support import Api
from .conftest import Server

PASSWORDS = {service: f"the password of {service}" for service in SERVICES}
INSERT = """
    INSERT INTO audit_events (service, actor_type, action, resource, outcome, request_id, detail)
    VALUES (%s, 'doctor', 'read', 'patient', 'success', %s, '{"n": [1, 2.50, "é"], "a": null}')
"""
WHOLE = ""


def verify(url: str) -> str:
    """The findings, a line each."""
    return "\n".join(findings(url))


def command(url: str, *module: str, **environment: str) -> tuple[int, str]:
    """The exit status of the command, and what it says."""
    done = subprocess.run(
        [sys.executable, "-m", *module],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DATABASE_URL": url, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def write(url: str, service: str, events: int, *, roll_back_every: int = 0) -> None:
    """Write events on a connection of their own, one transaction each; some are rolled back."""
    connection = psycopg2.connect(url)
    for number in range(1, events + 1):
        with connection.cursor() as cursor:
            cursor.execute(INSERT, (service, f"r-{number}"))
        if roll_back_every and number % roll_back_every == 0:
            connection.rollback()
        else:
            connection.commit()
    connection.close()


def tamper(url: str, *statements: str) -> None:
    """Run statements as the superuser, past every trigger."""
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            cursor.execute(statement)
            assert cursor.rowcount > 0, statement
    connection.close()


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    """A database with two chains of ten events each; events 1-10 are the first one."""
    made = server.migrated()
    for service in ("service-patients", "service-doctors"):
        write(made, service, 10)
    assert verify(made) == WHOLE
    yield made


@pytest.mark.parametrize("as_roles", [False, True])
def test_the_chains_are_whole_after_concurrent_writers(server: Server, as_roles: bool) -> None:
    url = server.empty()
    migrate(url, PASSWORDS)
    urls = [service_url(url, service, PASSWORDS[service]) for service in SERVICES] if as_roles else [url] * 4
    with ThreadPoolExecutor(12) as threads:
        for writer in range(24):
            service = f"service-{writer % 3}"  # fewer names than writers: chains of one name side by side
            threads.submit(write, urls[writer % 4], service, 40, roll_back_every=7)
    connection = psycopg2.connect(url)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), count(DISTINCT chain) FROM audit_events")
        events, chains = cursor.fetchone() or (0, 0)
    connection.close()
    assert events == 24 * 35 and chains > 3
    assert verify(url) == WHOLE


def test_events_of_one_statement_and_of_one_transaction_are_chained_one_by_one(server: Server) -> None:
    url = server.migrated()
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        for _ in range(3):
            cursor.execute(
                "INSERT INTO audit_events (service, actor_type, action, resource, outcome, request_id) "
                "SELECT 's', 'admin', 'read', 'x', 'success', n::text FROM generate_series(1, 50) n"
            )
        cursor.execute("SELECT count(DISTINCT hash), max(position) FROM audit_events")
        assert cursor.fetchone() == (150, 150)
    connection.close()
    assert verify(url) == WHOLE


@pytest.mark.parametrize(
    "change",
    [
        *("service = 'x'", "actor_type = 'admin'", "actor_id = gen_random_uuid()", "action = 'write'"),
        *("resource = 'x'", "patient_ids = ARRAY[gen_random_uuid()]", "outcome = 'failure'", "request_id = 'x'"),
        *("client_address = '10.0.0.1'", "detail = '{}'", "hash = sha256('')", "chain = chain || 'x'"),
        *("occurred_at = occurred_at + interval '1 microsecond'", "id = DEFAULT"),
    ],
)
def test_a_changed_field_is_found_and_the_event_named(url: str, change: str) -> None:
    tamper(url, f"UPDATE audit_events SET {change} WHERE id = 5")
    said = verify(url)
    named = "event 21 " if change.startswith("id") else "event 5 "
    assert named in said
    assert "service-doctors" not in said


def test_a_deleted_event_is_found_by_the_one_after_it(url: str) -> None:
    tamper(url, "DELETE FROM audit_events WHERE id = 5")
    said = verify(url)
    assert "event 6 " in said and "is missing" in said


def test_a_deleted_event_is_found_even_when_the_positions_are_closed_up(url: str) -> None:
    tamper(
        url,
        "DELETE FROM audit_events WHERE id = 5",
        "UPDATE audit_events SET position = position - 1 WHERE id = 6",
        "UPDATE audit_events SET position = position - 1 WHERE id BETWEEN 7 AND 10",
    )
    said = verify(url)
    assert "event 6 " in said


def test_a_deleted_first_event_is_found(url: str) -> None:
    tamper(url, "DELETE FROM audit_events WHERE id = 1")
    said = verify(url)
    assert "event 2 " in said


def test_a_deleted_last_event_is_found(url: str) -> None:
    tamper(url, "DELETE FROM audit_events WHERE id = 10")
    said = verify(url)
    assert "service-patients" in said and "position 10" in said and "event 10 " not in said


def test_a_chain_without_its_events_is_found(url: str) -> None:
    tamper(url, "DELETE FROM audit_events WHERE id <= 10")
    said = verify(url)
    assert "service-patients" in said and "service-doctors" not in said


def test_events_without_their_chain_are_found(url: str) -> None:
    tamper(url, "DELETE FROM audit_chains WHERE chain LIKE 'service-patients/%'")
    said = verify(url)
    assert "service-patients" in said and "service-doctors" not in said


def test_swapped_events_are_found(url: str) -> None:
    swap = "UPDATE audit_events SET position = {} WHERE id = {}"
    tamper(url, swap.format(-1, 4), swap.format(4, 5), swap.format(5, 4))
    said = verify(url)
    assert "event 4 " in said and "event 5 " in said


def test_swapped_contents_are_found(url: str) -> None:
    tamper(
        url,
        "UPDATE audit_events e SET request_id = o.request_id, hash = o.hash FROM audit_events o "
        "WHERE e.id + o.id = 9 AND e.id IN (4, 5)",
    )
    said = verify(url)
    assert "event 4 " in said and "event 5 " in said


INSERT_BEHIND = """
    INSERT INTO audit_events (service, actor_type, action, resource, outcome, request_id, chain, position, hash)
    SELECT service, actor_type, action, resource, outcome, request_id, {}, {}, hash FROM audit_events WHERE id = 10
"""


@pytest.mark.parametrize(("chain", "position"), [("chain", "11"), ("'another'", "1"), ("NULL", "NULL")])
def test_an_inserted_event_is_found(url: str, chain: str, position: str) -> None:
    tamper(url, INSERT_BEHIND.format(chain, position))
    said = verify(url)
    assert "event 21 " in said


def test_an_event_pushed_in_between_is_found(url: str) -> None:
    tamper(
        url,
        "UPDATE audit_events SET position = position + 100 WHERE id BETWEEN 6 AND 10",
        INSERT_BEHIND.format("chain", "6"),
        "UPDATE audit_events SET position = position - 99 WHERE id BETWEEN 6 AND 10",
    )
    said = verify(url)
    assert "event 21 " in said and "event 6 " in said


def test_a_gap_is_found_even_when_the_hashes_after_it_were_made_anew(url: str) -> None:
    tamper(
        url,
        "DELETE FROM audit_events WHERE id = 9",
        "UPDATE audit_events e SET hash = audit_hash(e, o.hash) FROM audit_events o WHERE e.id = 10 AND o.id = 8",
        "UPDATE audit_chains c SET hash = e.hash FROM audit_events e WHERE e.id = 10 AND c.chain = e.chain",
    )
    assert "event 10 " in verify(url)


def test_an_event_without_a_hash_is_found(url: str) -> None:
    tamper(url, "UPDATE audit_events SET hash = NULL WHERE id = 10")
    said = verify(url)
    assert "event 10 " in said


def test_events_from_before_there_were_chains_are_no_finding(url: str) -> None:
    tamper(url, "DELETE FROM audit_events", "DELETE FROM audit_chains")
    tamper(
        url,
        "INSERT INTO audit_events (id, service, actor_type, action, resource, outcome, request_id) "
        "OVERRIDING SYSTEM VALUE VALUES (1, 's', 'a', 'a', 'r', 'success', 'r')",
    )
    write(url, "service-patients", 3)
    assert verify(url) == WHOLE


def test_nobody_changes_an_event_without_going_past_the_trigger(url: str) -> None:
    connection = psycopg2.connect(url)
    for statement in (
        "UPDATE audit_events SET outcome = 'failure'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege), connection, connection.cursor() as cursor:
            cursor.execute(statement)
    connection.close()


def test_the_command_tells_whole_from_broken(url: str) -> None:
    assert command(url, "database.audit") == (0, "The audit trail is whole.\n")
    tamper(url, "UPDATE audit_events SET outcome = 'failure' WHERE id = 5")
    status, said = command(url, "database.audit")
    assert status == 1 and said.startswith("event 5 ") and said.endswith("\nThe audit trail is broken.\n")


def test_the_fleets_own_verb_verifies_the_running_fleet(fleet: Fleet, api: Api) -> None:
    # No DATABASE_URL: it is found through the data directory. The other tests' writes are in the trail as well.
    assert api.admin.auth.get("/api/v1/audit").status_code == 200
    said = command("", "dev", "audit", "verify", PREDICTHEALTH_DATA_DIR=str(fleet.data_dir))
    assert said == (0, "The audit trail is whole.\n")
