"""`./fleet test`: the whole test suite, or what the arguments to pytest choose; `--compose`, `--scale`: other lanes."""

import os
import subprocess
import sys
from collections.abc import Sequence

from dev import FleetError

LANES = {"--compose", "--scale"}


def run(arguments: Sequence[str]) -> int:
    """Become pytest. The tests start servers of their own and never touch a running fleet.

    All of them run in one process more than there are cores (some wait for a fault to pass), 4 at most, file by file:
    each process starts its own fleet once.
    """
    processes = str(min((os.cpu_count() or 1) + 1, 4))
    # In the order of tests/conftest.py, not the files with the most tests first: those are the quickest.
    chosen = list(arguments) or ["-n", processes, "--dist", "loadfile", "--no-loadscope-reorder"]
    if "--compose" in chosen:
        check_engine()
    for lane in LANES & set(chosen):
        # Without this variable those tests are not even collected.
        os.environ[f"TEST_{lane.removeprefix('--').upper()}"] = "1"
        chosen = [f"tests/{lane.removeprefix('--')}", *(argument for argument in chosen if argument != lane)]
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *chosen])


def check_engine() -> None:
    """Raise FleetError where there is no Docker with compose, or none that answers."""
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise FleetError("the tests of the containers need Docker with compose, and there is no docker") from error
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or ["no reason given"]
            raise FleetError(f"the tests of the containers need Docker with compose; {' '.join(command)}: {lines[-1]}")
