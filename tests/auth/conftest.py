"""What the auth service's tests share: its resources in this process, and a view of Redis behind the API."""

from collections.abc import AsyncIterator, Iterator

import pytest
from auth_app.resources import AuthResources
from auth_app.settings import AuthSettings
from redis import Redis

from dev.fleet import Fleet
from shared.settings import Settings


@pytest.fixture
def redis(fleet: Fleet) -> Iterator[Redis]:
    """A client of the fleet's Redis."""
    client: Redis = Redis.from_url(fleet.redis_url, decode_responses=True)
    yield client
    client.close()


@pytest.fixture
async def resources(settings: Settings) -> AsyncIterator[AuthResources]:
    """The auth service's resources, on the servers of the tests."""
    opened = AuthResources.open("auth-jwt-service", AuthSettings(**vars(settings), bcrypt_rounds=4))
    yield opened
    await opened.close()
