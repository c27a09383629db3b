"""Replicas of the four services that trust a gateway, on addresses of their own, beside the fleet of the tests."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from dev.fleet import Fleet
from dev.services import Service
from dev.settings import SERVICE_FOLDERS, free_port, make_data_dir

from .gateway import Gateway, Names

GATEWAY_ADDRESS = "127.0.0.1"  # as its peers see it
FIRST, SECOND, BROKEN = "127.0.0.2", "127.0.0.3", "127.0.0.4"

Start = Callable[..., Gateway]


class Replicas:
    """One replica of each service, two of the institutions'; `ports` are the same on every address."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        self.ports = {name: free_port() for name in SERVICE_FOLDERS}
        self.first = {name: self._start(fleet, folder, name, FIRST) for name in SERVICE_FOLDERS}
        self.second = self._start(fleet, folder, "institutions", SECOND)
        self.all = [*self.first.values(), self.second]
        for service in self.all:
            service.wait_until_ready()

    def _start(self, fleet: Fleet, folder: Path, name: str, host: str) -> Service:
        data_dir = folder / host
        make_data_dir(data_dir)
        environment = {**fleet.environments[name], "TRUSTED_PROXIES": GATEWAY_ADDRESS}
        service = Service(name, host=host, port=self.ports[name], data_dir=data_dir, env=environment)
        service.launch()
        return service


@pytest.fixture(scope="session")
def replicas(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """The services behind the gateway."""
    running = Replicas(fleet, tmp_path_factory.mktemp("replicas"))
    yield running
    for service in running.all:
        service.child.ask_to_stop()
    for service in running.all:
        service.stop()


@pytest.fixture(scope="session")
def start_gateway(replicas: Replicas, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts a gateway: `start_gateway({"institutions": [FIRST, SECOND]}, GATEWAY_BURST="5")`."""
    gateways: list[Gateway] = []

    def start(addresses: Mapping[str, list[str]] | None = None, **environment: str) -> Gateway:
        named = {name: [FIRST] for name in SERVICE_FOLDERS} | dict(addresses or {})
        names = Names({f"{name}.fleet.test": found for name, found in named.items()})
        upstreams = {f"GATEWAY_{name.upper()}": f"{name}.fleet.test:{replicas.ports[name]}" for name in SERVICE_FOLDERS}
        environment = {**upstreams, "GATEWAY_RESOLVER": names.address, **environment}
        gateway = Gateway(tmp_path_factory.mktemp("gateway"), environment)
        gateways.append(gateway)
        gateway.start()
        return gateway

    yield start
    for gateway in gateways:
        gateway.child.stop(5)


@pytest.fixture(scope="session")
def gateway(start_gateway: Start) -> Gateway:
    """The gateway of the tests that need nothing special."""
    return start_gateway()
