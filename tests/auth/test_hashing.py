"""Password hashes in the running service: a flood of logins starves nobody, and a new cost reaches every account."""

import threading
import time
from collections import Counter
from collections.abc import Iterator

import bcrypt
import httpx
import pytest
from psycopg2.extras import RealDictCursor

from dev.fleet import Fleet
from dev.services import Service
from tests.support import PASSWORD, Api, User, assert_problem, unique

from .support import another_auth_service, at_once, log_in


@pytest.fixture(scope="module")
def slow(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """An auth service whose hashes take their time and of which few may wait."""
    service = another_auth_service(fleet, tmp_path_factory.mktemp("slow"), BCRYPT_ROUNDS="11", PASSWORD_HASH_QUEUE="1")
    yield service
    service.stop()


@pytest.fixture
def doctor(api: Api) -> User:
    return api.new_doctor(api.new_institution())


def hash_of(owner: RealDictCursor, user: User) -> str:
    owner.execute("SELECT password_hash FROM users WHERE id = %s", [user.id])
    return str(owner.fetchone()["password_hash"])


def test_a_flood_of_logins_is_refused_past_the_bound_while_all_else_answers(slow: Service, doctor: User) -> None:
    flooding = threading.Event()
    answers: list[httpx.Response] = []
    others: list[int] = []
    flooding.set()

    def flood() -> None:
        while flooding.is_set():
            # Of nobody: so that no account's limit comes first.
            answers.append(log_in(slow.url, f"{unique('nadie')}@example.com", "wrong"))

    threads = [threading.Thread(target=flood) for _ in range(12)]
    for thread in threads:
        thread.start()
    try:
        with httpx.Client(base_url=slow.url, headers={"Authorization": f"Bearer {doctor.token}"}, timeout=10) as client:
            deadline = time.monotonic() + 20
            while len(others) < 60 or not any(answer.status_code == 503 for answer in answers):
                assert time.monotonic() < deadline, "no login was refused"
                for path in ("/health/live", "/health", "/auth/sessions"):
                    others.append(client.get(path).status_code)
    finally:
        flooding.clear()
        for thread in threads:
            thread.join()
    assert set(others) == {200}
    assert {answer.status_code for answer in answers} == {401, 503}, "those that had a place were looked at"
    for answer in answers:
        if answer.status_code == 503:
            assert_problem(answer, 503, "busy")
            assert int(answer.headers["retry-after"]) >= 1
    assert log_in(slow.url, doctor.email).status_code == 200, "afterwards there is room again"


def test_a_login_renews_a_hash_of_another_cost(slow: Service, doctor: User, api: Api, owner: RealDictCursor) -> None:
    before = hash_of(owner, doctor)
    assert before.startswith("$2b$04$")
    assert log_in(slow.url, doctor.email, "wrong").status_code == 401
    assert hash_of(owner, doctor) == before
    assert log_in(slow.url, doctor.email).status_code == 200
    renewed = hash_of(owner, doctor)
    assert renewed.startswith("$2b$11$") and bcrypt.checkpw(PASSWORD.encode(), renewed.encode())
    assert log_in(slow.url, doctor.email).status_code == 200
    assert hash_of(owner, doctor) == renewed, "once is enough"
    assert log_in(api.urls["auth"], doctor.email).status_code == 200
    assert hash_of(owner, doctor).startswith("$2b$04$")


def test_parallel_logins_all_pass_while_one_of_them_renews_the_hash(
    api: Api, doctor: User, owner: RealDictCursor
) -> None:
    for _ in range(10):
        stored = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5)).decode()
        owner.execute("UPDATE users SET password_hash = %s WHERE id = %s", [stored, doctor.id])
        answers = at_once(8, lambda _: log_in(api.urls["auth"], doctor.email))
        assert Counter(answer.status_code for answer in answers) == {200: 8}
        assert hash_of(owner, doctor).startswith("$2b$04$")
