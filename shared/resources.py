"""What a running service holds open, made once at start and passed to its use cases."""

from collections.abc import Iterator
from dataclasses import dataclass

from redis.asyncio import Redis

from . import redis as redis_client
from .auth_client import AuthClient
from .keys import PublishedKeys, SharedSecrets, VerificationKeys
from .metrics import Metric
from .pagination import Cursors
from .postgres import Database
from .rates import Rates
from .sessions import Sessions
from .settings import ClientSettings, Settings


@dataclass(frozen=True)
class Resources:
    """Connections and codecs of one service. Nothing connects before its first use."""

    service: str
    settings: Settings
    db: Database
    redis: Redis
    sessions: Sessions
    cursors: Cursors
    rates: Rates
    keys: VerificationKeys

    @classmethod
    def build(cls, service: str, settings: Settings, keys: VerificationKeys) -> "Resources":
        """The resources that every service has; `keys` verify access tokens."""
        redis = redis_client.connect(settings)
        cursors, sessions, rates = (
            Cursors(settings, service),
            Sessions(redis, settings),
            Rates(redis, settings, service),
        )
        return cls(service, settings, Database(settings), redis, sessions, cursors, rates, keys)

    def measure(self) -> Iterator[Metric]:
        """What Prometheus is told of them at each scrape."""
        yield from self.db.measure()

    async def close(self) -> None:
        """Close every connection."""
        self.db.close()
        await self.redis.aclose()


@dataclass(frozen=True)
class ClientResources(Resources):
    """The resources of a service that calls the auth service."""

    auth: AuthClient

    @classmethod
    def open(cls, service: str, settings: Settings) -> "ClientResources":
        """The resources of `service`; its settings say where the auth service is."""
        assert isinstance(settings, ClientSettings)
        auth = AuthClient(service, settings)
        keys: VerificationKeys = SharedSecrets(*settings.token_secrets)
        if settings.jwt_algorithm != "HS256":
            keys = PublishedKeys(settings.jwt_algorithm, auth.fetch_keys)
        return cls(**vars(Resources.build(service, settings, keys)), auth=auth)

    async def close(self) -> None:
        """Close every connection."""
        await super().close()
        await self.auth.close()
