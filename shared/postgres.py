"""PostgreSQL through psycopg2's asynchronous mode: a small pool that waits, statements, transactions.

Measured against threads and other drivers in `docs/decisions/0002-psycopg2-asynchronous.md`. In this mode psycopg2
is in autocommit: a single statement needs no BEGIN, a transaction issues its own.
"""

import asyncio
import logging
import select
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg2
import psycopg2.extensions as pg
from psycopg2 import sql
from psycopg2.extras import register_default_json, register_default_jsonb, register_uuid
from pydantic_core import SchemaValidator, core_schema, from_json

from . import context
from .errors import Busy, DatabaseUnavailable
from .metrics import Metric, gauge
from .prepared import Prepared
from .settings import Settings

log = logging.getLogger(__name__)

Row = dict[str, Any]
Statement = str | sql.Composable
Parameters = Mapping[str, Any]
NamedErrors = Mapping[str, Callable[[], Exception]]
Server = dict[str, Any]  # libpq's connection parameters

# Errors that are neither the caller's nor a bug: the server can't or may not do it now. They are a 503, as are all
# OperationalErrors (gone, starting, stopping, out of connections, memory or disk, locked, too slow).
_REFUSALS = (
    psycopg2.errors.InsufficientPrivilege,
    psycopg2.errors.UndefinedTable,  # a schema that is behind, or being restored
    psycopg2.errors.RaiseException,  # a trigger of an operator's; ours name the constraint that they guard
)
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
# Of one connection: each plan takes its memory in the server, and filters make many statements of one.
_MOST_PREPARED = 200
# Nothing that a client sends can break a rule of the audit trail's tables: whatever refuses their rows is a fault.
_AUDIT_TABLES = "audit_"
_PING_SECONDS = 2.0

register_uuid()  # type: ignore[no-untyped-call]
# pydantic's parser takes a fifth of the time of UUID(…), and a page has hundreds of ids.
_read_uuid = SchemaValidator(core_schema.uuid_schema()).validate_python
_UUID = pg.new_type((2950,), "UUID", lambda value, _: None if value is None else _read_uuid(value))
pg.register_type(_UUID)
pg.register_type(pg.new_array_type((2951,), "UUID[]", _UUID))
for register in (register_default_json, register_default_jsonb):
    register(globally=True, loads=from_json)  # a third of the time of json.loads
# NUMERIC as float: every number of the contract is a JSON number, and none needs more than 15 digits.
pg.register_type(pg.new_type(pg.DECIMAL.values, "DEC2FLOAT", lambda value, _: None if value is None else float(value)))


