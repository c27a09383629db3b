import time
from typing import Any
from uuid import uuid4

import jwt
import pytest

from shared.settings import Settings
from shared.tokens import (
    ACCESS_CLAIMS,
    InvalidToken,
    issue_service_token,
    read_access_token,
    read_service_token,
)

KEY = "a key of the tests that is long enough"
SETTINGS = Settings(jwt_secret_key=KEY)


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    good = {
        "iss": "predicthealth-auth",
        "aud": "predicthealth",
        "sub": str(uuid4()),
        "sid": str(uuid4()),
        "jti": str(uuid4()),
        "typ": "access",
        "iat": now,
        "nbf": now,
        "exp": now + 60,
        "user_type": "doctor",
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}


def signed(key: str = KEY, algorithm: str = "HS256", **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm=algorithm)


def test_a_good_token_is_read() -> None:
    assert read_access_token(signed(), SETTINGS).user_type == "doctor"


@pytest.mark.parametrize("claim", ACCESS_CLAIMS)
def test_no_claim_may_be_missing(claim: str) -> None:
    with pytest.raises(InvalidToken):
        read_access_token(signed(**{claim: ...}), SETTINGS)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "somebody"},
        {"aud": "others"},
        {"typ": "refresh"},
        {"typ": "service"},
        {"sub": "not-a-uuid"},
        {"sid": 5},
        {"sid": "not-a-uuid"},
        {"nbf": int(time.time()) + 600},
        {"exp": "tomorrow"},
        {"user_type": ...},
    ],
)
def test_a_wrong_claim_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        read_access_token(signed(**changes), SETTINGS)


@pytest.mark.parametrize(
    "token",
    [
        signed(key="another key that is just as long as ours"),
        signed(algorithm="HS512"),
        jwt.encode(claims(), "", algorithm="none"),
        signed()[:-2],
        signed() + "x",
        "",
        "a.b.c",
        "\x00",
        "é" * 50,
        "." * 10_000,
    ],
)
def test_a_forged_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidToken) as refused:
        read_access_token(token, SETTINGS)
    assert refused.value.reason == "invalid"


def test_an_expired_token_says_so_and_can_be_read_for_a_logout() -> None:
    token = signed(exp=int(time.time()) - 60)
    with pytest.raises(InvalidToken) as refused:
        read_access_token(token, SETTINGS)
    assert refused.value.reason == "expired"
    assert read_access_token(token, SETTINGS, allow_expired=True).user_type == "doctor"


def test_a_service_token_tells_who_calls_for_whom() -> None:
    token = issue_service_token(KEY, "service-doctors", "auth", user_type="doctor", client_address="10.1.2.3")
    read = read_service_token(token, KEY, "auth")
    assert (read.service, read.user_type, read.client_address) == ("service-doctors", "doctor", "10.1.2.3")


def test_a_service_token_is_for_one_audience_and_no_access_token() -> None:
    token = issue_service_token(KEY, "service-doctors", "auth")
    with pytest.raises(InvalidToken):
        read_service_token(token, KEY, "another")
    with pytest.raises(InvalidToken):
        read_access_token(token, SETTINGS)
    with pytest.raises(InvalidToken):
        read_service_token(signed(aud="auth"), KEY, "auth")


def test_a_service_token_may_not_live_longer_than_a_minute() -> None:
    now = int(time.time())
    long_lived = claims(typ="service", iss="service-x", sub="service-x", aud="auth", iat=now, exp=now + 61)
    with pytest.raises(InvalidToken):
        read_service_token(jwt.encode(long_lived, KEY, algorithm="HS256"), KEY, "auth")
