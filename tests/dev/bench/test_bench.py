"""A whole run, as small as can be, on real servers. It fails at the first route that doesn't answer with 2xx."""

import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from dev.bench import command, extras, floor
from dev.bench.callers import Callers
from dev.bench.command import Plan, bench
from dev.bench.routes import ROUTES
from dev.bench.rows import Row

READ, WRITE = (route for route in ROUTES if route.name in ("care team", "add observation"))
PLAN = Plan(
    patients=300,
    connections=(1,),
    workers=(1,),
    seconds=1.0,
    yardstick_seconds=0.3,
    routes=(READ, WRITE),
    logins_at_once=4,
    flood_seconds=0.3,
    generator="httpx",
)


CALLERS: list[Callers] = []
SCRIPTS: list[str] = []


class KeptCallers(Callers):
    """Callers that the tests see, too."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        CALLERS.append(self)


def kept_scripts(path: Path, statements: str) -> Path:
    """The script of a request, which the tests see, too."""
    SCRIPTS.append(statements)
    return make_script(path, statements)


make_script = floor._script


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Row], dict[str, Any], Path]:
    """The rows, the rest, and where everything was."""
    place = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(place))
        patch.setattr(command, "Callers", KeptCallers)
        patch.setattr(floor, "_script", kept_scripts)
        patch.setattr(extras, "AUDIT_TURNS", 1)
        rows, besides = bench(PLAN, print)
    return rows, besides, place


def test_every_row_is_whole_and_free_of_errors(run: tuple[list[Row], dict[str, Any], Path]) -> None:
    rows, _, _ = run
    assert [(row.route, row.connections, row.workers, row.errors) for row in rows] == [
        ("care team", 1, 1, 0),
        ("add observation", 1, 1, 0),
    ]
    names = ("route", "connections", "workers", "rps", "p50_ms", "p95_ms", "p99_ms", "errors")
    assert [field.name for field in fields(rows[0])][:10] == [*names, "ceiling_ratio", "floor_ratio"]
    for row in rows:
        assert row.rps > 0 and 0 < row.p50_ms <= row.p95_ms <= row.p99_ms
        assert row.ceiling_ratio and (row.floor_ratio or not floor.pgbench())
        assert {"patients", "postgres", "valkey"} <= set(row.processes)


def test_the_rest_is_measured_too(run: tuple[list[Row], dict[str, Any], Path]) -> None:
    _, besides, _ = run
    assert [(found["route"], found["connections"]) for found in besides["audit"]] == [
        ("care team", 8),
        ("care team", 32),
    ]
    assert besides["flood_of_logins"]["answers"] == {"200": 4}
    assert besides["token_check"]["signature_us"] > 0 and besides["warm_start_seconds"] > 0
    assert {"auth", "institutions", "postgres"} <= set(besides["memory"])


@pytest.mark.skipif(not floor.pgbench(), reason="pgbench is not installed")
def test_the_floor_prepares_what_the_routes_do(run: tuple[list[Row], dict[str, Any], Path]) -> None:
    assert SCRIPTS
    for script in SCRIPTS:
        # The audit trail's row, which every route of the plan writes, stands in what is prepared and nowhere else.
        assert script.count("INSERT INTO audit_events") == 1
        before, _, after = script.partition("INSERT INTO audit_events")
        assert "PREPARE ph_" in before and "\nEXECUTE ph_" in after


def test_nobody_whose_record_is_read_gets_a_longer_one(run: tuple[list[Row], dict[str, Any], Path]) -> None:
    asked = {
        route.name: {request.path.split("/")[4] for request in route.requests(CALLERS[-1], 1)}
        for route in ROUTES
        if route.name in ("add observation", "patient dashboard", "medical record", "care team")
    }
    growing = asked.pop("add observation")
    assert len(growing) > 1 and all(len(read) > 1 and not read & growing for read in asked.values())


def test_nothing_is_left(run: tuple[list[Row], dict[str, Any], Path]) -> None:
    _, _, place = run
    assert list(place.iterdir()) == []
