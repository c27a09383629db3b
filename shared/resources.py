"""What a running service holds open, made once at start and passed to its use cases."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from redis.asyncio import Redis

from . import redis as redis_client
from .auth_client import AuthClient
from .idempotency import Creations
from .keys import PublishedKeys, SharedSecrets, VerificationKeys
from .metrics import Metric
from .pagination import Cursors, PageQuery
from .postgres import Database, Reader
from .rates import Rates
from .replica import Replica
from .sessions import Sessions
from .settings import ClientSettings, Settings


@dataclass(frozen=True)
class Resources:
    """Connections and codecs of one service. Nothing connects before its first use."""

    service: str
    settings: Settings
    db: Database
    reader: Reader
    redis: Redis
    sessions: Sessions
    cursors: Cursors
    rates: Rates
    keys: VerificationKeys
    creations: Creations

    @classmethod
    def build(cls, service: str, settings: Settings, keys: VerificationKeys) -> "Resources":
        """The resources that every service has; `keys` verify access tokens."""
        redis = redis_client.connect(settings)
        cursors, sessions, rates = (
            Cursors(settings, service),
            Sessions(redis, settings),
            Rates(redis, settings, service),
        )
        creations = Creations(settings, service)
        db = Database(settings)
        reader = Replica(db, settings) if settings.database_read_url else db
        return cls(service, settings, db, reader, redis, sessions, cursors, rates, keys, creations)

    def measure(self) -> Iterator[Metric]:
        """What Prometheus is told of them at each scrape."""
        yield from self.db.measure()

    def reader_of(self, query: PageQuery) -> Reader:
        """Who reads a page: the first may be some seconds old, those that follow never older than the first."""
        return self.db if query.cursor else self.reader

    def shed(self) -> None:
        """Refuse what would outlast the end of the service; called once nobody can connect any more."""

    async def close(self) -> None:
        """Close every connection."""
        self.db.close()
        if isinstance(self.reader, Replica):
            self.reader.close()
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


async def resources(request: Request) -> Any:
    """The dependency that hands a route its service's resources; a coroutine, since FastAPI runs others in a thread."""
    return request.app.state.resources