class ConstraintViolated(Exception):
    """A named constraint refused a row; `db.py` turns the name into an error of the domain."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint


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


@dataclass(frozen=True)
class _Result:
    rows: list[Row]
    count: int


class _Connection:
    """One asynchronous psycopg2 connection, driven by the running loop."""

    def __init__(self, raw: pg.connection, server: "Server", settings: Settings) -> None:
        self.server = server
        self._raw = raw
        self._limit = settings.database_statement_timeout_seconds + 1
        self._most_prepared = _MOST_PREPARED if settings.database_prepared_statements else 0
        self._prepared: set[str] = set()

    @classmethod
    async def open(cls, settings: Settings, servers: list["Server"]) -> "_Connection":
        """Connect to the first of `servers` that takes us, which moves to the front of the list."""
        share = settings.database_connect_timeout_seconds / len(servers)
        failure: Exception | None = None
        for server in tuple(servers):
            try:
                connection = await cls._open(settings, server, share)
            except (psycopg2.Error, TimeoutError) as exc:
                failure = exc
            else:
                servers.remove(server)
                servers.insert(0, server)
                return connection
        raise DatabaseUnavailable from failure

    @classmethod
    async def _open(cls, settings: Settings, server: "Server", within_seconds: float) -> "_Connection":
        limit = settings.database_statement_timeout_seconds
        options = {
            "statement_timeout": limit,
            "lock_timeout": settings.database_lock_timeout_seconds,
            "idle_in_transaction_session_timeout": limit * 2,
        }
        # connect_timeout is not enforced in this mode, so the wait is bounded here.
        async with asyncio.timeout(within_seconds):
            raw = psycopg2.connect(
                **server,
                async_=True,
                fallback_application_name="predicthealth",
                client_encoding="UTF8",
                options=" ".join(f"-c {name}={int(s * 1000)}" for name, s in options.items()) + " -c timezone=UTC",
                keepalives=1,
                keepalives_idle=30,
                keepalives_interval=5,
                keepalives_count=3,
                tcp_user_timeout=int(limit * 2000),
            )
            connection = cls(raw, server, settings)
            await connection._drive()
        return connection

    @property
    def idle(self) -> bool:
        """Fit for the next caller. Costs no round trip: an idle connection has nothing to read but its end."""
        if self._raw.closed or self._raw.info.transaction_status != pg.TRANSACTION_STATUS_IDLE:
            return False
        return not select.select([self._raw.fileno()], [], [], 0)[0]

    @property
    def closed(self) -> bool:
        return bool(self._raw.closed)

    def close(self) -> None:
        self._raw.close()

    async def run(self, statement: Statement, parameters: Parameters | None, *, rows: bool) -> _Result:
        """Execute and fetch; on a time limit, or when cancelled, the connection is closed: its state is in doubt."""
        operation = statement.split(maxsplit=1)[0] if isinstance(statement, str) else "statement"
        with context.current().span.step(operation, db__system__name="postgresql"):
            return await self._run(statement, parameters, rows=rows)

    async def _run(self, statement: Statement, parameters: Parameters | None, *, rows: bool) -> _Result:
        cursor = self._raw.cursor()
        try:
            async with asyncio.timeout(self._limit):
                started = time.perf_counter()
                if isinstance(statement, Prepared):
                    statement = statement.given(parameters or {})
                if isinstance(statement, Prepared):
                    statement = await self._prepare(cursor, statement)
                cursor.execute(statement, parameters)
                await self._drive()
            elapsed_ms = round((time.perf_counter() - started) * 1000, 1)
            log.debug("statement", extra={"rows": cursor.rowcount, "duration_ms": elapsed_ms})
            return _Result(_rows_of(cursor) if rows else [], cursor.rowcount)
        except psycopg2.IntegrityError as exc:
            if (exc.diag.table_name or "").startswith(_AUDIT_TABLES):
                raise DatabaseUnavailable from exc
            raise ConstraintViolated(exc.diag.constraint_name or "") from exc
        except BaseException:
            if self._raw.isexecuting():
                self.close()
            raise

    async def _prepare(self, cursor: pg.cursor, statement: Prepared) -> str:
        if statement.name not in self._prepared:
            if len(self._prepared) >= self._most_prepared:
                return statement
            cursor.execute(statement.preparation)
            await self._drive()
            self._prepared.add(statement.name)
        return statement.execution

    async def _drive(self) -> None:
        loop = asyncio.get_running_loop()
        while (state := self._raw.poll()) != pg.POLL_OK:
            ready: asyncio.Future[None] = loop.create_future()
            descriptor = self._raw.fileno()
            add, remove = (
                (loop.add_reader, loop.remove_reader)
                if state == pg.POLL_READ
                else (loop.add_writer, loop.remove_writer)
            )
            add(descriptor, _set_once, ready)
            try:
                await ready
            finally:
                remove(descriptor)


def _rows_of(cursor: pg.cursor) -> list[Row]:
    # Not by RealDictCursor: it fills each row column by column in Python, a millisecond for a page.
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]


def _set_once(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


class Transaction:
    """An open transaction: an Executor whose statements are committed together at the end of `Database.transaction`."""

    def __init__(self, connection: _Connection) -> None:
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
        self._idle: list[_Connection] = []
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
        """Ask the server for an answer, in 2 s at most and past the queue: a busy pool is no sign that it is down.

        Who asks while another one does gets the same answer, so that any number of monitors cost one connection.
        """
        if self._ping is None or self._ping.done():
            self._ping = asyncio.create_task(self._ask())
        await asyncio.shield(self._ping)

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(_PING_SECONDS):
                connection = await self._opened()
                await connection.run("SELECT 1", None, rows=True)
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

    async def _read(self, statement: Statement, parameters: Parameters | None) -> _Result:
        for last_try in (False, True):
            try:
                async with self._connection() as connection:
                    return await connection.run(statement, parameters, rows=True)
            except DatabaseUnavailable as exc:
                if last_try or not isinstance(exc.__cause__, _AGAIN):
                    raise
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def _connection(self, *, begin: bool = False) -> AsyncIterator[_Connection]:
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
            except _REFUSALS as exc:
                log.error("database refuses", extra={"error": type(exc).__name__})
                raise DatabaseUnavailable from exc
            finally:
                if connection.idle and connection.server is self._servers[0]:
                    self._idle.append(connection)
                else:
                    connection.close()

    def _suspect(self, connection: _Connection) -> None:
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

    async def _opened(self) -> _Connection:
        return self._pop_idle() or await _Connection.open(self._settings, self._servers)

    async def _begun(self) -> _Connection:
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

    def _pop_idle(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.idle:
                return connection
            connection.close()
        return None


def servers_of(url: str) -> list[Server]:
    """The servers of `postgresql://user:password@first:5432,second:5432/database`, of which one at a time takes writes.

    libpq would try them in turn by itself, but would wait without limit for one that accepts and never answers.
    """
    parameters = pg.parse_dsn(url)
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
