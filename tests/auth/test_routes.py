"""The tokens and sessions of the auth service over HTTP, and that the whole fleet heeds them."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
import pytest
from auth_app.keys import SigningKeys
from redis import Redis

from dev.fleet import Fleet
from shared.tokens import issue_service_token
from tests.support import PASSWORD, Api, User, assert_problem, doctor_body

from .forging import FORGERIES, Forgery, expired, forged
from .support import ALIVE, DEAD, PROTECTED, ask, statuses

NO_TOKEN = 'Bearer realm="predicthealth"'
BAD_TOKEN = 'Bearer realm="predicthealth", error="invalid_token"'


@pytest.fixture(scope="module")
def institution(api: Api) -> User:
    return api.new_institution()


@pytest.fixture(scope="module")
def doctor(api: Api, institution: User) -> User:
    return api.new_doctor(institution)


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def of_secret(key: str) -> SigningKeys:
    """Signs as the fleet's services do."""
    return SigningKeys.of_secrets([key])


def post(api: Api, path: str, token: str | None = None, **headers: str) -> httpx.Response:
    authorization = {"Authorization": f"Bearer {token}"} if token is not None else {}
    return api.anonymous.auth.post(path, headers={**authorization, **headers})


# Who is authenticated


@pytest.mark.parametrize("service", PROTECTED)
@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_token_opens_nothing(
    forgery: Forgery, service: str, doctor: User, keys: SigningKeys, fleet: Fleet, api: Api
) -> None:
    answer = ask(api, service, forgery(claims_of(doctor.token), keys))
    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == BAD_TOKEN


@pytest.mark.parametrize("service", PROTECTED)
def test_an_expired_token_and_one_without_its_session_open_nothing(
    service: str, doctor: User, keys: SigningKeys, fleet: Fleet, api: Api
) -> None:
    claims = claims_of(doctor.token)
    for token in (
        expired(claims, keys),
        forged(claims, keys, sid=str(uuid4())),
        forged(claims, keys, sub=str(uuid4())),
        forged(claims, keys, user_type="admin"),
    ):
        answer = ask(api, service, token)
        assert_problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == BAD_TOKEN


@pytest.mark.parametrize("service", PROTECTED)
def test_without_a_token_the_challenge_names_the_realm_only(service: str, fleet: Fleet, api: Api) -> None:
    answer = ask(api, service, None)
    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == NO_TOKEN


@pytest.mark.parametrize("service", PROTECTED)
@pytest.mark.parametrize("authorization", ["", "Bearer", "Basic YTpi", "{token}", "Token {token}", "\xff\xfe"])
def test_a_malformed_header_is_no_token(authorization: str, service: str, doctor: User, fleet: Fleet, api: Api) -> None:
    value = authorization.format(token=doctor.token).encode("latin-1")
    answer = ask(api, service, None, headers={"Authorization": value})
    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == NO_TOKEN


@pytest.mark.parametrize("service", PROTECTED)
@pytest.mark.parametrize("token", ["{token}x", "{token} {token}", "a.b.c", "\xff.\xff.\xff", "x" * 6_000])
def test_a_malformed_token_is_a_bad_one(token: str, service: str, doctor: User, fleet: Fleet, api: Api) -> None:
    value = ("Bearer " + token.format(token=doctor.token)).encode("latin-1")
    answer = ask(api, service, None, headers={"Authorization": value})
    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == BAD_TOKEN


def test_the_scheme_is_the_same_in_any_case(doctor: User, fleet: Fleet, api: Api) -> None:
    headers = {"Authorization": f"bearer {doctor.token}"}
    assert ask(api, "doctors", None, headers=headers).status_code == 200


@pytest.mark.parametrize("service", PROTECTED)
def test_a_token_in_the_query_or_the_body_is_none(service: str, api: Api, fleet: Fleet) -> None:
    token = api.admin.token
    for name in ("token", "access_token", "authorization"):
        for request in ({"params": {name: token}}, {"json": {name: token}}, {"headers": {"Cookie": f"{name}={token}"}}):
            answer = ask(api, service, None, **request)
            assert_problem(answer, 401, "unauthenticated")
            assert answer.headers["www-authenticate"] == NO_TOKEN


