"""`./fleet restore FILE`: a backup into an empty fleet, or with `--force` in the place of another one's data.

The backup becomes a database of its own first, is checked there, and then takes the place of the fleet's by a change of
names: whenever this is killed, the fleet has either its old data or the whole backup.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection, set_wait_callback

from database import audit, migrate
from database.roles import SERVICES, password_variable
from dev import FleetError, archive, clients, path_of, sessions
from dev.archive import PIECE_BYTES, Part
from dev.backup import (
    DATABASE_PART,
    SESSIONS_PART,
    Servers,
    orderly,
    reason,
    rows_of,
    say,
    servers_of,
    shown,
    wait,
    write_file,
)
from dev.servers import first_line
from dev.settings import data_dir_of, load_secrets

OPTIONS = {"--force", "--end-sessions"}
# Any number that nothing else locks; with the database's name, since two fleets may share a server.
LOCK = 7_223_002
TERMINATE_EVERY_SECONDS = 0.05
# What `./fleet up` makes by itself is no data: the catalogues and the first admin.
IS_EMPTY = """
    SELECT (SELECT count(*) FROM users) <= 1
       AND NOT EXISTS (SELECT FROM medical_institutions)
       AND NOT EXISTS (SELECT FROM doctors)
       AND NOT EXISTS (SELECT FROM patients)
"""
# Then who wants to connect to the database waits for the end of the transaction that renames it.
IS_CLOSED = """
    SELECT FROM pg_locks JOIN pg_database ON objid = pg_database.oid
    WHERE classid = 'pg_database'::regclass AND datname = %s AND mode = 'AccessExclusiveLock' AND granted
"""
END_OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> %s"


def run(arguments: Sequence[str]) -> int:
    """The verb."""
    names = [argument for argument in arguments if argument not in OPTIONS]
    if len(names) != 1 or (names[0].startswith("-") and names[0] != "-"):
        raise FleetError("usage: ./fleet restore FILE [--force] [--end-sessions], or - for standard input")
    data_dir = data_dir_of(os.environ)
    with orderly(), opened(names[0]) as (file, shown_name):
        say(f"Checking {shown_name} ...")
        manifest, parts = archive.read(file, shown_name)
        check_migrations(manifest["migrations"])
        with servers_of(data_dir, for_backup=False) as servers:
            restore(servers, manifest, parts, force="--force" in arguments, keep="--end-sessions" not in arguments)
    return 0


@contextmanager
def opened(name: str) -> Iterator[tuple[IO[bytes], str]]:
    """A backup that can be read more than once, and what to call it."""
    try:
        if name == "-":
            with tempfile.TemporaryFile() as copy:
                shutil.copyfileobj(sys.stdin.buffer, copy, PIECE_BYTES)
                copy.seek(0)
                yield copy, "standard input"
        else:
            with open(path_of(name), "rb") as file:
                yield file, name
    except OSError as error:
        raise FleetError(f"can't read {name}: {reason(error)}") from error


def check_migrations(applied: Sequence[str]) -> None:
    """Refuse a backup that knows more than we do; what an older one lacks is applied to it."""
    known = {path.stem for path in migrate.MIGRATIONS.iterdir()}
    if newer := sorted(set(applied) - known):
        raise FleetError(
            f"the backup is of a newer version of PredictHealth ({newer[-1]} is unknown here): update first"
        )


def restore(servers: Servers, manifest: dict[str, Any], parts: dict[str, Part], *, force: bool, keep: bool) -> None:
    """Put a backup in the place of the fleet's data; `keep`: its sessions too."""
    name = clients.database_of(servers.database_url)
    scratch, replaced = f"{name}_restoring", f"{name}_replaced"
    scratch_url = clients.on_same_server(servers.database_url, scratch)
    maintenance = clients.on_same_server(servers.database_url, "template1" if name == "postgres" else "postgres")
    with closing(clients.connect(maintenance)) as server:
        take_turn(server, name)
        check_server(server, manifest["postgresql"])
        was_empty = keep_or_refuse(servers, force)
        drop(server, scratch, replaced)
        try:
            create(server, scratch)
            fill(scratch_url, server, parts[DATABASE_PART], manifest["rows"])
            broken = complete(scratch_url, name, servers.data_dir)
            if was_empty:
                with closing(clients.connect(servers.database_url)) as database:
                    refuse_newcomers(database)
            # First nobody is logged in, then the data changes, then its own sessions come: killed in between,
            # nobody is let in who should not be.
            sessions.end_all(servers.redis_url)
            swap(server, servers.database_url, maintenance, scratch, replaced, must_be_empty=was_empty)
        finally:
            with suppress(psycopg2.Error):  # of a connection that broke: the next restore drops it
                drop(server, scratch)
        count = bring_sessions(servers, parts, keep)
        drop(server, replaced)
    say(f"Restored {sum(manifest['rows'].values()):,} rows of {manifest['taken_at']}, and {count} keys of sessions.")
    say("The audit trail is whole." if not broken else "The audit trail of this backup is broken: ./fleet audit verify")


def take_turn(server: connection, name: str) -> None:
    """Keep a second restore away for as long as this connection lives."""
    with server.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", (LOCK, name))
        if cursor.fetchone() != (True,):
            raise FleetError("another restore is under way")


def check_server(server: connection, dumped_from: int) -> None:
    """Refuse a server that is older than the one that the backup is of: its dump may say what that doesn't know."""
    here, there = clients.major(server.info.server_version), clients.major(dumped_from)
    if here < there:
        raise FleetError(f"the backup is of PostgreSQL {there}, and this server is {here}: it needs {there} or newer")


