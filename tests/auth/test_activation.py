"""The first password of an account that has none: set once, with a token of ours, while the account is open."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from auth_app.tokens import issue_activation_token, issue_refresh_token
from psycopg2.extras import RealDictCursor

from dev.fleet import Fleet
from tests.support import NOBODY, PASSWORD, Api, User, assert_problem

from .forging import ANOTHER_KEY
from .support import at_once, log_in

FIRST = "a first password of one's own"


@pytest.fixture(scope="module")
def institution(api: Api) -> User:
    return api.new_institution()


@pytest.fixture
def imported(api: Api, institution: User, owner: RealDictCursor) -> User:
    """A doctor whose account has no password, as the importer leaves it."""
    doctor = api.new_doctor(institution)
    owner.execute("UPDATE users SET password_hash = NULL WHERE id = %s", [doctor.id])
    return doctor


def issue(api: Api, user_id: str) -> httpx.Response:
    return api.admin.auth.post(f"/users/{user_id}/activation")


def token_of(api: Api, user: User) -> str:
    return str(issue(api, user.id).json()["activation_token"])


def activate(api: Api, token: Any, new: Any = FIRST) -> httpx.Response:
    return api.anonymous.auth.post("/auth/activate", json={"token": token, "new_password": new})


def made(fleet: Fleet, user: User, seconds: int = 60) -> str:
    """A token as the fleet would sign it."""
    key = fleet.environments["auth"]["REFRESH_TOKEN_KEY"]
    return issue_activation_token(key, user.id, int(time.time()) + seconds)


def events_of(answer: httpx.Response, owner: RealDictCursor) -> list[dict[str, Any]]:
    owner.execute("SELECT * FROM audit_events WHERE request_id = %s", [answer.headers["x-request-id"]])
    return [dict(row) for row in owner.fetchall()]


def has_no_password(user: User, owner: RealDictCursor) -> bool:
    owner.execute("SELECT password_hash FROM users WHERE id = %s", [user.id])
    return bool(owner.fetchone()["password_hash"] is None)


# Issuing


def test_a_token_is_good_for_the_days_of_the_setting(api: Api, imported: User, owner: RealDictCursor) -> None:
    answer = issue(api, imported.id)
    assert answer.status_code == 200, answer.text
    left = datetime.fromisoformat(answer.json()["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=13, hours=23) < left < timedelta(days=14, minutes=1)
    assert answer.headers["cache-control"] == "private, no-store"
    (event,) = events_of(answer, owner)
    assert (event["action"], str(event["actor_id"]), event["outcome"]) == ("activation_issue", api.admin.id, "success")
    assert event["detail"] == {"account_id": imported.id}
    assert has_no_password(imported, owner)


def test_an_account_with_a_password_or_none_at_all_gets_no_token(api: Api, institution: User) -> None:
    assert_problem(issue(api, institution.id), 409, "account_active")
    assert_problem(issue(api, NOBODY), 404, "account_not_found")


def test_only_an_admin_issues(api: Api, imported: User, institution: User) -> None:
    path = f"/users/{imported.id}/activation"
    assert_problem(api.anonymous.auth.post(path), 401, "unauthenticated")
    assert_problem(institution.auth.post(path), 403, "forbidden")


# Activating


def test_the_first_password_opens_where_nothing_opened_before(api: Api, imported: User, owner: RealDictCursor) -> None:
    token = token_of(api, imported)
    for password in (PASSWORD, FIRST, ""):
        assert_problem(log_in(api.urls["doctors"], imported.email, password), 401, "invalid_credentials")
    answer = activate(api, token)
    assert (answer.status_code, answer.content) == (204, b"")
    assert log_in(api.urls["doctors"], imported.email, FIRST).status_code == 200
    (event,) = events_of(answer, owner)
    assert (event["action"], str(event["actor_id"]), event["outcome"]) == ("activate", imported.id, "success")


def test_a_token_is_good_once_and_so_is_every_other_of_the_account(api: Api, imported: User) -> None:
    tokens = [token_of(api, imported) for _ in range(2)]
    assert activate(api, tokens[0]).status_code == 204
    for token in tokens:
        for new in ("another password", "seven77"):
            assert_problem(activate(api, token, new), 401, "invalid_activation")
    assert log_in(api.urls["doctors"], imported.email, FIRST).status_code == 200


@pytest.mark.parametrize(
    ("new", "code"),
    [
        *(("seven77", "password_too_short"), ("ñ" * 37, "password_too_long"), ("password123", "password_too_common")),
        *(("nul\x00nul\x00", "validation_failed"), (None, "validation_failed")),
    ],
)
def test_a_rule_that_the_password_breaks_is_named_and_the_token_stays_good(
    new: Any, code: str, api: Api, imported: User
) -> None:
    token = token_of(api, imported)
    document = assert_problem(activate(api, token, new), 422, code)
    assert [error["field"] for error in document["errors"]] == ["new_password"]
    assert_problem(activate(api, token, imported.email), 422, "password_too_common")
    assert activate(api, token).status_code == 204


REFUSED: dict[str, Callable[[Api, Fleet, User], str]] = {
    "malformed": lambda api, fleet, user: "a.b.c",
    "empty": lambda api, fleet, user: "",
    "signed with another key": lambda api, fleet, user: issue_activation_token(
        ANOTHER_KEY, user.id, int(time.time()) + 60
    ),
    "cut short": lambda api, fleet, user: made(fleet, user)[:-4],
    "expired": lambda api, fleet, user: made(fleet, user, -60),
    "an access token": lambda api, fleet, user: user.token,
    "an admin's access token": lambda api, fleet, user: api.admin.token,
    "a refresh token": lambda api, fleet, user: issue_refresh_token(
        fleet.environments["auth"]["REFRESH_TOKEN_KEY"], uuid4(), 0
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_token_that_is_none_is_refused_by_one_answer(
    kind: str, api: Api, fleet: Fleet, imported: User, owner: RealDictCursor
) -> None:
    answer = activate(api, REFUSED[kind](api, fleet, imported))
    assert_problem(answer, 401, "invalid_activation")
    assert has_no_password(imported, owner)
    (event,) = events_of(answer, owner)
    assert (event["action"], event["actor_type"], event["outcome"]) == ("activate", "anonymous", "failure")
    assert event["detail"] == {"code": "invalid_activation"}


def _disable(api: Api, user: User) -> None:
    assert api.admin.auth.patch(f"/users/{user.id}", json={"is_active": False}).status_code == 200


def _delete(api: Api, user: User) -> None:
    assert api.admin.doctors.delete(f"/api/v1/doctors/{user.id}").status_code == 204


def _suspend(api: Api, user: User) -> None:
    path = f"/api/v1/doctors/{user.id}/professional-status"
    assert api.admin.doctors.post(path, json={"professional_status": "suspended"}).status_code == 200


@pytest.mark.parametrize("close", [_disable, _delete, _suspend])
def test_an_account_that_is_closed_gets_no_password(
    close: Callable[[Api, User], None], api: Api, imported: User, owner: RealDictCursor
) -> None:
    token = token_of(api, imported)
    close(api, imported)
    assert_problem(activate(api, token, "seven77"), 401, "invalid_activation")
    answer = activate(api, token)
    assert_problem(answer, 401, "invalid_activation")
    assert has_no_password(imported, owner)
    (event,) = events_of(answer, owner)
    assert (str(event["actor_id"]), event["outcome"]) == (imported.id, "failure")


def test_a_token_of_an_account_that_is_gone_is_refused_alike(
    api: Api, imported: User, institution: User, owner: RealDictCursor
) -> None:
    tokens = [token_of(api, imported), "a.b.c"]
    owner.execute("UPDATE users SET owner_status = 'missing' WHERE id = %s", [imported.id])
    documents = [activate(api, token).json() for token in tokens]
    for document in documents:
        del document["request_id"]
    assert documents[0] == documents[1]


def test_both_sentences(api: Api) -> None:
    sentences = {
        language: api.anonymous.auth.post(
            "/auth/activate",
            json={"token": "a.b.c", "new_password": FIRST},
            headers={"Accept-Language": language},
        ).json()["detail"]
        for language in ("es", "en")
    }
    assert sentences == {
        "es": "El enlace de activación no es válido, venció o ya se usó. Pida otro a su clínica.",
        "en": "The activation link is not valid, has expired or has been used. Please ask your clinic for another.",
    }


def test_an_activation_token_opens_nothing_else(api: Api, imported: User) -> None:
    token = token_of(api, imported)
    headers = {"Authorization": f"Bearer {token}"}
    assert_problem(api.anonymous.auth.get("/auth/sessions", headers=headers), 401, "unauthenticated")
    refreshed = api.anonymous.auth.post("/auth/refresh", json={"refresh_token": token})
    assert_problem(refreshed, 401, "invalid_refresh_token")


# At once


def test_of_twenty_activations_at_once_one_sets_its_password(api: Api, imported: User, owner: RealDictCursor) -> None:
    token = token_of(api, imported)
    answers = at_once(20, lambda number: activate(api, token, f"{FIRST} {number}"))
    assert sorted(answer.status_code for answer in answers) == [204] + [401] * 19
    for number, answer in enumerate(answers):
        (event,) = events_of(answer, owner)
        assert event["outcome"] == ("success" if answer.status_code == 204 else "failure")
        if answer.status_code == 204:
            assert log_in(api.urls["doctors"], imported.email, f"{FIRST} {number}").status_code == 200


def test_a_disabled_account_stays_without_however_the_two_race(
    api: Api, institution: User, owner: RealDictCursor
) -> None:
    for _ in range(8):
        doctor = api.new_doctor(institution)
        owner.execute("UPDATE users SET password_hash = NULL WHERE id = %s", [doctor.id])
        token = token_of(api, doctor)
        actions = (lambda token=token: activate(api, token), lambda doctor=doctor: _disable(api, doctor))
        answer = at_once(2, lambda number, actions=actions: actions[number]())[0]
        assert answer.status_code in (204, 401)
        assert has_no_password(doctor, owner) == (answer.status_code == 401)
        code = "account_disabled" if answer.status_code == 204 else "invalid_credentials"
        assert_problem(log_in(api.urls["auth"], doctor.email, FIRST), 403 if answer.is_success else 401, code)


def test_activations_count_among_the_logins_of_their_address(other_api: Api) -> None:
    def try_once(path: str, body: dict[str, str]) -> httpx.Response:
        return other_api.anonymous.auth.post(path, json=body, headers={"X-Forwarded-For": "198.19.7.7"})

    wrong = {"token": "a.b.c", "new_password": FIRST}
    assert [try_once("/auth/activate", wrong).status_code for _ in range(20)] == [401] * 20
    refused = try_once("/auth/activate", wrong)
    assert_problem(refused, 429, "too_many_attempts")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    login = {"email": "nobody@example.com", "password": PASSWORD}
    assert_problem(try_once("/auth/login", login), 429, "too_many_attempts")
