"""How often a client may call: fixed windows of the `limits` library, counted in Redis."""

import time

from limits import RateLimitItem, parse
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from redis.asyncio import Redis

from . import redis as redis_client
from .errors import TooManyRequests
from .settings import Settings

# How much, how much is left, how many seconds until it is whole again, and the policy (amount; window in seconds).
RATE_HEADERS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "RateLimit-Policy")


class Rates:
    """Counts hits of one service. Raises TooManyRequests past a rate, RedisUnavailable when Redis does not answer."""

    def __init__(self, redis: Redis, settings: Settings, service: str) -> None:
        self._service = service
        self._per_client = parse(settings.request_rate_per_client)
        storage = RedisStorage(
            f"async+{settings.redis_url.get_secret_value()}",
            implementation="redispy",
            key_prefix="rates",
            # Ours, with its time limits and its retry: after a restart of Redis the first request passes.
            connection_pool=redis.connection_pool,  # type: ignore[arg-type]  # documented, but not annotated
        )
        self._limiter = FixedWindowRateLimiter(storage)

    async def count_request(self, client: str) -> None:
        """Count one request of a client, an account's id or an address."""
        await self.count(self._per_client, TooManyRequests, self._service, client)

    async def count(self, rate: RateLimitItem, refusal: type[TooManyRequests], *identifiers: str) -> None:
        """Count one hit of `identifiers`. Raises `refusal` past the rate, with when to come back."""
        with redis_client.available():
            if await self._limiter.hit(rate, *identifiers):
                return
            window = await self._limiter.get_window_stats(rate, *identifiers)
        # Redis rounds what is left of a window to whole seconds: one more, so that nobody comes back too early.
        wait = min(round(window.reset_time - time.time()) + 1, rate.get_expiry())
        values = (str(rate.amount), "0", str(wait), f"{rate.amount};w={rate.get_expiry()}")
        raise refusal(wait, **dict(zip(RATE_HEADERS, values, strict=True)))
