"""The account that PostgreSQL runs as. It refuses to be root; for root it becomes `nobody`, who can reach little."""

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dev import FleetError

# Where a root's PostgreSQL keeps what it can't keep in a directory that `nobody` can't reach.
SYSTEM_DIR = Path("/var/lib/predicthealth-dev")
# In each cluster's directory there: the data directory that it belongs to.
OWNER_FILE = "data-directory"


@dataclass(frozen=True)
class Account:
    """The operating system account that a child runs as."""

    uid: int
    gid: int


def account_for_postgres() -> Account | None:
    """Return the account that PostgreSQL must run as: nobody's for root, else our own (None)."""
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise FleetError("PostgreSQL can't run as root, and there is no account nobody: set DATABASE_URL") from error
    return Account(nobody.pw_uid, nobody.pw_gid)


def can_enter(account: Account, directory: Path) -> bool:
    """Tell whether an account can pass through to a directory."""
    try:
        run_as(account, ["/bin/sh", "-c", 'cd "$1"', "sh", str(directory)], env={})
    except FleetError:
        return False
    return True


def reachable_binaries(binaries: Path, account: Account | None) -> Path:
    """Return `binaries`, or a copy of them where `account` can run them."""
    if account is None or can_enter(account, binaries):
        return binaries
    # Named by its content: checkouts share a copy, and another version gets another one.
    digest = hashlib.sha256((binaries / "postgres").read_bytes()).hexdigest()[:16]
    copy = SYSTEM_DIR / f"postgresql-{digest}"
    if not copy.exists():
        SYSTEM_DIR.mkdir(exist_ok=True)
        unfinished = SYSTEM_DIR / f"unfinished-{os.getpid()}"
        shutil.copytree(binaries.parent, unfinished, symlinks=True)
        for path in [unfinished, *unfinished.rglob("*")]:
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or path.parent.name == "bin" else 0o444))
        try:
            unfinished.rename(copy)
        except OSError:
            # Another fleet was faster.
            shutil.rmtree(unfinished)
    return copy / "bin"


def sweep_system_dir() -> None:
    """Delete the clusters of tests that were killed: those whose data directory was a temporary one and is gone.

    Others stay, whatever became of their data directory: it may be on a disk that comes back.
    """
    if os.geteuid() != 0:
        return
    for owner_file in SYSTEM_DIR.glob(f"*/{OWNER_FILE}"):
        data_dir = Path(owner_file.read_text(encoding="utf-8"))
        if data_dir.is_relative_to(tempfile.gettempdir()) and not data_dir.exists():
            shutil.rmtree(owner_file.parent, ignore_errors=True)


def run_as(account: Account | None, command: Sequence[str], *, env: Mapping[str, str], stdin: str = "") -> None:
    """Run a command to its end as an account; FleetError with its last line when it fails."""
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            command,
            cwd="/",
            env=env,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            # A Ctrl-C is for the supervisor, which lets this short command finish.
            process_group=0,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    except OSError as error:
        raise FleetError(f"can't run {name}: {error}") from error
    if done.returncode != 0:
        lines = done.stdout.strip().splitlines() or ["no reason given"]
        raise FleetError(f"{name} failed: {lines[-1]}")
