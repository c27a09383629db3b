"""`./fleet check`: lint, format, types, fences, advisories. It changes nothing and reports every failure."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dev import ROOT, FleetError
from dev.advisories import NOT_CHECKED
from dev.settings import SERVICE_FOLDERS


@dataclass(frozen=True)
class Step:
    """One tool, run as a module of the virtual environment's Python."""

    title: str
    arguments: list[str]
    cwd: Path = ROOT
    env: dict[str, str] = field(default_factory=dict)


def steps() -> list[Step]:
    """Return all steps. The four services are all called `app`: each is type-checked alone, from its own folder."""
    mypy = ["mypy", "--config-file", str(ROOT / "pyproject.toml")]
    found = [
        Step("lint", ["ruff", "check", "--output-format=concise", "."]),
        Step("format", ["ruff", "format", "--check", "--output-format=concise", "."]),
        Step("fences", ["dev.fences"]),
        Step("advisories", ["dev.advisories"]),
        Step("types of shared, database, dev", [*mypy, "-p", "shared", "-p", "database", "-p", "dev"]),
    ]
    for folder in SERVICE_FOLDERS.values():
        cache = str(ROOT / ".mypy_cache" / folder)
        # What is wrong in shared is reported once, by the step above.
        arguments = [*mypy, "--cache-dir", cache, "--follow-imports=silent", "-p", "app"]
        found.append(Step(f"types of {folder}", arguments, ROOT / folder, {"MYPYPATH": str(ROOT)}))
    return found


def run(arguments: Sequence[str]) -> int:
    """Run all steps side by side, print each one's result in turn, and return 1 if any failed."""
    if arguments:
        raise FleetError(f"check takes no arguments, but got {' '.join(arguments)}")
    started = [(step, start(step)) for step in steps()]
    failed = []
    for step, process in started:
        print(f"{step.title} ... ", end="", flush=True)
        output, _ = process.communicate()
        if process.returncode == 0:
            print("ok", flush=True)
        elif process.returncode == NOT_CHECKED:
            print(f"not checked ({output.strip()})", flush=True)
        else:
            print("FAILED", flush=True)
            failed.append((step, output))
    for step, output in failed:
        print(f"\n=== {step.title}\n{output.rstrip()}")
    if failed:
        print(f"\n{len(failed)} of {len(started)} checks failed: {', '.join(step.title for step, _ in failed)}")
    return 1 if failed else 0


def start(step: Step) -> subprocess.Popen[str]:
    """Start a step; its output is kept for later."""
    return subprocess.Popen(
        [sys.executable, "-m", *step.arguments],
        cwd=step.cwd,
        env={**os.environ, **step.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
