"""Child processes of the fleet: started so that none can outlive it, stopped so that none loses anything."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from dev import FleetError
from dev.accounts import Account

POLL_SECONDS = 0.03
READY_SECONDS = 60
SURVIVOR_SECONDS = 10
LOG_TAIL_LINES = 12
LOG_TURN_BYTES = 20_000_000
PR_SET_PDEATHSIG = 1
# Looked up before any fork: a child must not load libraries.
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None

Found = TypeVar("Found")


def never() -> bool:
    """Stand for "nobody has asked to stop"."""
    return False


class Interrupted(Exception):
    """The person asked the fleet to stop while it was still waiting for something."""


def wait_until(
    look: Callable[[], Found | None], seconds: float, interrupted: Callable[[], bool] = never
) -> Found | None:
    """Call `look` until it returns something true, which is returned; None when `seconds` have passed."""
    deadline = time.monotonic() + seconds
    while True:
        if interrupted():
            raise Interrupted
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            return None
        time.sleep(POLL_SECONDS)


class Survivor(NamedTuple):
    """A process that outlived its supervisor."""

    pid: int
    started: str
    stop_signal: int


class Child:
    """One process that belongs to a fleet: its command, its log, and the file that remembers its id.

    Start it from a thread that lives as long as the fleet does: on Linux the child gets `stop_signal` when the thread
    that started it ends, so that a killed supervisor leaves nothing behind.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        data_dir: Path,
        cwd: Path,
        env: Mapping[str, str],
        stop_signal: signal.Signals = signal.SIGTERM,
        account: Account | None = None,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.cwd = cwd
        self.env = dict(env)
        self.stop_signal = stop_signal
        self.account = account
        self.log = data_dir / "logs" / f"{name}.log"
        self._pid_file = data_dir / "run" / f"{name}.pid"
        self._log_start = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, or None when it doesn't run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def exit_status(self) -> int | None:
        """The exit status (negative: the signal that ended it), or None while it runs or before its first start."""
        return None if self._process is None else self._process.poll()

    def spawn(self) -> None:
        """Start the process; it may not be ready when this returns."""
        if self.log.exists() and self.log.stat().st_size > LOG_TURN_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        try:
            with open(self.log, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as log:
                self._log_start = log.tell()
                self._process = subprocess.Popen(
                    self.command,
                    cwd=self.cwd,
                    env=self.env,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    # Its own group: a Ctrl-C at the terminal reaches the supervisor alone, which stops in order.
                    process_group=0,
                    preexec_fn=die_with_parent(self.stop_signal),
                    user=self.account.uid if self.account else None,
                    group=self.account.gid if self.account else None,
                    extra_groups=[] if self.account else None,
                )
            pid = self._process.pid
            # Whole or not at all: others read it, and so does the next supervisor if this one is killed here.
            unfinished = self._pid_file.with_suffix(".new")
            unfinished.write_text(f"{pid} {started_at(pid)} {int(self.stop_signal)}\n", encoding="ascii")
            unfinished.replace(self._pid_file)
        except OSError as error:
            raise FleetError(f"can't start {self.name}: {error}") from error

    def kill(self, sig: int = signal.SIGKILL) -> None:
        """Send a signal, if the process runs; after SIGKILL it is gone when this returns."""
        if self._process is not None and self.pid is not None:
            os.kill(self._process.pid, sig)
            if sig == signal.SIGKILL:
                self._process.wait()

    def ask_to_stop(self) -> None:
        """Send the signal that ends it in good order, without waiting."""
        self.kill(self.stop_signal)

    def stop(self, within_seconds: float) -> None:
        """End the process in good order; when that takes too long, at once."""
        self.ask_to_stop()
        if self._process is not None:
            try:
                self._process.wait(max(within_seconds, 0))
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._pid_file.unlink(missing_ok=True)

    def last_words(self) -> str:
        """Return the end of what it wrote to its log since its last start."""
        if not self.log.exists():
            return ""
        with open(self.log, "rb") as log:
            log.seek(max(self._log_start, log.seek(0, os.SEEK_END) - 20_000))
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-LOG_TAIL_LINES:])


