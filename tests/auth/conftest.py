"""What the auth service's tests share: its resources in this process, and a view of Redis behind the API."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from auth_app.keys import SigningKeys
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
def keys(fleet: Fleet) -> SigningKeys:
    """The keys with which the fleet signs its access tokens."""
    environment = fleet.environments["auth"]
    return SigningKeys.of_files(environment["JWT_ALGORITHM"], [Path(environment["JWT_PRIVATE_KEY_FILE"])])


@pytest.fixture
async def resources(fleet: Fleet, settings: Settings) -> AsyncIterator[AuthResources]:
    """The auth service's resources, on the servers of the tests."""
    opened = AuthResources.open("auth-jwt-service", auth_settings(fleet, settings))
    yield opened
    await opened.close()


def auth_settings(fleet: Fleet, settings: Settings, **changes: Any) -> AuthSettings:
    """The settings of the fleet's auth service, but as the database's owner, and the changes."""
    environment = fleet.environments["auth"]
    own = {
        "jwt_private_key_file": environment["JWT_PRIVATE_KEY_FILE"],
        "refresh_token_key": environment["REFRESH_TOKEN_KEY"],
        "bcrypt_rounds": 4,
        "login_rate_per_ip": environment["LOGIN_RATE_PER_IP"],
    }
    return AuthSettings(**{**vars(settings), **own, **changes})
