"""Guessing passwords: what is counted before a hash is computed, for whom, and how long the wait is."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from auth_app import domain, guessing
from auth_app.guessing import Guesses
from auth_app.passwords import Hasher
from auth_app.resources import AuthResources
from psycopg2.extras import RealDictCursor
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from shared import redis as redis_client
from shared.context import RequestContext, enter
from shared.errors import Busy, InvalidCredentials, TooManyAttempts
from shared.login import Login
from shared.settings import Settings
from tests.support import PASSWORD, Api, User, assert_problem, unique

from .support import at_once, log_in

pytestmark = pytest.mark.anyio


@pytest.fixture
async def connected(settings: Settings) -> AsyncIterator[AsyncRedis]:
    client = redis_client.connect(settings)
    yield client
    await client.aclose()


@pytest.fixture
def guesses(connected: AsyncRedis) -> Guesses:
    return Guesses(connected)


@pytest.fixture(scope="module")
def institution(api: Api) -> User:
    return api.new_institution()


def an_email() -> str:
    return f"{unique('adivina')}@example.com"


async def guess(guesses: Guesses, account: str, address: str, *, right: bool = False) -> bool:
    """One attempt; whether it was the one that started a wait."""
    attempt = None
    try:
        async with guesses.attempt(account, address) as attempt:
            if not right:
                raise InvalidCredentials
    except InvalidCredentials:
        assert attempt is not None
    return attempt.locked


async def wait_of(guesses: Guesses, account: str, address: str) -> int:
    """For how many seconds an attempt is refused; 0 when it is not."""
    try:
        await guess(guesses, account, address, right=True)
    except TooManyAttempts as refusal:
        return int(refusal.headers["Retry-After"])
    return 0


def let_time_pass(redis: Redis, account: str, address: str) -> None:
    """As if both waits were over."""
    for key in guessing._keys(account, address)[::2]:
        if redis.hexists(key, "blocked_until"):
            redis.hset(key, "blocked_until", 1)


# One account from one address


async def test_the_sixth_guess_waits_whatever_it_is(guesses: Guesses) -> None:
    account = an_email()
    assert [await guess(guesses, account, "10.0.0.1") for _ in range(5)] == [False] * 4 + [True]
    assert 29 <= await wait_of(guesses, account, "10.0.0.1") <= 30
    assert await wait_of(guesses, account, "10.0.0.2") == 0
    assert await wait_of(guesses, an_email(), "10.0.0.1") == 0


async def test_the_wait_doubles_to_a_quarter_of_an_hour(guesses: Guesses, redis: Redis) -> None:
    account, waits = an_email(), []
    for _ in range(4):
        assert not await guess(guesses, account, "10.0.0.1")
    for _ in range(8):
        assert await guess(guesses, account, "10.0.0.1"), "after a wait every wrong one starts the next"
        waits.append(await wait_of(guesses, account, "10.0.0.1"))
        let_time_pass(redis, account, "10.0.0.1")
    for wait, expected in zip(waits, (30, 60, 120, 240, 480, 900, 900, 900), strict=True):
        assert expected - 2 <= wait <= expected


async def test_a_refused_attempt_does_not_lengthen_the_wait(guesses: Guesses, redis: Redis) -> None:
    account = an_email()
    for _ in range(5):
        await guess(guesses, account, "10.0.0.1")
    key = guessing._keys(account, "10.0.0.1")[0]
    before = redis.hgetall(key)
    for _ in range(20):
        assert await wait_of(guesses, account, "10.0.0.1") <= 30
    assert redis.hgetall(key) == before
    let_time_pass(redis, account, "10.0.0.1")
    assert await wait_of(guesses, account, "10.0.0.1") == 0


async def test_a_right_password_forgets_the_wrong_ones(guesses: Guesses) -> None:
    account = an_email()
    for _ in range(3):
        for _ in range(4):
            assert not await guess(guesses, account, "10.0.0.1")
        assert not await guess(guesses, account, "10.0.0.1", right=True)


async def test_what_is_remembered_tells_no_email_and_is_forgotten(guesses: Guesses, redis: Redis) -> None:
    account = an_email()
    await guess(guesses, account, "10.0.0.1")
    keys = guessing._keys(account, "10.0.0.1")[::2]
    for key in keys:
        assert 86_000 < redis.ttl(key) <= 86_400
        assert "example" not in key and "10.0.0.1" not in key
    assert not list(redis.scan_iter(f"*{account}*"))


# The account from anywhere


async def test_the_fiftieth_guess_from_anywhere_closes_the_account_everywhere(guesses: Guesses, redis: Redis) -> None:
    account = an_email()
    locked = [await guess(guesses, account, f"10.0.{number // 4}.1") for number in range(50)]
    assert locked == [False] * 49 + [True]
    assert 29 <= await wait_of(guesses, account, "192.0.2.1") <= 30
    let_time_pass(redis, account, "192.0.2.1")
    assert await guess(guesses, account, "192.0.2.2")
    assert 58 <= await wait_of(guesses, account, "192.0.2.1") <= 60


# Races


async def test_of_parallel_guesses_no_more_than_five_are_looked_at(guesses: Guesses) -> None:
    for _ in range(40):
        account, looked_at = an_email(), 0

        async def attempt(account: str = account) -> str:
            nonlocal looked_at
            try:
                async with guesses.attempt(account, "10.0.0.1"):
                    looked_at += 1
                    await asyncio.sleep(0.002)
                    raise InvalidCredentials
            except (InvalidCredentials, TooManyAttempts) as refusal:
                return refusal.code

        codes = Counter(await asyncio.gather(*(attempt() for _ in range(50))))
        assert looked_at == 5
        assert codes == {"invalid_credentials": 5, "too_many_attempts": 45}


async def test_parallel_right_ones_all_pass_also_between_wrong_ones(guesses: Guesses) -> None:
    for _ in range(10):
        account = an_email()
        for _ in range(4):
            await guess(guesses, account, "10.0.0.1")
        locked = await asyncio.gather(*(guess(guesses, account, "10.0.0.1", right=True) for _ in range(50)))
        assert not any(locked)


async def test_a_repeated_script_counts_once(guesses: Guesses, redis: Redis) -> None:
    keys = guessing._keys(an_email(), "10.0.0.1")
    for _ in range(2):
        assert await guesses._begin(keys=keys, args=["one", *guessing._LIMITS]) == ["go"]
    assert redis.zcard(keys[1]) == redis.zcard(keys[3]) == 1
    for _ in range(2):
        await guesses._end(keys=keys, args=["one", "wrong", *guessing._LIMITS])
    assert redis.hget(keys[0], "failures") == redis.hget(keys[2], "failures") == "1"


async def test_the_place_of_an_attempt_whose_process_died_becomes_free(guesses: Guesses, redis: Redis) -> None:
    keys = guessing._keys(account := an_email(), "10.0.0.1")
    for number in range(5):
        assert await guesses._begin(keys=keys, args=[f"dead {number}", *guessing._LIMITS]) == ["go"]
    assert await guesses._begin(keys=keys, args=["next", *guessing._LIMITS]) == ["full"]
    assert redis.ttl(keys[1]) > 0 and redis.ttl(keys[3]) > 0
    for key in keys[1::2]:
        for member in redis.zrange(key, 0, -1):
            redis.zadd(key, {member: 1})  # as if their time were over
    assert not await guess(guesses, account, "10.0.0.1", right=True)


async def test_an_attempt_keeps_its_place_for_as_long_as_it_lasts(guesses: Guesses, redis: Redis) -> None:
    keys = guessing._keys(account := an_email(), "10.0.0.1")
    async with guesses.attempt(account, "10.0.0.1"):
        before = [redis.zrange(key, 0, -1, withscores=True) for key in keys[1::2]]
        await asyncio.sleep(1.5)
        after = [redis.zrange(key, 0, -1, withscores=True) for key in keys[1::2]]
        assert all(later[0][1] > earlier[0][1] + 0.9 for earlier, later in zip(before, after, strict=True))
        assert min(redis.pttl(key) for key in keys[1::2]) > 4_000
    await asyncio.sleep(1.5)
    assert not redis.exists(*keys)


async def test_a_guess_whose_place_has_lapsed_counts_all_the_same(guesses: Guesses, redis: Redis) -> None:
    keys = guessing._keys(account := an_email(), "10.0.0.1")
    with pytest.raises(InvalidCredentials):
        async with guesses.attempt(account, "10.0.0.1"):
            redis.delete(*keys[1::2])
            raise InvalidCredentials
    assert [redis.hget(key, "failures") for key in keys[::2]] == ["1", "1"]


async def test_who_finds_no_place_in_time_is_told_to_come_back(
    guesses: Guesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guessing, "PATIENCE_SECONDS", 0.1)
    keys = guessing._keys(account := an_email(), "10.0.0.1")
    for number in range(5):
        await guesses._begin(keys=keys, args=[f"slow {number}", *guessing._LIMITS])
    with pytest.raises(Busy):
        await guess(guesses, account, "10.0.0.1")


@pytest.mark.parametrize("fault", [Busy, RuntimeError, asyncio.CancelledError])
async def test_a_fault_of_ours_gives_the_place_back_and_counts_nothing(
    guesses: Guesses, redis: Redis, fault: type[BaseException]
) -> None:
    keys = guessing._keys(account := an_email(), "10.0.0.1")
    for _ in range(6):
        with pytest.raises(fault):
            async with guesses.attempt(account, "10.0.0.1"):
                raise fault
    assert not redis.exists(*keys)


# The use case


class CountingHasher(Hasher):
    """Counts the hashes that it is asked to check."""

    checks = 0

    async def matches(self, password: str, password_hash: str | None) -> bool:
        self.checks += 1
        return await super().matches(password, password_hash)


async def test_of_parallel_logins_with_wrong_passwords_five_are_hashed_known_or_not(
    resources: AuthResources, api: Api, institution: User
) -> None:
    enter(RequestContext(client_address="10.9.9.9"))
    for known in (True, False) * 3:
        email = api.new_doctor(institution).email if known else an_email()
        counting = CountingHasher(rounds=4, queue=64)
        own = replace(resources, hasher=counting)

        async def attempt(number: int, own: AuthResources = own, email: str = email) -> str:
            try:
                await domain.login(own, Login(email=email, password=f"wrong {number}"), None)
            except (InvalidCredentials, TooManyAttempts) as refusal:
                return refusal.code
            return "in"

        codes = Counter(await asyncio.gather(*(attempt(number) for number in range(50))))
        assert counting.checks == 5
        assert codes == {"invalid_credentials": 5, "too_many_attempts": 45}
        counting.close()


def spellings(email: str) -> list[str]:
    """Others by which PostgreSQL finds the same account."""
    return [
        email.upper(),
        f" {email}\n",
        email.replace("i", "İ"),
        email.replace("i", "I", 1),
        email.replace("k", "\u212a"),
    ]


async def test_an_account_has_one_budget_however_its_email_is_spelled(
    resources: AuthResources, api: Api, institution: User, owner: RealDictCursor
) -> None:
    enter(RequestContext(client_address="10.9.9.8"))
    email = f"{unique('kiki')}@example.com"
    api.new_doctor(institution, contact_email={"email_address": email})
    guessed, refusals = 0, Counter[str]()
    for spelling in spellings(email) * 2:
        owner.execute("SELECT FROM users WHERE lower(email) = lower(%s)", [spelling.strip()])
        guessed += owner.rowcount
        with pytest.raises((InvalidCredentials, TooManyAttempts)) as raised:
            await domain.login(resources, Login(email=spelling, password="wrong"), None)
        refusals[raised.value.code] += owner.rowcount
    assert guessed >= 6
    assert refusals == {"invalid_credentials": 5, "too_many_attempts": guessed - 5}


# Over HTTP


def test_five_wrong_passwords_and_the_right_one_waits_at_every_door(api: Api, institution: User) -> None:
    doctor = api.new_doctor(institution)
    nobody = an_email()
    for email in (doctor.email, nobody):
        seen = []
        for service in ("auth", "doctors", "doctors", "auth", "doctors", "auth", "doctors"):
            answer = log_in(api.urls[service], email, "wrong", **{"Accept-Language": "en"})
            seen.append(answer.status_code)
        assert seen == [401] * 5 + [429] * 2
        for service in ("auth", "doctors"):
            answer = log_in(api.urls[service], email, PASSWORD, **{"Accept-Language": "en"})
            document = assert_problem(answer, 429, "too_many_attempts")
            wait = int(answer.headers["retry-after"])
            assert 1 <= wait <= 30 and str(wait) in document["detail"]
            assert answer.headers["ratelimit-remaining"] == "0"
            assert answer.headers["ratelimit-reset"] == answer.headers["retry-after"]
            assert answer.headers["ratelimit-limit"] == "5"


def test_a_wait_closes_no_session_and_no_other_account(api: Api, institution: User) -> None:
    doctor, other = api.new_doctor(institution), api.new_doctor(institution)
    for _ in range(6):
        log_in(api.urls["auth"], doctor.email, "wrong")
    assert doctor.doctors.get("/api/v1/specialties").status_code == 200
    assert log_in(api.urls["auth"], other.email).status_code == 200


def test_after_the_wait_the_right_password_opens(api: Api, institution: User, redis: Redis) -> None:
    doctor = api.new_doctor(institution)
    for _ in range(6):
        log_in(api.urls["auth"], doctor.email, "wrong")
    let_time_pass(redis, doctor.email, "127.0.0.1")
    assert log_in(api.urls["auth"], doctor.email).status_code == 200


def a_door(api: Api, number: int) -> str:
    """Where the login of this number goes: every other one through a delegating service."""
    return api.urls[("auth", "doctors")[number % 2]]


def test_fifty_parallel_guesses_over_http_five_are_looked_at(api: Api, institution: User) -> None:
    for _ in range(3):
        email = api.new_doctor(institution).email
        answers = at_once(50, lambda number, email=email: log_in(a_door(api, number), email, f"no {number}"))
        assert Counter(answer.status_code for answer in answers) == {401: 5, 429: 45}


def test_fifty_parallel_right_logins_all_pass(api: Api, institution: User) -> None:
    for _ in range(3):
        email = api.new_doctor(institution).email
        answers = at_once(50, lambda number, email=email: log_in(a_door(api, number), email))
        assert Counter(answer.status_code for answer in answers) == {200: 50}