class Member(ABC):
    """A long-running process of the fleet, with what it takes to start it and to know that it is ready."""

    stop_seconds: float
    child: Child

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it is reached."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Tell whether it answers now."""

    def prepare(self) -> None:  # noqa: B027 (not every member has something to prepare)
        """Do what has to be done before each start."""

    @property
    def name(self) -> str:
        """Its name in messages, and that of its log."""
        return self.child.name

    @property
    def pid(self) -> int | None:
        """The process id, or None when it doesn't run."""
        return self.child.pid

    def launch(self) -> None:
        """Start it without waiting."""
        self.prepare()
        self.child.spawn()

    def wait_until_ready(self, interrupted: Callable[[], bool] = never) -> None:
        """Return when it answers; FleetError with the end of its log if it ends or takes too long."""
        if not wait_until(self._is_ready_or_dead, READY_SECONDS, interrupted):
            raise FleetError(f"{self.name} doesn't answer after {READY_SECONDS} s; its log:\n{self.child.last_words()}")
        if self.pid is None:
            raise FleetError(f"{self.name} ended as it started; its log:\n{self.child.last_words()}")

    def start(self) -> str:
        """Start it and return its URL once it answers."""
        self.launch()
        self.wait_until_ready()
        return self.url

    def stop(self) -> None:
        """Stop it in good order."""
        self.child.stop(self.stop_seconds)

    def kill(self, sig: int = signal.SIGKILL) -> None:
        """Send it a signal; after SIGKILL it is gone when this returns."""
        self.child.kill(sig)

    def _is_ready_or_dead(self) -> bool:
        return self.pid is None or self.is_ready()


def die_with_parent(sig: signal.Signals) -> Callable[[], None]:
    """Return what a new child runs first: on Linux, it asks the kernel for `sig` on its parent's death."""
    parent = os.getpid()

    def ask_kernel() -> None:
        if LIBC is not None:
            LIBC.prctl(PR_SET_PDEATHSIG, int(sig))
            if os.getppid() != parent:
                os._exit(1)

    return ask_kernel


def started_at(pid: int) -> str:
    """Return when a process started, as text that tells it from a later one with the same id; "" if there is none."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The second field is the program's name in brackets, which may itself hold spaces and brackets.
            return stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19]
        except OSError:
            return ""
    shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return "_".join(shown.stdout.split())


def find_survivors(data_dir: Path) -> list[Survivor]:
    """Return the children that an earlier supervisor of this data directory left behind when it was killed."""
    survivors = []
    for pid_file in sorted((data_dir / "run").glob("*.pid")):
        words = pid_file.read_text(encoding="ascii").split()
        if len(words) == 3 and not has_ended(int(words[0]), words[1]):
            survivors.append(Survivor(int(words[0]), words[1], int(words[2])))
    return survivors


def end_survivors(survivors: Sequence[Survivor]) -> None:
    """End them in good order; those that take too long, at once."""
    for survivor in survivors:
        os.kill(survivor.pid, survivor.stop_signal)
    for survivor in survivors:
        if not wait_until(partial(has_ended, survivor.pid, survivor.started), SURVIVOR_SECONDS):
            os.kill(survivor.pid, signal.SIGKILL)
            wait_until(partial(has_ended, survivor.pid, survivor.started), SURVIVOR_SECONDS)


def has_ended(pid: int, started: str) -> bool:
    """Tell whether the process that had this id at that time is gone."""
    return started_at(pid) != started or is_zombie(pid)


def is_zombie(pid: int) -> bool:
    """Tell whether a process has ended and only waits for its parent to take note."""
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0] == "Z"
        )
    except OSError:
        return False
