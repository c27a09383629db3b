"""Sessions: an allow-list in Redis. A request without a living session is not authenticated, whatever its token says.

`session:{id}` is a hash (whose, since when, until when); `user-sessions:{user_id}` is the set of a user's session ids.
Neither holds a credential. Times are Unix seconds.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from redis.asyncio import Redis

from . import redis as redis_client
from .settings import Settings
from .tokens import AccessToken

# One script each, so that no crash leaves a session that its user's set does not know; each may run twice.
_CREATE = """
redis.call('HSET', KEYS[1], 'user_id', ARGV[1], 'user_type', ARGV[2], 'created_at', ARGV[3],
           'last_seen_at', ARGV[3], 'expires_at', ARGV[4], 'ip', ARGV[6], 'user_agent', ARGV[7])
redis.call('EXPIREAT', KEYS[1], math.min(ARGV[3] + ARGV[5], ARGV[4]))
redis.call('SADD', KEYS[2], ARGV[8])
redis.call('EXPIREAT', KEYS[2], ARGV[4])
return 1
"""
_TOUCH = """
local found = redis.call('HMGET', KEYS[1], 'user_id', 'user_type', 'created_at', 'expires_at')
if not found[1] then return nil end
redis.call('HSET', KEYS[1], 'last_seen_at', ARGV[1])
redis.call('EXPIREAT', KEYS[1], math.min(ARGV[1] + ARGV[2], found[4]))
return found
"""
_END = """
local user_id = redis.call('HGET', KEYS[1], 'user_id')
if user_id then redis.call('SREM', 'user-sessions:' .. user_id, ARGV[1]) end
return redis.call('DEL', KEYS[1])
"""
_END_ALL = """
local ended = 0
for _, id in ipairs(redis.call('SMEMBERS', KEYS[1])) do ended = ended + redis.call('DEL', 'session:' .. id) end
redis.call('DEL', KEYS[1])
return ended
"""


@dataclass(frozen=True)
class Session:
    """A living session. `expires_at` is when it ends if nothing touches it any more."""

    id: UUID
    user_id: UUID
    user_type: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


class Sessions:
    """Creates, touches and ends sessions. Raises RedisUnavailable when Redis does not answer in time."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._idle_seconds = settings.session_idle_seconds
        self._max_seconds = settings.session_max_seconds
        self._create = redis.register_script(_CREATE)
        self._touch = redis.register_script(_TOUCH)
        self._end = redis.register_script(_END)
        self._end_all = redis.register_script(_END_ALL)

    async def create(self, user_id: UUID, user_type: str, ip: str | None, user_agent: str | None) -> UUID:
        """Start a session: it ends after `SESSION_IDLE_SECONDS` without a request, or after `SESSION_MAX_SECONDS`."""
        session_id, now = uuid4(), int(time.time())
        arguments = [str(user_id), user_type, str(now), str(now + self._max_seconds), str(self._idle_seconds)]
        arguments += [ip or "", (user_agent or "")[:256], str(session_id)]
        with redis_client.available():
            await self._create(keys=[f"session:{session_id}", f"user-sessions:{user_id}"], args=arguments)
        return session_id

    async def touch(self, session_id: UUID) -> Session | None:
        """The session, its idle time started anew; None when it has ended."""
        now = int(time.time())
        with redis_client.available():
            found = await self._touch(keys=[f"session:{session_id}"], args=[now, self._idle_seconds])
        if found is None:
            return None
        user_id, user_type, created_at, expires_at = found
        return Session(
            id=session_id,
            user_id=UUID(user_id),
            user_type=user_type,
            created_at=datetime.fromtimestamp(int(created_at), UTC),
            last_seen_at=datetime.fromtimestamp(now, UTC),
            expires_at=datetime.fromtimestamp(min(now + self._idle_seconds, int(expires_at)), UTC),
        )

    async def touch_of(self, access: AccessToken) -> Session | None:
        """The session behind an access token, touched; None when it has ended or is not that user's."""
        session = await self.touch(access.session_id)
        if session is None or (session.user_id, session.user_type) != (access.user_id, access.user_type):
            return None
        return session

    async def end(self, session_id: UUID) -> bool:
        """End one session; False when it had ended already."""
        with redis_client.available():
            return bool(await self._end(keys=[f"session:{session_id}"], args=[str(session_id)]))

    async def end_all(self, user_id: UUID) -> int:
        """End every session of a user; how many there were."""
        with redis_client.available():
            return int(await self._end_all(keys=[f"user-sessions:{user_id}"]))
