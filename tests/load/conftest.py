"""Services with limits so small that a test reaches them, on the servers of the tests' fleet."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dev.fleet import Fleet
from dev.services import Service
from dev.settings import free_port
from tests.support import Api, User

Start = Callable[..., Service]


@pytest.fixture(scope="module")
def start(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start another service of a name, with other settings."""
    running: list[Service] = []

    def start(name: str, **changes: str) -> Service:
        data_dir = Path(tmp_path_factory.mktemp(name))
        for folder in ("logs", "run"):
            (data_dir / folder).mkdir()
        environment = fleet.environments[name] | changes
        service = Service(name, host="127.0.0.1", port=free_port(), data_dir=data_dir, env=environment)
        running.append(service)
        service.start()
        return service

    yield start
    for service in running:
        service.stop()


@pytest.fixture(scope="module")
def doctor(api: Api) -> User:
    """A doctor, logged in."""
    return api.new_doctor(api.new_institution())
