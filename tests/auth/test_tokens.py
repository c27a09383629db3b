"""Access tokens and refresh tokens: what they carry, and that only what the auth service issued is one."""

import base64
import string
import time
from pathlib import Path
from uuid import UUID, uuid4

import jwt
import pytest
from auth_app.keys import SigningKeys
from auth_app.tokens import (
    issue_access_token,
    issue_activation_token,
    issue_refresh_token,
    read_activation_token,
    read_refresh_token,
)
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from dev.signing import make_key
from shared.tokens import InvalidToken, issue_service_token, read_access_token, read_service_token

from .forging import ANOTHER_KEY, FORGERIES, Forgery, expired, forged

pytestmark = pytest.mark.anyio
KEY = "a signing key that only these tests know"
FLEET = SigningKeys.of_secrets([KEY])
USER, SESSION = uuid4(), uuid4()


@pytest.fixture(scope="module", params=["HS256", "EdDSA", "ES256"])
def keys(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SigningKeys:
    """Keys of each algorithm."""
    file: Path = tmp_path_factory.mktemp("keys") / "key.pem"
    if request.param == "HS256":
        return SigningKeys.of_secrets([KEY])
    if request.param == "EdDSA":
        make_key(file)
    else:
        private = generate_private_key(SECP256R1())
        file.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return SigningKeys.of_files(request.param, [file])


def issued(keys: SigningKeys, generation: int = 0) -> str:
    now = int(time.time())
    return issue_access_token(keys, 600, USER, "doctor", "ana@example.com", SESSION, generation, now)


def claims_of(token: str) -> dict[str, object]:
    claims: dict[str, object] = jwt.decode(token, options={"verify_signature": False})
    return claims


def test_an_access_token_carries_the_claims_of_the_contract(keys: SigningKeys) -> None:
    claims = claims_of(issue_access_token(keys, 600, USER, "doctor", "ana@example.com", SESSION, 0, 1_700_000_000))
    assert UUID(str(claims["jti"]))
    assert claims == {
        **{"iss": "predicthealth-auth", "aud": "predicthealth", "sub": str(USER), "sid": str(SESSION)},
        **{"typ": "access", "iat": 1_700_000_000, "nbf": 1_700_000_000, "exp": 1_700_000_600},
        **{"jti": claims["jti"], "user_id": str(USER), "user_type": "doctor", "email": "ana@example.com"},
        **{"roles": ["doctor"], "reference_id": str(USER), "metadata": {"reference_id": str(USER)}},
    }


def test_its_header_names_the_key_and_the_one_algorithm(keys: SigningKeys) -> None:
    header = jwt.get_unverified_header(issued(keys))
    assert header == {"alg": keys.algorithm, "typ": "JWT", "kid": header["kid"]}
    assert header["kid"] and KEY not in header["kid"]


def test_each_generation_has_an_id_of_its_own(keys: SigningKeys) -> None:
    assert claims_of(issued(keys))["jti"] != claims_of(issued(keys, 1))["jti"]


async def test_what_is_issued_is_read(keys: SigningKeys) -> None:
    access = await read_access_token(issued(keys), keys)
    assert (access.user_id, access.user_type, access.session_id) == (USER, "doctor", SESSION)


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
async def test_a_forged_token_is_refused_also_where_an_expired_one_will_do(forgery: Forgery, keys: SigningKeys) -> None:
    token = forgery(claims_of(issued(keys)), keys)
    for allow_expired in (False, True):
        with pytest.raises(InvalidToken) as raised:
            await read_access_token(token, keys, allow_expired=allow_expired)
        assert raised.value.reason == "invalid"


async def test_an_expired_token_is_read_only_where_it_will_do(keys: SigningKeys) -> None:
    token = expired(claims_of(issued(keys)), keys)
    with pytest.raises(InvalidToken) as raised:
        await read_access_token(token, keys)
    assert raised.value.reason == "expired"
    assert (await read_access_token(token, keys, allow_expired=True)).session_id == SESSION


# Refresh tokens


def test_a_refresh_token_says_which_session_it_refreshes_and_is_the_same_each_time() -> None:
    token = issue_refresh_token(KEY, SESSION, 7)
    assert token == issue_refresh_token(KEY, SESSION, 7)
    read = read_refresh_token(token, KEY)
    assert (read.session_id, read.generation) == (SESSION, 7)
    others = {
        issue_refresh_token(KEY, SESSION, 8),
        issue_refresh_token(KEY, USER, 7),
        issue_refresh_token("k", SESSION, 7),
    }
    assert token not in others and len(others) == 3


def test_a_forged_refresh_token_is_refused(keys: SigningKeys) -> None:
    token = issue_refresh_token(KEY, SESSION, 7)
    raw = base64.urlsafe_b64decode(token.removeprefix("rt."))
    flipped = [raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :] for place in range(len(raw))]
    alike = [f"{token[:-3]}{last}==" for last in string.ascii_letters if last != token[-3]]
    for other in (
        *alike,
        *("", "rt.", token.removeprefix("rt."), "rt." + token, token[:-1], token + "A", token + "=", token + "\n"),
        *("RT." + token.removeprefix("rt."), token + " ", "rt.\ud800", "rt.ñ", "rt." + "A" * 1_000, issued(keys)),
        *("rt." + base64.urlsafe_b64encode(changed).decode() for changed in flipped),
        *("rt." + base64.urlsafe_b64encode(changed).decode() for changed in (raw + b"x", b"x" + raw, raw[20:])),
        issue_refresh_token(ANOTHER_KEY, SESSION, 7),
    ):
        with pytest.raises(InvalidToken):
            read_refresh_token(other, KEY)


