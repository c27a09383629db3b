"""A patient, its profile, its contacts and its account appear together or not at all, however the creation fails."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from psycopg2.extras import RealDictCursor

from dev.fleet import Fleet
from tests.patients.conftest import Care
from tests.support import PASSWORD, Api, User, assert_problem, patient_body, unique

PATIENTS = "/api/v1/patients"
SECONDS = 20


def _body() -> dict[str, Any]:
    """A creation that has something to write in each of the tables."""
    return patient_body(
        contact_email={"email_address": f"{unique('fallo')}@example.com"},
        contact_phone="55 1000 0001",
        health_profile={"height_cm": 170},
    )


def _email(body: dict[str, Any]) -> str:
    return str(body["contact_email"]["email_address"])


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.005)


def _assert_nothing_is_left(api: Api, owner: RealDictCursor, body: dict[str, Any]) -> None:
    """Neither a row that anyone can see nor a login; at most an account that waits to be swept, and its audit event."""
    owner.execute("SELECT id, owner_status FROM users WHERE email = %s", (_email(body),))
    accounts = owner.fetchall()
    assert {row["owner_status"] for row in accounts} <= {"missing"}
    owner.execute(
        """
        SELECT (SELECT count(*) FROM patients WHERE last_name = %(last_name)s)
             + (SELECT count(*) FROM emails WHERE email_address = %(email)s)
             + (SELECT count(*) FROM phones WHERE entity_id = ANY (%(ids)s::uuid[]))
             + (SELECT count(*) FROM health_profiles WHERE patient_id = ANY (%(ids)s::uuid[]))
             + (SELECT count(*) FROM audit_events
                WHERE patient_ids && %(ids)s::uuid[] AND service = 'service-patients') AS count
        """,
        {"last_name": body["last_name"], "email": _email(body), "ids": [str(row["id"]) for row in accounts]},
    )
    assert owner.fetchone()["count"] == 0
    credentials = {"email": _email(body), "password": PASSWORD}
    assert_problem(api.anonymous.auth.post("/auth/login", json=credentials), 401, "invalid_credentials")


def _assert_it_can_be_created_now(api: Api, creator: User, body: dict[str, Any]) -> None:
    """The same body, its e-mail included, is as good as new."""
    answer = creator.patients.post(PATIENTS, json=body)
    assert answer.status_code == 201, answer.text
    assert api.log_in("patients", _email(body)).id == answer.json()["id"]


@contextmanager
def _stopped_at(owner: RealDictCursor, creator: User, table: str, body: dict[str, Any]) -> Iterator[Future[Any]]:
    """A creation under way that waits for its turn to write into `table`, until the block ends.

    It waits no longer than its lock timeout, so what is to happen meanwhile is done first thing.
    """
    with ThreadPoolExecutor(1) as pool:
        owner.execute("BEGIN")
        try:
            owner.execute(f"LOCK TABLE {table} IN SHARE MODE")
            answer = pool.submit(creator.patients.post, PATIENTS, json=body)
            _wait_for(lambda: _waiting_for(owner, table) == 1)
            yield answer
        finally:
            owner.execute("ROLLBACK")
    _wait_for(lambda: _waiting_for(owner, table) == 0)


def _waiting_for(owner: RealDictCursor, table: str) -> int:
    owner.execute(
        "SELECT count(*) AS count FROM pg_locks WHERE relation = %s::regclass AND NOT granted AND database = "
        "(SELECT oid FROM pg_database WHERE datname = current_database())",
        (table,),
    )
    return int(owner.fetchone()["count"])


def test_with_the_auth_service_down_nothing_is_created_and_later_everything(
    fleet: Fleet, api: Api, care: Care, owner: RealDictCursor
) -> None:
    body = _body()
    fleet.services["auth"].stop()
    try:
        answer = care.doctor.patients.post(PATIENTS, json=body)
        assert_problem(answer, 503, "auth_unavailable")
        assert int(answer.headers["retry-after"]) > 0
    finally:
        fleet.services["auth"].start()
    _assert_nothing_is_left(api, owner, body)
    _assert_it_can_be_created_now(api, care.doctor, body)


def test_the_auth_service_killed_while_it_makes_the_account_leaves_nothing(
    fleet: Fleet, api: Api, care: Care, owner: RealDictCursor
) -> None:
    body = _body()
    try:
        with _stopped_at(owner, care.doctor, "users", body) as answer:
            fleet.services["auth"].kill()
            assert_problem(answer.result(SECONDS), 503, "auth_unavailable")
    finally:
        fleet.services["auth"].start()
    _assert_nothing_is_left(api, owner, body)
    _assert_it_can_be_created_now(api, care.doctor, body)


@pytest.mark.parametrize("table", ["patients", "health_profiles", "emails"])
def test_the_service_killed_between_account_and_patient_leaves_nothing(
    fleet: Fleet, api: Api, care: Care, owner: RealDictCursor, table: str
) -> None:
    body = _body()
    try:
        with _stopped_at(owner, care.doctor, table, body) as answer:
            fleet.services["patients"].kill()
            assert isinstance(answer.exception(SECONDS), httpx.TransportError)
            owner.execute("SELECT owner_status FROM users WHERE email = %s", (_email(body),))
            assert [row["owner_status"] for row in owner.fetchall()] == ["missing"], "the account had come first"
    finally:
        fleet.services["patients"].start()
    _assert_nothing_is_left(api, owner, body)
    _assert_it_can_be_created_now(api, care.doctor, body)


@pytest.mark.parametrize(
    ("table", "code"),
    [
        *((table, "database_unavailable") for table in ("patients", "health_profiles", "phones")),
        ("audit_events", "auth_unavailable"),  # no account without its event either
    ],
)
def test_a_creation_that_waits_too_long_for_the_database_leaves_nothing(
    api: Api, care: Care, owner: RealDictCursor, table: str, code: str
) -> None:
    body = _body()
    with _stopped_at(owner, care.doctor, table, body) as answer:
        refused = answer.result(SECONDS)
    assert_problem(refused, 503, code)
    assert int(refused.headers["retry-after"]) > 0
    _assert_nothing_is_left(api, owner, body)
    _assert_it_can_be_created_now(api, care.doctor, body)


def test_of_many_creations_with_one_email_at_once_exactly_one_succeeds(care: Care, owner: RealDictCursor) -> None:
    threads, rounds = 8, 40
    barrier = threading.Barrier(threads)

    def create(body: dict[str, Any]) -> httpx.Response:
        barrier.wait(SECONDS)
        return care.doctor.patients.post(PATIENTS, json=body)

    with ThreadPoolExecutor(threads) as pool:
        for _ in range(rounds):
            body = _body()
            # One e-mail in two spellings: it compares without case.
            spellings = [_email(body), _email(body).replace("fallo", "FALLO")]
            bodies = [body | {"contact_email": {"email_address": spellings[n % 2]}} for n in range(threads)]
            answers = list(pool.map(create, bodies))
            assert Counter(answer.status_code for answer in answers) == {201: 1, 409: threads - 1}
            for answer in answers:
                if answer.status_code == 409:
                    assert_problem(answer, 409, "email_taken")
            owner.execute(
                """
                SELECT (SELECT count(*) FROM patients WHERE last_name = %(last_name)s) AS patients,
                       (SELECT count(*) FROM emails WHERE lower(email_address) = %(email)s) AS emails,
                       (SELECT count(*) FROM users WHERE lower(email) = %(email)s AND owner_status = 'active') AS users
                """,
                {"last_name": body["last_name"], "email": _email(body).lower()},
            )
            assert dict(owner.fetchone()) == {"patients": 1, "emails": 1, "users": 1}
