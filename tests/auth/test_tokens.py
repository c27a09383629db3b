"""Access tokens: their claims, and that only what the auth service signed is one."""

import time
from uuid import UUID, uuid4

import jwt
import pytest
from auth_app.settings import AuthSettings
from auth_app.tokens import issue_access_token

from shared.tokens import InvalidToken, issue_service_token, read_access_token, read_service_token

from .forging import ANOTHER_KEY, FORGERIES, Forgery, expired, forged

SETTINGS = AuthSettings(
    _env_file=None, jwt_secret_key="a signing key that only these tests know", access_token_ttl_seconds=600
)
KEY = SETTINGS.jwt_secret_key.get_secret_value()
USER, SESSION = uuid4(), uuid4()


def issued() -> str:
    return issue_access_token(SETTINGS, USER, "doctor", "ana@example.com", SESSION)


def claims_of(token: str) -> dict[str, object]:
    claims: dict[str, object] = jwt.decode(token, options={"verify_signature": False})
    return claims


def test_an_access_token_carries_the_claims_of_the_contract() -> None:
    before = int(time.time())
    claims = claims_of(issued())
    assert before <= claims["iat"] <= time.time()  # type: ignore[operator]
    assert UUID(str(claims["jti"]))
    assert claims == {
        **{"iss": "predicthealth-auth", "aud": "predicthealth", "sub": str(USER), "sid": str(SESSION)},
        **{"typ": "access", "iat": claims["iat"], "nbf": claims["iat"], "exp": claims["iat"] + 600},  # type: ignore[operator]
        **{"jti": claims["jti"], "user_id": str(USER), "user_type": "doctor", "email": "ana@example.com"},
        **{"roles": ["doctor"], "reference_id": str(USER), "metadata": {"reference_id": str(USER)}},
    }


def test_each_token_has_an_id_of_its_own() -> None:
    assert claims_of(issued())["jti"] != claims_of(issued())["jti"]


def test_what_is_issued_is_read() -> None:
    access = read_access_token(issued(), SETTINGS)
    assert (access.user_id, access.user_type, access.session_id) == (USER, "doctor", SESSION)


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_token_is_refused_also_where_an_expired_one_will_do(forgery: Forgery) -> None:
    token = forgery(claims_of(issued()), KEY)
    for allow_expired in (False, True):
        with pytest.raises(InvalidToken) as raised:
            read_access_token(token, SETTINGS, allow_expired=allow_expired)
        assert raised.value.reason == "invalid"


def test_an_expired_token_is_read_only_where_it_will_do() -> None:
    token = expired(claims_of(issued()), KEY)
    with pytest.raises(InvalidToken) as raised:
        read_access_token(token, SETTINGS)
    assert raised.value.reason == "expired"
    assert read_access_token(token, SETTINGS, allow_expired=True).session_id == SESSION


def test_a_service_token_says_on_whose_behalf_it_calls() -> None:
    token = issue_service_token(KEY, "service-doctors", "auth", user_type="doctor", client_address="10.0.0.7")
    service = read_service_token(token, KEY, "auth")
    assert (service.service, service.user_type, service.client_address) == ("service-doctors", "doctor", "10.0.0.7")


@pytest.mark.parametrize(
    "forge",
    [
        lambda claims: forged(claims, ANOTHER_KEY),
        lambda claims: forged(claims, KEY, aud="predicthealth"),
        lambda claims: forged(claims, KEY, typ="access"),
        lambda claims: forged(claims, KEY, sub="service-patients"),
        lambda claims: forged(claims, KEY, exp=claims["iat"] + 3_600),
        lambda claims: forged(claims, KEY, without="exp"),
        lambda claims: expired(claims, KEY),
    ],
    ids=["another key", "audience", "kind", "subject", "lives too long", "without an end", "expired"],
)
def test_a_forged_service_token_is_refused(forge: Forgery) -> None:
    token = forge(claims_of(issue_service_token(KEY, "service-doctors", "auth")))  # type: ignore[call-arg]
    with pytest.raises(InvalidToken):
        read_service_token(token, KEY, "auth")


def test_a_service_token_is_no_access_token_and_an_access_token_no_service_token() -> None:
    with pytest.raises(InvalidToken):
        read_access_token(issue_service_token(KEY, "service-doctors", "predicthealth"), SETTINGS)
    with pytest.raises(InvalidToken):
        read_service_token(issued(), KEY, "predicthealth")