@given(st.text(max_size=200))
def test_no_text_is_a_refresh_token_by_chance(text: str) -> None:
    for token in (text, "rt." + text):
        with pytest.raises(InvalidToken):
            read_refresh_token(token, KEY)


# The credentials of services


def test_a_service_token_says_on_whose_behalf_it_calls() -> None:
    token = issue_service_token(KEY, "service-doctors", "auth", user_type="doctor", client_address="10.0.0.7")
    service = read_service_token(token, KEY, "auth")
    assert (service.service, service.user_type, service.client_address) == ("service-doctors", "doctor", "10.0.0.7")
    claims = claims_of(token)
    assert int(str(claims["exp"])) - int(str(claims["iat"])) == 60


@pytest.mark.parametrize(
    "forge",
    [
        lambda claims: SigningKeys.of_secrets([ANOTHER_KEY]).sign(claims),
        lambda claims: forged(claims, FLEET, aud="predicthealth"),
        lambda claims: forged(claims, FLEET, typ="access"),
        lambda claims: forged(claims, FLEET, sub="service-patients"),
        lambda claims: forged(claims, FLEET, exp=claims["iat"] + 3_600),
        lambda claims: forged(claims, FLEET, without="exp"),
        lambda claims: expired(claims, FLEET),
    ],
    ids=["another key", "audience", "kind", "subject", "lives too long", "without an end", "expired"],
)
def test_a_forged_service_token_is_refused(forge: Forgery) -> None:
    token = forge(claims_of(issue_service_token(KEY, "service-doctors", "auth")))  # type: ignore[call-arg]
    with pytest.raises(InvalidToken):
        read_service_token(token, KEY, "auth")


async def test_a_service_token_is_no_access_token_and_an_access_token_no_service_token() -> None:
    with pytest.raises(InvalidToken):
        await read_access_token(issue_service_token(KEY, "service-doctors", "predicthealth"), FLEET)
    with pytest.raises(InvalidToken):
        read_service_token(issued(FLEET), KEY, "predicthealth")


def an_activation(seconds: int = 60, key: str = KEY) -> str:
    return issue_activation_token(key, USER, int(time.time()) + seconds)


def test_an_activation_token_names_its_account() -> None:
    assert read_activation_token(an_activation(), KEY) == USER


@pytest.mark.parametrize("claim", ["exp", "iat", "iss", "aud", "sub"])
def test_no_claim_of_an_activation_token_may_be_missing(claim: str) -> None:
    claims = claims_of(an_activation())
    assert read_activation_token(FLEET.sign(claims), KEY) == USER
    del claims[claim]
    with pytest.raises(InvalidToken):
        read_activation_token(FLEET.sign(claims), KEY)


def test_an_activation_token_that_is_expired_or_signed_with_another_key_is_refused() -> None:
    for token in (an_activation(-60), an_activation(key=ANOTHER_KEY), an_activation()[:-4] + "AAAA"):
        with pytest.raises(InvalidToken):
            read_activation_token(token, KEY)


async def test_no_other_token_of_the_fleet_passes_for_an_activation_and_it_passes_for_none() -> None:
    # All signed with one key, as nobody should: what each is for tells them apart.
    others = [issued(FLEET), issue_service_token(KEY, "service-doctors", "auth-jwt-service")]
    for token in (*others, issue_refresh_token(KEY, SESSION, 0)):
        with pytest.raises(InvalidToken):
            read_activation_token(token, KEY)
    activation = an_activation()
    with pytest.raises(InvalidToken):
        await read_access_token(FLEET.sign(claims_of(activation)), FLEET)
    with pytest.raises(InvalidToken):
        read_service_token(activation, KEY, "auth-jwt-service")
    with pytest.raises(InvalidToken):
        read_refresh_token(activation, KEY)
