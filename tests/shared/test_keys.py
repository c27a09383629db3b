"""The keys that verify: where they come from, how often they are asked for, and what happens while auth is away."""

import asyncio
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm

from shared import keys
from shared.errors import AuthUnavailable
from shared.keys import PublishedKeys, SharedSecrets, secret_id

pytestmark = pytest.mark.anyio


def document(key_id: str, key: Ed25519PrivateKey | EllipticCurvePrivateKey | None = None) -> dict[str, Any]:
    """What auth publishes of a key."""
    key = key or Ed25519PrivateKey.generate()
    if isinstance(key, Ed25519PrivateKey):
        return {**OKPAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": key_id, "alg": "EdDSA", "use": "sig"}
    return {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": key_id, "alg": "ES256", "use": "sig"}


class Auth:
    """The auth service's published keys, and how often they were asked for."""

    def __init__(self, *key_ids: str) -> None:
        self.published = [document(key_id) for key_id in key_ids]
        self.away = False
        self.seconds = 0.0
        self.asked = 0

    async def fetch(self) -> dict[str, Any]:
        self.asked += 1
        await asyncio.sleep(self.seconds)
        if self.away:
            raise AuthUnavailable
        return {"keys": self.published}


class Clock:
    """A monotonic clock that the tests turn."""

    now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    turned = Clock()
    monkeypatch.setattr(keys, "time", turned)
    return turned


async def test_a_secret_is_found_by_its_id_alone() -> None:
    current, previous = "the current secret, long enough 1", "the previous secret, long enough 2"
    secrets = SharedSecrets(current, previous)
    assert await secrets.find(secret_id(current)) == current
    assert await secrets.find(secret_id(previous)) == previous
    assert [await secrets.find(key_id) for key_id in (None, "", "x", current)] == [None] * 4
    assert secret_id(current) != secret_id(previous) and secret_id(current) not in current


async def test_keys_are_fetched_when_first_needed_and_then_kept() -> None:
    auth = Auth("one", "two")
    published = PublishedKeys("EdDSA", auth.fetch)
    assert auth.asked == 0
    for key_id in ("one", "two", "one"):
        assert isinstance(await published.find(key_id), type(Ed25519PrivateKey.generate().public_key()))
    assert auth.asked == 1


async def test_an_unknown_id_asks_again_at_most_once_a_minute(clock: Clock) -> None:
    auth = Auth("one")
    published = PublishedKeys("EdDSA", auth.fetch)
    await published.find("one")
    for _ in range(50):
        assert await published.find("forged") is None
    assert auth.asked == 1
    auth.published.append(document("two"))
    clock.now += 61
    for _ in range(50):
        assert await published.find("forged") is None
    assert auth.asked == 2
    assert await published.find("two")


async def test_a_token_without_a_key_id_asks_for_nothing() -> None:
    auth = Auth("one")
    assert await PublishedKeys("EdDSA", auth.fetch).find(None) is None
    assert auth.asked == 0


async def test_a_withdrawn_key_is_forgotten_at_the_next_fetch(clock: Clock) -> None:
    auth = Auth("one")
    published = PublishedKeys("EdDSA", auth.fetch)
    assert await published.find("one")
    auth.published = [document("two")]
    clock.now += 61
    assert await published.find("two")
    assert await published.find("one") is None


async def test_known_keys_are_kept_while_auth_is_away(clock: Clock) -> None:
    auth = Auth("one")
    published = PublishedKeys("EdDSA", auth.fetch)
    await published.find("one")
    auth.away = True
    for _ in range(5):
        clock.now += 3_600
        assert await published.find("forged") is None
        assert await published.find("one")


async def test_no_key_at_all_is_auth_unavailable_and_the_first_request_after_that_finds_one() -> None:
    auth = Auth("one")
    auth.away = True
    published = PublishedKeys("EdDSA", auth.fetch)
    for _ in range(20):
        with pytest.raises(AuthUnavailable):
            await published.find("one")
    auth.away = False
    assert await published.find("one")


async def test_many_at_once_ask_once() -> None:
    for _ in range(20):
        auth = Auth("one")
        published = PublishedKeys("EdDSA", auth.fetch)
        assert all(await asyncio.gather(*(published.find("one") for _ in range(50))))
        assert auth.asked == 1


async def test_who_waits_for_an_auth_that_does_not_answer_does_not_wait_in_line(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth = Auth()
    auth.away = True

    async def slow() -> dict[str, Any]:
        clock.now += 2  # as long as a fetch may take
        return await auth.fetch()

    published = PublishedKeys("EdDSA", slow)
    found = await asyncio.gather(*(published.find("one") for _ in range(50)), return_exceptions=True)
    assert all(isinstance(answer, AuthUnavailable) for answer in found)
    assert auth.asked == 1


async def test_a_key_of_another_algorithm_is_not_used() -> None:
    auth = Auth("one")
    auth.published.append(document("two", generate_ec(SECP256R1())))
    published = PublishedKeys("EdDSA", auth.fetch)
    assert await published.find("one")
    assert await published.find("two") is None
