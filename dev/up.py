"""`./fleet up`: the fleet in the foreground, until somebody stops it."""

import contextlib
import json
import os
import shlex
import signal
import time
from collections.abc import Sequence
from types import FrameType

from dev import FleetError
from dev.fleet import Fleet
from dev.processes import Interrupted
from dev.settings import DEFAULT_HOST, data_dir_of, ports_of

TEND_SECONDS = 0.2


class StopSignals:
    """Notes that somebody has asked to stop. The work in hand looks at it; nothing is broken off half-way."""

    def __init__(self) -> None:
        self.received = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # nohup has the hang-up ignored: it is to stay so.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = True


def run(arguments: Sequence[str]) -> int:
    """Start the fleet, say where it is, keep it alive, and stop it on Ctrl-C, SIGTERM or SIGHUP."""
    if arguments:
        raise FleetError(f"up takes no arguments, but got {' '.join(arguments)}")
    stop = StopSignals()
    started = time.monotonic()
    fleet = Fleet(
        data_dir_of(os.environ),
        ports_of(os.environ),
        os.environ,
        host=os.environ.get("HOST") or DEFAULT_HOST,
        report=say,
        interrupted=lambda: stop.received,
    )
    try:
        fleet.start()
        print_welcome(fleet, time.monotonic() - started)
        while not stop.received:
            fleet.tend()
            time.sleep(TEND_SECONDS)
        say("Stopping ...")
    except Interrupted:
        say("Stopped before everything had started.")
    finally:
        fleet.stop()
    say("Everything has stopped.")
    return 0


def say(line: str) -> None:
    """Print one line with the time; a terminal that is gone must not keep the fleet from stopping."""
    with contextlib.suppress(OSError):
        print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)


def print_welcome(fleet: Fleet, seconds: float) -> None:
    """Print the table of URLs, how to log in and how to stop."""
    rows = [("service", "URL", "interactive docs")]
    rows += [(name, url, f"{url}/docs") for name, url in fleet.urls.items()]
    table = "\n".join(f"  {name:<14}{url:<30}{docs}" for name, url, docs in rows)
    # A password is shown once, at the start that made its account, and never one that the person chose.
    shown = fleet.admin_was_created and not os.environ.get("ADMIN_PASSWORD")
    password = fleet.admin_password if shown else "..."
    origin = "shown this once" if shown else "the ADMIN_PASSWORD that it was created with"
    credentials = shlex.quote(json.dumps({"email": fleet.admin_email, "password": password}))
    say(f"PredictHealth is up after {seconds:.1f} s.")
    text = f"""
{table}

  Log in         curl -s {fleet.urls["auth"]}/auth/login -H 'Content-Type: application/json' \\
                   -d {credentials}
                 (password: {origin}; one that ./fleet made is in {fleet.data_dir / "secrets.env"})
  Sample data    ./fleet demo
  Logs           {fleet.data_dir / "logs"}
  For scripts    set -a; . {shlex.quote(str(fleet.env_file))}; set +a    (DATABASE_URL, REDIS_URL, the service URLs)
  Stop           Ctrl-C
"""
    with contextlib.suppress(OSError):
        print(text, flush=True)
