"""The Redis client, with time limits and one error for every way in which Redis can be away."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelManagedConnection
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from . import context
from .errors import RedisUnavailable
from .settings import Settings

SENTINEL = "redis+sentinel"
SENTINEL_PORT = 26379


def connect(settings: Settings) -> Redis:
    """A client that opens its connections when first used; every script that it runs may safely run twice."""
    return client_of(settings.redis_url.get_secret_value(), settings.redis_timeout_seconds)


def client_of(url: str, timeout_seconds: float) -> Redis:
    """A client of `redis://user:password@host:6379/0`, or of the master that Sentinels name (`_through_sentinels`)."""
    limits: dict[str, Any] = {"socket_timeout": timeout_seconds, "socket_connect_timeout": timeout_seconds}
    options: dict[str, Any] = {
        **limits,
        "decode_responses": True,
        "retry": Retry(NoBackoff(), 1),
        "retry_on_error": [ConnectionError],
        "health_check_interval": 0,
    }
    if urlsplit(url).scheme == SENTINEL:
        return _through_sentinels(url, limits, options)
    client: Redis = Redis.from_url(url, **options)
    return client


def _through_sentinels(url: str, limits: dict[str, Any], options: dict[str, Any]) -> Redis:
    """A client of the master that the first Sentinel to answer names, asked anew for each connection.

    `redis+sentinel://user:password@first:26379,second:26379/mymaster/0`, with `?sentinel_password=…` (and
    `sentinel_username`) where the Sentinels themselves want one. Raises ValueError for what isn't of this form.
    """
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    name, _, database = parts.path.strip("/").partition("/")
    if not name or not hosts:
        raise ValueError("redis+sentinel:// needs hosts and the name of the master")
    asked = {key.removeprefix("sentinel_"): values[0] for key, values in parse_qs(parts.query).items()}
    sentinels = [urlsplit(f"//{host}") for host in hosts.split(",")]
    found = Sentinel(  # type: ignore[no-untyped-call]
        [(sentinel.hostname, sentinel.port or SENTINEL_PORT) for sentinel in sentinels],
        # One that doesn't answer is passed over: the next one is asked, not the same one again.
        sentinel_kwargs={**limits, "retry": Retry(NoBackoff(), 0), **asked},
        username=unquote(user) or None,
        password=unquote(password) or None,
        db=int(database or 0),
        connection_class=_ToMaster,
        **options,
    )
    client: Redis = found.master_for(name)
    return client


class _ToMaster(SentinelManagedConnection):
    """A connection that asks the Sentinels whenever it opens, and opens anew when its server has no replica left.

    A master that was frozen while another one was named wakes up as the master of nobody, and some seconds pass until
    a Sentinel tells it.
    """

    async def send_packed_command(self, *args: Any, **options: Any) -> None:
        """Send a command, on a fresh connection where the last one ended."""
        if not self.is_connected:
            # The library's own way back is to the same server: redis/redis-py#3874.
            await self.connect()  # type: ignore[no-untyped-call]
        await super().send_packed_command(*args, **options)

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """The next answer. Raises ConnectionError, upon which the client tries once more."""
        try:
            return await super().read_response(*args, **options)
        except ResponseError as exc:
            if not str(exc).startswith("NOREPLICAS"):
                raise
            await self.disconnect()
            raise RedisConnectionError from exc


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
