"""Accounts as admins see them: listed, shown, disabled and enabled; nobody else may."""

from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from dev.fleet import Fleet
from shared.tokens import issue_service_token
from tests.support import PASSWORD, Api, User, assert_problem, unique

from .support import ALIVE, DEAD, at_once, log_in, refresh, statuses

FIELDS = {
    *("id", "email", "user_type", "reference_id", "is_active", "is_verified"),
    *("owner_status", "last_login_at", "created_at", "updated_at"),
}


@pytest.fixture(scope="module")
def institution(api: Api) -> User:
    return api.new_institution()


@pytest.fixture
def doctor(api: Api, institution: User) -> User:
    return api.new_doctor(institution)


def get(api: Api, path: str, **parameters: Any) -> dict[str, Any]:
    answer = api.admin.auth.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def enable(api: Api, user: User, is_active: bool) -> httpx.Response:
    return api.admin.auth.patch(f"/users/{user.id}", json={"is_active": is_active})


def test_an_account_is_shown_without_its_password(api: Api, doctor: User) -> None:
    account = get(api, f"/users/{doctor.id}")
    assert set(account) == FIELDS
    assert (account["id"], account["reference_id"], account["email"]) == (doctor.id, doctor.id, doctor.email)
    assert (account["user_type"], account["owner_status"]) == ("doctor", "active")
    assert account["is_active"] is True and account["last_login_at"]


def test_an_unknown_account_and_one_of_nobody_are_not_found(api: Api) -> None:
    orphan = str(uuid4())
    body = {"email": f"{unique('nadie')}@example.com", "password": PASSWORD}
    created = api.admin.auth.post("/users/create", json={**body, "user_type": "doctor", "reference_id": orphan})
    assert created.status_code == 201
    for user_id in (str(uuid4()), orphan):
        for answer in (
            api.admin.auth.get(f"/users/{user_id}"),
            api.admin.auth.patch(f"/users/{user_id}", json={"is_active": False}),
        ):
            assert_problem(answer, 404, "account_not_found")
    assert_problem(api.admin.auth.get("/users/1"), 422, "validation_failed")


def test_the_list_is_filtered_by_kind_state_and_part_of_the_email(api: Api, institution: User) -> None:
    word = unique("filtrada").replace("-", "")
    users = [
        api.new_doctor(institution, contact_email={"email_address": f"{word}{number}@example.com"})
        for number in range(3)
    ]
    patient = api.new_patient(institution=institution, contact_email={"email_address": f"Ñandú.{word}@example.com"})
    assert enable(api, users[1], False).status_code == 200

    def found(**filters: Any) -> list[str]:
        return [account["id"] for account in get(api, "/users", q=word, **filters)["items"]]

    everybody = [patient.id, *(user.id for user in reversed(users))]
    assert found() == everybody
    assert found(user_type="doctor") == everybody[1:]
    assert found(user_type="patient") == [patient.id]
    assert found(is_active=False) == [users[1].id]
    assert found(user_type="institution") == []
    for q in (word.upper(), f"nandu.{word}", f"{word}@EXAMPLE.com"):
        assert patient.id in [account["id"] for account in get(api, "/users", q=q)["items"]]
    for wildcard in ("%", "_", f"{word}%"):
        assert patient.id not in [account["id"] for account in get(api, "/users", q=wildcard)["items"]]


def test_the_list_is_paged_newest_first_each_once(api: Api, institution: User) -> None:
    word = unique("paginada").replace("-", "")
    users = [
        api.new_doctor(institution, contact_email={"email_address": f"{word}{number}@example.com"})
        for number in range(5)
    ]
    seen, cursor = [], None
    while True:
        page = get(api, "/users", q=word, limit=2, **({"cursor": cursor} if cursor else {}))
        seen += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        answer = api.admin.auth.get("/users", params={"q": word + "x", "limit": 2, "cursor": cursor})
        assert_problem(answer, 400, "invalid_cursor")
    assert [account["id"] for account in seen] == [user.id for user in reversed(users)]
    assert all(datetime.fromisoformat(account["created_at"]).utcoffset() is not None for account in seen)


