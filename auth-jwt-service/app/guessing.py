"""Limits on guessing passwords: counted in Redis before a password is hashed, so that parallel guesses don't slip by.

An attempt takes a place in two budgets, that of the account from its address and that of the account from anywhere,
and gives both back when the password was right. A wrong one stays counted; the last of a budget starts a wait, which
doubles each time. While all places are taken by attempts under way, the next one waits its turn, for a bounded time.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

from redis.asyncio import Redis

from shared import redis as redis_client
from shared.admission import aside
from shared.errors import Busy, InvalidCredentials, RedisUnavailable, TooManyAttempts, WrongPassword
from shared.rates import RATE_HEADERS

FAILURES_PER_ADDRESS = 5
FAILURES_FROM_ANYWHERE = 50
FIRST_WAIT_SECONDS = 30
LONGEST_WAIT_SECONDS = 900
MEMORY_SECONDS = 86_400  # how long failures are remembered after the last one
PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.025
_LEASE_SECONDS = 5  # of an attempt's place, renewed while it lasts: that of one whose process died is soon free again
_REPEATED_SECONDS = 60  # more than the client may take to run a script again

# KEYS: for each budget a hash (failures, level, blocked_until) and a sorted set of the attempts under way.
# ARGV: the attempt's id, then each budget's limit. Both scripts may run twice with the effect of once.
_BEGIN = f"""
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
for place = 1, #KEYS, 2 do
    local blocked_until = tonumber(redis.call('HGET', KEYS[place], 'blocked_until') or '0')
    if blocked_until > now then
        return {{'blocked', tostring(math.ceil(blocked_until - now)), ARGV[(place + 3) / 2]}}
    end
end
if redis.call('ZSCORE', KEYS[2], ARGV[1]) then return {{'go'}} end
for place = 1, #KEYS, 2 do
    redis.call('ZREMRANGEBYSCORE', KEYS[place + 1], '-inf', now)
    local failures = tonumber(redis.call('HGET', KEYS[place], 'failures') or '0')
    if failures + redis.call('ZCARD', KEYS[place + 1]) >= tonumber(ARGV[(place + 3) / 2]) then return {{'full'}} end
end
for place = 1, #KEYS, 2 do
    redis.call('ZADD', KEYS[place + 1], now + {_LEASE_SECONDS}, ARGV[1])
    redis.call('EXPIRE', KEYS[place + 1], {_LEASE_SECONDS})
end
return {{'go'}}
"""
_END = f"""
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local locked = 0
-- Not by the place, which may have lapsed while Redis was away: the guess counts all the same.
local first_time = redis.call('SET', 'guess-ended:' .. ARGV[1], '', 'NX', 'EX', {_REPEATED_SECONDS})
for place = 1, #KEYS, 2 do
    redis.call('ZREM', KEYS[place + 1], ARGV[1])
    if first_time and ARGV[2] == 'right' and place == 1 then redis.call('DEL', KEYS[place]) end
    if first_time and ARGV[2] == 'wrong' then
        local limit = tonumber(ARGV[(place + 5) / 2])
        if redis.call('HINCRBY', KEYS[place], 'failures', 1) >= limit then
            local level = redis.call('HINCRBY', KEYS[place], 'level', 1) - 1
            local wait = math.min({FIRST_WAIT_SECONDS} * 2 ^ math.min(level, 10), {LONGEST_WAIT_SECONDS})
            redis.call('HSET', KEYS[place], 'failures', limit - 1, 'blocked_until', tostring(now + wait))
            locked = 1
        end
        redis.call('EXPIRE', KEYS[place], {MEMORY_SECONDS})
    end
end
return locked
"""
_RENEW = f"""
local time = redis.call('TIME')
local ends = time[1] + time[2] / 1000000 + {_LEASE_SECONDS}
for place = 1, #KEYS, 2 do
    if redis.call('ZADD', KEYS[place + 1], 'XX', 'CH', ends, ARGV[1]) == 1 then
        redis.call('EXPIRE', KEYS[place + 1], {_LEASE_SECONDS})
    end
end
"""
_LIMITS = [str(FAILURES_PER_ADDRESS), str(FAILURES_FROM_ANYWHERE)]


class Attempt:
    """A guess under way; `locked` tells afterwards whether it was the one too many."""

    locked = False


class Guesses:
    """Takes and gives back places. Raises TooManyAttempts during a wait, Busy when no place became free in time."""

    def __init__(self, redis: Redis) -> None:
        self._begin = redis.register_script(_BEGIN)
        self._renew = redis.register_script(_RENEW)
        self._end = redis.register_script(_END)

    @asynccontextmanager
    async def attempt(self, account: str, address: str) -> AsyncIterator[Attempt]:
        """Hold a place while a password is checked: InvalidCredentials and WrongPassword keep it, all else not."""
        keys, attempt_id, attempt = _keys(account, address), str(uuid4()), Attempt()
        await self._take_place(keys, attempt_id)
        renewal = asyncio.create_task(self._keep_place(keys, attempt_id))
        outcome = "none"  # a fault of ours says nothing about the password
        try:
            yield attempt
            outcome = "right"
        except (InvalidCredentials, WrongPassword):
            outcome = "wrong"
            raise
        finally:
            renewal.cancel()
            with redis_client.available():
                ended = self._end(keys=keys, args=[attempt_id, outcome, *_LIMITS])
                attempt.locked = bool(await asyncio.shield(ended))

    async def _take_place(self, keys: list[str], attempt_id: str) -> None:
        if await self._has_place(keys, attempt_id):
            return
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + PATIENCE_SECONDS
        async with aside(clock_stops=True):
            while not await self._has_place(keys, attempt_id):
                if loop.time() > give_up_at:
                    raise Busy
                await asyncio.sleep(_POLL_SECONDS)

    async def _keep_place(self, keys: list[str], attempt_id: str) -> None:
        while True:
            await asyncio.sleep(_LEASE_SECONDS / 5)
            with suppress(RedisUnavailable), redis_client.available():
                await self._renew(keys=keys, args=[attempt_id])

    async def _has_place(self, keys: list[str], attempt_id: str) -> bool:
        with redis_client.available():
            answer, *refusal = await self._begin(keys=keys, args=[attempt_id, *_LIMITS])
        if answer == "blocked":
            wait, limit = refusal
            raise TooManyAttempts(int(wait), **dict(zip(RATE_HEADERS, (limit, "0", wait), strict=False)))
        return bool(answer == "go")


def _keys(account: str, address: str) -> list[str]:
    """The keys of both budgets; digests, since an e-mail has no business in Redis."""
    known = account.lower().encode("utf-8", "surrogatepass")
    digests = [hashlib.sha256(part).hexdigest() for part in (known + b"\0" + address.encode(), known)]
    return [f"guesses:{digest}{end}" for digest in digests for end in ("", ":under-way")]
