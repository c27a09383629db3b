"""`./fleet lock`: writes the locks (`requirements*.lock`) and each service's requirements.txt."""

import shutil
import subprocess
from collections.abc import Sequence

from dev import ROOT, FleetError
from dev.settings import SERVICE_FOLDERS

HEADER = """\
# Made by `./fleet lock` from requirements.lock: the same versions, and `shared` along from the repository's root.
# Without hashes, since pip refuses a local directory beside them; an image or `./fleet` installs the lock itself.
-e ..
"""


def run(arguments: Sequence[str]) -> int:
    """The verb; FleetError without uv."""
    if arguments:
        raise FleetError("lock takes no arguments")
    write_locks()
    return 0


def write_locks() -> None:
    """Resolve anew within pyproject.toml's bounds and write every lock file; FleetError without uv."""
    if shutil.which("uv") is None:
        raise FleetError("needs uv: pip install uv")
    locked = ["pyproject.toml", "--generate-hashes", "--no-header"]
    _compile([*locked, "--extra", "fleet", "-o", "requirements.lock"])
    _compile(
        [*locked, "--extra", "fleet", "--extra", "otel", "-c", "requirements.lock", "-o", "requirements-otel.lock"]
    )
    # What an image installs: no embedded servers.
    _compile([*locked, "-c", "requirements.lock", "-o", "requirements-service.lock"])
    _compile([*locked, "--all-extras", "-c", "requirements.lock", "-o", "requirements-dev.lock"])
    pins = _compile(["pyproject.toml", "-c", "requirements.lock", "--no-annotate", "--no-header"])
    for folder in SERVICE_FOLDERS.values():
        (ROOT / folder / "requirements.txt").write_text(HEADER + pins, encoding="utf-8")


def _compile(arguments: list[str]) -> str:
    command = ["uv", "pip", "compile", "--universal", "--quiet", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
