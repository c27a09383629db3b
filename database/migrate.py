"""Brings a database to the newest schema: `python -m database.migrate`, with `DATABASE_URL` in the environment.

Safe to run at any time, by several processes at once: one migrates, the others wait and find nothing to do.
"""

import os
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg2
from psycopg2.extensions import connection
from yoyo import get_backend, read_migrations

from .address import database_url
from .roles import SERVICES, create_roles, password_variable

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 7_223_001  # any number that nothing else locks


def migrate(
    database_url: str, passwords: Mapping[str, str] | None = None, *, roles_named_after: str | None = None
) -> int:
    """Apply what is missing and renew the services' roles (`passwords`: service → password); how many migrations.

    The roles are named after the database, or after the name that it is about to get.

    Raises psycopg2.Error when the database can't be reached or a statement fails; then nothing of that migration stays.
    """
    guard = psycopg2.connect(database_url, target_session_attrs="read-write")
    try:
        # Until the commit, not until the connection ends: a pooler would keep that open for others.
        with guard.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        # yoyo's own lock is a row, which a killed process leaves behind; under ours nobody else can hold it.
        backend = get_backend(_server_of(guard, database_url))
        with closing(backend.connection):
            backend.break_lock()
            migrations = backend.to_apply(read_migrations(str(MIGRATIONS)))
            with backend.lock():
                for migration in migrations:
                    _apply(backend, migration)
        create_roles(guard, passwords or {}, named_after=roles_named_after)
        guard.commit()
        return len(migrations)
    finally:
        guard.close()


def _server_of(guard: connection, database_url: str) -> str:
    """The URL of the one server, of those that `database_url` lists, that `guard` has found: yoyo takes no lists."""
    parts = urlsplit(database_url)
    user, at, hosts = parts.netloc.rpartition("@")
    if "," not in hosts:
        return database_url
    return urlunsplit(parts._replace(netloc=f"{user}{at}{guard.info.host}:{guard.info.port}"))


def _apply(backend: Any, migration: Any) -> None:
    """Run a migration and note it, in one transaction.

    yoyo's own `apply_one` takes two: a kill in between would leave a migration that is made, not noted, and fails for
    ever after.
    """
    backend.ensure_internal_schema_updated()
    with backend.transaction():
        migration.process_steps(backend, "apply")
        backend.mark_one(migration, log=False)


def main() -> int:
    """The command line."""
    try:
        url = database_url(os.environ)
    except ValueError as exc:
        print(f"migrate: {exc}", file=sys.stderr)
        return 2
    passwords = {
        name: os.environ[password_variable(name)] for name in SERVICES if password_variable(name) in os.environ
    }
    try:
        print(f"migrations applied: {migrate(url, passwords)}")
    except psycopg2.errors.InsufficientPrivilege:
        print("migrate: the role of DATABASE_URL must own the database and may need CREATEROLE", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
