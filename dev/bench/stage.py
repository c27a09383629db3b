"""The measured services, started anew for each condition: their own app or a variant of it, one worker or several."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from dev.bench import load, usage
from dev.bench.callers import Callers
from dev.bench.load import Measurement
from dev.bench.routes import Route
from dev.fleet import Fleet
from dev.services import Service
from dev.settings import free_port, make_data_dir

SERVICES = ("auth", "doctors", "patients")  # in this order: the others call the first
OWN_APP = "app.main:app"
# One address and few accounts send everything, and sessions outlive the run: of the fleet.
RAISED_RATES = {
    "LOGIN_RATE_PER_IP": "100000000/minute",
    "REQUEST_RATE_PER_CLIENT": "100000000/minute",
    "ACCESS_TOKEN_TTL_SECONDS": "86400",
    "SESSION_IDLE_SECONDS": "43200",
    "SESSIONS_PER_USER": "100000",
}
# 128 connections are to wait for their turn, not to be shed: of the measured services. The places stay as they are.
RAISED_LIMITS = {
    "MAX_QUEUED_REQUESTS": "1000",
    "QUEUE_WAIT_SECONDS": "60",
    "REQUEST_DEADLINE_SECONDS": "60",
    "DATABASE_POOL_WAIT_SECONDS": "60",
    "PASSWORD_HASH_QUEUE": "1000",
}
HASHING_LONGER = 4  # there are only a few hashes in a second, and enough are to be counted
# Before a route is measured: over more connections than the pools have.
REHEARSING, REHEARSAL_SECONDS = 24, 0.3


@dataclass(frozen=True)
class Cell:
    """One route at one number of connections: how it went, and of each process the share of a core and peak memory."""

    measurement: Measurement
    processes: dict[str, dict[str, float]]


class StagedService(Service):
    """A service with another app, or with several workers."""

    def __init__(self, name: str, data_dir: Path, env: Mapping[str, str], application: str, workers: int) -> None:
        super().__init__(name, host="127.0.0.1", port=free_port(), data_dir=data_dir, env=env)
        command = self.child.command
        command[command.index(OWN_APP)] = application
        command += ["--workers", str(workers)] if workers > 1 else []


class Stage:
    """The services of some routes, beside the fleet's own ones.

    with Stage(fleet, scratch, ROUTES) as stage:
        stage.measure(ROUTES[0], callers, 8, 3.0)
    """

    def __init__(
        self,
        fleet: Fleet,
        scratch: Path,
        routes: Sequence[Route],
        *,
        application: str = OWN_APP,
        workers: int = 1,
        generator: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._scratch, self._fleet, self._generator = scratch, fleet, generator
        self._running = ExitStack()
        self.services: dict[str, StagedService] = {}
        make_data_dir(scratch)
        for name in [name for name in SERVICES if any(route.service == name for route in routes)]:
            known = {f"{other.upper()}_SERVICE_URL": service.url for other, service in self.services.items()}
            env = {**fleet.environments[name], **RAISED_LIMITS, **known, **(environment or {})}
            self.services[name] = StagedService(name, scratch, env, application, workers)

    def __enter__(self) -> "Stage":
        with ExitStack() as starting:
            for service in self.services.values():
                starting.callback(service.stop)
                service.launch()
            for service in self.services.values():
                service.wait_until_ready()
            self._running = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for service in self.services.values():
            service.child.ask_to_stop()  # all at once
        self._running.close()

    @property
    def pids(self) -> dict[str, int | None]:
        """The processes that work for a request."""
        members = {**self.services, "postgres": self._fleet.postgres, "valkey": self._fleet.valkey}
        return {name: member.pid for name, member in members.items() if member}

    def rehearse(self, route: Route, callers: Callers) -> None:
        """Fill pools, caches and memories for a route."""
        if not route.hashes:
            url, requests = self.services[route.service].url, route.requests(callers, REHEARSING)
            load.measure(url, requests, REHEARSING, REHEARSAL_SECONDS, self._scratch, "httpx")

    def measure(self, route: Route, callers: Callers, connections: int, seconds: float) -> Cell:
        """Measure a route."""
        generator = self._generator
        if route.hashes:
            # wrk hangs up when time is up: many would get no answer, and their hashes fall to the next route.
            generator, seconds = "httpx", seconds * HASHING_LONGER
        requests = route.requests(callers, connections)
        for pid in self.pids.values():
            usage.forget_peaks(pid)
        before, began = self._usage(), time.monotonic()
        url = self.services[route.service].url
        found = load.measure(url, requests, connections, seconds, self._scratch, generator)
        after, took = self._usage(), time.monotonic() - began
        processes = {
            name: {
                "cpu_percent": round((after[name].cpu_seconds - before[name].cpu_seconds) / took * 100, 1),
                "peak_mib": after[name].peak_mib,
            }
            for name in before.keys() & after.keys()
        }
        return Cell(found, dict(sorted(processes.items())))

    def _usage(self) -> dict[str, usage.Usage]:
        found = {name: usage.usage_of(pid) for name, pid in self.pids.items()}
        return {name: taken for name, taken in found.items() if taken}