def is_empty(database: connection) -> bool:
    """Tell whether a database has no data of its own."""
    with database.cursor() as cursor:
        cursor.execute("SELECT to_regclass('public.users')")
        if cursor.fetchone() == (None,):
            return True
        cursor.execute(IS_EMPTY)
        return cursor.fetchone() == (True,)


def refuse_newcomers(database: connection) -> None:
    """Refuse to replace what others have written since the fleet was found empty: there is no backup of it."""
    if not is_empty(database):
        raise FleetError("this fleet was given data meanwhile: nothing was replaced")


def keep_or_refuse(servers: Servers, force: bool) -> bool:
    """Refuse to replace data; with `force` make a backup of it first. Whether there was none."""
    with closing(clients.connect(servers.database_url)) as database:
        if is_empty(database):
            return True
    if not force:
        raise FleetError("this fleet has data: restore into an empty one, or replace it with --force (it is kept)")
    if servers.fleet_runs:
        raise FleetError("stop the fleet first: what it writes meanwhile would be lost")
    before = servers.data_dir / f"before-restore-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.backup"
    say("Keeping what is there now ...")
    write_file(servers, before, overwrite=False)
    say(f"To undo: ./fleet restore --force {before}")
    return False


def create(server: connection, name: str) -> None:
    """Create an empty database."""
    try:
        with server.cursor() as cursor:
            cursor.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    except psycopg2.errors.InsufficientPrivilege as error:
        raise FleetError("the role of DATABASE_URL needs CREATEDB for a restore") from error


def drop(server: connection, *names: str) -> None:
    """Drop databases that a restore has no more use for, this one's or one's that was killed."""
    with server.cursor() as cursor:
        for name in names:
            cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def fill(url: str, server: connection, part: Part, rows: dict[str, int]) -> None:
    """Run the dump in an empty database; FleetError unless each table has the rows that the manifest tells of."""
    # Comments on extensions belong to the superuser.
    options = ["--exit-on-error", "--no-owner", "--no-acl", "--no-comments"]
    with clients.running(clients.find("pg_restore", server), url, options, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin:
            for piece in shown(iter(lambda: part.file.read(PIECE_BYTES), b""), "database", part.size):
                process.stdin.write(piece)
    with closing(clients.connect(url)) as database:
        if rows_of(database) != rows:
            raise FleetError("the restored tables have other numbers of rows than the backup: nothing was changed")


def complete(url: str, name: str, data_dir: Path) -> list[str]:
    """Apply newer migrations and give the services' roles their rights; what is wrong with the audit trail."""
    secrets = load_secrets(data_dir, os.environ)
    passwords = {service: secrets[password_variable(service)] for service in SERVICES}
    try:
        set_wait_callback(None)  # a migration may COPY, which no callback can wait for
        try:
            migrate.migrate(url, passwords, roles_named_after=name)
        finally:
            set_wait_callback(wait)
        return list(audit.findings(url))
    except psycopg2.Error as error:
        raise FleetError(f"the restored database can't be completed: {first_line(error)}") from error


def swap(server: connection, url: str, maintenance: str, scratch: str, replaced: str, *, must_be_empty: bool) -> None:
    """Give a database's name to another one, both at once, and end the connections to it."""
    name = clients.database_of(url)
    renaming = sql.SQL("ALTER DATABASE {} RENAME TO {}; ALTER DATABASE {} RENAME TO {}").format(
        *(sql.Identifier(word) for word in (name, replaced, scratch, name))
    )

    def rename() -> None:
        with other, other.cursor() as cursor:
            cursor.execute(renaming)

    # The rename waits for the connections to end, for five seconds at most: while the witness is connected, it can't
    # succeed, and what the witness sees as the last one, nobody can change any more.
    with (
        closing(psycopg2.connect(maintenance)) as other,
        closing(clients.connect(url)) as witness,
        ThreadPoolExecutor(1) as thread,
    ):
        renamed = thread.submit(rename)
        try:
            while not renamed.done() and not shut_out(server, name, witness):
                time.sleep(TERMINATE_EVERY_SECONDS)
            if must_be_empty and not renamed.done():
                refuse_newcomers(witness)
        except BaseException:
            other.cancel()
            raise
        witness.close()
        try:
            renamed.result()
        except psycopg2.errors.ObjectInUse as error:
            raise FleetError("others use the database and this role may not end that: stop the services") from error
        except psycopg2.Error as error:
            raise FleetError(f"can't rename the database: {first_line(error)}") from error


def shut_out(server: connection, name: str, witness: connection) -> bool:
    """End all connections to a database that is being renamed but the witness's; whether no other can come any more."""
    with server.cursor() as cursor:
        cursor.execute(IS_CLOSED, (name,))
        closed = cursor.rowcount > 0
        with suppress(psycopg2.errors.InsufficientPrivilege):
            cursor.execute(END_OTHERS, (name, witness.info.backend_pid))
            return closed and cursor.rowcount == 0
    return False


def bring_sessions(servers: Servers, parts: dict[str, Part], keep: bool) -> int:
    """Put the backup's sessions into the embedded Valkey, if they are to be kept; how many keys."""
    if keep and servers.redis_is_embedded and SESSIONS_PART in parts:
        return sessions.replace(servers.redis_url, parts[SESSIONS_PART].file, servers.data_dir / "restoring")
    return 0
