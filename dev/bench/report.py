"""What a run leaves behind: the rows in JSON, the rest in JSON, a chart, and a page that shows them all."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import Any

from dev.bench import chart
from dev.bench.rows import Row, table

PAGE = Path(__file__).parent / "page.md"


def machine() -> dict[str, Any]:
    """What it was measured on, and when."""
    cpu = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line for line in cpuinfo.read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
        cpu = f"{len(models)} x {models[0].partition(':')[2].strip()}" if models else cpu
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "cpu": cpu,
        "system": platform.system(),
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 1),
    }


def write(directory: Path, rows: Sequence[Row], extras: Mapping[str, Any]) -> None:
    """Write results.json, extras.json, chart.svg and the page that shows them, in the place of those of before."""
    directory.mkdir(parents=True, exist_ok=True)
    files = {
        "results.json": as_json([asdict(row) for row in rows]),
        "extras.json": as_json(extras),
        "chart.svg": chart.draw(rows),
        "README.md": page(rows, extras),
    }
    for name, content in files.items():
        (directory / name).write_text(content, encoding="utf-8")


def as_json(content: Any) -> str:
    """Text that differs from another run's only where a figure does."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def page(rows: Sequence[Row], extras: Mapping[str, Any]) -> str:
    """The page in Markdown."""
    flood, loaded = extras["flood_of_logins"], extras["loaded"]
    memory = [f"| {name} | {mib['idle_mib']} | {mib['peak_mib'] or ''} |" for name, mib in extras["memory"].items()]
    audit = [
        f"| {row['route']} | {row['connections']} | {row['unaudited_rps']} | {row['audited_rps']} "
        f"| {1 - row['audited_rps'] / row['unaudited_rps']:.0%} |"
        for row in extras["audit"]
    ]
    return Template(PAGE.read_text(encoding="utf-8")).substitute(
        {key: value for key, value in extras.items() if isinstance(value, str | float | int)},
        **extras["machine"],
        **extras["token_check"],
        **{f"flood_{name}": value for name, value in flood.items()},
        answers=", ".join(f"{number} x {status}" for status, number in flood["answers"].items()),
        patients=f"{loaded['patients']:,}",
        rows=f"{loaded['rows']:,}",
        load_seconds=loaded["seconds"],
        raised=", ".join(f"`{name}`" for name in extras["raised"]),
        routes=table(rows),
        memory="\n".join(memory),
        audit="\n".join(audit),
    )
