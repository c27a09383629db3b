"""A PostgreSQL server for the tests of the schema, and databases of their own in it: no service runs."""

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from psycopg2 import sql
from psycopg2.extras import register_uuid

from database.migrate import migrate
from dev.servers import DATABASE, EmbeddedPostgres

from .importing import SAMPLE, run

TEMPLATE = "migrated"
_numbers = itertools.count(1)
register_uuid()


class Server:
    """A server that makes databases, empty or with the schema."""

    def __init__(self, url: str) -> None:
        self._url = url

    def execute(self, statement: str | sql.Composable) -> None:
        """Run a statement that needs no transaction, or bears none."""
        connection = psycopg2.connect(self._url)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
        connection.close()

    def create(self, name: str, template: str = "template1") -> str:
        """Create a database; its URL."""
        self.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        return self._url.removesuffix(DATABASE) + name

    def empty(self) -> str:
        """The URL of a new database without tables."""
        return self.create(f"empty_{next(_numbers)}")

    def migrated(self) -> str:
        """The URL of a new database with the schema."""
        return self.create(f"migrated_{next(_numbers)}", TEMPLATE)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server, which has a database with the schema to copy from."""
    postgres = EmbeddedPostgres(Path(tmp_path_factory.mktemp("postgres")))
    running = Server(postgres.start())
    # The tests kill clients, never this server, and nobody needs its data afterwards.
    running.execute("ALTER SYSTEM SET fsync = off")
    running.execute("SELECT pg_reload_conf()")
    migrate(running.create(TEMPLATE))
    yield running
    postgres.remove()


@pytest.fixture(scope="module")
def module_url(server: Server) -> str:
    """A database with the schema that the tests of a module share; each rolls back what it does."""
    return server.migrated()


@pytest.fixture
def cursor(module_url: str) -> Iterator[psycopg2.extensions.cursor]:
    """A cursor in a transaction that is rolled back."""
    connection = psycopg2.connect(module_url)
    with connection.cursor() as open_cursor:
        yield open_cursor
    connection.close()


@pytest.fixture(scope="module")
def url(server: Server) -> str:
    """A database that the sample has been loaded into; the tests only read it."""
    loaded = server.migrated()
    assert run(loaded, SAMPLE).status == 0
    return loaded


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the sample to spoil."""
    return Path(shutil.copytree(SAMPLE, tmp_path / "sample"))
