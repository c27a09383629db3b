"""One connection to PostgreSQL: psycopg2's asynchronous mode, driven by the running event loop.

Measured against threads and other drivers in `docs/decisions/0002-psycopg2-asynchronous.md`. In this mode psycopg2
is in autocommit: a single statement needs no BEGIN, a transaction issues its own.
"""

import asyncio
import logging
import select
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg2
import psycopg2.extensions as pg
from psycopg2 import sql
from psycopg2.extras import register_default_json, register_default_jsonb, register_uuid
from pydantic_core import SchemaValidator, core_schema, from_json

from . import context
from .errors import DatabaseUnavailable
from .prepared import Prepared
from .settings import Settings

log = logging.getLogger(__name__)

Row = dict[str, Any]
Statement = str | sql.Composable
Parameters = Mapping[str, Any]
Server = dict[str, Any]  # libpq's connection parameters

# Of one connection: each plan takes its memory in the server, and filters make many statements of one.
_MOST_PREPARED = 200
# Nothing that a client sends can break a rule of the audit trail's tables: whatever refuses their rows is a fault.
_AUDIT_TABLES = "audit_"

register_uuid()  # type: ignore[no-untyped-call]
# pydantic's parser takes a fifth of the time of UUID(…), and a page has hundreds of ids.
_read_uuid = SchemaValidator(core_schema.uuid_schema()).validate_python
_UUID = pg.new_type((2950,), "UUID", lambda value, _: None if value is None else _read_uuid(value))
pg.register_type(_UUID)
pg.register_type(pg.new_array_type((2951,), "UUID[]", _UUID))
# Half the time of psycopg2's own, which makes a time zone for each value.
_read_moment: Callable[[Any], datetime] = datetime.fromisoformat
pg.register_type(pg.new_type((1184,), "TIMESTAMPTZ", lambda value, _: None if value is None else _read_moment(value)))
for register in (register_default_json, register_default_jsonb):
    register(globally=True, loads=from_json)  # a third of the time of json.loads
# NUMERIC as float: every number of the contract is a JSON number, and none needs more than 15 digits.
pg.register_type(pg.new_type(pg.DECIMAL.values, "DEC2FLOAT", lambda value, _: None if value is None else float(value)))


class ConstraintViolated(Exception):
    """A named constraint refused a row; `db.py` turns the name into an error of the domain."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint


@dataclass(frozen=True)
class Result:
    """What a statement gave: its rows, where they were asked for, and how many it touched."""

    rows: list[Row]
    count: int


class Connection:
    """One asynchronous psycopg2 connection, driven by the running loop."""

    def __init__(self, raw: pg.connection, server: Server, settings: Settings) -> None:
        self.server = server
        self._raw = raw
        self._limit = settings.database_statement_timeout_seconds + 1
        self._most_prepared = _MOST_PREPARED if settings.database_prepared_statements else 0
        self._prepared: set[str] = set()

    @classmethod
    async def open(cls, settings: Settings, servers: list[Server]) -> "Connection":
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
    async def _open(cls, settings: Settings, server: Server, within_seconds: float) -> "Connection":
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
        """Of no more use."""
        return bool(self._raw.closed)

    def close(self) -> None:
        """Hang up, whatever it is doing."""
        self._raw.close()

    async def run(self, statement: Statement, parameters: Parameters | None, *, rows: bool) -> Result:
        """Execute and fetch; on a time limit, or when cancelled, the connection is closed: its state is in doubt."""
        operation = statement.split(maxsplit=1)[0] if isinstance(statement, str) else "statement"
        with context.current().span.step(operation, db__system__name="postgresql"):
            return await self._run(statement, parameters, rows=rows)

    async def _run(self, statement: Statement, parameters: Parameters | None, *, rows: bool) -> Result:
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
            return Result(_rows_of(cursor) if rows else [], cursor.rowcount)
        except psycopg2.IntegrityError as exc:
            table, constraint = exc.diag.table_name or "", exc.diag.constraint_name or ""
            # What names neither is no constraint's, but a trigger's that borrows its code.
            if table.startswith(_AUDIT_TABLES) or not (table or constraint):
                raise DatabaseUnavailable from exc
            raise ConstraintViolated(constraint) from exc
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
