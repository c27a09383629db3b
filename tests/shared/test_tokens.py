"""Which tokens are read, in each of the three algorithms: everything but the genuine one is refused."""

import base64
import hmac
import json
import time
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.keys import SharedSecrets, secret_id
from shared.tokens import (
    ACCESS_CLAIMS,
    InvalidToken,
    issue_service_token,
    read_access_token,
    read_service_token,
)

pytestmark = pytest.mark.anyio

KEY = "a key of the tests that is long enough"
KEY_ID = secret_id(KEY)
SECRETS = SharedSecrets(KEY)


class PublicKey:
    """One key pair: signs as the auth service does, verifies as the others do."""

    def __init__(self, algorithm: str, private: Any) -> None:
        self.algorithm = algorithm
        self.private = private

    async def find(self, key_id: str | None) -> Any | None:
        return self.private.public_key() if key_id == "the key" else None

    @property
    def pem(self) -> bytes:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return bytes(self.private.public_key().public_bytes(serialization.Encoding.PEM, form))


PUBLIC = [PublicKey("EdDSA", Ed25519PrivateKey.generate()), PublicKey("ES256", generate_private_key(SECP256R1()))]


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


def signed(key: str = KEY, algorithm: str = "HS256", kid: Any = KEY_ID, **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers={"kid": kid} if kid is not ... else None)


def by_hand(header: dict[str, Any], payload: dict[str, Any], signature: bytes = b"") -> str:
    """A token of any header, which the library would not make."""
    parts = (json.dumps(header).encode(), json.dumps(payload).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


async def test_a_good_token_is_read() -> None:
    assert (await read_access_token(signed(), SECRETS)).user_type == "doctor"


@pytest.mark.parametrize("key", PUBLIC, ids=lambda key: key.algorithm)
async def test_a_good_token_of_a_private_key_is_read(key: PublicKey) -> None:
    token = jwt.encode(claims(), key.private, algorithm=key.algorithm, headers={"kid": "the key"})
    assert (await read_access_token(token, key)).user_type == "doctor"


@pytest.mark.parametrize("claim", ACCESS_CLAIMS)
async def test_no_claim_may_be_missing(claim: str) -> None:
    with pytest.raises(InvalidToken):
        await read_access_token(signed(**{claim: ...}), SECRETS)


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
        {"nbf": int(time.time()) + 86_400},
        {"iat": int(time.time()) + 86_400},
        {"exp": "tomorrow"},
        {"exp": None},
        {"user_type": ...},
    ],
)
async def test_a_wrong_claim_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        await read_access_token(signed(**changes), SECRETS)


@pytest.mark.parametrize(
    "token",
    [
        signed(key="another key that is just as long as ours"),
        signed(algorithm="HS512"),
        signed(kid=...),
        signed(kid="unknown"),
        by_hand({"alg": "HS256", "kid": 5}, claims()),
        by_hand({"alg": "HS256", "kid": [KEY_ID]}, claims()),
        by_hand({"alg": "HS256", "kid": KEY_ID, "crit": ["exp"]}, claims(), b"x" * 32),
        jwt.encode(claims(), "", algorithm="none", headers={"kid": KEY_ID}),
        by_hand({"alg": "None", "kid": KEY_ID}, claims()),
        by_hand({"alg": "HS256", "kid": KEY_ID}, claims()),
        signed()[:-2],
        signed() + "x",
        "",
        "a.b.c",
        "\x00",
        "é" * 50,
        "." * 10_000,
        base64.urlsafe_b64encode(b"[" * 50_000).decode() + ".e30.e30",
    ],
)
async def test_a_forged_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidToken) as refused:
        await read_access_token(token, SECRETS)
    assert refused.value.reason == "invalid"


def _confused(key: PublicKey) -> str:
    """HS256 with the published key as the secret: PyJWT won't sign so, an attacker will."""
    unsigned = by_hand({"alg": "HS256", "typ": "JWT", "kid": "the key"}, claims()).rstrip(".")
    mac = hmac.digest(key.pem, unsigned.encode(), "sha256")
    return f"{unsigned}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


