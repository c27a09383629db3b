import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from shared import redis as redis_client
from shared.errors import RedisUnavailable
from shared.sessions import Sessions
from shared.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    client = redis_client.connect(settings)
    yield client
    await client.aclose()


def sessions(redis: Redis, settings: Settings, **changes: int) -> Sessions:
    return Sessions(redis, Settings(**(settings.model_dump() | changes)))


async def test_a_session_lives_until_it_is_ended(redis: Redis, settings: Settings) -> None:
    store, user_id = sessions(redis, settings), uuid4()
    session_id = await store.create(user_id, "doctor", "10.0.0.1", "Firefox")
    session = await store.touch(session_id)
    assert session and (session.user_id, session.user_type, session.id) == (user_id, "doctor", session_id)
    assert session.created_at <= session.last_seen_at < session.expires_at
    assert await store.end(session_id) is True
    assert await store.touch(session_id) is None
    assert await store.end(session_id) is False


async def test_all_sessions_of_a_user_end_and_no_others(redis: Redis, settings: Settings) -> None:
    store, user_id, other = sessions(redis, settings), uuid4(), uuid4()
    own = [await store.create(user_id, "doctor", None, None) for _ in range(3)]
    foreign = await store.create(other, "doctor", None, None)
    await store.end(own[0])
    assert await store.end_all(user_id) == 2
    assert [await store.touch(session_id) for session_id in own] == [None] * 3
    assert await store.touch(foreign)
    assert await store.end_all(user_id) == 0


async def test_an_idle_session_ends_and_a_used_one_goes_on_to_its_absolute_limit(
    redis: Redis, settings: Settings
) -> None:
    store = sessions(redis, settings, session_idle_seconds=2, session_max_seconds=4)
    idle = await store.create(uuid4(), "doctor", None, None)
    used = await store.create(uuid4(), "doctor", None, None)
    lived = 0.0
    while await store.touch(used):
        await asyncio.sleep(0.5)
        lived += 0.5
        assert lived < 10
    assert lived >= 2.5  # longer than the idle limit alone
    assert await store.touch(idle) is None


async def test_redis_holds_no_credential_and_forgets_by_itself(redis: Redis, settings: Settings) -> None:
    store, user_id = sessions(redis, settings), uuid4()
    session_id = await store.create(user_id, "doctor", "10.0.0.1", "Firefox")
    kept = await redis.hgetall(f"session:{session_id}")
    assert set(kept) == {"user_id", "user_type", "created_at", "last_seen_at", "expires_at", "ip", "user_agent"}
    for key in (f"session:{session_id}", f"user-sessions:{user_id}"):
        assert await redis.ttl(key) > 0


async def test_redis_away_is_a_503_and_never_no_session(settings: Settings) -> None:
    nowhere = redis_client.connect(Settings(**(settings.model_dump() | {"redis_url": "redis://127.0.0.1:1/0"})))
    store = Sessions(nowhere, settings)
    with pytest.raises(RedisUnavailable):
        await store.touch(uuid4())
    with pytest.raises(RedisUnavailable):
        await store.create(uuid4(), "doctor", None, None)
