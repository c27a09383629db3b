"""Sessions: an allow-list in Redis. A request without a living session is not authenticated, whatever its token says.

`session:{id}` is a hash (whose, since when, until when, from which device, how often refreshed);
`sessions-of:{user_id}` is the set of a user's session ids by age. Neither holds a credential. `wrote:{user_id}` is
there for as long as a replica of the database may not show what the user has written, `ended:{call}` while the client
may repeat a call that has ended sessions. Times are Unix seconds of the Redis server's clock, so that the services'
clocks need not agree.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID, uuid4

from redis.asyncio import Redis

from . import redis as redis_client
from .errors import RedisUnavailable
from .rates import COUNT, Window
from .settings import Settings
from .tokens import AccessToken

# From a request's arrival to the commit of what it writes; generous.
LONGEST_WRITE_SECONDS = 30
_REPEATED_SECONDS = 60  # more than the client may take to run a script again

# One script each, so that no crash leaves a session that its user's set does not know. Each may run twice (the client
# repeats one whose answer was lost) with the effect of once.
_NOW = "local now = tonumber(redis.call('TIME')[1])\n"
_CREATE = (
    _NOW
    + """
local idle, longest, most = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
redis.call('HSET', KEYS[1], 'user_id', ARGV[1], 'user_type', ARGV[2], 'created_at', now, 'last_seen_at', now,
           'expires_at', now + longest, 'generation', 0, 'refreshed_at', now, 'ip', ARGV[6], 'user_agent', ARGV[7])
