"""`./fleet bench`: its options, and the run from an empty directory to the report."""

import argparse
import shlex
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from dev import ROOT, FleetError
from dev.bench import data, extras, floor, report
from dev.bench.callers import PAGE_SIZE, Callers
from dev.bench.load import generator
from dev.bench.routes import AUDITED, ROUTES, Route, check
from dev.bench.rows import Row, table
from dev.bench.stage import OWN_APP, RAISED_LIMITS, RAISED_RATES, Cell, Stage
from dev.fleet import Fleet
from dev.up import say

OUTPUT = ROOT / "docs" / "benchmarks"
MEMORY = "dev.bench.variants.memory:app"
PATIENTS = 10_000
# With fewer, the filters and terms of the lists would find nobody.
FEWEST_PATIENTS = 200

# A route's name, connections, workers.
Place = tuple[str, int, int]


@dataclass(frozen=True)
class Plan:
    """What to measure, and for how long each."""

    patients: int = PATIENTS
    connections: tuple[int, ...] = (1, 8, 32, 128)
    workers: tuple[int, ...] = (1, 2)
    seconds: float = 3.0
    yardstick_seconds: float = 2.0
    routes: Sequence[Route] = ROUTES
    audited: Sequence[str] = AUDITED
    logins_at_once: int = 200
    flood_seconds: float = 6.0
    generator: str = ""  # by default wrk where it is


# Under three minutes.
QUICK = Plan(
    connections=(8, 32), workers=(1,), seconds=1.0, yardstick_seconds=1.0, audited=("my patients",), flood_seconds=4.0
)


