"""`./fleet test`: the whole test suite, or what the arguments to pytest choose."""

import os
import sys
from collections.abc import Sequence


def run(arguments: Sequence[str]) -> int:
    """Become pytest. The tests start servers of their own and never touch a running fleet.

    All of them run in as many processes as there are cores, file by file: each process starts its own fleet once.
    """
    chosen = list(arguments) or ["-n", "auto", "--maxprocesses", "4", "--dist", "loadfile"]
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *chosen])
