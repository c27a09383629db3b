"""`./fleet test`: the whole test suite, or what the arguments to pytest choose."""

import os
import sys
from collections.abc import Sequence


def run(arguments: Sequence[str]) -> int:
    """Become pytest. The tests start servers of their own and never touch a running fleet."""
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *arguments])
