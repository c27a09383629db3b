"""The audit trail: every security event is in it, admins find it by its filters, nobody reads a secret from it."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from psycopg2.extras import RealDictCursor
from redis import Redis

from tests.support import PASSWORD, Api, User, assert_problem, unique

from .support import log_in, refresh

FIELDS = {
    *("id", "occurred_at", "service", "actor_type", "actor_id", "action", "resource", "patient_ids", "outcome"),
    *("request_id", "client_address", "detail"),
}


@pytest.fixture(scope="module")
def institution(api: Api) -> User:
    return api.new_institution()


@pytest.fixture
def doctor(api: Api, institution: User) -> User:
    return api.new_doctor(institution)


def trail(api: Api, **filters: Any) -> list[dict[str, Any]]:
    answer = api.admin.auth.get("/api/v1/audit", params=filters)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def event_of(api: Api, answer: httpx.Response, action: str) -> dict[str, Any]:
    """The one event of this action that a request left."""
    request_id = answer.headers["x-request-id"]
    (event,) = [event for event in trail(api, action=action, limit=200) if event["request_id"] == request_id]
    assert set(event) == FIELDS
    assert event["client_address"] == "127.0.0.1"
    assert abs(datetime.now().astimezone() - datetime.fromisoformat(event["occurred_at"])) < timedelta(minutes=5)
    return event


def assert_event(event: dict[str, Any], user: User | None, outcome: str = "success", **detail: Any) -> None:
    who = (user.user_type, user.id) if user else ("anonymous", None)
    assert (event["actor_type"], event["actor_id"]) == who
    assert (event["outcome"], event["resource"], event["service"]) == (outcome, "account", "auth-jwt-service")
    assert event["detail"] == detail


def test_a_login_is_recorded_with_its_session(api: Api, doctor: User) -> None:
    for service in ("auth", "doctors"):
        answer = log_in(api.urls[service], doctor.email)
        assert_event(event_of(api, answer, "login"), doctor, session_id=answer.json()["session_id"])


def test_a_failed_login_is_recorded_under_the_account_that_was_meant(api: Api, doctor: User) -> None:
    answer = log_in(api.urls["doctors"], doctor.email, "wrong")
    assert_event(event_of(api, answer, "login"), doctor, "failure", code="invalid_credentials")
    answer = log_in(api.urls["auth"], f"{unique('nadie')}@example.com", "wrong")
    assert_event(event_of(api, answer, "login"), None, "failure", code="invalid_credentials")


def test_a_login_that_is_refused_for_another_reason_says_which(api: Api, doctor: User, institution: User) -> None:
    answer = log_in(api.urls["doctors"], institution.email)
    assert_event(event_of(api, answer, "login"), institution, "failure", code="wrong_user_type")
    assert api.admin.auth.patch(f"/users/{doctor.id}", json={"is_active": False}).status_code == 200
    answer = log_in(api.urls["doctors"], doctor.email)
    assert_event(event_of(api, answer, "login"), doctor, "failure", code="account_disabled")


def test_the_guess_that_starts_a_wait_is_recorded(api: Api, doctor: User) -> None:
    answers = [log_in(api.urls["auth"], doctor.email, "wrong") for _ in range(6)]
    assert_event(event_of(api, answers[4], "login_lock"), doctor)
    assert len(trail(api, actor_id=doctor.id, action="login_lock")) == 1


def test_a_logout_of_each_kind_is_recorded(api: Api, doctor: User) -> None:
    first, second, third = [api.log_in("auth", doctor.email) for _ in range(3)]
    (session,) = [item for item in second.auth.get("/auth/sessions").json()["items"] if item["is_current"]]
    one = second.auth.delete(f"/auth/sessions/{session['session_id']}")
    assert_event(event_of(api, one, "logout"), doctor, session_id=session["session_id"])
    own = first.auth.post("/auth/logout")
    assert event_of(api, own, "logout")["detail"].keys() == {"session_id"}
    first.auth.post("/auth/logout")
    assert len(trail(api, actor_id=doctor.id, action="logout")) == 2, "a repeated logout ends nothing"
    everything = third.auth.post("/auth/logout-all")
    assert_event(event_of(api, everything, "logout_all"), doctor, sessions=2)


def test_the_reuse_of_a_refresh_token_is_recorded(api: Api, doctor: User, redis: Redis) -> None:
    pair = log_in(api.urls["auth"], doctor.email).json()
    refresh(api.urls["auth"], pair["refresh_token"])
    redis.hset(f"session:{pair['session_id']}", "refreshed_at", 1)
    answer = refresh(api.urls["auth"], pair["refresh_token"])
    event = event_of(api, answer, "refresh_reuse")
    assert_event(event, doctor, "failure", session_id=pair["session_id"])


def test_a_change_of_password_is_recorded(api: Api, doctor: User) -> None:
    body = {"current_password": "wrong", "new_password": "an even better staple"}
    answer = doctor.auth.post("/auth/change-password", json=body)
    assert_event(event_of(api, answer, "password_change"), doctor, "failure", code="wrong_password")
    answer = doctor.auth.post("/auth/change-password", json=body | {"current_password": PASSWORD})
    assert_event(event_of(api, answer, "password_change"), doctor)


def test_an_account_that_is_created_disabled_or_enabled_is_recorded_with_who_did_it(api: Api, doctor: User) -> None:
    account = str(uuid4())
    body = {"email": f"{unique('cuenta')}@example.com", "password": PASSWORD}
    created = api.admin.auth.post("/users/create", json={**body, "user_type": "patient", "reference_id": account})
    event = event_of(api, created, "account_create")
    assert_event(event, api.admin, account_id=account)
    assert event["patient_ids"] == [account]
    for is_active, action in ((False, "account_disable"), (True, "account_enable")):
        answer = api.admin.auth.patch(f"/users/{doctor.id}", json={"is_active": is_active})
        assert_event(event_of(api, answer, action), api.admin, account_id=doctor.id)


def test_a_forbidden_access_is_recorded_by_the_service_that_refused_it(api: Api, doctor: User) -> None:
    requests = [
        (doctor.auth.get("/users"), "auth-jwt-service", "GET /users"),
        (doctor.doctors.post("/api/v1/doctors", json={}), "service-doctors", "POST /api/v1/doctors"),
        (doctor.institutions.post("/api/v1/institutions"), "service-institutions", "POST /api/v1/institutions"),
        (
            doctor.patients.delete(f"/api/v1/patients/{uuid4()}"),
            *("service-patients", "DELETE /api/v1/patients/{patient_id}"),
        ),
    ]
    for answer, service, route in requests:
        assert_problem(answer, 403, "forbidden")
        event = event_of(api, answer, "access")
        assert (event["actor_type"], event["actor_id"]) == ("doctor", doctor.id)
        assert (event["service"], event["resource"], event["outcome"]) == (service, route, "failure")


def test_reading_the_trail_is_recorded_too(api: Api) -> None:
    answer = api.admin.auth.get("/api/v1/audit", params={"limit": 1})
    event = event_of(api, answer, "read")
    assert (event["resource"], event["actor_id"]) == ("audit", api.admin.id)


def test_without_its_event_nothing_happens(api: Api, doctor: User, owner: RealDictCursor, redis: Redis) -> None:
    other = log_in(api.urls["auth"], doctor.email).json()
    refresh(api.urls["auth"], other["refresh_token"])
    redis.hset(f"session:{other['session_id']}", "refreshed_at", 1)
    owner.execute("BEGIN")
    try:
        owner.execute("LOCK TABLE audit_events IN SHARE MODE")
        login = log_in(api.urls["auth"], doctor.email)
        change = doctor.auth.post(
            "/auth/change-password", json={"current_password": PASSWORD, "new_password": "an even better staple"}
        )
        endings = [
            doctor.auth.post("/auth/logout"),
            doctor.auth.post("/auth/logout-all"),
            doctor.auth.delete(f"/auth/sessions/{other['session_id']}"),
            refresh(api.urls["auth"], other["refresh_token"]),
        ]
    finally:
        owner.execute("ROLLBACK")
    for answer in (login, change, *endings):
        assert_problem(answer, 503, "database_unavailable")
    assert len(doctor.auth.get("/auth/sessions").json()["items"]) == 2
    assert event_of(api, refresh(api.urls["auth"], other["refresh_token"]), "refresh_reuse")
    assert log_in(api.urls["auth"], doctor.email, PASSWORD).status_code == 200


# Reading


def test_what_failed_is_found_by_its_patient_too(api: Api, doctor: User) -> None:
    patient = api.new_patient(doctor)
    log_in(api.urls["auth"], patient.email, "wrong")
    assert ("login", "failure") in {(e["action"], e["outcome"]) for e in trail(api, patient_id=patient.id)}


def test_the_trail_is_filtered_by_actor_patient_action_and_time(api: Api, doctor: User, institution: User) -> None:
    patient = api.new_patient(doctor)
    doctor.patients.get(f"/api/v1/patients/{patient.id}")
    log_in(api.urls["auth"], doctor.email, "wrong")

    of_doctor = trail(api, actor_id=doctor.id)
    assert {event["actor_id"] for event in of_doctor} == {doctor.id}
    assert {"login", "create", "read"} <= {event["action"] for event in of_doctor} or len(of_doctor) >= 3
    assert [event["id"] for event in of_doctor] == sorted((event["id"] for event in of_doctor), reverse=True)
    about_patient = trail(api, patient_id=patient.id)
    assert {patient.id} == {id_ for event in about_patient for id_ in event["patient_ids"]}
    assert {"service-patients", "auth-jwt-service"} <= {event["service"] for event in about_patient}
    assert {event["action"] for event in trail(api, actor_id=doctor.id, action="login")} == {"login"}
    assert trail(api, actor_id=doctor.id, action="log") == trail(api, actor_id=str(uuid4())) == []

    moments = [event["occurred_at"] for event in of_doctor]
    newest, oldest = moments[0], moments[-1]
    assert [e["occurred_at"] for e in trail(api, actor_id=doctor.id, **{"from": newest})] == [newest]
    assert [e["occurred_at"] for e in trail(api, actor_id=doctor.id, to=oldest)] == [oldest]
    assert trail(api, actor_id=doctor.id, **{"from": oldest, "to": newest}) == of_doctor
    elsewhere = datetime.fromisoformat(newest).astimezone().isoformat()
    assert len(trail(api, actor_id=doctor.id, **{"from": elsewhere})) == 1


def test_the_trail_is_paged_each_event_once_while_others_write(api: Api, doctor: User) -> None:
    for _ in range(6):
        log_in(api.urls["auth"], doctor.email)
    expected = [event["id"] for event in trail(api, actor_id=doctor.id)]
    seen: list[int] = []
    cursor: str | None = None
    while True:
        parameters = {"actor_id": doctor.id, "limit": 3} | ({"cursor": cursor} if cursor else {})
        answer = api.admin.auth.get("/api/v1/audit", params=parameters)
        assert answer.status_code == 200
        seen += [event["id"] for event in answer.json()["items"]]
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            break
        log_in(api.urls["auth"], doctor.email)
    assert seen == expected
    page = api.admin.auth.get("/api/v1/audit", params={"limit": 1}).json()
    for parameters in ({"cursor": page["next_cursor"], "action": "login"}, {"cursor": "AAAA"}):
        assert_problem(api.admin.auth.get("/api/v1/audit", params=parameters), 400, "invalid_cursor")


@pytest.mark.parametrize(
    "parameters",
    [
        *(
            {"actor_id": "x"},
            {"patient_id": "1"},
            {"from": "yesterday"},
            {"from": "2026-01-01T00:00:00"},
            {"to": "-1e99"},
        ),
        *({"since": "2026-01-01T00:00:00Z"}, {"limit": 201}, {"action": ""}, {"action": "x\x00"}),
    ],
)
def test_a_filter_that_is_none_is_refused(parameters: dict[str, Any], api: Api) -> None:
    document = assert_problem(api.admin.auth.get("/api/v1/audit", params=parameters), 422, "validation_failed")
    assert [error["field"] for error in document["errors"]] == list(parameters)


def test_no_event_holds_an_email_a_password_or_a_token(api: Api, institution: User, owner: RealDictCursor) -> None:
    secret = unique("a very secret password")
    doctor = api.new_doctor(institution, password=secret)
    pair = log_in(api.urls["doctors"], doctor.email, secret).json()
    log_in(api.urls["auth"], doctor.email, secret + "!")
    log_in(api.urls["auth"], doctor.email + ".nobody", secret)
    doctor.auth.post("/auth/change-password", json={"current_password": secret, "new_password": secret + "?"})
    renewed = refresh(api.urls["auth"], pair["refresh_token"])
    doctor.auth.get(f"/users/{quote(secret)}", params={"token": pair["access_token"]})
    owner.execute("SELECT audit_events::text AS row FROM audit_events")
    rows = [row["row"] for row in owner.fetchall()]
    assert rows and renewed.status_code == 401
    secrets = (doctor.email, secret, quote(secret), pair["access_token"], pair["refresh_token"], "eyJ", "rt.")
    for row in rows:
        assert not any(value in row for value in secrets), row
