"""Sessions in Redis: their limits, their refresh as a race, their end, and what Redis gets to know."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis

from shared import redis as redis_client
from shared.errors import RedisUnavailable
from shared.sessions import Sessions
from shared.settings import Settings
from shared.tokens import AccessToken

pytestmark = pytest.mark.anyio

GRACE = 10
ROUNDS = 30


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    client = redis_client.connect(settings)
    yield client
    await client.aclose()


def sessions(redis: Redis, settings: Settings, **changes: int) -> Sessions:
    return Sessions(redis, Settings(**(settings.model_dump() | changes)))


async def started(store: Sessions, user_id: UUID | None = None, **device: str) -> UUID:
    """The id of a new session."""
    return (await store.create(user_id or uuid4(), "doctor", device.get("ip"), device.get("user_agent")))[0]


async def test_a_session_lives_until_it_is_ended(redis: Redis, settings: Settings) -> None:
    store, user_id = sessions(redis, settings), uuid4()
    session_id = await started(store, user_id)
    session = await store.touch(session_id)
    assert session and (session.user_id, session.user_type, session.id) == (user_id, "doctor", session_id)
    assert session.created_at <= session.last_seen_at < session.expires_at
    assert await store.end(session_id) is True
    assert await store.touch(session_id) is None
    assert await store.end(session_id) is False


async def test_a_session_is_that_of_its_user_and_role_alone(redis: Redis, settings: Settings) -> None:
    store, user_id = sessions(redis, settings), uuid4()
    session_id = await started(store, user_id)
    assert await store.touch_of(AccessToken(user_id, "doctor", session_id, {}))
    assert await store.touch_of(AccessToken(uuid4(), "doctor", session_id, {})) is None
    assert await store.touch_of(AccessToken(user_id, "admin", session_id, {})) is None
    assert await store.touch_of(AccessToken(user_id, "doctor", uuid4(), {})) is None


async def test_all_sessions_of_a_user_end_but_the_kept_one_and_no_others(redis: Redis, settings: Settings) -> None:
    store, user_id = sessions(redis, settings), uuid4()
    own = [await started(store, user_id) for _ in range(4)]
    foreign = await started(store)
    await store.end(own[0])
    assert await store.end_all(user_id, keep=own[1]) == 2
    assert [bool(await store.touch(session_id)) for session_id in own] == [False, True, False, False]
    assert await store.end_all(user_id) == 1
    assert await store.touch(foreign)
    assert await store.end_all(user_id) == 0


async def test_an_end_whose_answer_is_lost_is_told_as_the_driver_repeats_it(redis: Redis, settings: Settings) -> None:
    losing, place = False, urlsplit(settings.redis_url.get_secret_value())

    async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, *, answers: bool) -> None:
        nonlocal losing
        while piece := await source.read(65_536):
            if answers and losing:
                losing = False
                break
            target.write(piece)
        target.close()

    async def connect(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(place.hostname, place.port)
        await asyncio.gather(carry(client, to_server, answers=False), carry(server, to_client, answers=True))

    async with await asyncio.start_server(connect, "127.0.0.1", 0) as line:
        address = place.netloc.replace(str(place.port), str(line.sockets[0].getsockname()[1]))
        through = redis_client.client_of(urlunsplit(place._replace(netloc=address)), 5)
        store, user_id = sessions(through, settings), uuid4()
        own = [await started(store, user_id) for _ in range(4)]
        assert await store.end(own[0])
        assert await store.end_all(uuid4()) == 0  # by now Redis knows both scripts
        losing = True
        assert await store.end(own[1]) is True
        assert losing is False
        losing = True
        assert await store.end_all(user_id) == 2
        assert losing is False
        await through.aclose()
    assert await redis.zcard(f"sessions-of:{user_id}") == 0


async def test_the_living_sessions_are_listed_newest_first_with_their_devices(redis: Redis, settings: Settings) -> None:
    store, user_id = sessions(redis, settings), uuid4()
    made = [await started(store, user_id, ip=f"10.0.0.{number}", user_agent="Firefox") for number in range(3)]
    await started(store, user_id)
    await store.end(made[1])
    listed = await store.list_of(user_id)
    assert [session.id for session in listed][1:] == [made[2], made[0]]
    assert (listed[1].ip, listed[1].user_agent, listed[0].ip) == ("10.0.0.2", "Firefox", None)
    assert await store.list_of(uuid4()) == []


async def test_an_idle_session_ends_and_a_used_one_goes_on_to_its_absolute_limit(
    redis: Redis, settings: Settings
) -> None:
    store = sessions(redis, settings, session_idle_seconds=2, session_max_seconds=4)
    idle, used = await started(store), await started(store)
    lived = 0.0
    while await store.touch(used):
        await asyncio.sleep(0.5)
        lived += 0.5
        assert lived < 10
    assert lived >= 2.5  # longer than the idle limit alone
    assert await store.touch(idle) is None


async def test_a_refresh_keeps_a_session_alive_but_not_past_its_absolute_limit(
    redis: Redis, settings: Settings
) -> None:
    store = sessions(redis, settings, session_idle_seconds=2, session_max_seconds=4)
    session_id, generation, lived = await started(store), 0, 0.0
    while (spent := await store.refresh(session_id, generation, GRACE)).outcome == "refreshed":
        generation = spent.generation
        await asyncio.sleep(0.5)
        lived += 0.5
        assert lived < 10
    assert spent.outcome == "ended" and lived >= 2.5


@pytest.mark.parametrize("most", [1, 5])
async def test_the_oldest_session_ends_when_there_are_too_many(redis: Redis, settings: Settings, most: int) -> None:
    store, user_id = sessions(redis, settings, sessions_per_user=most), uuid4()
    made = [await started(store, user_id) for _ in range(most + 3)]
    assert [bool(await store.touch(session_id)) for session_id in made] == [False] * 3 + [True] * most


async def test_logins_at_once_never_leave_more_sessions_than_there_may_be(redis: Redis, settings: Settings) -> None:
    for _ in range(ROUNDS):
        store, user_id = sessions(redis, settings, sessions_per_user=5), uuid4()
        made = await asyncio.gather(*(started(store, user_id) for _ in range(20)))
        alive = {session_id for session_id in made if await store.touch(session_id)}
        assert len(alive) == 5
        assert {session.id for session in await store.list_of(user_id)} == alive
        assert await redis.zcard(f"sessions-of:{user_id}") == 5


async def test_twenty_refreshes_at_once_have_one_successor(redis: Redis, settings: Settings) -> None:
    store = sessions(redis, settings)
    for _ in range(ROUNDS):
        session_id = await started(store)
        for generation in range(3):
            spent = await asyncio.gather(*(store.refresh(session_id, generation, GRACE) for _ in range(20)))
            assert len(set(spent)) == 1
            assert (spent[0].outcome, spent[0].generation) == ("refreshed", generation + 1)


async def test_after_the_grace_a_spent_token_is_reused(redis: Redis, settings: Settings) -> None:
    store = sessions(redis, settings)
    session_id = await started(store)
    assert (await store.refresh(session_id, 0, 1)).generation == 1
    assert (await store.refresh(session_id, 0, 1)).generation == 1  # its grace
    await asyncio.sleep(2.1)
    assert (await store.refresh(session_id, 0, 1)).outcome == "reused"
    assert await store.touch(session_id)  # it ends when that is on record


@pytest.mark.parametrize("generation", [0, 3, 99, 2**32 - 1])
async def test_an_older_or_impossible_generation_is_reused_at_any_time(
    redis: Redis, settings: Settings, generation: int
) -> None:
    store = sessions(redis, settings)
    session_id = await started(store)
    for spent in range(2):
        await store.refresh(session_id, spent, GRACE)
    assert (await store.refresh(session_id, generation, GRACE)).outcome == "reused"


async def test_a_replay_beside_refreshes_is_always_noticed(redis: Redis, settings: Settings) -> None:
    """The holder refreshes generation 2 while a thief presents generation 0."""
    store = sessions(redis, settings)
    for _ in range(ROUNDS):
        session_id = await started(store)
        for spent in range(2):
            await store.refresh(session_id, spent, GRACE)
        presented = [2] * 5 + [0] * 5
        random.shuffle(presented)
        outcomes = await asyncio.gather(*(store.refresh(session_id, number, GRACE) for number in presented))
        assert sorted(spent.outcome for spent in outcomes) == ["refreshed"] * 5 + ["reused"] * 5


async def test_whose_a_session_is_nobody_knows_once_it_has_ended(redis: Redis, settings: Settings) -> None:
    store, user_id = sessions(redis, settings), uuid4()
    session_id = await started(store, user_id)
    assert await store.user_of(session_id) == user_id
    await store.end(session_id)
    assert await store.user_of(session_id) is None


async def test_an_end_and_refreshes_at_once_leave_nothing(redis: Redis, settings: Settings) -> None:
    store = sessions(redis, settings)
    for _ in range(ROUNDS):
        user_id = uuid4()
        session_id = await started(store, user_id)
        work: list[Any] = [store.refresh(session_id, 0, GRACE) for _ in range(5)]
        work += [store.touch(session_id) for _ in range(5)] + [store.end_all(user_id)]
        random.shuffle(work)
        await asyncio.gather(*work)
        assert await store.touch(session_id) is None
        assert not await redis.exists(f"session:{session_id}")


async def test_redis_holds_no_credential_and_forgets_by_itself(redis: Redis, settings: Settings) -> None:
    store, user_id = sessions(redis, settings), uuid4()
    session_id = await started(store, user_id, ip="10.0.0.1", user_agent="Firefox")
    await store.refresh(session_id, 0, GRACE)
    kept = await redis.hgetall(f"session:{session_id}")
    assert set(kept) == {
        *("user_id", "user_type", "created_at", "last_seen_at", "expires_at"),
        *("generation", "refreshed_at", "ip", "user_agent"),
    }
    for key in (f"session:{session_id}", f"sessions-of:{user_id}"):
        assert await redis.ttl(key) > 0


async def test_redis_away_is_a_503_and_never_no_session(settings: Settings) -> None:
    nowhere = redis_client.connect(Settings(**(settings.model_dump() | {"redis_url": "redis://127.0.0.1:1/0"})))
    store = Sessions(nowhere, settings)
    for asked in (
        store.touch(uuid4()),
        store.create(uuid4(), "doctor", None, None),
        store.refresh(uuid4(), 0, GRACE),
        store.end(uuid4()),
        store.end_all(uuid4()),
        store.list_of(uuid4()),
    ):
        with pytest.raises(RedisUnavailable):
            await asked


async def test_who_has_written_is_known_by_it_in_each_of_its_sessions(redis: Redis, settings: Settings) -> None:
    store, user_id = sessions(redis, settings, database_read_url=settings.database_url), uuid4()
    first, second, stranger = await started(store, user_id), await started(store, user_id), await started(store)
    assert [await wrote(store, id_) for id_ in (first, second, stranger)] == [False, False, False]
    assert await wrote(store, first, writes=True)
    assert [await wrote(store, id_) for id_ in (first, second, stranger)] == [True, True, False]
    # For as long as a replica may lack it: the longest request and the staleness.
    assert 30 < await redis.ttl(f"wrote:{user_id}") <= 36


async def test_without_a_replica_nobody_is_marked(redis: Redis, settings: Settings) -> None:
    store = sessions(redis, settings)
    assert not await wrote(store, await started(store), writes=True)


async def wrote(store: Sessions, session_id: UUID, *, writes: bool = False) -> bool:
    session = await store.touch(session_id, writes=writes)
    assert session
    return session.wrote_recently


async def test_a_login_that_no_replica_has_is_a_503(redis: Redis, settings: Settings) -> None:
    store = sessions(redis, settings, redis_replicas_to_wait_for=1)  # the server of the tests has none
    with pytest.raises(RedisUnavailable):
        await started(store)
