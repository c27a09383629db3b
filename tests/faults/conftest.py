"""One fleet for all tests of faults: they take its parts away, and the other tests' fleet has to stay whole."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.fleet import Fleet

from ..conftest import ADMIN_EMAIL, ADMIN_PASSWORD, TEST_ENVIRONMENT
from ..support import Api
from .support import CONNECTIONS, PLACES, PROMISED_MS, SERVICES, Clinic, logged_requests


@pytest.fixture(scope="package")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The fleet. Few connections and places, so that one that leaks is missed soon.

    After the last test none of its 503s may have taken longer than promised, by the services' own clocks.
    """
    limits = {"DATABASE_POOL_SIZE": str(CONNECTIONS), "MAX_CONCURRENT_REQUESTS": str(PLACES)}
    running = Fleet(
        Path(tmp_path_factory.mktemp("faults")),
        extra_env={**TEST_ENVIRONMENT, **limits, "SESSIONS_PER_USER": "1000"},
    )
    running.start()
    yield running
    answered = [entry for service in SERVICES for entry in logged_requests(running, service)]
    running.remove()
    assert answered
    assert [each for each in answered if each["status"] == 503 and each["duration_ms"] >= PROMISED_MS] == []


@pytest.fixture(scope="package")
def api(fleet: Fleet) -> Iterator[Api]:
    """A client of that fleet."""
    client = Api(fleet.urls, ADMIN_EMAIL, ADMIN_PASSWORD)
    yield client
    client.close()


@pytest.fixture(scope="package")
def clinic(api: Api) -> Clinic:
    """A doctor with patients, all of whom have asked every service once: whatever opens when first used is open."""
    return Clinic.opened(api)
