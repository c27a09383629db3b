"""One real fleet for the whole run: its own PostgreSQL and Redis servers, data directory and ports."""

import importlib.util
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extras import RealDictCursor

import dev.settings
from dev import ROOT
from dev.fleet import Fleet
from shared.postgres import Database
from shared.settings import Settings

from .privacy import leaks
from .support import Api

ADMIN_EMAIL, ADMIN_PASSWORD = "admin@example.com", "the admin of the tests"
# In the environment of every service of the tests: a cheap hash and rates that the tests themselves never reach (they
# all come from one address), everything else as in production.
TEST_ENVIRONMENT = {
    "ACCESS_TOKEN_TTL_SECONDS": "3600",  # made once; a slow machine is at work for longer than 15 min
    "ADMIN_EMAIL": ADMIN_EMAIL,
    "ADMIN_PASSWORD": ADMIN_PASSWORD,
    "APP_ENV": "test",
    "BCRYPT_ROUNDS": "4",
    "LOG_LEVEL": "INFO",
    "LOGIN_RATE_PER_IP": "1000000/minute",
    "REQUEST_RATE_PER_CLIENT": "1000000/minute",
}

# Of pytest-xdist's processes each (gw0, gw1, ...) has a fleet of its own on ports that no other takes.
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
dev.settings.FREE_PORTS = range(20_000 + 1_000 * (WORKER % 10), 21_000 + 1_000 * (WORKER % 10))


def _alias(service: str, name: str) -> None:
    """Make a service's package `app` importable under a name of its own: four packages can't share one."""
    folder = ROOT / service / "app"
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


for _service, _name in {
    "auth-jwt-service": "auth_app",
    "service-doctors": "doctors_app",
    "service-institutions": "institutions_app",
    "service-patients": "patients_app",
}.items():
    _alias(_service, _name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the folders whose files take longest, so that no process is left alone with one in the end."""
    slow = ("hostile", "load", "faults", "dev", "ops", "e2e", "database")
    items.sort(key=lambda item: item.path.relative_to(ROOT / "tests").parts[0] not in slow)


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The running fleet of the tests. After the last of them none of its logs may show what they have created."""
    running = Fleet(Path(tmp_path_factory.mktemp("fleet")), extra_env=TEST_ENVIRONMENT)
    running.start()
    yield running
    leaked = leaks(running)
    running.remove()
    assert leaked == []


@pytest.fixture(scope="session")
def api(fleet: Fleet) -> Iterator[Api]:
    """A client that makes users and entities."""
    client = Api(fleet.urls, ADMIN_EMAIL, ADMIN_PASSWORD)
    yield client
    client.close()


@pytest.fixture
def owner(fleet: Fleet) -> Iterator[RealDictCursor]:
    """A cursor of the database's owner, in autocommit, to look behind the API."""
    connection = psycopg2.connect(fleet.database_url, cursor_factory=RealDictCursor)
    connection.autocommit = True
    with connection.cursor() as cursor:
        yield cursor
    connection.close()


@pytest.fixture
def settings(fleet: Fleet) -> Settings:
    """Settings that reach the servers of the tests."""
    environment = fleet.environment
    return Settings(
        database_url=environment["DATABASE_URL"],
        redis_url=environment["REDIS_URL"],
        jwt_algorithm=environment["JWT_ALGORITHM"],
        fleet_internal_key=environment["FLEET_INTERNAL_KEY"],
        cursor_key=environment["CURSOR_KEY"],
    )


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests (`pytestmark = pytest.mark.anyio`) run on asyncio."""
    return "asyncio"


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """The pool that the services use, for tests of SQL functions."""
    pool = Database(settings)
    yield pool
    pool.close()
