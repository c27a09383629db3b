"""The floor: pgbench, which sends the SQL of a route and nothing else, as the same role over as many connections."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from psycopg2.extensions import parse_dsn

from dev import FleetError
from dev.bench import load
from dev.bench.callers import Callers
from dev.bench.routes import Route
from dev.bench.stage import Stage
from dev.fleet import Fleet
from dev.servers import postgres_binaries

STATEMENTS = "statements.sql"
CONNECTIONS_PER_SECOND = 64
SCRIPTS = 32  # of different requests of a route, at most
APPLICATION = "dev.bench.variants.recorded:app"
_PREPARED = re.compile(r"^\\set (ph_\w+) 1$", re.MULTILINE)
_ID = re.compile(r"ARRAY\['([0-9a-f-]{36})'::uuid\]")
_ABORTED = "Run was aborted"
_NONE_RAN = "actually processed: 0\n"
_RATE = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)


def pgbench() -> str | None:
    """The program: that of the embedded PostgreSQL, else the machine's, else None."""
    try:
        beside = postgres_binaries() / "pgbench"
    except FleetError:
        return shutil.which("pgbench")
    return str(beside) if beside.exists() else shutil.which("pgbench")


def record(fleet: Fleet, scratch: Path, routes: Sequence[Route], callers: Callers) -> dict[str, list[Path]]:
    """Of each route a pgbench script for each of its requests, all that this sends; none for a route without SQL."""
    statements = scratch / STATEMENTS
    recording = Stage(
        fleet, scratch, routes, application=APPLICATION, environment={"BENCH_STATEMENTS": str(statements)}
    )
    with recording as stage:
        return {
            route.name: [
                _script(scratch / f"{number}-{turn}.sql", sql)
                for turn, sql in enumerate(_recorded(stage, route, callers, statements))
                if sql
            ]
            for number, route in enumerate(routes)
        }


def _recorded(stage: Stage, route: Route, callers: Callers, statements: Path) -> Iterator[str]:
    for request in route.requests(callers, 1)[:SCRIPTS]:
        statements.write_text("", encoding="utf-8")
        list(load.send(stage.services[route.service].url, [request]))
        yield statements.read_text(encoding="utf-8")


def _script(path: Path, statements: str) -> Path:
    def anew(found: re.Match[str]) -> str:
        # What stands nowhere else the service has made for a new row: each run of the script needs another one.
        return found[0] if statements.count(found[1]) > 1 else "ARRAY[gen_random_uuid()]"

    path.write_text(_ID.sub(anew, statements), encoding="utf-8")
    return path


def measure(database_url: str, scripts: Sequence[Path], connections: int, seconds: float) -> float | None:
    """How many times a second the scripts run, in random turn, once all are connected; None without pgbench or scripts.

    None as well where not one has run, or where so many at once run into the server's time limits: that is no floor.
    """
    program = pgbench()
    if program is None or not scripts:
        return None
    seconds += connections / CONNECTIONS_PER_SECOND
    server = parse_dsn(database_url)
    command = [program, "-n", "-h", server["host"], "-p", str(server["port"]), "-U", server["user"]]
    command += ["-c", str(connections), "-j", str(min(connections, 2)), "-T", str(max(int(seconds), 1))]
    command += [word for script in scripts for word in ("-f", str(script))]
    prepared = {name for script in scripts for name in _PREPARED.findall(script.read_text(encoding="utf-8"))}
    command += [word for name in sorted(prepared) for word in ("-D", f"{name}=0")]
    environment = {**os.environ, "PGPASSWORD": server["password"], "PGOPTIONS": "-c timezone=UTC"}
    done = subprocess.run([*command, server["dbname"]], env=environment, capture_output=True, text=True, check=False)
    rate = _RATE.search(done.stdout)
    if _NONE_RAN in done.stdout or _ABORTED in done.stderr:
        return None
    if done.returncode != 0 or rate is None:
        raise FleetError(f"pgbench failed: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
    return float(rate[1])
