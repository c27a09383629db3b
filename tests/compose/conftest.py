"""The containers of docker-compose.yml, built and started for the whole run: `./fleet test --compose`."""

import os
from collections.abc import Iterator

import pytest

from .containers import SERVICES, Compose, Gateway

collect_ignore_glob = [] if "TEST_COMPOSE" in os.environ else ["test_*.py"]


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """In the place of the other tests' fleet."""
    containers = Compose(tmp_path_factory.mktemp("compose"))
    containers.remove()  # what a run that was killed has left
    try:
        containers.start()
        yield containers
    finally:
        containers.remove()


@pytest.fixture(scope="session")
def gateway(fleet: Compose, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Beside the other tests' fleet, whose images it takes; two replicas of the doctors' service."""
    containers = Gateway(tmp_path_factory.mktemp("gateway"))
    containers.remove()
    try:
        containers.start("--scale", f"{SERVICES['doctors']}=2")
        yield containers
    finally:
        containers.remove()
