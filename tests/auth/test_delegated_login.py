"""Delegated logins, and what is counted by address, in a fleet behind a proxy and with other settings."""

from collections import Counter
from typing import Any

import jwt
import pytest
from auth_app.keys import SigningKeys

from dev.fleet import Fleet
from shared.tokens import issue_service_token
from tests.support import Api, User, assert_problem, unique

from .forging import ANOTHER_KEY, FORGERIES, Forgery, expired, forged
from .support import ALIVE, DEAD, PROTECTED, ask, at_once, log_in, refresh, statuses, wait_until

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
_last = iter(range(1, 60_000))


def an_address() -> str:
    """An address that no other test comes from."""
    number = next(_last)
    return f"198.18.{number // 250}.{number % 250 + 1}"


def from_address(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address, "User-Agent": FIREFOX}


@pytest.fixture(scope="module")
def doctor(other_api: Api) -> User:
    return other_api.new_doctor(other_api.new_institution())


@pytest.fixture(scope="module")
def users(other_api: Api, doctor: User) -> dict[str, User]:
    """A user of each service that logs in its own."""
    institution = other_api.new_institution()
    return {"doctors": doctor, "institutions": institution, "patients": other_api.new_patient(doctor)}


def device_of(api: Api, pair: dict[str, Any]) -> dict[str, Any]:
    """The device of a login's own session."""
    headers = {"Authorization": f"Bearer {pair['access_token']}"}
    items = api.anonymous.auth.get("/auth/sessions", headers=headers).json()["items"]
    (device,) = [item["device"] for item in items if item["is_current"]]
    return dict(device)


# Where the client is


@pytest.mark.parametrize("service", ["doctors", "institutions", "patients", "auth"])
def test_the_clients_own_address_and_browser_reach_its_session(
    service: str, other_api: Api, users: dict[str, User], other_fleet: Fleet
) -> None:
    user = users.get(service, users["doctors"])
    address = an_address()
    pair = log_in(other_api.urls[service], user.email, **from_address(address)).json()
    device = device_of(other_api, pair)
    assert (device["ip"], device["browser"], device["user_agent"]) == (address, "Firefox", FIREFOX)
    events = other_api.admin.auth.get("/api/v1/audit", params={"actor_id": user.id, "action": "login"}).json()["items"]
    assert (events[0]["client_address"], events[0]["detail"]["session_id"]) == (address, pair["session_id"])


@pytest.mark.parametrize(
    "chain",
    ["{mine}, {genuine}", "::1, {mine}, {genuine}", "not an address, {genuine}", "{genuine}, 127.0.0.9", "{genuine}"],
)
def test_of_a_chain_only_what_a_trusted_proxy_added_counts(chain: str, other_api: Api, doctor: User) -> None:
    genuine = an_address()
    header = chain.format(mine=an_address(), genuine=genuine)
    pair = log_in(other_api.urls["doctors"], doctor.email, **{"X-Forwarded-For": header}).json()
    assert device_of(other_api, pair)["ip"] == genuine


@pytest.mark.parametrize("key", ["forged", "expired", "for another audience"])
def test_a_made_up_member_of_the_fleet_is_believed_nothing(
    key: str, other_api: Api, doctor: User, other_fleet: Fleet
) -> None:
    secret = other_fleet.environment["FLEET_INTERNAL_KEY"]
    claimed = {"user_type": "patient", "client_address": "203.0.113.7", "user_agent": "made up"}
    audience = "service-patients" if key == "for another audience" else "auth-jwt-service"
    token = issue_service_token(ANOTHER_KEY if key == "forged" else secret, "service-doctors", audience, **claimed)
    if key == "expired":
        token = expired(jwt.decode(token, options={"verify_signature": False}), SigningKeys.of_secrets([secret]))
    address = an_address()
    headers = {**from_address(address), "Authorization": f"Bearer {token}"}
    answer = log_in(other_api.urls["auth"], doctor.email, **headers)
    assert answer.status_code == 200, "it is a stranger's login, whatever the token claims"
    device = device_of(other_api, answer.json())
    assert (device["ip"], device["user_agent"]) == (address, FIREFOX)


# How often one address may try


@pytest.mark.parametrize("service", ["auth", "doctors"])
def test_one_address_tries_so_many_accounts_a_minute_and_no_more(service: str, other_api: Api, doctor: User) -> None:
    address = an_address()
    emails = [f"{unique('rociada')}@example.com" for _ in range(50)]
    answers = at_once(
        50, lambda number: log_in(other_api.urls[service], emails[number], "Spring2026!", **from_address(address))
    )
    # A fixed window may end meanwhile and another begin, which holds as many again.
    counted = Counter(answer.status_code for answer in answers)
    assert set(counted) == {401, 429} and 20 <= counted[401] <= 40
    refused = [answer for answer in answers if answer.status_code == 429]
    for answer in refused:
        assert_problem(answer, 429, "too_many_attempts")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert answer.headers["ratelimit-limit"] == "20" and answer.headers["ratelimit-remaining"] == "0"
    assert log_in(other_api.urls[service], doctor.email, **from_address(an_address())).status_code == 200


