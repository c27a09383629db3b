"""What processes take: CPU time and memory, of a process and its children, as Linux tells it in /proc."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """CPU seconds since their start, and the most memory (MiB) that they have had since the last `forget_peaks`."""

    cpu_seconds: float
    peak_mib: float


def usage_of(pid: int | None) -> Usage | None:
    """What a process and its children have taken; None where there is no /proc, or the process is gone.

    What they share (PostgreSQL's buffers, libraries) counts once, as much as the process with most of it has now.
    """
    if pid is None or not (PROC / str(pid)).exists():
        return None
    seconds, private, shared = 0.0, 0, 0
    for member in _family(pid):
        with contextlib.suppress(OSError, IndexError, KeyError):  # one that has just ended
            fields = _stat(member)
            # Of the root also what its children took that have ended.
            seconds += sum(int(field) for field in fields[11 : 15 if member == pid else 13]) / _TICKS
            status = dict(line.split(":", 1) for line in (PROC / str(member) / "status").read_text().splitlines())
            common = _kib(status["RssFile"]) + _kib(status["RssShmem"])
            private += max(_kib(status["VmHWM"]) - common, 0)
            shared = max(shared, common)
    return Usage(seconds, round((private + shared) / 1024, 1))


def forget_peaks(pid: int | None) -> None:
    """Let the peak of a process and its children begin anew, where the kernel lets us."""
    for member in _family(pid) if pid is not None else []:
        with contextlib.suppress(OSError):
            (PROC / str(member) / "clear_refs").write_text("5", encoding="ascii")


def _family(pid: int) -> list[int]:
    parents: dict[int, int] = {}
    for entry in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            parents[int(entry.name)] = int(_stat(int(entry.name))[1])
    family = [pid]
    for member in family:  # grows as it goes
        family += [child for child, parent in parents.items() if parent == member]
    return family


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on: the second, a name in brackets, may hold spaces."""
    return (PROC / str(pid) / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()


def _kib(text: str) -> int:
    return int(text.split()[0])
