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
from tests.support import Api

# Of the second fleet. It believes X-Forwarded-For of this machine, so a test chooses the address that it comes from.
OTHER_ENVIRONMENT = {
    "ADMIN_EMAIL": "admin@example.com",
    "ADMIN_PASSWORD": "the admin of the other fleet",
    "APP_ENV": "production",
    "BCRYPT_ROUNDS": "4",
    "JWT_SECRET_KEY": "Zq7-kd83hGf_2mXv-91LwsTb-04RnYcUa",
    "JWT_ALGORITHM": "HS256",
    "TRUSTED_PROXIES": "127.0.0.0/8",
    "LOGIN_RATE_PER_IP": "20/minute",
    "REFRESH_GRACE_SECONDS": "1",
    "SESSIONS_PER_USER": "3",
    "ACCESS_TOKEN_TTL_SECONDS": "120",
}


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


@pytest.fixture(scope="session")
def other_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A second fleet, set up as differently as can be: a shared secret, a proxy in front, small limits."""
    running = Fleet(tmp_path_factory.mktemp("other-fleet"), extra_env=OTHER_ENVIRONMENT)
    running.start()
    yield running
    running.remove()


@pytest.fixture(scope="session")
def other_api(other_fleet: Fleet) -> Iterator[Api]:
    """A client that makes users and entities in the second fleet."""
    client = Api(other_fleet.urls, OTHER_ENVIRONMENT["ADMIN_EMAIL"], OTHER_ENVIRONMENT["ADMIN_PASSWORD"])
    yield client
    client.close()