@pytest.mark.parametrize("key", PUBLIC, ids=lambda key: key.algorithm)
async def test_the_public_key_signs_nothing(key: PublicKey) -> None:
    other = type(key)(key.algorithm, PUBLIC[PUBLIC.index(key) - 1].private)
    own = jwt.encode(claims(), key.private, algorithm=key.algorithm, headers={"kid": "the key"})
    embedded = {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}, "jku": "https://attacker.example/jwks.json"}
    impostor = Ed25519PrivateKey.generate()
    for token in (
        _confused(key),
        by_hand({"alg": "none", "kid": "the key"}, claims()),
        by_hand({"alg": key.algorithm, "kid": "the key"}, claims()),
        by_hand({"alg": key.algorithm, "kid": "the key"}, claims(), bytes(64)),
        jwt.encode(claims(), impostor, algorithm="EdDSA", headers={"kid": "the key", **embedded}),
        jwt.encode(
            claims(), other.private, algorithm=PUBLIC[PUBLIC.index(key) - 1].algorithm, headers={"kid": "the key"}
        ),
        own.replace(own.split(".")[1], jwt.encode(claims(user_type="admin"), KEY).split(".")[1]),
    ):
        with pytest.raises(InvalidToken):
            await read_access_token(token, key)


async def test_an_expired_token_says_so_and_can_be_read_for_a_logout() -> None:
    token = signed(exp=int(time.time()) - 60)
    with pytest.raises(InvalidToken) as refused:
        await read_access_token(token, SECRETS)
    assert refused.value.reason == "expired"
    assert (await read_access_token(token, SECRETS, allow_expired=True)).user_type == "doctor"


async def test_an_expired_forgery_is_no_expired_token() -> None:
    forged = signed(key="another key that is just as long as ours", exp=int(time.time()) - 60)
    for allow_expired in (False, True):
        with pytest.raises(InvalidToken) as refused:
            await read_access_token(forged, SECRETS, allow_expired=allow_expired)
        assert refused.value.reason == "invalid"


async def test_the_previous_secret_is_accepted_until_it_is_withdrawn() -> None:
    token = signed()
    rotated = SharedSecrets("the next key, which is long enough as well", KEY)
    assert (await read_access_token(token, rotated)).user_type == "doctor"
    with pytest.raises(InvalidToken):
        await read_access_token(token, SharedSecrets("the next key, which is long enough as well"))


async def test_a_service_token_tells_who_calls_for_whom() -> None:
    token = issue_service_token(KEY, "service-doctors", "auth", user_type="doctor", client_address="10.1.2.3")
    read = read_service_token(token, KEY, "auth")
    assert (read.service, read.user_type, read.client_address) == ("service-doctors", "doctor", "10.1.2.3")


async def test_a_service_token_is_for_one_audience_and_no_access_token() -> None:
    token = issue_service_token(KEY, "service-doctors", "auth")
    with pytest.raises(InvalidToken):
        read_service_token(token, KEY, "another")
    with pytest.raises(InvalidToken):
        await read_access_token(token, SECRETS)
    with pytest.raises(InvalidToken):
        read_service_token(signed(aud="auth"), KEY, "auth")


@pytest.mark.parametrize(
    "changes", [{"exp": 61}, {"exp": -10, "iat": -70}, {"typ": "access"}, {"iss": "service-y"}, {"nbf": 60}]
)
async def test_a_service_token_may_not_live_longer_than_a_minute_nor_be_of_another_kind(
    changes: dict[str, Any],
) -> None:
    now = int(time.time())
    base: dict[str, Any] = {"iat": 0, "nbf": 0, "exp": 60, **changes}
    times = {name: now + base.pop(name) for name in ("iat", "nbf", "exp")}
    wrong = claims(**{"typ": "service", "iss": "service-x", "sub": "service-x", "aud": "auth", **times, **base})
    with pytest.raises(InvalidToken):
        read_service_token(jwt.encode(wrong, KEY, algorithm="HS256"), KEY, "auth")
    with pytest.raises(InvalidToken):
        read_service_token(
            issue_service_token(KEY, "service-x", "auth"), "another key that is just as long as ours", "auth"
        )
