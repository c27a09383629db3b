"""`./fleet backup FILE`: the database and the sessions of one moment in one file. `-` writes it to standard output."""

import hashlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from types import FrameType
from typing import IO, Any

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import POLL_OK, POLL_READ, POLL_WRITE, connection, set_wait_callback
from tqdm import tqdm

from dev import ROOT, FleetError, archive, clients, path_of, sessions
from dev.archive import PIECE_BYTES, Part
from dev.fleet import is_running, lock
from dev.processes import end_survivors, find_survivors
from dev.running import running_fleet
from dev.servers import EmbeddedPostgres, EmbeddedValkey, first_line
from dev.settings import data_dir_of, load_secrets, make_data_dir

DATABASE_PART, SESSIONS_PART = "database.dump", "sessions.rdb"
MIGRATIONS = "SELECT migration_id FROM _yoyo_migration ORDER BY migration_id"
TABLES = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY relname
"""


@dataclass(frozen=True)
class Servers:
    """Where the data of a fleet is: the database's owner's URL, and Redis, which may be the embedded Valkey."""

    data_dir: Path
    database_url: str
    redis_url: str
    redis_is_embedded: bool
    fleet_runs: bool


def run(arguments: Sequence[str]) -> int:
    """The verb."""
    names = [argument for argument in arguments if argument != "--force"]
    if len(names) != 1 or (names[0].startswith("-") and names[0] != "-"):
        raise FleetError("usage: ./fleet backup FILE [--force], or - for standard output")
    data_dir = data_dir_of(os.environ)
    with orderly(), servers_of(data_dir, for_backup=True) as servers:
        if names[0] == "-":
            write_to_pipe(servers)
        else:
            write_file(servers, path_of(names[0]), overwrite="--force" in arguments)
    say("It holds health data. Keep it encrypted, for instance: ./fleet backup - | age -r RECIPIENT > FILE.age")
    say(f"Not in it: secrets.env and jwt-key*.pem of {data_dir}. Keep them elsewhere;")
    say("a fleet with other ones works with the same data, but everybody logs in anew.")
    return 0


def write_to_pipe(servers: Servers) -> None:
    """Write a backup to standard output, for a program that encrypts it."""
    if sys.stdout.isatty():
        raise FleetError("a backup on a terminal is of no use: give a FILE, or pipe it into a program")
    try:
        with collected(servers, servers.data_dir) as (facts, parts):
            archive.write(sys.stdout.buffer, facts, parts)
        sys.stdout.buffer.flush()
    except OSError as error:
        raise FleetError(f"can't write the backup: {reason(error)}") from error


def write_file(servers: Servers, target: Path, *, overwrite: bool) -> None:
    """Write a backup whole or not at all; only its owner may read it."""
    if target.exists() and not (overwrite and target.is_file()):
        raise FleetError(f"{target} exists" + (": --force replaces it" if target.is_file() else " and is no file"))
    try:
        with collected(servers, target.parent) as (facts, parts):
            descriptor, unfinished = tempfile.mkstemp(".unfinished", f"{target.name}.", target.parent)
            try:
                with open(descriptor, "wb") as file:
                    archive.write(file, facts, parts)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(unfinished, target)
            except BaseException:
                os.unlink(unfinished)
                raise
        sync_directory(target.parent)
    except OSError as error:
        raise FleetError(f"can't write {target}: {reason(error)}") from error
    say(f"Backed up to {target} ({target.stat().st_size / 1e6:.1f} MB).")


def reason(error: OSError) -> str:
    """What an error of the operating system says, as the end of a line."""
    return (error.strerror or str(error)).lower()


def sync_directory(directory: Path) -> None:
    """Make a rename in it last through a crash of the machine."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def collected(servers: Servers, room: Path) -> Iterator[tuple[dict[str, Any], dict[str, Part]]]:
    """What goes into a backup: the facts of its manifest, and its parts as nameless files in the directory `room`.

    The database, the sessions and the numbers of rows are of one moment, whatever is written meanwhile.
    """
    with ExitStack() as stack:
        database = stack.enter_context(closing(clients.connect(servers.database_url)))
        with database.cursor() as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.execute("SELECT pg_export_snapshot(), now()")
            moment, taken_at = cursor.fetchone()  # type: ignore[misc]
        parts: dict[str, Part] = {}
        if servers.redis_is_embedded:
            parts[SESSIONS_PART] = spool(sessions.snapshot(servers.redis_url), stack, room)
        else:
            say("Sessions are not in it, as REDIS_URL is a server of your own: after a restore all log in anew.")
        facts: dict[str, Any] = {
            "product": product_version(),
            "taken_at": taken_at.astimezone(UTC).isoformat(timespec="seconds"),
            "postgresql": database.info.server_version,
            "migrations": migrations_of(database),
            "rows": rows_of(database),
        }
        dumped = dump(servers.database_url, database, moment)
        parts[DATABASE_PART] = spool(shown(dumped, "database"), stack, room)
        yield facts, parts
    say(f"{sum(facts['rows'].values()):,} rows of {len(facts['rows'])} tables, as of {facts['taken_at']}.")


