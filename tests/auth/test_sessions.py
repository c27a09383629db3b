"""Sessions on a real server of Redis: they live while they are used, and never past their end."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from shared import redis as redis_client
from shared.errors import RedisUnavailable
from shared.sessions import Sessions
from shared.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.fixture
async def connected(settings: Settings) -> AsyncIterator[AsyncRedis]:
    client = redis_client.connect(settings)
    yield client
    await client.aclose()


@pytest.fixture
def sessions(connected: AsyncRedis, settings: Settings) -> Sessions:
    return Sessions(connected, settings)


async def wait_until(happened: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while True:
            if happened():
                return
            await asyncio.sleep(0.02)


async def test_a_session_says_whose_it_is_and_how_long_it_lives(sessions: Sessions) -> None:
    user_id, before = uuid4(), int(time.time())
    session_id, _ = await sessions.create(user_id, "doctor", "10.0.0.7", "a browser")
    session = await sessions.touch(session_id)
    assert session is not None
    assert (session.id, session.user_id, session.user_type) == (session_id, user_id, "doctor")
    assert before <= session.created_at.timestamp() <= session.last_seen_at.timestamp() <= time.time()
    assert session.expires_at.timestamp() == session.last_seen_at.timestamp() + 3_600


async def test_no_session_holds_a_credential(sessions: Sessions, redis: Redis) -> None:
    session_id, _ = await sessions.create(uuid4(), "doctor", None, "x" * 1_000)
    stored = redis.hgetall(f"session:{session_id}")
    assert set(stored) == {
        *("user_id", "user_type", "created_at", "last_seen_at", "expires_at"),
        *("ip", "user_agent"),
    }
    assert stored["ip"] == "" and len(stored["user_agent"]) == 256


async def test_a_session_that_never_was_is_not_found(sessions: Sessions, redis: Redis) -> None:
    session_id = uuid4()
    assert await sessions.touch(session_id) is None
    assert not redis.exists(f"session:{session_id}")


async def test_a_session_ends_when_nothing_touches_it(connected: AsyncRedis, settings: Settings, redis: Redis) -> None:
    sessions = Sessions(connected, settings.model_copy(update={"session_idle_seconds": 1}))
    session_id, _ = await sessions.create(uuid4(), "doctor", None, None)
    await wait_until(lambda: not redis.exists(f"session:{session_id}"))
    assert await sessions.touch(session_id) is None


async def test_a_touch_starts_the_idle_time_anew(connected: AsyncRedis, settings: Settings, redis: Redis) -> None:
    short = Sessions(connected, settings.model_copy(update={"session_idle_seconds": 60}))
    session_id, _ = await short.create(uuid4(), "doctor", None, None)
    assert redis.ttl(f"session:{session_id}") <= 60
    redis.expire(f"session:{session_id}", 5)  # as if 55 s had passed
    assert await short.touch(session_id)
    assert redis.ttl(f"session:{session_id}") > 50


async def test_a_session_ends_at_its_end_however_often_it_is_touched(connected: AsyncRedis, settings: Settings) -> None:
    sessions = Sessions(connected, settings.model_copy(update={"session_max_seconds": 2}))
    created = int(time.time())
    session_id, _ = await sessions.create(uuid4(), "doctor", None, None)
    async with asyncio.timeout(20):
        while session := await sessions.touch(session_id):
            assert session.expires_at.timestamp() - session.created_at.timestamp() == 2
            assert created <= session.created_at.timestamp()
            await asyncio.sleep(0.02)


async def test_an_ended_session_is_gone_and_can_be_ended_again(sessions: Sessions, redis: Redis) -> None:
    user_id = uuid4()
    first, second = [(await sessions.create(user_id, "doctor", None, None))[0] for _ in range(2)]
    assert await sessions.end(first) is True
    assert await sessions.end(first) is False
    assert await sessions.touch(first) is None
    assert await sessions.touch(second)
    assert redis.zrange(f"sessions-of:{user_id}", 0, -1) == [str(second)]


async def test_all_sessions_of_a_user_end_together_and_nobody_elses(sessions: Sessions) -> None:
    user_id = uuid4()
    own = [(await sessions.create(user_id, "doctor", None, None))[0] for _ in range(3)]
    other, _ = await sessions.create(uuid4(), "doctor", None, None)
    assert await sessions.end_all(user_id) == 3
    assert await sessions.end_all(user_id) == 0
    assert [await sessions.touch(session_id) for session_id in own] == [None] * 3
    assert await sessions.touch(other)


async def test_an_expired_session_is_not_counted_among_those_that_end(sessions: Sessions, redis: Redis) -> None:
    user_id = uuid4()
    expired, _ = [(await sessions.create(user_id, "doctor", None, None))[0] for _ in range(2)]
    redis.delete(f"session:{expired}")
    assert await sessions.end_all(user_id) == 1


async def test_a_server_that_is_away_is_an_error_of_its_own(settings: Settings) -> None:
    client = redis_client.connect(settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:1/0")}))
    sessions = Sessions(client, settings)
    for call in (sessions.touch(uuid4()), sessions.end(uuid4()), sessions.end_all(uuid4()), _create(sessions)):
        with pytest.raises(RedisUnavailable):
            await call
    await client.aclose()


async def _create(sessions: Sessions) -> UUID:
    return (await sessions.create(uuid4(), "doctor", None, None))[0]
