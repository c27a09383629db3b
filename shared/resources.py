"""What a running service holds open, made once at start and passed to its use cases."""

from dataclasses import dataclass

from redis.asyncio import Redis

from . import redis as redis_client
from .auth_client import AuthClient
from .pagination import Cursors
from .postgres import Database
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

    @classmethod
    def open(cls, service: str, settings: Settings) -> "Resources":
        """The resources of `service`."""
        redis = redis_client.connect(settings)
        cursors, sessions = Cursors(settings, service), Sessions(redis, settings)
        return cls(service, settings, Database(settings), redis, sessions, cursors)

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
        base = Resources.open(service, settings)
        return cls(**vars(base), auth=AuthClient(service, settings))

    async def close(self) -> None:
        """Close every connection."""
        await super().close()
        await self.auth.close()