def dump(url: str, server: connection, moment: str) -> Iterator[bytes]:
    """The database in pg_dump's custom format, in pieces, as of a snapshot that another connection holds.

    Owners and rights stay out: they are named after the database that it is restored to.
    """
    options = ["--format=custom", f"--snapshot={moment}", "--no-owner", "--no-acl"]
    with clients.running(clients.find("pg_dump", server), url, options, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while piece := process.stdout.read(PIECE_BYTES):
            yield piece


def spool(pieces: Iterable[bytes], stack: ExitStack, room: Path) -> Part:
    """Keep pieces in a nameless file in the directory `room`: it vanishes with us, whatever ends us."""
    file: IO[bytes] = stack.enter_context(tempfile.TemporaryFile(dir=room))  # noqa: SIM115 (the stack closes it)
    size, sha256 = 0, hashlib.sha256()
    for piece in pieces:
        file.write(piece)
        size += len(piece)
        sha256.update(piece)
    return Part(file, size, sha256.hexdigest())


def shown(pieces: Iterable[bytes], name: str, total: int | None = None) -> Iterator[bytes]:
    """The same pieces, counted by a progress bar if this is a terminal."""
    with tqdm(total=total, desc=name, unit="B", unit_scale=True, disable=None) as bar:
        for piece in pieces:
            yield piece
            bar.update(len(piece))


def migrations_of(database: connection) -> list[str]:
    """The migrations that a database has; FleetError if it is none of ours."""
    with database.cursor() as cursor:
        cursor.execute("SELECT to_regclass('public._yoyo_migration')")
        if cursor.fetchone() == (None,):
            raise FleetError("the database holds no fleet's data")
        cursor.execute(MIGRATIONS)
        return [name for (name,) in cursor.fetchall()]


def rows_of(database: connection) -> dict[str, int]:
    """How many rows each table has."""
    with database.cursor() as cursor:
        cursor.execute(TABLES)
        tables = [name for (name,) in cursor.fetchall()]
        counts = {}
        for table in tables:
            cursor.execute(sql.SQL("SELECT count(*) FROM public.{}").format(sql.Identifier(table)))
            counts[table] = cursor.fetchone()[0]  # type: ignore[index]
        return counts


def product_version() -> str:
    """The version of this checkout."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


@contextmanager
def servers_of(data_dir: Path, *, for_backup: bool) -> Iterator[Servers]:
    """The servers of a fleet; if it is stopped its own are started for the while, and it can't start meanwhile."""
    database_url, redis_url = os.environ.get("DATABASE_URL"), os.environ.get("REDIS_URL")
    if fleet := fleet_of(data_dir):
        embedded = not redis_url and "valkey" in fleet.get("EMBEDDED_SERVERS", "").split()
        yield Servers(data_dir, database_url or fleet["DATABASE_URL"], redis_url or fleet["REDIS_URL"], embedded, True)
        return
    if for_backup and not database_url and not (data_dir / "secrets.env").exists():
        raise FleetError(f"there is no fleet's data in {data_dir}")
    make_data_dir(data_dir)
    with ExitStack() as stack:
        stack.enter_context(closing(lock(data_dir)))
        end_survivors(find_survivors(data_dir))
        secrets = load_secrets(data_dir, os.environ)
        if not database_url:
            postgres = EmbeddedPostgres(data_dir, secrets["POSTGRES_PASSWORD"])
            stack.callback(postgres.stop)
            database_url = postgres.start()
        if not redis_url:
            valkey = EmbeddedValkey(data_dir, secrets["REDIS_PASSWORD"])
            stack.callback(valkey.stop)
            redis_url = valkey.start()
        yield Servers(data_dir, database_url, redis_url, not os.environ.get("REDIS_URL"), False)


def fleet_of(data_dir: Path) -> dict[str, str] | None:
    """What the running fleet says of itself; None when none runs, or it was another backup of a stopped one."""
    try:
        return running_fleet()
    except FleetError:
        if is_running(data_dir):
            raise
        return None


@contextmanager
def orderly() -> Iterator[None]:
    """Let SIGTERM and SIGHUP clean up as Ctrl-C does, and a failure of PostgreSQL be one line."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    # Else a statement that waits would have to end first.
    set_wait_callback(wait)
    try:
        yield
    except psycopg2.Error as error:
        raise FleetError(f"PostgreSQL: {first_line(error)}") from error


def wait(waiting: connection) -> None:
    """Wait for PostgreSQL so that a signal is heard."""
    while (state := waiting.poll()) != POLL_OK:
        select.select([waiting] if state == POLL_READ else [], [waiting] if state == POLL_WRITE else [], [])


def say(line: str) -> None:
    """Print a line for the person: standard output may be the backup itself."""
    print(line, file=sys.stderr, flush=True)
