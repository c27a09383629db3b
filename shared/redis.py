"""The Redis client, with time limits and one error for every way in which Redis can be away."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from . import context
from .errors import RedisUnavailable
from .settings import Settings


def connect(settings: Settings) -> Redis:
    """A client that opens its connections when first used; every script that it runs may safely run twice."""
    client: Redis = Redis.from_url(
        settings.redis_url.get_secret_value(),
        decode_responses=True,
        socket_timeout=settings.redis_timeout_seconds,
        socket_connect_timeout=settings.redis_timeout_seconds,
        retry=Retry(NoBackoff(), 1),
        retry_on_error=[ConnectionError],
        health_check_interval=0,
    )
    return client


@contextmanager
def available() -> Iterator[None]:
    """Raise RedisUnavailable (503) for whatever keeps Redis from answering: never a 401, never a 200."""
    current = context.current()
    try:
        with current.span.step("redis", db__system__name="redis"):
            yield
    except (RedisError, OSError) as exc:
        if current.metrics:
            current.metrics.redis_errors.inc()
        raise RedisUnavailable from exc
