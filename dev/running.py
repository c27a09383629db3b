"""The verbs that work on a running fleet, which they find through its fleet.env: demo, import, migrate, admin, …"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from dev import ROOT, FleetError, path_of
from dev.fleet import is_running
from dev.processes import die_with_parent
from dev.services import service_environment
from dev.settings import SERVICE_FOLDERS, data_dir_of, load_secrets, make_data_dir, read_env_file
from dev.signing import key_files, rotate

SAMPLES = ROOT / "database" / "samples" / "synthea60"
STARTING_SECONDS = 120


def demo(arguments: Sequence[str]) -> int:
    """Load the sample patients and let the importer print three logins."""
    if arguments:
        raise FleetError("demo takes no arguments; for a directory of your own: ./fleet import DIR")
    return run_importer(SAMPLES, "--demo", "--passwords", str(data_dir_of(os.environ) / "demo.env"))


def import_directory(arguments: Sequence[str]) -> int:
    """Load a directory with the layout of the samples."""
    if len(arguments) != 1:
        raise FleetError("usage: ./fleet import DIR")
    directory = path_of(arguments[0])
    if not directory.is_dir():
        raise FleetError(f"{directory} is not a directory")
    return run_importer(directory)


def migrate(arguments: Sequence[str]) -> int:
    """Bring a schema up to date: that of DATABASE_URL, else the running fleet's."""
    if arguments:
        raise FleetError("migrate takes no arguments")
    database_url = os.environ.get("DATABASE_URL") or running_fleet()["DATABASE_URL"]
    return run_python(["-m", "database.migrate"], ROOT, {"DATABASE_URL": database_url})


def admin(arguments: Sequence[str]) -> int:
    """Create an admin account in the running fleet."""
    if len(arguments) != 2 or arguments[0] != "create":
        raise FleetError("usage: ./fleet admin create EMAIL")
    return run_service_command("auth", arguments)


def activations(arguments: Sequence[str]) -> int:
    """Write an activation token for each account of the running fleet that has no password to a new file."""
    if len(arguments) != 1:
        raise FleetError("usage: ./fleet activations FILE")
    return run_service_command("auth", ["activations", str(path_of(arguments[0]).absolute())])


def scores(arguments: Sequence[str]) -> int:
    """Compute every stored score of the running fleet's patients anew."""
    if list(arguments) != ["recompute"]:
        raise FleetError("usage: ./fleet scores recompute")
    return run_service_command("patients", ["scores", *arguments])


def keys(arguments: Sequence[str]) -> int:
    """Make a new signing key; tokens of the one before stay good until the next rotation."""
    if list(arguments) != ["rotate"]:
        raise FleetError("usage: ./fleet keys rotate")
    data_dir = data_dir_of(os.environ)
    make_data_dir(data_dir)
    rotate(data_dir)
    print("A new key signs from the next start on; the one before is still accepted, so nobody is logged out.")
    if is_running(data_dir):
        print("Stop and start the running fleet for it.")
    return 0


def audit(arguments: Sequence[str]) -> int:
    """Verify the audit trail of DATABASE_URL, or of the running fleet; once, or each day for Prometheus."""
    if list(arguments) not in (["verify"], ["watch"]):
        raise FleetError("usage: ./fleet audit verify|watch")
    database_url = os.environ.get("DATABASE_URL") or running_fleet()["DATABASE_URL"]
    return run_python(["-m", "database.audit", *arguments], ROOT, {"DATABASE_URL": database_url})


def run_importer(directory: Path, *options: str) -> int:
    """Run the importer on the running fleet, in the foreground: its progress bar and its exit status are ours.

    Then the scores: what they are computed from came in past the service that keeps them.
    """
    command = ["-m", "database.importer", str(directory.resolve()), *options]
    return run_python(command, ROOT, running_fleet()) or scores(["recompute"])


def run_service_command(name: str, arguments: Sequence[str]) -> int:
    """Run the command line of a service of the running fleet, with that service's environment."""
    fleet = running_fleet()
    data_dir = data_dir_of(os.environ)
    environment = service_environment(
        name,
        os.environ,
        database_url=fleet["DATABASE_URL"],
        redis_url=fleet["REDIS_URL"],
        urls={service: fleet[f"{service.upper()}_SERVICE_URL"] for service in SERVICE_FOLDERS},
        secrets=load_secrets(data_dir, os.environ),
        key_files=key_files(data_dir),
    )
    return run_python(["-m", "app.admin", *arguments], ROOT / SERVICE_FOLDERS[name], environment)


def running_fleet() -> dict[str, str]:
    """Return what fleet.env says of the running fleet; wait for one that is just starting."""
    data_dir = data_dir_of(os.environ)
    env_file = data_dir / "fleet.env"
    deadline = time.monotonic() + STARTING_SECONDS
    waiting = False
    while is_running(data_dir):
        if env_file.exists():
            return read_env_file(env_file)
        if time.monotonic() > deadline:
            raise FleetError(f"the fleet in {data_dir} is still starting after {STARTING_SECONDS} s; see its terminal")
        if not waiting:
            print("The fleet is still starting; waiting for it ...", flush=True)
            waiting = True
        time.sleep(0.2)
    raise FleetError(f"no fleet runs in {data_dir}: start ./fleet up first, in another terminal")


def run_python(command: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> int:
    """Run one of our own commands in the foreground and return its exit status."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    python_path = ":".join(path for path in paths if path)
    environment = {**os.environ, **environment, "PYTHONPATH": python_path}
    ends_with_us = die_with_parent(signal.SIGTERM)
    command = [sys.executable, *command]
    return subprocess.run(command, cwd=cwd, env=environment, check=False, preexec_fn=ends_with_us).returncode