@pytest.mark.parametrize("audience", ["auth-jwt-service", "predicthealth"])
def test_a_services_credential_is_no_bearer_token_of_a_users_route(audience: str, fleet: Fleet, api: Api) -> None:
    token = issue_service_token(fleet.environment["FLEET_INTERNAL_KEY"], "service-doctors", audience)
    for service in ("doctors", "institutions", "patients"):
        assert_problem(ask(api, service, token), 401, "unauthenticated")


# Verifying


def test_a_living_token_is_valid_and_shows_its_claims(api: Api, doctor: User) -> None:
    answer = post(api, "/auth/verify-token", doctor.token)
    assert answer.status_code == 200
    assert answer.json() == {"valid": True, "payload": claims_of(doctor.token)}
    assert answer.headers["cache-control"] == "private, no-store"


def invalid(reason: str) -> dict[str, Any]:
    return {"valid": False, "payload": None, "reason": reason}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_token_is_invalid(forgery: Forgery, api: Api, doctor: User, keys: SigningKeys) -> None:
    token = forgery(claims_of(doctor.token), keys)
    answer = post(api, "/auth/verify-token", token)
    assert (answer.status_code, answer.json()) == (200, invalid("invalid"))


def test_no_token_at_all_and_a_services_credential_are_invalid(api: Api, fleet: Fleet) -> None:
    service = issue_service_token(fleet.environment["FLEET_INTERNAL_KEY"], "service-doctors", "auth-jwt-service")
    for answer in (
        post(api, "/auth/verify-token"),
        post(api, "/auth/verify-token", Authorization="Basic YTpi"),
        post(api, "/auth/verify-token", service),
    ):
        assert (answer.status_code, answer.json()) == (200, invalid("invalid"))


def test_an_expired_token_is_said_to_be_expired(api: Api, doctor: User, keys: SigningKeys) -> None:
    answer = post(api, "/auth/verify-token", expired(claims_of(doctor.token), keys))
    assert (answer.status_code, answer.json()) == (200, invalid("expired"))


def test_a_token_whose_session_has_ended_is_said_to_be_revoked(api: Api, doctor: User) -> None:
    user = api.log_in("auth", doctor.email)
    assert user.auth.post("/auth/logout").status_code == 200
    answer = post(api, "/auth/verify-token", user.token)
    assert (answer.status_code, answer.json()) == (200, invalid("revoked"))


@pytest.mark.parametrize("changes", [{"sub": str(uuid4())}, {"user_type": "admin"}])
def test_a_token_that_is_not_its_sessions_is_not_valid(
    changes: dict[str, str], api: Api, doctor: User, keys: SigningKeys
) -> None:
    token = forged(claims_of(doctor.token), keys, **changes)
    assert post(api, "/auth/verify-token", token).json() == invalid("revoked")
    assert post(api, "/auth/session/validate", token).json()["valid"] is False


# Sessions


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_living_session_shows_whose_it_is(method: str, api: Api, doctor: User) -> None:
    user = api.log_in("auth", doctor.email)
    answer = user.auth.request(method, "/auth/session/validate")
    assert answer.status_code == 200
    document = answer.json()
    assert set(document) == {"valid", "user", "session"} and document["valid"] is True
    assert document["user"] == {
        **{"user_id": doctor.id, "user_type": "doctor", "email": doctor.email, "reference_id": doctor.id}
    }
    session = document["session"]
    assert set(session) == {"session_id", "created_at", "last_seen_at", "expires_at"}
    assert UUID(session["session_id"]) == UUID(claims_of(user.token)["sid"])
    times = [datetime.fromisoformat(session[name]) for name in ("created_at", "last_seen_at", "expires_at")]
    assert times == sorted(times) and all(moment.utcoffset() is not None for moment in times)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_without_a_living_session_the_answer_says_so(method: str, api: Api, doctor: User, keys: SigningKeys) -> None:
    ended = api.log_in("auth", doctor.email)
    ended.auth.post("/auth/logout")
    for token in ("abc", ended.token, expired(claims_of(doctor.token), keys)):
        for language, message in (
            ("en", "The session is not valid or has ended."),
            ("es", "La sesión no es válida o ya terminó."),
        ):
            headers = {"Authorization": f"Bearer {token}", "Accept-Language": language}
            answer = api.anonymous.auth.request(method, "/auth/session/validate", headers=headers)
            assert (answer.status_code, answer.json()) == (200, {"valid": False, "message": message})


