"""How often a client may call: fixed windows, counted in Redis."""

from dataclasses import dataclass

from redis.asyncio import Redis

from . import redis as redis_client
from .errors import TooManyRequests
from .settings import Settings

# How much, how much is left, how many seconds until it is whole again, and the policy (amount; window in seconds).
RATE_HEADERS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "RateLimit-Policy")

_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}

# For scripts that do more in the same round trip. A window begins with its first hit; {hits, milliseconds left}.
COUNT = """
local function count(key, seconds)
    local hits = redis.call('INCR', key)
    if hits == 1 then redis.call('EXPIRE', key, seconds) end
    return {hits, redis.call('PTTL', key)}
end
"""


@dataclass(frozen=True)
class Rate:
    """So many hits in a window of so many seconds."""

    amount: int
    seconds: int

    @classmethod
    def of(cls, text: str) -> "Rate":
        """The rate that a setting states as `600/minute`."""
        amount, _, unit = text.partition("/")
        return cls(int(amount), _SECONDS[unit])


@dataclass(frozen=True)
class Window:
    """Where the hits of one client at one place are counted against a rate; another rate is another window."""

    place: str
    client: str
    rate: Rate

    @property
    def key(self) -> str:
        """The key in Redis."""
        return f"rates:{self.place}:{self.client}:{self.rate.amount}/{self.rate.seconds}"

    def admit(self, hits: int, milliseconds_left: int, refusal: type[TooManyRequests] = TooManyRequests) -> None:
        """Raise `refusal` when these are more hits than the rate allows, with when to come back."""
        if hits <= self.rate.amount:
            return
        wait = min(milliseconds_left // 1_000 + 1, self.rate.seconds)
        values = (str(self.rate.amount), "0", str(wait), f"{self.rate.amount};w={self.rate.seconds}")
        raise refusal(wait, **dict(zip(RATE_HEADERS, values, strict=True)))


class Rates:
    """Counts hits of one service. Raises TooManyRequests past a rate, RedisUnavailable when Redis does not answer."""

    def __init__(self, redis: Redis, settings: Settings, service: str) -> None:
        self._service = service
        self._per_client = Rate.of(settings.request_rate_per_client)
        self._count = redis.register_script(COUNT + "return count(KEYS[1], ARGV[1])")

    def window_of(self, client: str) -> Window:
        """Where the requests of a client, an account's id or an address, are counted."""
        return Window(self._service, client, self._per_client)

    async def count_request(self, client: str) -> None:
        """Count one request of a client."""
        await self.count(self.window_of(client))

    async def count(self, window: Window, refusal: type[TooManyRequests] = TooManyRequests) -> None:
        """Count one hit. Raises `refusal` past the rate."""
        with redis_client.available():
            hits, milliseconds_left = await self._count(keys=[window.key], args=[window.rate.seconds])
        window.admit(hits, milliseconds_left, refusal)
