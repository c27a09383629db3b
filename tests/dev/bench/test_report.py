"""The pure parts: percentiles, ratios, the table, the chart, the page and its files."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from dev.bench import chart, report
from dev.bench.load import Measurement, percentiles
from dev.bench.rows import Row, ratio, table

PROCESSES = {"patients": {"cpu_percent": 61.5, "peak_mib": 100.25}}
EXTRAS: dict[str, Any] = {
    "command": "./fleet bench",
    "machine": {"date": "2026-11-24", "cpu": "2 x X", "system": "Linux 6", "python": "3.11.7", "load_average": 0.5},
    "generator": "wrk",
    "seconds": "3",
    "page_size": 10,
    "raised": ["LOGIN_RATE_PER_IP"],
    "loaded": {"patients": 10_000, "rows": 161_622, "seconds": 2.0},
    "warm_start_seconds": 1.8,
    "token_check": {"signature_us": 130.8, "session_us": 85.9},
    "memory": {"patients": {"idle_mib": 95.0, "peak_mib": 101.0}, "institutions": {"idle_mib": 92.0, "peak_mib": None}},
    "audit": [{"route": "care team", "connections": 8, "audited_rps": 75.0, "unaudited_rps": 100.0}],
    "flood_of_logins": {
        "logins": 200,
        "connections": 4,
        "answers": {"200": 68, "503": 132},
        "slowest_answer_s": 6.1,
        "slowest_503_s": 0.5,
        "dashboards_p99_ms": 10.0,
        "dashboards_p99_ms_meanwhile": 20.0,
        "p99_ratio": 2.0,
    },
}


def row(route: str, *, connections: int = 32, workers: int = 1, ceiling_rps: float | None = 800.0) -> Row:
    found = Measurement(400.0, 10.0, 20.0, 30.0, errors=0)
    place = (route, connections, workers)
    return Row.of(place, found, PROCESSES, ceiling_rps=ceiling_rps, floor_rps=None)


def test_percentiles_are_of_the_times() -> None:
    found = percentiles([float(number) for number in range(1, 101)])
    assert found == pytest.approx({"p50_ms": 50.5, "p95_ms": 95.05, "p99_ms": 99.01})


def test_percentiles_of_one_answer_and_of_none() -> None:
    assert percentiles([7.0]) == {"p50_ms": 7.0, "p95_ms": 7.0, "p99_ms": 7.0}
    assert percentiles([]) == {"p50_ms": 0.0, "p95_ms": 0.0, "p99_ms": 0.0}


def test_requests_per_second_count_what_was_answered_well() -> None:
    times = {"p50_ms": 1.0, "p95_ms": 2.0, "p99_ms": 3.0}
    assert Measurement.of({"requests": 100, "seconds": 4, "errors": 20, **times}) == Measurement(20, 1, 2, 3, errors=20)


def test_a_ratio_is_a_share_and_nothing_without_a_yardstick() -> None:
    assert ratio(400.0, 800.0) == 0.5
    assert ratio(400.0, None) is None
    assert ratio(400.0, 0.0) is None


def test_the_table_says_nothing_where_there_is_no_yardstick() -> None:
    heading, _, line = table([row("care team")]).splitlines()
    assert [cell.strip() for cell in line.strip("|").split("|")] == [
        *("care team", "32", "1", "400.0", "10.0", "20.0", "30.0", "0", "50%", "")
    ]
    assert len(heading) == len(line)


def test_the_chart_is_an_image_of_one_worker_at_32_connections() -> None:
    rows = [row("<a & b>"), row("<a & b>", connections=8), row("<a & b>", workers=2), row("login", ceiling_rps=None)]
    root = ElementTree.fromstring(chart.draw(rows))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "Requests per second: one worker, 32 connections" in texts
    assert texts.count("<a & b>") == 1
    assert {"400 of 800", "400"} <= set(texts)


def test_a_run_replaces_the_files_of_the_one_before(tmp_path: Path) -> None:
    for route in ("care team", "medical record"):
        report.write(tmp_path, [row(route)], EXTRAS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "chart.svg", "extras.json", "results.json"]
    (found,) = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert found == {
        **{"route": "medical record", "connections": 32, "workers": 1, "rps": 400.0, "p50_ms": 10.0, "p95_ms": 20.0},
        **{"p99_ms": 30.0, "errors": 0, "ceiling_ratio": 0.5, "floor_ratio": None, "ceiling_rps": 800.0},
        **{"floor_rps": None, "processes": PROCESSES},
    }
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "$" not in page and "care team | 8 | 100.0 | 75.0 | 25%" in page and "68 x 200, 132 x 503" in page
