"""Sessions on a real server of Redis: they live while they are used, and never past their end."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Event
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from dev.fleet import Fleet
from shared import redis as redis_client
from shared.errors import RedisUnavailable
from shared.sessions import Sessions
from shared.settings import Settings
from shared.tokens import issue_service_token
from tests.support import NOBODY, Api, User, assert_problem

from .forging import ANOTHER_KEY
from .support import ALIVE, DEAD, PROTECTED, ask, log_in, refresh, statuses

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
        *("ip", "user_agent", "generation", "refreshed_at"),
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


async def test_a_users_sessions_over_the_limit_end_the_oldest_first(connected: AsyncRedis, settings: Settings) -> None:
    sessions, user_id = Sessions(connected, settings.model_copy(update={"sessions_per_user": 3})), uuid4()
    ids = [(await sessions.create(user_id, "doctor", None, None))[0] for _ in range(5)]
    assert await sessions.touch(ids[2])  # a request makes it no younger
    assert [session.id for session in await sessions.list_of(user_id)] == [ids[4], ids[3], ids[2]]
    assert [await sessions.touch(session_id) for session_id in ids[:2]] == [None, None]


async def test_ended_sessions_do_not_count_against_the_limit(
    connected: AsyncRedis, settings: Settings, redis: Redis
) -> None:
    sessions, user_id = Sessions(connected, settings.model_copy(update={"sessions_per_user": 3})), uuid4()
    ids = [(await sessions.create(user_id, "doctor", None, None))[0] for _ in range(3)]
    await sessions.end(ids[1])
    redis.delete(f"session:{ids[2]}")  # as if its time were over
    newer = [(await sessions.create(user_id, "doctor", None, None))[0] for _ in range(2)]
    assert [session.id for session in await sessions.list_of(user_id)] == [newer[1], newer[0], ids[0]]


async def test_of_many_logins_at_once_the_limit_holds(connected: AsyncRedis, settings: Settings) -> None:
    sessions = Sessions(connected, settings.model_copy(update={"sessions_per_user": 5}))
    for _ in range(20):
        user_id = uuid4()
        created = await asyncio.gather(*(sessions.create(user_id, "doctor", None, None) for _ in range(30)))
        living = [session_id for session_id, _ in created if await sessions.touch(session_id)]
        assert len(living) == len(await sessions.list_of(user_id)) == 5


async def test_all_sessions_but_one_end(sessions: Sessions) -> None:
    user_id = uuid4()
    ids = [(await sessions.create(user_id, "doctor", None, None))[0] for _ in range(4)]
    assert await sessions.end_all(user_id, keep=ids[1]) == 3
    assert [session.id for session in await sessions.list_of(user_id)] == [ids[1]]


async def test_a_server_that_is_away_is_an_error_of_its_own(settings: Settings) -> None:
    client = redis_client.connect(settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:1/0")}))
    sessions = Sessions(client, settings)
    for call in (sessions.touch(uuid4()), sessions.end(uuid4()), sessions.end_all(uuid4()), _create(sessions)):
        with pytest.raises(RedisUnavailable):
            await call
    await client.aclose()


async def _create(sessions: Sessions) -> UUID:
    return (await sessions.create(uuid4(), "doctor", None, None))[0]


# Over HTTP

BROWSERS = {
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0": (
        "Firefox",
        "Windows",
        "desktop",
    ),
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 "
    "Mobile/15E148 Safari/604.1": ("Mobile Safari", "iOS", "smartphone"),
    "Mozilla/5.0 (Linux; Android 14; SM-X710) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36": (
        *("Chrome", "Android", "tablet"),
    ),
}


@pytest.fixture(scope="module")
def institution(api: Api) -> User:
    return api.new_institution()


@pytest.fixture
def doctor(api: Api, institution: User) -> User:
    """A doctor with one session."""
    return api.new_doctor(institution)


def with_token(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def items_of(user: User) -> list[dict[str, Any]]:
    answer = user.auth.get("/auth/sessions")
    assert answer.status_code == 200 and answer.headers["cache-control"] == "private, no-store"
    document = answer.json()
    assert set(document) == {"items"}
    items: list[dict[str, Any]] = document["items"]
    return items


def test_the_list_shows_each_session_and_its_device_the_newest_first(api: Api, doctor: User) -> None:
    pairs = [
        log_in(api.urls[service], doctor.email, **{"User-Agent": agent}).json()
        for service, agent in zip(("auth", "doctors", "auth"), BROWSERS, strict=True)
    ]
    items = items_of(doctor)
    assert [item["session_id"] for item in items[:-1]] == [pair["session_id"] for pair in reversed(pairs)]
    assert [item["is_current"] for item in items] == [False, False, False, True]
    for item, (agent, described) in zip(items, reversed(BROWSERS.items()), strict=False):
        device = item["device"]
        assert set(item) == {"session_id", "device", "created_at", "last_seen_at", "expires_at", "is_current"}
        assert set(device) == {"ip", "user_agent", "browser", "os", "device_type", "fingerprint"}
        assert (device["ip"], device["user_agent"]) == ("127.0.0.1", agent)
        assert (device["browser"], device["os"], device["device_type"]) == described
        times = [datetime.fromisoformat(item[name]) for name in ("created_at", "last_seen_at", "expires_at")]
        assert times == sorted(times) and (times[2] - times[1]).total_seconds() in (3_599, 3_600)
    assert len({item["device"]["fingerprint"] for item in items}) == 4


def test_a_device_is_recognised_again_and_an_unknown_one_is_said_to_be(api: Api, doctor: User) -> None:
    for agent in ("Something/1.0", "Something/1.0", "", "\\x00<script>"):
        log_in(api.urls["auth"], doctor.email, **{"User-Agent": agent})
    script, empty, second, first, _ = [item["device"] for item in items_of(doctor)]
    assert first == second and first["os"] is None and first["device_type"] is None
    assert empty["user_agent"] is None and script["user_agent"] == "\\x00<script>"
    assert len({device["fingerprint"] for device in (script, empty, first)}) == 3


def test_an_address_is_believed_from_nobody_that_is_not_trusted(api: Api, doctor: User) -> None:
    for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Client-IP"):
        log_in(
            api.urls["doctors"], doctor.email, **{header: "for=203.0.113.7" if header == "Forwarded" else "203.0.113.7"}
        )
    assert {item["device"]["ip"] for item in items_of(doctor)} == {"127.0.0.1"}


@pytest.mark.parametrize("audience", ["predicthealth", "auth-jwt-service"])
def test_a_made_up_credential_of_a_service_changes_no_address(audience: str, api: Api, doctor: User) -> None:
    token = issue_service_token(
        *(ANOTHER_KEY, "service-doctors", audience),
        client_address="203.0.113.7",
        user_agent="forged",
    )
    answer = log_in(api.urls["auth"], doctor.email, **{"User-Agent": "genuine", **with_token(token)})
    assert answer.status_code == 200
    assert [(item["device"]["ip"], item["device"]["user_agent"]) for item in items_of(doctor)][0] == (
        *("127.0.0.1", "genuine"),
    )


def test_one_session_is_ended_everywhere_and_no_other(api: Api, doctor: User) -> None:
    ended, other = [log_in(api.urls["auth"], doctor.email).json() for _ in range(2)]
    path = f"/auth/sessions/{ended['session_id']}"
    answer = doctor.auth.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert statuses(api, ended["access_token"]) == DEAD
    assert_problem(refresh(api.urls["auth"], ended["refresh_token"]), 401, "invalid_refresh_token")
    assert statuses(api, other["access_token"]) == statuses(api, doctor.token) == ALIVE
    assert_problem(doctor.auth.delete(path), 404, "session_not_found")


def test_ones_own_session_is_ended_like_any_other(api: Api, doctor: User) -> None:
    (item,) = items_of(doctor)
    assert doctor.auth.delete(f"/auth/sessions/{item['session_id']}").status_code == 204
    assert statuses(api, doctor.token) == DEAD


def test_the_session_of_another_is_none_that_one_knows(api: Api, doctor: User, institution: User) -> None:
    (item,) = items_of(doctor)
    for user in (institution, api.admin):
        assert_problem(user.auth.delete(f"/auth/sessions/{item['session_id']}"), 404, "session_not_found")
    assert_problem(doctor.auth.delete(f"/auth/sessions/{uuid4()}"), 404, "session_not_found")
    assert_problem(doctor.auth.delete("/auth/sessions/first"), 422, "validation_failed")
    assert statuses(api, doctor.token) == ALIVE


def test_logging_out_everywhere_ends_and_counts_every_session(api: Api, doctor: User, institution: User) -> None:
    pairs = [log_in(api.urls["doctors"], doctor.email).json() for _ in range(3)]
    answer = doctor.auth.post("/auth/logout-all")
    assert (answer.status_code, answer.json()) == (200, {"success": True, "revoked_sessions": 4})
    for token in (doctor.token, *(pair["access_token"] for pair in pairs)):
        assert statuses(api, token) == DEAD
    assert_problem(doctor.auth.post("/auth/logout-all"), 401, "unauthenticated")
    assert institution.institutions.get("/api/v1/institution-types").status_code == 200


def test_the_twenty_first_login_ends_the_first(api: Api, doctor: User) -> None:
    pairs = [log_in(api.urls["auth"], doctor.email).json() for _ in range(20)]
    assert statuses(api, doctor.token) == DEAD
    for pair in (pairs[0], pairs[-1]):
        assert statuses(api, pair["access_token"]) == ALIVE
    log_in(api.urls["auth"], doctor.email)
    assert statuses(api, pairs[0]["access_token"]) == DEAD


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", "/auth/sessions"), ("DELETE", f"/auth/sessions/{NOBODY}"), ("POST", "/auth/logout-all")),
        *(("POST", "/auth/change-password"), ("GET", "/users"), ("GET", "/api/v1/audit")),
        ("POST", f"/users/{NOBODY}/activation"),
    ],
)
def test_nobody_manages_sessions_without_one(method: str, path: str, api: Api, fleet: Fleet) -> None:
    service = issue_service_token(fleet.environment["FLEET_INTERNAL_KEY"], "service-doctors", "auth-jwt-service")
    assert_problem(api.anonymous.auth.request(method, path), 401, "unauthenticated")
    answer = api.anonymous.auth.request(method, path, headers=with_token(service))
    assert_problem(answer, 401, "unauthenticated")


@pytest.mark.parametrize("end", ["logout", "logout-all", "session"])
def test_once_the_end_is_answered_no_service_lets_a_request_pass(end: str, api: Api, doctor: User) -> None:
    for _ in range(8):
        pair = log_in(api.urls["auth"], doctor.email).json()
        ended, late = Event(), []

        def keep_asking(
            service: str, token: str = pair["access_token"], ended: Event = ended, late: Any = late
        ) -> None:
            while not ended.is_set():
                ask(api, service, token)
            late.append(ask(api, service, token).status_code)

        with ThreadPoolExecutor(len(PROTECTED)) as pool:
            for service in PROTECTED:
                pool.submit(keep_asking, service)
            headers = with_token(pair["access_token"])
            if end == "session":
                answer = api.anonymous.auth.delete(f"/auth/sessions/{pair['session_id']}", headers=headers)
            else:
                answer = api.anonymous.auth.post(f"/auth/{end}", headers=headers)
            ended.set()
        assert answer.is_success
        assert late == [401] * 4
