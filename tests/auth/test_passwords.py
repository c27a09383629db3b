"""Password rules and the bounded queue of hashes."""

import asyncio
import os
from collections.abc import Iterator
from threading import Event
from threading import enumerate as enumerate_threads

import bcrypt
import pytest
from auth_app.passwords import MAX_BYTES, Hasher, check_rules, needs_rehash, normalised

from shared.errors import Busy, PasswordTooCommon, PasswordTooLong, PasswordTooShort

pytestmark = pytest.mark.anyio
QUEUE = 2


@pytest.fixture
def hasher() -> Iterator[Hasher]:
    hasher = Hasher(rounds=4, queue=QUEUE)
    yield hasher
    hasher.close()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Event:
    """Holds every hash under way until it is set."""
    gate, genuine = Event(), bcrypt.hashpw

    def hashpw(password: bytes, salt: bytes) -> bytes:
        assert gate.wait(5)
        return genuine(password, salt)

    monkeypatch.setattr(bcrypt, "hashpw", hashpw)
    return gate


EMAIL = "ana.lopez@clinica.mx"


@pytest.mark.parametrize("password", ["kR7-pq1z", "ñ" * 36, "x" * MAX_BYTES, "contraseña con espacios", "🔑" * 8])
def test_a_password_from_eight_characters_to_seventy_two_bytes_may_be_set(password: str) -> None:
    check_rules(password, EMAIL, 8)


@pytest.mark.parametrize("password", ["", "1234567", "🔑" * 7])
def test_the_minimum_counts_characters(password: str) -> None:
    with pytest.raises(PasswordTooShort) as raised:
        check_rules(password, EMAIL, 8)
    assert "8" in raised.value.errors[0].en and raised.value.errors[0].field == "password"


@pytest.mark.parametrize("password", ["x" * 73, "ñ" * 37, "🔑" * 19])
def test_the_maximum_counts_bytes(password: str) -> None:
    with pytest.raises(PasswordTooLong):
        check_rules(password, EMAIL, 8)


@pytest.mark.parametrize(
    "password",
    [
        *("password", "12345678", "iloveyou", "Qwerty123", "PASSWORD1", "  password  "),
        *("ana.lopez@clinica.mx", "Ana.Lopez@Clinica.MX", "ana.lopez", "ANA.LOPEZ2026!", "ana.lopez@clinica.mx1"),
        *("predicthealth", "PredictHealth", "PredictHealth2026!", "predicthealth-1"),
    ],
)
def test_what_attackers_try_first_may_not_be_set(password: str) -> None:
    with pytest.raises(PasswordTooCommon) as raised:
        check_rules(password, EMAIL, 8, "new_password")
    assert [(error.field, error.code) for error in raised.value.errors] == [("new_password", "password_too_common")]


def test_a_hash_of_another_cost_is_to_be_renewed() -> None:
    stored = bcrypt.hashpw(b"correct horse", bcrypt.gensalt(5)).decode()
    assert needs_rehash(stored, 4) and needs_rehash(stored, 12) and not needs_rehash(stored, 5)


def test_two_ways_to_type_a_letter_are_one_password() -> None:
    assert normalised("contrasen\u0303a") == normalised("contraseña") == "contraseña".encode()


async def test_a_hash_matches_its_password_only(hasher: Hasher) -> None:
    stored = await hasher.hash("correct horse")
    assert stored.startswith("$2b$04$") and "correct" not in stored
    assert await hasher.matches("correct horse", stored)
    assert not await hasher.matches("Correct horse", stored)
    assert not await hasher.matches(" correct horse ", stored)
    assert not await hasher.matches("", stored)


async def test_the_same_password_has_another_hash_each_time(hasher: Hasher) -> None:
    assert await hasher.hash("correct horse") != await hasher.hash("correct horse")


