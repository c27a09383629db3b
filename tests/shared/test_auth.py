"""Who is admitted to a route: what counts as a token, what a role may do, and what is recorded of a refusal."""

import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest
from psycopg2.extras import RealDictCursor

from dev.fleet import Fleet
from shared.tokens import issue_service_token

from ..support import Api, User, assert_problem, unique

PROTECTED = {
    "auth": "/auth/sessions",
    "doctors": "/api/v1/specialties",
    "institutions": "/api/v1/institution-types",
    "patients": "/api/v1/blood-types",
}
JSON = {"Content-Type": "application/json"}
# A route of each service that an institution's role may never use.
REFUSED = {
    "auth": ("GET", "/users"),
    "doctors": ("GET", "/api/v1/doctors/me/dashboard"),
    "institutions": ("POST", "/api/v1/institutions"),
}


@pytest.fixture(scope="module")
def user(api: Api) -> User:
    """Somebody with a token."""
    return api.new_institution()


@pytest.mark.parametrize("service", PROTECTED)
def test_a_token_counts_only_in_the_authorization_header(service: str, api: Api, user: User) -> None:
    client: httpx.Client = getattr(api.anonymous, service)
    path, token = PROTECTED[service], user.token
    assert client.get(path, headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert client.get(path, headers={"Authorization": f"bearer {token}"}).status_code == 200
    for request in (
        {"params": {"access_token": token}},
        {"params": {"token": token}},
        {"headers": {"Cookie": f"access_token={token}; Authorization={token}"}},
        {"headers": {"X-Access-Token": token}},
        {"headers": {"Authorization": token}},
        {"headers": {"Authorization": f"Basic {token}"}},
        {"headers": {"Authorization": f"Token {token}"}},
    ):
        refused = client.get(path, **request)  # type: ignore[arg-type]
        assert_problem(refused, 401, "unauthenticated")
        assert refused.headers["www-authenticate"] == 'Bearer realm="predicthealth"'
    form = client.request("GET", path, data={"access_token": token})
    assert form.status_code in (401, 415)


@pytest.mark.parametrize("service", PROTECTED)
def test_a_bad_token_is_told_from_none(service: str, api: Api, user: User) -> None:
    client: httpx.Client = getattr(api.anonymous, service)
    for token in ("x.y.z", user.token[:-4], f"{user.token}x", "é".encode().decode("latin-1")):
        refused = client.get(PROTECTED[service], headers={"Authorization": f"Bearer {token}".encode("latin-1")})
        assert_problem(refused, 401, "unauthenticated")
        assert refused.headers["www-authenticate"] == 'Bearer realm="predicthealth", error="invalid_token"'


@pytest.mark.parametrize("service", PROTECTED)
def test_the_fleets_own_credential_is_no_users_token(service: str, fleet: Fleet, api: Api) -> None:
    key = fleet.environment["FLEET_INTERNAL_KEY"]
    token = issue_service_token(key, "service-doctors", "auth-jwt-service", user_type="admin")
    refused = getattr(api.anonymous, service).get(PROTECTED[service], headers={"Authorization": f"Bearer {token}"})
    assert_problem(refused, 401, "unauthenticated")


def _create_user(api: Api, token: str) -> httpx.Response:
    body = {
        "email": f"{unique('nadie')}@example.com",
        "password": unique("correct horse"),
        "user_type": "patient",
        "reference_id": str(uuid4()),
    }
    return api.anonymous.auth.post("/users/create", json=body, headers={"Authorization": f"Bearer {token}"})


def _credential(**changes: Any) -> Callable[[str], str]:
    return lambda key: issue_service_token(**{"key": key, "service": "x", "audience": "auth-jwt-service", **changes})


@pytest.mark.parametrize(
    ("credential", "status"),
    [
        (_credential(), 201),
        (_credential(audience="service-doctors"), 401),
        (_credential(key="a key of somebody else, long enough to be one"), 401),
        (lambda key: key, 401),
        (lambda key: f"{_credential()(key)[:-3]}AAA", 401),
    ],
    ids=["genuine", "for another service", "of another key", "the key itself", "another signature"],
)
def test_only_the_fleets_own_credential_creates_accounts(
    credential: Callable[[str], str], status: int, fleet: Fleet, api: Api
) -> None:
    assert _create_user(api, credential(fleet.environment["FLEET_INTERNAL_KEY"])).status_code == status


def test_a_services_credential_is_good_for_a_minute(fleet: Fleet, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    key, now = fleet.environment["FLEET_INTERNAL_KEY"], time.time()
    for age, status in ((30, 201), (70, 401), (-30, 401)):
        monkeypatch.setattr(time, "time", lambda age=age: now - age)
        token = _credential()(key)
        monkeypatch.undo()
        assert _create_user(api, token).status_code == status, age


@pytest.mark.parametrize("service", REFUSED)
def test_a_refused_role_is_a_403_and_recorded(service: str, api: Api, user: User, owner: RealDictCursor) -> None:
    method, path = REFUSED[service]
    request_id = unique("refused")
    client: httpx.Client = getattr(user, service)
    answer = client.request(method, path, content=b"{not json", headers={"X-Request-ID": request_id, **JSON})
    assert_problem(answer, 403, "forbidden")
    owner.execute("SELECT * FROM audit_events WHERE request_id = %s", (request_id,))
    (event,) = owner.fetchall()
    assert (event["action"], event["outcome"], event["resource"]) == ("access", "failure", f"{method} {path}")
    assert (str(event["actor_id"]), event["actor_type"], event["client_address"]) == (
        user.id,
        "institution",
        "127.0.0.1",
    )


@pytest.mark.parametrize("service", REFUSED)
def test_a_header_of_a_proxy_that_is_none_changes_no_address(service: str, user: User, owner: RealDictCursor) -> None:
    """No proxy is trusted here: whoever writes the header, the trail names the connection's address."""
    method, path = REFUSED[service]
    request_id = unique("forwarded")
    forged = {"X-Request-ID": request_id, "X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
    getattr(user, service).request(method, path, headers=forged)
    owner.execute("SELECT client_address FROM audit_events WHERE request_id = %s", (request_id,))
    assert [row["client_address"] for row in owner.fetchall()] == ["127.0.0.1"]
