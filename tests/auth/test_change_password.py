"""Changing a password: confirmed by the old one, it ends every other session, and the old one opens nothing more."""

import threading
from typing import Any

import httpx
import pytest
from auth_app import guessing
from psycopg2.extras import RealDictCursor
from redis import Redis

from dev.fleet import Fleet
from shared.tokens import issue_service_token
from tests.support import PASSWORD, Api, User, assert_problem, unique

from .support import ALIVE, DEAD, at_once, log_in, refresh, statuses

NEW = "an even better staple"


@pytest.fixture(scope="module")
def institution(api: Api) -> User:
    return api.new_institution()


@pytest.fixture
def doctor(api: Api, institution: User) -> User:
    return api.new_doctor(institution)


def change(user: User, current: Any, new: Any) -> httpx.Response:
    return user.auth.post("/auth/change-password", json={"current_password": current, "new_password": new})


def test_the_new_password_opens_and_the_old_one_does_not(api: Api, doctor: User) -> None:
    answer = change(doctor, PASSWORD, NEW)
    assert (answer.status_code, answer.content) == (204, b"")
    for service in ("auth", "doctors"):
        assert_problem(log_in(api.urls[service], doctor.email, PASSWORD), 401, "invalid_credentials")
        assert log_in(api.urls[service], doctor.email, NEW).status_code == 200


def test_the_other_sessions_end_on_all_services_and_this_one_lives(api: Api, doctor: User) -> None:
    pairs = [log_in(api.urls["doctors"], doctor.email).json() for _ in range(3)]
    assert change(doctor, PASSWORD, NEW).status_code == 204
    for pair in pairs:
        assert statuses(api, pair["access_token"]) == DEAD
        assert_problem(refresh(api.urls["auth"], pair["refresh_token"]), 401, "invalid_refresh_token")
    assert statuses(api, doctor.token) == ALIVE


@pytest.mark.parametrize("wrong", ["", "wrong", PASSWORD.upper(), PASSWORD + " ", "x" * 500_000, "\x00"])
def test_a_wrong_current_password_changes_nothing(wrong: str, api: Api, doctor: User) -> None:
    other = log_in(api.urls["auth"], doctor.email).json()
    assert_problem(change(doctor, wrong, NEW), 403, "wrong_password")
    assert statuses(api, other["access_token"]) == ALIVE
    assert log_in(api.urls["auth"], doctor.email, PASSWORD).status_code == 200


@pytest.mark.parametrize(
    ("new", "code"),
    [
        *(("seven77", "password_too_short"), ("ñ" * 37, "password_too_long"), ("password123", "password_too_common")),
        *(
            ("PredictHealth!", "password_too_common"),
            ("nul\x00nul\x00", "validation_failed"),
            (None, "validation_failed"),
        ),
    ],
)
def test_a_rule_that_the_new_one_breaks_is_named(new: Any, code: str, doctor: User) -> None:
    document = assert_problem(change(doctor, PASSWORD, new), 422, code)
    assert [error["field"] for error in document["errors"]] == ["new_password"]
    assert not new or new not in str(document)


def test_ones_own_email_is_no_password(doctor: User) -> None:
    for new in (doctor.email, doctor.email.upper(), doctor.email.partition("@")[0]):
        assert_problem(change(doctor, PASSWORD, new), 422, "password_too_common")


def test_a_new_password_is_the_same_composed_or_not(api: Api, doctor: User) -> None:
    assert change(doctor, PASSWORD, "contrasen\u0303a larga").status_code == 204
    assert log_in(api.urls["auth"], doctor.email, "contraseña larga").status_code == 200


def test_guesses_at_the_current_one_count_like_those_at_a_login(api: Api, doctor: User, redis: Redis) -> None:
    for _ in range(3):
        assert_problem(change(doctor, "wrong", NEW), 403, "wrong_password")
    for _ in range(2):
        assert_problem(log_in(api.urls["auth"], doctor.email, "wrong"), 401, "invalid_credentials")
    answer = change(doctor, PASSWORD, NEW)
    assert_problem(answer, 429, "too_many_attempts")
    assert int(answer.headers["retry-after"]) <= 30
    for key in guessing._keys(doctor.email, "127.0.0.1")[::2]:
        redis.delete(key)
    assert change(doctor, PASSWORD, NEW).status_code == 204


def test_only_an_account_has_a_password_to_change(api: Api, fleet: Fleet) -> None:
    body = {"current_password": PASSWORD, "new_password": NEW}
    service = issue_service_token(fleet.environment["FLEET_INTERNAL_KEY"], "service-doctors", "auth-jwt-service")
    for headers in ({}, {"Authorization": f"Bearer {service}"}):
        answer = api.anonymous.auth.post("/auth/change-password", json=body, headers=headers)
        assert_problem(answer, 401, "unauthenticated")


def test_a_change_and_a_refused_one_are_recorded(doctor: User, owner: RealDictCursor) -> None:
    answers = [change(doctor, "wrong", NEW), change(doctor, PASSWORD, NEW)]
    for answer, outcome in zip(answers, ("failure", "success"), strict=True):
        owner.execute("SELECT * FROM audit_events WHERE request_id = %s", [answer.headers["x-request-id"]])
        (event,) = owner.fetchall()
        assert (event["action"], event["outcome"], str(event["actor_id"])) == ("password_change", outcome, doctor.id)


def test_after_the_change_the_old_password_opens_nothing_however_the_logins_race(api: Api, institution: User) -> None:
    for _ in range(12):
        doctor = api.new_doctor(institution)
        tokens: list[str] = []
        some, changed = threading.Event(), threading.Event()

        def keep_logging_in(
            url: str,
            email: str = doctor.email,
            tokens: list[str] = tokens,
            some: threading.Event = some,
            changed: threading.Event = changed,
        ) -> None:
            with httpx.Client(base_url=url, timeout=20) as client:
                last = False
                while not last:
                    last = changed.is_set()  # one more after the change
                    answer = client.post("/auth/login", json={"email": email, "password": PASSWORD})
                    if answer.status_code == 200:
                        assert not last, "a login after the change"
                        tokens.append(answer.json()["access_token"])
                        some.set()

        threads = [threading.Thread(target=keep_logging_in, args=[api.urls[name]]) for name in ("auth", "doctors")]
        for thread in threads:
            thread.start()
        assert some.wait(20)
        assert change(doctor, PASSWORD, NEW).status_code == 204
        changed.set()
        for thread in threads:
            thread.join()
        assert tokens
        for token in tokens:
            assert statuses(api, token) == DEAD
        assert statuses(api, doctor.token) == ALIVE


def test_of_two_changes_at_once_one_holds(api: Api, institution: User) -> None:
    for _ in range(10):
        doctor = api.new_doctor(institution)
        news = [f"{unique('a new one')}" for _ in range(2)]
        answers = at_once(2, lambda number, doctor=doctor, news=news: change(doctor, PASSWORD, news[number]))
        for answer, new in zip(answers, news, strict=True):
            assert log_in(api.urls["auth"], doctor.email, new).status_code == (200 if answer.is_success else 401)
        assert sorted(answer.status_code for answer in answers) == [204, 403]