def test_a_request_to_any_service_keeps_the_session_alive(api: Api, doctor: User, redis: Redis, fleet: Fleet) -> None:
    user = api.log_in("auth", doctor.email)
    name = f"session:{claims_of(user.token)['sid']}"
    for service in PROTECTED:
        redis.expire(name, 60)
        ask(api, service, user.token)
        assert redis.ttl(name) > 3_000


# Logout


def test_a_logout_is_seen_by_every_service_at_once(api: Api, doctor: User, fleet: Fleet) -> None:
    user, other = api.log_in("doctors", doctor.email), api.log_in("auth", doctor.email)
    assert statuses(api, user.token) == ALIVE
    answer = user.auth.post("/auth/logout", headers={"Accept-Language": "en"})
    assert (answer.status_code, answer.json()) == (200, {"success": True, "message": "The session has ended."})
    assert statuses(api, user.token) == DEAD
    assert statuses(api, other.token) == ALIVE


def test_a_further_logout_gets_the_same_answer(api: Api, doctor: User) -> None:
    user = api.log_in("auth", doctor.email)
    first, second = user.auth.post("/auth/logout"), user.auth.post("/auth/logout")
    assert first.status_code == second.status_code == 200
    assert first.json() == second.json() == {"success": True, "message": "La sesión se cerró."}


def test_an_expired_token_ends_its_session_too(api: Api, doctor: User, keys: SigningKeys, fleet: Fleet) -> None:
    user = api.log_in("auth", doctor.email)
    assert post(api, "/auth/logout", expired(claims_of(user.token), keys)).status_code == 200
    assert statuses(api, user.token) == DEAD


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_token_ends_nothing(forgery: Forgery, api: Api, doctor: User, keys: SigningKeys, fleet: Fleet) -> None:
    answer = post(api, "/auth/logout", forgery(claims_of(doctor.token), keys))
    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == BAD_TOKEN
    assert ask(api, "doctors", doctor.token).status_code == 200


def test_a_logout_needs_a_token(api: Api) -> None:
    answer = post(api, "/auth/logout")
    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == NO_TOKEN


# Creating accounts


def account_body(**fields: Any) -> dict[str, Any]:
    number = uuid4()
    email = f"cuenta-{number.hex}@example.com"
    return {"email": email, "password": PASSWORD, "user_type": "patient", "reference_id": str(number)} | fields


@pytest.fixture
def service(fleet: Fleet) -> httpx.Client:
    """One of the fleet's own processes."""
    token = issue_service_token(fleet.environment["FLEET_INTERNAL_KEY"], "service-patients", "auth-jwt-service")
    return httpx.Client(base_url=fleet.urls["auth"], headers={"Authorization": f"Bearer {token}"}, timeout=20)


@pytest.mark.parametrize("user_type", ["patient", "doctor", "institution"])
def test_a_service_and_an_admin_create_accounts(user_type: str, api: Api, service: httpx.Client) -> None:
    for client in (service, api.admin.auth):
        body = account_body(user_type=user_type)
        answer = client.post("/users/create", json=body)
        assert answer.status_code == 201
        document = answer.json()
        assert document.pop("created_at") == document.pop("updated_at")
        assert document == {
            **{"id": body["reference_id"], "email": body["email"], "user_type": user_type, "last_login_at": None},
            **{"reference_id": body["reference_id"], "is_active": True, "is_verified": False},
            **{"owner_status": "missing"},
        }


def test_others_may_create_no_account_whatever_the_body(api: Api, doctor: User, institution: User) -> None:
    users = (doctor, institution, api.new_patient(doctor))
    for body in (account_body(), {}, {"email": 1}):
        for user in users:
            assert_problem(user.auth.post("/users/create", json=body), 403, "forbidden")
        assert_problem(api.anonymous.auth.post("/users/create", json=body), 401, "unauthenticated")
    for user in users:
        answer = user.auth.post("/users/create", content=b"{", headers={"Content-Type": "application/json"})
        assert_problem(answer, 403, "forbidden")