def run(arguments: Sequence[str]) -> int:
    """Measure, print the table, and write the report."""
    parser = argparse.ArgumentParser(prog="./fleet bench", description=__doc__)
    parser.add_argument("--patients", type=int, default=PATIENTS, metavar="N", help="how many to load (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="8 and 32 connections, one worker; writes no report")
    parser.add_argument("--output", type=Path, metavar="DIR", help="where to write the report (docs/benchmarks)")
    options = parser.parse_args(arguments)
    if options.patients < FEWEST_PATIENTS:
        raise FleetError(f"--patients {options.patients}: at least {FEWEST_PATIENTS}, so that every search finds some")
    # However it is asked to stop, it leaves nothing behind.
    signal.signal(signal.SIGTERM, _interrupt)
    plan = replace(QUICK if options.quick else Plan(), patients=options.patients)
    rows, besides = bench(plan, say)
    besides["command"] = shlex.join(["./fleet", "bench", *arguments])
    print(f"\n{table(rows)}\n")
    output = options.output or (None if options.quick else OUTPUT)
    if output is None:
        print(report.as_json(besides), end="")
    else:
        report.write(output, rows, besides)
        say(f"Written: {output}")
    return 0


def bench(plan: Plan, report_line: Callable[[str], None]) -> tuple[list[Row], dict[str, Any]]:
    """Start a fleet of its own, load it, measure everything that is planned, and remove it."""
    began, machine = time.monotonic(), report.machine()
    data_dir = Path(tempfile.mkdtemp(prefix="predicthealth-bench-"))
    fleet = Fleet(data_dir, extra_env=RAISED_RATES)
    try:
        report_line("Starting a fleet of its own, twice: the second start is the warm one ...")
        fleet.start()
        fleet.stop()
        warm = time.monotonic()
        fleet.start()
        warm = time.monotonic() - warm
        idle = extras.idle_memory(fleet)
        report_line(f"Loading {plan.patients:,} patients ...")
        population = data.load(fleet.database_url, plan.patients, report_line)
        report_line(f"{population.rows:,} rows after {population.seconds:.1f} s.")
        run = _Run(plan, fleet, Callers(fleet, population), data_dir / "bench", report_line)
        rows = run.rows()
        besides = {
            "machine": machine,
            "generator": plan.generator or generator(),
            "seconds": f"{plan.seconds:g}",
            "page_size": PAGE_SIZE,
            "raised": sorted({**RAISED_RATES, **RAISED_LIMITS}),
            "loaded": {"patients": plan.patients, "rows": population.rows, "seconds": round(population.seconds, 1)},
            "warm_start_seconds": round(warm, 1),
            "token_check": run.callers.token_check,
            "memory": extras.memory(idle, rows),
            **run.extras(),
        }
        besides["took_seconds"] = round(time.monotonic() - began)
        return rows, besides
    finally:
        report_line("Removing the fleet ...")
        fleet.remove()


class _Run:
    """The measurements on a loaded fleet."""

    def __init__(
        self, plan: Plan, fleet: Fleet, callers: Callers, scratch: Path, report_line: Callable[[str], None]
    ) -> None:
        self._plan, self._fleet, self._scratch, self._say = plan, fleet, scratch, report_line
        self.callers = callers

    def rows(self) -> list[Row]:
        """Every route at every number of connections and workers, beside its ceiling and floor."""
        check(self._fleet.urls, self.callers)  # before a quarter of an hour is spent on those that work
        cells: dict[Place, Cell] = {}
        ceilings: dict[Place, float] = {}
        for workers in self._plan.workers:
            self._measure(workers, cells, ceilings)
        floors = self._floors([route for route in self._plan.routes if not route.hashes])
        return [
            Row.of(
                place,
                cell.measurement,
                cell.processes,
                ceiling_rps=ceilings.get(place),
                floor_rps=floors.get(place[:2]),
            )
            for place, cell in cells.items()
        ]

    def extras(self) -> dict[str, Any]:
        """What the audit trail costs, and a flood of logins."""
        plan = self._plan
        self._say("Reads with and without the audit trail, in turns ...")
        where = (self._fleet, self._scratch, self.callers)
        audited = [route for route in plan.routes if route.name in plan.audited]
        audit = extras.cost_of_audit(*where, audited, plan.seconds, plan.generator)
        self._say(f"{plan.logins_at_once} logins at once ...")
        flood = extras.flood_of_logins(*where, plan.logins_at_once, plan.flood_seconds, plan.generator)
        return {"audit": audit, "flood_of_logins": flood}

    def _measure(self, workers: int, cells: dict[Place, Cell], ceilings: dict[Place, float]) -> None:
        """Each route and at once its ceiling, since a machine's speed changes in minutes."""
        self._say(f"Measuring with {workers} worker(s), and the ceiling ...")
        plan, callers = self._plan, self.callers
        with self._stage("own", OWN_APP, workers) as own, self._stage("memory", MEMORY, workers) as memory:
            for route in plan.routes:
                own.rehearse(route, callers)
                if not route.hashes:
                    memory.rehearse(route, callers)
                for connections in plan.connections:
                    place = (route.name, connections, workers)
                    cells[place] = own.measure(route, callers, connections, plan.seconds)
                    if not route.hashes:
                        yardstick = memory.measure(route, callers, connections, plan.yardstick_seconds)
                        ceilings[place] = yardstick.measurement.rps
                    self._say(_line(route.name, connections, cells[place], ceilings.get(place)))

    def _stage(self, name: str, application: str, workers: int) -> Stage:
        where, by = (self._fleet, self._scratch / name, self._plan.routes), self._plan.generator
        return Stage(*where, application=application, workers=workers, generator=by)

    def _floors(self, routes: Sequence[Route]) -> dict[tuple[str, int], float | None]:
        if floor.pgbench() is None:
            self._say("No floor: there is no pgbench here.")
            return {}
        self._say("The floor: the same SQL by pgbench ...")
        scripts = floor.record(self._fleet, self._scratch, routes, self.callers)
        floors = {}
        for route in routes:
            url = self._fleet.environments[route.service]["DATABASE_URL"]
            for connections in self._plan.connections:
                rate = floor.measure(url, scripts[route.name], connections, self._plan.yardstick_seconds)
                floors[route.name, connections] = rate
        return floors


def _line(route: str, connections: int, cell: Cell, ceiling: float | None) -> str:
    found = cell.measurement
    rest = f", {found.errors} errors" if found.errors else ""
    rest += f", ceiling {ceiling:.1f}/s" if ceiling else ""
    return f"  {route:<25} {connections:>3} connections  {found.rps:>8.1f}/s  p99 {found.p99_ms:.1f} ms{rest}"


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