redis.call('EXPIREAT', KEYS[1], math.min(now + idle, now + longest))
redis.call('ZADD', KEYS[2], 'NX', redis.call('INCR', 'sessions-created'), ARGV[8])
redis.call('EXPIREAT', KEYS[2], now + longest)
local ids = redis.call('ZRANGE', KEYS[2], 0, -1)
local living = {}
for _, id in ipairs(ids) do
    if redis.call('EXISTS', 'session:' .. id) == 1 then
        living[#living + 1] = id
    else
        redis.call('ZREM', KEYS[2], id)
    end
end
for place = 1, #living - most do
    redis.call('DEL', 'session:' .. living[place])
    redis.call('ZREM', KEYS[2], living[place])
end
return now
"""
)
_TOUCH = (
    COUNT
    + _NOW
    + """
local found = redis.call('HMGET', KEYS[1], 'user_id', 'user_type', 'created_at', 'expires_at')
if not found[1] then return nil end
redis.call('HSET', KEYS[1], 'last_seen_at', now)
redis.call('EXPIREAT', KEYS[1], math.min(now + tonumber(ARGV[1]), tonumber(found[4])))
local wrote = 'wrote:' .. found[1]
if ARGV[2] ~= '0' then redis.call('SET', wrote, '', 'EX', ARGV[2]) end
local counted = KEYS[2] and count(KEYS[2], ARGV[3]) or {0, 0}
return {found[1], found[2], found[3], tostring(now), found[4], redis.call('EXISTS', wrote), counted[1], counted[2]}
"""
)
_REFRESH = (
    _NOW
    + """
local found = redis.call('HMGET', KEYS[1], 'expires_at', 'generation', 'refreshed_at')
if not found[1] then return {'ended'} end
local presented, generation, refreshed_at = tonumber(ARGV[1]), tonumber(found[2]), tonumber(found[3])
if presented == generation then
    generation, refreshed_at = generation + 1, now
    redis.call('HSET', KEYS[1], 'generation', generation, 'refreshed_at', now, 'last_seen_at', now)
    redis.call('EXPIREAT', KEYS[1], math.min(now + tonumber(ARGV[2]), tonumber(found[1])))
elseif presented ~= generation - 1 or now - refreshed_at > tonumber(ARGV[3]) then
    return {'reused'}
end
return {'refreshed', tostring(generation), tostring(refreshed_at),
        tostring(math.min(refreshed_at + tonumber(ARGV[2]), tonumber(found[1])))}
"""
)
# Of the two that follow, a second run would find nothing to end: it tells what the first one did.
_END = """
local before = redis.call('GET', KEYS[2])
if before then return tonumber(before) end
local user_id = redis.call('HGET', KEYS[1], 'user_id')
if user_id then redis.call('ZREM', 'sessions-of:' .. user_id, ARGV[1]) end
local ended = redis.call('DEL', KEYS[1])
if ended > 0 then redis.call('SET', KEYS[2], ended, 'EX', ARGV[2]) end
return ended
"""
_END_ALL = """
local before = redis.call('GET', KEYS[2])
if before then return tonumber(before) end
local ended = 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    if id ~= ARGV[1] then
        ended = ended + redis.call('DEL', 'session:' .. id)
        redis.call('ZREM', KEYS[1], id)
    end
end
if ended > 0 then redis.call('SET', KEYS[2], ended, 'EX', ARGV[2]) end
return ended
"""
_LIST = (
    _NOW
    + """
local sessions = {}
for _, id in ipairs(redis.call('ZREVRANGE', KEYS[1], 0, -1)) do
    local found = redis.call('HMGET', 'session:' .. id, 'user_type', 'created_at', 'last_seen_at', 'ip', 'user_agent')
    if found[1] then
        local ends = tostring(now + redis.call('TTL', 'session:' .. id))
        sessions[#sessions + 1] = {id, found[1], found[2], found[3], ends, found[4], found[5]}
    end
end
return sessions
"""
)


@dataclass(frozen=True)
class Session:
    """A living session. `expires_at` is when it ends if nothing touches it any more."""

    id: UUID
    user_id: UUID
    user_type: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    ip: str | None = None
    user_agent: str | None = None
    wrote_recently: bool = False


@dataclass(frozen=True)
class Refreshment:
    """What comes of a refresh: `refreshed` (a repeated one in the grace too), `reused`, or the session had `ended`.

    `generation` is the successor's, issued at `refreshed_at`, good until `expires_at` (Unix seconds).
    """

    outcome: Literal["refreshed", "reused", "ended"]
    generation: int = 0
    refreshed_at: int = 0
    expires_at: int = 0


class _Replicated:
    """A script that is done when `REDIS_REPLICAS_TO_WAIT_FOR` replicas have what it wrote: a failover keeps it."""

    def __init__(self, redis: Redis, script: str, settings: Settings) -> None:
        self._redis = redis
        self._script = redis.register_script(script)
        self._replicas = settings.redis_replicas_to_wait_for
        # Less than the client waits for an answer.
        self._milliseconds = int(settings.redis_timeout_seconds * 600)

    async def __call__(self, keys: list[str], args: list[str]) -> Any:
        if not self._replicas:
            return await self._script(keys=keys, args=args)
        async with self._redis.pipeline(transaction=False) as one_connection:
            await self._script(keys=keys, args=args, client=one_connection)
            one_connection.execute_command("WAIT", self._replicas, self._milliseconds)
            answer, reached = await one_connection.execute()
        if reached < self._replicas:
            raise RedisUnavailable
        return answer


class Sessions:
    """Creates, touches, refreshes and ends sessions. Raises RedisUnavailable when Redis does not answer in time."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._idle_seconds = str(settings.session_idle_seconds)
        self._max_seconds = str(settings.session_max_seconds)
        self._per_user = str(settings.sessions_per_user)
        self._unreplicated_seconds = "0"
        if settings.database_read_url:
            longest = settings.database_read_max_staleness_seconds + LONGEST_WRITE_SECONDS
            self._unreplicated_seconds = str(int(longest) + 1)
        self._create = _Replicated(redis, _CREATE, settings)
        self._touch = redis.register_script(_TOUCH)
        self._refresh = _Replicated(redis, _REFRESH, settings)
        self._end = _Replicated(redis, _END, settings)
        self._end_all = _Replicated(redis, _END_ALL, settings)
        self._list = redis.register_script(_LIST)

    async def create(
        self, user_id: UUID, user_type: str, ip: str | None, user_agent: str | None, session_id: UUID | None = None
    ) -> tuple[UUID, int]:
        """Start a session, which ends after `SESSION_IDLE_SECONDS` without a request or after `SESSION_MAX_SECONDS`.

        A user's sessions over `SESSIONS_PER_USER` end, the oldest first. Returns the id (a new one if none is given)
        and when it began.
        """
        session_id = session_id or uuid4()
        arguments = [str(user_id), user_type, self._idle_seconds, self._max_seconds, self._per_user]
        arguments += [ip or "", (user_agent or "")[:256], str(session_id)]
        with redis_client.available():
            began = await self._create(keys=[f"session:{session_id}", f"sessions-of:{user_id}"], args=arguments)
        return session_id, int(began)

    async def touch(self, session_id: UUID, *, writes: bool = False, counting: Window | None = None) -> Session | None:
        """The session, its idle time started anew; None when it has ended. `writes`: the user is about to.

        `counting` counts a hit of whoever has it, in the same round trip. Raises TooManyRequests past that rate.
        """
        keys, arguments = [f"session:{session_id}"], [self._idle_seconds, self._unreplicated_seconds if writes else "0"]
        if counting:
            keys.append(counting.key)
            arguments.append(str(counting.rate.seconds))
        with redis_client.available():
            found = await self._touch(keys=keys, args=arguments)
        if found is None:
            return None
        user_id, user_type, created_at, now, absolute_end, wrote, hits, milliseconds_left = found
        if counting:
            counting.admit(hits, milliseconds_left)
        ends = min(int(now) + int(self._idle_seconds), int(absolute_end))
        times = (_time(created_at), _time(now), _time(ends))
        return Session(session_id, UUID(user_id), user_type, *times, wrote_recently=bool(wrote))

    async def refresh(self, session_id: UUID, generation: int, grace_seconds: int) -> Refreshment:
        """Spend the refresh token of a generation: its successor, the same one again within the grace.

        An older generation, or the last one after the grace, is reuse: the session is to end, by whoever records that.
        """
        arguments = [str(generation), self._idle_seconds, str(grace_seconds)]
        with redis_client.available():
            outcome, *numbers = await self._refresh(keys=[f"session:{session_id}"], args=arguments)
        return Refreshment(outcome, *(int(number) for number in numbers))

    async def user_of(self, session_id: UUID) -> UUID | None:
        """Whose session it is; None when it has ended."""
        with redis_client.available():
            found = await self._redis.hget(f"session:{session_id}", "user_id")
        return UUID(str(found)) if found else None

    async def list_of(self, user_id: UUID) -> list[Session]:
        """The living sessions of a user, the newest first."""
        with redis_client.available():
            found = await self._list(keys=[f"sessions-of:{user_id}"], args=[])
        return [
            Session(UUID(id_), user_id, kind, _time(began), _time(seen), _time(ends), ip or None, agent or None)
            for id_, kind, began, seen, ends, ip, agent in found
        ]

    async def touch_of(
        self, access: AccessToken, *, writes: bool = False, counting: Window | None = None
    ) -> Session | None:
        """The session behind an access token, touched; None when it has ended or is not that user's."""
        session = await self.touch(access.session_id, writes=writes, counting=counting)
        if session is None or (session.user_id, session.user_type) != (access.user_id, access.user_type):
            return None
        return session

    async def end(self, session_id: UUID) -> bool:
        """End one session; False when it had ended already."""
        with redis_client.available():
            return bool(await self._end(*_once(f"session:{session_id}", str(session_id))))

    async def end_all(self, user_id: UUID, keep: UUID | None = None) -> int:
        """End every session of a user, but `keep`; how many there were."""
        with redis_client.available():
            return int(await self._end_all(*_once(f"sessions-of:{user_id}", str(keep or ""))))


def _once(key: str, argument: str) -> tuple[list[str], list[str]]:
    """The keys and arguments of a call that ends sessions, and that the client may run again."""
    return [key, f"ended:{uuid4()}"], [argument, str(_REPEATED_SECONDS)]


def _time(seconds: str | int) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