async def test_a_password_over_the_limit_matches_nothing_though_bcrypt_reads_its_beginning_only(hasher: Hasher) -> None:
    stored = await hasher.hash("x" * MAX_BYTES)
    assert await hasher.matches("x" * MAX_BYTES, stored)
    assert not await hasher.matches("x" * (MAX_BYTES + 1), stored)


@pytest.mark.parametrize("password", ["nul\x00byte", "\ud800", "x" * 500_000, "a" + "\u0301\u0323" * 100_000])
async def test_what_no_password_holds_is_just_wrong(hasher: Hasher, password: str) -> None:
    assert not await hasher.matches(password, await hasher.hash("nul"))


async def test_an_account_without_a_password_costs_one_check_too(
    hasher: Hasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[bytes] = []
    genuine = bcrypt.checkpw

    def checkpw(password: bytes, hashed_password: bytes) -> bool:
        checked.append(hashed_password)
        return genuine(password, hashed_password)

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    stored = await hasher.hash("correct horse")
    assert not await hasher.matches("anything", None)
    assert not await hasher.matches("x" * 73, stored)
    assert not await hasher.matches("wrong", stored)
    assert len(checked) == 3
    assert {hashed[:7] for hashed in checked} == {b"$2b$04$"}


async def test_past_its_bound_the_queue_refuses_and_what_it_holds_is_done(hasher: Hasher, gate: Event) -> None:
    held = [asyncio.create_task(hasher.hash("correct horse")) for _ in range(hasher._capacity)]
    await asyncio.sleep(0)  # a turn of the loop: all are under way
    for _ in range(3):
        with pytest.raises(Busy):
            await hasher.hash("one too many")
    with pytest.raises(Busy):
        await hasher.matches("one too many", None)
    gate.set()
    for stored in await asyncio.gather(*held):
        assert stored.startswith("$2b$04$")
    assert await hasher.hash("there is room again")


@pytest.mark.parametrize(("cores", "at_once"), [(1, 1), (2, 1), (8, 7)])
async def test_one_core_is_left_to_others(
    cores: int, at_once: int, gate: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    others = set(enumerate_threads())  # those of closed hashers end when they get to it
    gate.set()  # it makes a hash of its own as it begins
    hasher = Hasher(rounds=4, queue=QUEUE)
    gate.clear()
    held = asyncio.gather(*(hasher.hash("correct horse") for _ in range(at_once + QUEUE)))
    await asyncio.sleep(0)
    assert hasher.waiting == QUEUE
    own = set(enumerate_threads()) - others
    assert len([thread for thread in own if thread.name.startswith("bcrypt")]) == at_once
    gate.set()
    await held
    hasher.close()


async def test_other_work_goes_on_while_passwords_are_hashed(hasher: Hasher, gate: Event) -> None:
    held = asyncio.gather(*(hasher.hash("correct horse") for _ in range(hasher._capacity)))
    async with asyncio.timeout(20):
        await asyncio.to_thread(lambda: "other work, in a thread of another pool")
    assert not held.done()
    gate.set()
    await held


async def test_closed_it_finishes_what_is_being_hashed_and_refuses_the_rest(hasher: Hasher, gate: Event) -> None:
    held = [asyncio.create_task(hasher.hash("correct horse")) for _ in range(hasher._capacity)]
    await asyncio.sleep(0)
    hasher.close()
    gate.set()
    ended = await asyncio.gather(*held, return_exceptions=True)
    assert [isinstance(each, str) for each in ended] == [True] * hasher._cores + [False] * QUEUE
    assert all(isinstance(each, Busy) for each in ended[hasher._cores :])
    with pytest.raises(Busy):
        await hasher.hash("too late")


async def test_a_failed_check_gives_its_place_back(hasher: Hasher) -> None:
    for _ in range(hasher._capacity + 1):
        with pytest.raises(ValueError):
            await hasher.matches("correct horse", "not a hash")
    assert await hasher.hash("correct horse")
