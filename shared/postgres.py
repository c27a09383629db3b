"""PostgreSQL: a small pool of connections that waits, statements, transactions; what fails becomes an error of ours."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol

import psycopg2
import psycopg2.extensions as pg
from psycopg2 import sql

from .driver import Connection, ConstraintViolated, Parameters, Result, Row, Server, Statement
from .errors import Busy, DatabaseUnavailable
from .metrics import Metric, gauge
from .settings import Settings

# What users of the pool need of the driver, they import from here.
__all__ = [
    "ConstraintViolated",
    "Database",
    "Executor",
    "NamedErrors",
    "Parameters",
    "Reader",
    "Row",
    "Statement",
    "Transaction",
    "assignments",
    "named_errors",
    "servers_of",
]

log = logging.getLogger(__name__)

NamedErrors = Mapping[str, Callable[[], Exception]]

# The mistakes that only our own code can make: they stay a 500, unless a function of the database's made them, such as
# a trigger of an operator's.
_MISTAKES = (psycopg2.errors.SyntaxError, psycopg2.DataError)
_OUT_OF_TIME = (psycopg2.extensions.QueryCanceledError, psycopg2.errors.LockNotAvailable)
# The connection is of no more use: broken, or to a server that has become a standby, which only reads.
_GONE = (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.errors.ReadOnlySqlTransaction)
# What it has prepared no longer fits the schema; or a pooler that we weren't told of shares the connection.
_UNPREPARED = (
    psycopg2.errors.FeatureNotSupported,
    psycopg2.errors.InvalidSqlStatementName,
    psycopg2.errors.DuplicatePreparedStatement,
)
_AGAIN = (*_GONE, *_UNPREPARED)
_LOST = (*_AGAIN, TimeoutError)
_PING_SECONDS = 2.0


class Reader(Protocol):
    """What runs statements that only read; it may be a replica, some seconds behind."""

    async def fetch_one(self, statement: Statement, parameters: Parameters | None = None) -> Row | None:
        """The first row, or None."""

    async def fetch_all(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        """Every row."""


class Executor(Reader, Protocol):
    """What runs statements: the database (each on its own) or a transaction (all or nothing)."""

    async def execute(self, statement: Statement, parameters: Parameters | None = None) -> int:
        """The number of rows that the statement touched."""


class Transaction:
    """An open transaction: an Executor whose statements are committed together at the end of `Database.transaction`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def fetch_one(self, statement: Statement, parameters: Parameters | None = None) -> Row | None:
        """The first row, or None."""
        rows = (await self._connection.run(statement, parameters, rows=True)).rows
        return rows[0] if rows else None

    async def fetch_all(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        """Every row."""
        return (await self._connection.run(statement, parameters, rows=True)).rows

    async def execute(self, statement: Statement, parameters: Parameters | None = None) -> int:
        """The number of rows touched."""
        return (await self._connection.run(statement, parameters, rows=False)).count


class Database:
    """A pool of at most `database_pool_size` connections. Who finds none free waits, bounded in time and in number.

    Raises Busy when too many wait or one waits too long, DatabaseUnavailable when PostgreSQL can't be reached in time,
    ConstraintViolated when a named constraint refuses a row.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._servers = servers_of(settings.database_url.get_secret_value())
        self._idle: list[Connection] = []
        self._slots = asyncio.Semaphore(settings.database_pool_size)
        self._waiting = 0
        self._in_use = 0
        self._ping: asyncio.Task[None] | None = None

    def measure(self) -> Iterator[Metric]:
        """How busy the pool is, for Prometheus."""
        prefix = "predicthealth_database_pool_connections"
        yield gauge(f"{prefix}_in_use", "Connections that serve a request now.", self._in_use)
        yield gauge(f"{prefix}_idle", "Open connections that nobody uses.", len(self._idle))
        yield gauge(f"{prefix}_waiting", "Requests that wait for a connection.", self._waiting)

    async def ping(self) -> None:
        """Ask whether the server takes writes, in 2 s at most and past the queue: a busy pool is no sign of a fault.

        One that only reads, as a standby, is one: whatever is about a person is audited.

        Who asks while another one does gets the same answer, so that any number of monitors cost one connection.
        """
        if self._ping is None or self._ping.done():
            self._ping = asyncio.create_task(self._ask())
        await asyncio.shield(self._ping)

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(_PING_SECONDS):
                connection = await self._opened()
                (row,) = (await connection.run("SHOW transaction_read_only", None, rows=True)).rows
                if row["transaction_read_only"] == "on":
                    self._suspect(connection)
                    raise DatabaseUnavailable
                self._idle.append(connection)
        except (psycopg2.Error, TimeoutError) as exc:
            raise DatabaseUnavailable from exc

    async def fetch_one(self, statement: Statement, parameters: Parameters | None = None) -> Row | None:
        """The first row of a read, or None; run once more when the connection turned out to be dead."""
        rows = (await self._read(statement, parameters)).rows
        return rows[0] if rows else None

    async def fetch_all(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        """Every row of a read; run once more when the connection turned out to be dead."""
        return (await self._read(statement, parameters)).rows

    async def execute(self, statement: Statement, parameters: Parameters | None = None) -> int:
        """The number of rows that one write touched; never run twice."""
        async with self._connection() as connection:
            return (await connection.run(statement, parameters, rows=False)).count

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Commit at the end of the block, roll back on any exception."""
        async with self._connection(begin=True) as connection:
            try:
                yield Transaction(connection)
                await connection.run("COMMIT", None, rows=False)
            except asyncio.CancelledError:
                # Out of time: no waiting for a ROLLBACK as well. The server rolls back what it loses the other end of.
                connection.close()
                raise
            except BaseException:
                if not connection.closed:
                    await connection.run("ROLLBACK", None, rows=False)
                raise

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    async def _read(self, statement: Statement, parameters: Parameters | None) -> Result:
        for last_try in (False, True):
            try:
                async with self._connection() as connection:
                    return await connection.run(statement, parameters, rows=True)
            except DatabaseUnavailable as exc:
                # What ran out of time is one of psycopg2's operational errors, too.
                if last_try or isinstance(exc.__cause__, _OUT_OF_TIME) or not isinstance(exc.__cause__, _AGAIN):
                    raise
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def _connection(self, *, begin: bool = False) -> AsyncIterator[Connection]:
        async with self._slot():
            connection = await (self._begun() if begin else self._opened())
            try:
                yield connection
            except _OUT_OF_TIME as exc:
                raise DatabaseUnavailable from exc
            except _LOST as exc:
                if connection.closed or isinstance(exc, psycopg2.errors.ReadOnlySqlTransaction):
                    self._suspect(connection)
                elif isinstance(exc, _UNPREPARED):
                    self.close()  # the idle ones have prepared the same
                connection.close()
                log.warning("database connection lost", extra={"error": type(exc).__name__})
                raise DatabaseUnavailable from exc
            except DatabaseUnavailable:
                self._suspect(connection)  # it lacks what another service has just written
                raise
            except psycopg2.Error as exc:
                if _is_ours(exc):
                    raise
                log.error("database refuses", extra={"error": type(exc).__name__})
                raise DatabaseUnavailable from exc
            finally:
                if connection.idle and connection.server is self._servers[0]:
                    self._idle.append(connection)
                else:
                    connection.close()

    def _suspect(self, connection: Connection) -> None:
        """Drop it and the idle ones, which most likely died together; try the other servers before its own."""
        connection.close()
        self.close()
        self._servers.remove(connection.server)
        self._servers.append(connection.server)

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        if self._slots.locked() and self._waiting >= self._settings.database_pool_queue:
            raise Busy
        self._waiting += 1
        try:
            async with asyncio.timeout(self._settings.database_pool_wait_seconds):
                await self._slots.acquire()
        except TimeoutError as exc:
            raise Busy from exc
        finally:
            self._waiting -= 1
        self._in_use += 1
        try:
            yield
        finally:
            self._in_use -= 1
            self._slots.release()

    async def _opened(self) -> Connection:
        return self._pop_idle() or await Connection.open(self._settings, self._servers)

    async def _begun(self) -> Connection:
        """A connection in a transaction. BEGIN has no effect that could happen twice: on a dead one it is run again."""
        for last_try in (False, True):
            connection = await self._opened()
            try:
                await connection.run("BEGIN", None, rows=False)
                return connection
            except _LOST as exc:
                self._suspect(connection)
                if last_try or isinstance(exc, TimeoutError):
                    raise DatabaseUnavailable from exc
            except BaseException:
                connection.close()
                raise
        raise AssertionError("unreachable")

    def _pop_idle(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.idle:
                return connection
            connection.close()
        return None


def _is_ours(exc: psycopg2.Error) -> bool:
    """Whether our own code is wrong, and not the database: its rights, a schema that is behind, a broken trigger.

    The driver's own errors have no code; those from inside a function of the database's have a context.
    """
    return exc.pgcode is None or (isinstance(exc, _MISTAKES) and not exc.diag.context)


def servers_of(url: str) -> list[Server]:
    """The servers of `postgresql://user:password@first:5432,second:5432/database`, of which one at a time takes writes.

    libpq would try them in turn by itself, but would wait without limit for one that accepts and never answers.
    """
    # Unless the URL says otherwise: looking for Kerberos tickets that nobody has takes 0.3 ms a connection, and 0.8 MB.
    parameters = {"gssencmode": "disable", **pg.parse_dsn(url)}
    hosts, ports = (str(parameters.get(name, "")).split(",") for name in ("host", "port"))
    if len(hosts) == 1:
        return [parameters]
    ports *= len(hosts) if len(ports) == 1 else 1
    shared = {"target_session_attrs": "read-write", **parameters}
    return [{**shared, "host": host, "port": port} for host, port in zip(hosts, ports, strict=True)]


def assignments(changes: Mapping[str, Any]) -> sql.Composed:
    """`a = %(a)s, b = %(b)s` for the columns of an UPDATE that takes any subset of them; `changes` is never empty."""
    return sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(column), sql.Placeholder(column)) for column in changes
    )


@contextmanager
def named_errors(names: NamedErrors) -> Iterator[None]:
    """Turn the violation of a constraint of `names` into the error that stands beside it."""
    try:
        yield
    except ConstraintViolated as exc:
        if exc.constraint not in names:
            raise
        raise names[exc.constraint]() from exc
