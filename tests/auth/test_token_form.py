"""`POST /auth/token`: the login of the Authorize button, in the form of OAuth 2's password grant (RFC 6749, 4.3.2)."""

from typing import Any

import httpx
import pytest

from tests.support import PASSWORD, Api, User, assert_problem, unique

from .support import ALIVE, statuses


@pytest.fixture(scope="module")
def institution(api: Api) -> User:
    return api.new_institution()


@pytest.fixture
def doctor(api: Api, institution: User) -> User:
    return api.new_doctor(institution)


def token(api: Api, **fields: Any) -> httpx.Response:
    return api.anonymous.auth.post("/auth/token", data={"grant_type": "password"} | fields)


@pytest.mark.parametrize(
    "others", [{}, {"grant_type": ""}, {"scope": "", "client_id": "swagger", "client_secret": ""}, {"more": "x"}]
)
def test_the_form_opens_a_session_like_a_login(others: dict[str, str], api: Api, doctor: User) -> None:
    answer = token(api, username=doctor.email, password=PASSWORD, **others)
    assert answer.status_code == 200 and answer.headers["cache-control"] == "private, no-store"
    pair = answer.json()
    assert (pair["token_type"], pair["user_id"]) == ("bearer", doctor.id)
    assert statuses(api, pair["access_token"]) == ALIVE


@pytest.mark.parametrize(
    ("username", "password"),
    [
        *(("{email}", "wrong"), ("{email}", "x" * 100_000), ("{email}\x00", PASSWORD), ("nobody", PASSWORD)),
        *(("{email}", " "), ("%", PASSWORD)),  # a blank name is another test's too, and locked by both
    ],
)
def test_every_wrong_pair_is_just_wrong(username: str, password: str, api: Api, doctor: User) -> None:
    answer = token(api, username=username.format(email=doctor.email), password=password)
    assert_problem(answer, 401, "invalid_credentials")


def test_a_name_longer_than_any_address_is_refused(api: Api) -> None:
    document = assert_problem(token(api, username="x" * 1_001, password=PASSWORD), 422, "validation_failed")
    assert [error["field"] for error in document["errors"]] == ["username"]


def test_bytes_that_are_no_text_are_just_wrong(api: Api, doctor: User) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for content in (b"username=%ff%fe&password=%ed%a0%80", b"username=\xff\xfe&password=\xed\xa0\x80"):
        answer = api.anonymous.auth.post("/auth/token", content=b"grant_type=password&" + content, headers=headers)
        assert_problem(answer, 401, "invalid_credentials")


def test_only_a_form_of_that_grant_is_taken(api: Api, doctor: User) -> None:
    credentials = {"username": doctor.email, "password": PASSWORD}
    assert_problem(api.anonymous.auth.post("/auth/token", json=credentials), 415, "unsupported_media_type")
    assert_problem(token(api, grant_type="client_credentials", **credentials), 422, "validation_failed")
    for field in credentials:
        document = assert_problem(token(api, **(credentials | {field: ""})), 422, "validation_failed")
        assert [error["field"] for error in document["errors"]] == [field]
    answer = api.anonymous.auth.post("/auth/token", params=credentials | {"grant_type": "password"})
    assert answer.status_code == 422, "credentials in a URL end up in logs"


def test_guesses_count_like_those_at_the_other_door(api: Api, doctor: User) -> None:
    for _ in range(3):
        assert_problem(token(api, username=doctor.email, password="wrong"), 401, "invalid_credentials")
    for _ in range(2):
        body = {"email": doctor.email, "password": "wrong"}
        assert_problem(api.anonymous.auth.post("/auth/login", json=body), 401, "invalid_credentials")
    assert_problem(token(api, username=doctor.email, password=PASSWORD), 429, "too_many_attempts")
    assert_problem(token(api, username=f"{unique('x')}@example.com", password="x"), 401, "invalid_credentials")