@pytest.mark.parametrize(
    "forge",
    [
        lambda key: issue_service_token(
            "a key that is long enough, of somebody else", "service-doctors", "auth-jwt-service"
        ),
        lambda key: issue_service_token(key, "service-doctors", "service-patients"),
        lambda key: issue_service_token(key, "service-doctors", "predicthealth"),
        lambda key: forged(claims_of(issue_service_token(key, "a", "auth-jwt-service")), of_secret(key), typ="access"),
        lambda key: expired(claims_of(issue_service_token(key, "a", "auth-jwt-service")), of_secret(key)),
    ],
    ids=["another key", "another audience", "the users' audience", "another kind", "expired"],
)
def test_a_forged_service_credential_creates_nothing(forge: Callable[[str], str], api: Api, fleet: Fleet) -> None:
    token = forge(fleet.environment["FLEET_INTERNAL_KEY"])
    headers = {"Authorization": f"Bearer {token}"}
    answer = api.anonymous.auth.post("/users/create", json=account_body(), headers=headers)
    assert_problem(answer, 401, "unauthenticated")


def test_an_email_with_an_owner_is_taken_in_any_case(api: Api, doctor: User, service: httpx.Client) -> None:
    for email in (doctor.email, doctor.email.upper()):
        answer = service.post("/users/create", json=account_body(email=email))
        assert_problem(answer, 409, "email_taken")


def test_an_email_without_an_owner_is_free(service: httpx.Client) -> None:
    body = account_body()
    assert service.post("/users/create", json=body).status_code == 201
    assert service.post("/users/create", json=account_body(email=body["email"])).status_code == 201


def test_a_reference_has_one_account(service: httpx.Client, doctor: User) -> None:
    body = account_body()
    assert service.post("/users/create", json=body).status_code == 201
    for reference in (body["reference_id"], doctor.id):
        answer = service.post("/users/create", json=account_body(reference_id=reference))
        assert_problem(answer, 409, "account_exists")


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("", "password_too_short"),
        ("1234567", "password_too_short"),
        ("ñandú", "password_too_short"),
        ("x" * 73, "password_too_long"),
        ("ñ" * 37, "password_too_long"),
        ("x" * 5_000, "password_too_long"),
        ("password123", "password_too_common"),
        ("PredictHealth", "password_too_common"),
    ],
)
def test_a_password_that_breaks_a_rule_is_refused_by_its_name(
    password: str, code: str, service: httpx.Client, institution: User
) -> None:
    for answer in (
        service.post("/users/create", json=account_body(password=password)),
        institution.doctors.post("/api/v1/doctors", json=doctor_body(institution.id, password=password)),
    ):
        document = assert_problem(answer, 422, code)
        assert [(error["field"], error["code"]) for error in document["errors"]] == [("password", code)]
        assert document["errors"][0]["message"] == document["detail"]
        assert "ñandú" not in answer.text and "1234567" not in answer.text


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"user_type": "admin"}, "user_type"),
        ({"user_type": "service"}, "user_type"),
        ({"is_verified": True}, "is_verified"),
        ({"is_active": True}, "is_active"),
        ({"owner_status": "active"}, "owner_status"),
        ({"id": str(uuid4())}, "id"),
        ({"email": "no address"}, "email"),
        ({"email": "nul\x00@example.com"}, "email"),
        ({"reference_id": "1"}, "reference_id"),
        ({"password": "nul\x00nul\x00"}, "password"),
        ({"password": None}, "password"),
    ],
)
def test_an_invalid_field_is_named_and_its_value_not_repeated(
    change: dict[str, Any], field: str, service: httpx.Client, api: Api
) -> None:
    for client in (service, api.admin.auth):
        document = assert_problem(client.post("/users/create", json=account_body(**change)), 422, "validation_failed")
        assert [error["field"] for error in document["errors"]] == [field]
        assert "no address" not in str(document)


@pytest.mark.parametrize("field", ["email", "password", "user_type", "reference_id"])
def test_every_field_of_a_new_account_is_needed(field: str, service: httpx.Client) -> None:
    body = account_body()
    del body[field]
    document = assert_problem(service.post("/users/create", json=body), 422, "validation_failed")
    assert [(error["field"], error["code"]) for error in document["errors"]] == [(field, "required")]