@pytest.mark.parametrize(
    "parameters",
    [
        {"user_type": "service"},
        {"is_active": "perhaps"},
        {"q": ""},
        {"limit": 0},
        {"limit": 201},
        {"usertype": "doctor"},
    ],
)
def test_a_filter_that_is_none_is_refused(parameters: dict[str, Any], api: Api) -> None:
    document = assert_problem(api.admin.auth.get("/users", params=parameters), 422, "validation_failed")
    assert [error["field"] for error in document["errors"]] == list(parameters)


def test_a_disabled_account_loses_its_sessions_on_all_services_at_once_and_gets_none(api: Api, doctor: User) -> None:
    pair = log_in(api.urls["doctors"], doctor.email).json()
    answer = enable(api, doctor, False)
    assert answer.status_code == 200
    assert set(answer.json()) == FIELDS and answer.json()["is_active"] is False
    for token in (doctor.token, pair["access_token"]):
        assert statuses(api, token) == DEAD
    assert_problem(refresh(api.urls["auth"], pair["refresh_token"]), 401, "invalid_refresh_token")
    for service in ("auth", "doctors"):
        assert_problem(log_in(api.urls[service], doctor.email), 403, "account_disabled")
        assert_problem(log_in(api.urls[service], doctor.email, "wrong"), 401, "invalid_credentials")

    assert enable(api, doctor, True).json()["is_active"] is True
    assert statuses(api, doctor.token) == DEAD, "an ended session does not come back"
    again = log_in(api.urls["doctors"], doctor.email)
    assert statuses(api, again.json()["access_token"]) == ALIVE


def test_disabling_races_with_logins_and_wins(api: Api, institution: User) -> None:
    for _ in range(10):
        doctor = api.new_doctor(institution)
        answers = at_once(
            6,
            lambda number, doctor=doctor: (
                enable(api, doctor, False) if number == 0 else log_in(api.urls["auth"], doctor.email)
            ),
        )
        assert answers[0].status_code == 200
        for answer in answers[1:]:
            if answer.status_code == 200:
                assert statuses(api, answer.json()["access_token"]) == DEAD
            else:
                assert_problem(answer, 403, "account_disabled")


def test_no_admin_locks_itself_out(api: Api) -> None:
    assert_problem(enable(api, api.admin, False), 409, "own_account")
    assert enable(api, api.admin, True).status_code == 200
    assert statuses(api, api.admin.token)["auth"] != 401


@pytest.mark.parametrize(
    "body", [{}, {"is_active": None}, {"is_active": "x"}, {"is_active": False, "user_type": "admin"}]
)
def test_nothing_but_the_state_is_changed(body: dict[str, Any], api: Api, doctor: User) -> None:
    assert_problem(api.admin.auth.patch(f"/users/{doctor.id}", json=body), 422, "validation_failed")
    assert statuses(api, doctor.token) == ALIVE


def test_only_an_admin_sees_and_changes_accounts_and_reads_the_trail(
    api: Api, doctor: User, institution: User, fleet: Fleet
) -> None:
    patient = api.new_patient(doctor)
    service = issue_service_token(fleet.environment["FLEET_INTERNAL_KEY"], "service-doctors", "auth-jwt-service")
    requests = [
        *(
            ("GET", "/users"),
            ("GET", f"/users/{doctor.id}"),
            ("PATCH", f"/users/{doctor.id}"),
            ("GET", "/api/v1/audit"),
        ),
    ]
    for method, path in requests:
        for user in (doctor, institution, patient):
            assert_problem(user.auth.request(method, path), 403, "forbidden")
        for headers in ({}, {"Authorization": f"Bearer {service}"}):
            assert_problem(api.anonymous.auth.request(method, path, headers=headers), 401, "unauthenticated")