def test_an_attacker_locks_the_account_for_its_own_address_only(other_api: Api, doctor: User) -> None:
    attacker, genuine = an_address(), an_address()
    for _ in range(6):
        answer = log_in(other_api.urls["doctors"], doctor.email, "wrong", **from_address(attacker))
    assert_problem(answer, 429, "too_many_attempts")
    assert log_in(other_api.urls["doctors"], doctor.email, **from_address(genuine)).status_code == 200
    answer = log_in(other_api.urls["auth"], doctor.email, **from_address(attacker))
    assert_problem(answer, 429, "too_many_attempts")


def test_guessing_from_many_addresses_closes_the_account_everywhere(other_api: Api) -> None:
    user = other_api.new_doctor(other_api.new_institution())
    answers = [
        log_in(other_api.urls["auth"], user.email, "wrong", **from_address(address))
        for address in (an_address() for _ in range(13))
        for _ in range(4)
    ]
    assert [answer.status_code for answer in answers] == [401] * 50 + [429] * 2
    answer = log_in(other_api.urls["doctors"], user.email, **from_address(an_address()))
    assert_problem(answer, 429, "too_many_attempts")
    assert answer.headers["ratelimit-limit"] == "50"
    assert user.doctors.get("/api/v1/specialties").status_code == 200, "who is in stays in"


# Other settings


def test_the_setting_limits_the_sessions_of_a_user(other_api: Api, users: dict[str, User]) -> None:
    patient = users["patients"]
    pairs = [log_in(other_api.urls["patients"], patient.email, **from_address(an_address())).json() for _ in range(4)]
    living = [ask(other_api, "patients", pair["access_token"]).status_code for pair in pairs]
    assert living == [401, 200, 200, 200]


def test_after_the_grace_of_the_setting_a_spent_refresh_token_is_reuse(other_api: Api, doctor: User) -> None:
    pair = log_in(other_api.urls["auth"], doctor.email, **from_address(an_address())).json()
    assert pair["expires_in"] == 120
    new = refresh(other_api.urls["auth"], pair["refresh_token"]).json()
    # Not before, and some time after, it is no repetition any more.
    codes: list[str] = []

    def is_reuse() -> bool:
        answer = refresh(other_api.urls["auth"], pair["refresh_token"])
        codes.append(answer.json().get("code", "refreshed"))
        return codes[-1] != "refreshed"

    wait_until(is_reuse)
    assert codes[0] == "refreshed" and codes[-1] == "refresh_token_reused"
    assert statuses(other_api, new["access_token"]) == DEAD


# HS256


@pytest.fixture
def shared_keys(other_fleet: Fleet) -> SigningKeys:
    return SigningKeys.of_secrets([other_fleet.environment["JWT_SECRET_KEY"]])


@pytest.fixture(scope="module")
def living(other_api: Api) -> dict[str, Any]:
    """The login of a doctor that does nothing else."""
    user = other_api.new_doctor(other_api.new_institution())
    pair: dict[str, Any] = log_in(other_api.urls["auth"], user.email, **from_address(an_address())).json()
    return pair


def test_with_a_shared_secret_all_services_accept_and_a_gateway_decodes(
    other_api: Api, doctor: User, other_fleet: Fleet
) -> None:
    assert other_fleet.environment["JWT_ALGORITHM"] == "HS256"
    pair = log_in(other_api.urls["auth"], doctor.email, **from_address(an_address())).json()
    assert statuses(other_api, pair["access_token"]) == ALIVE
    secret = other_fleet.environment["JWT_SECRET_KEY"]
    claims = jwt.decode(pair["access_token"], secret, algorithms=["HS256"], audience="predicthealth")
    assert (claims["sub"], claims["user_type"], claims["roles"]) == (doctor.id, "doctor", ["doctor"])
    assert other_api.anonymous.auth.get("/.well-known/jwks.json").json() == {"keys": []}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
def test_with_a_shared_secret_a_forged_token_opens_nothing_either(
    forgery: Forgery, other_api: Api, living: dict[str, Any], shared_keys: SigningKeys
) -> None:
    claims = jwt.decode(living["access_token"], options={"verify_signature": False})
    for service in PROTECTED:
        assert_problem(ask(other_api, service, forgery(claims, shared_keys)), 401, "unauthenticated")
    assert statuses(other_api, forged(claims, shared_keys)) == ALIVE, "the same but for what is wrong with it"
