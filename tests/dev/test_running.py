"""The verbs that work on a running fleet run a command of ours, which ends with them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dev.processes import has_ended, started_at, wait_until

WATCH = """
import os, time
from pathlib import Path
Path("new").write_text(str(os.getpid()))
Path("new").rename("pid")
time.sleep(60)
"""


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_verb_leaves_no_command_behind(checkout: Path, sig: signal.Signals) -> None:
    """One that goes on unseen holds its port, or loads rows that nobody waits for."""
    (checkout / "database" / "audit.py").write_text(WATCH, encoding="utf-8")
    env = {"PATH": os.environ["PATH"], "DATABASE_URL": "postgresql://u@127.0.0.1:1/x"}
    with subprocess.Popen([sys.executable, "-m", "dev", "audit", "watch"], cwd=checkout, env=env) as verb:
        assert wait_until((checkout / "pid").exists, 30)
        command = int((checkout / "pid").read_text(encoding="ascii"))
        started = started_at(command)
        verb.send_signal(sig)
    gone = wait_until(lambda: has_ended(command, started), 10)
    if not gone:
        os.kill(command, signal.SIGKILL)
    assert gone
