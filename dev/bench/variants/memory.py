"""The ceiling: the same app, whose database repeats from memory what the real one answered first."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, cast

from psycopg2 import sql

import shared.resources
from shared.postgres import Database, Parameters, Row, Statement, Transaction
from shared.settings import Settings

from . import main_app


class Memory:
    """Answers each statement from memory; the first time it asks the database.

    What a request makes up itself tells no two apart: the audit trail's parameters, the time.
    """

    def __init__(self, database: Database, *, by_parameters: bool) -> None:
        self._database = database
        self._by_parameters = by_parameters
        self._rows: dict[Any, list[Row]] = {}
        self._counts: dict[str, int] = {}

    async def fetch_one(self, statement: Statement, parameters: Parameters | None = None) -> Row | None:
        """The first row, or None."""
        rows = await self.fetch_all(statement, parameters)
        return rows[0] if rows else None

    async def fetch_all(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        """Every row, as copies that may be changed."""
        key = self._key(statement, parameters)
        if key not in self._rows:
            self._rows[key] = await self._database.fetch_all(statement, parameters)
        return [dict(row) for row in self._rows[key]]

    async def execute(self, statement: Statement, parameters: Parameters | None = None) -> int:
        """How many rows the first such statement touched."""
        text = _text(statement)
        if text not in self._counts:
            self._counts[text] = await self._database.execute(statement, parameters)
        return self._counts[text]

    def _key(self, statement: Statement, parameters: Parameters | None) -> Any:
        if not (self._by_parameters and parameters):
            return _text(statement)
        told_apart = [
            str(value)
            for name, value in parameters.items()
            if not name.startswith("audit_") and not isinstance(value, datetime)
        ]
        return _text(statement), *told_apart


class RememberingDatabase(Database):
    """A Database that answers from memory. In a transaction each statement is done once for everybody."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        real = Database(settings)
        self._reads = Memory(real, by_parameters=True)
        self._writes = Memory(real, by_parameters=False)

    async def fetch_one(self, statement: Statement, parameters: Parameters | None = None) -> Row | None:
        """The first row, or None."""
        return await self._reads.fetch_one(statement, parameters)

    async def fetch_all(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        """Every row."""
        return await self._reads.fetch_all(statement, parameters)

    async def execute(self, statement: Statement, parameters: Parameters | None = None) -> int:
        """The number of rows touched."""
        return await self._reads.execute(statement, parameters)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """No transaction at all."""
        yield cast(Transaction, self._writes)


def _text(statement: Statement) -> str:
    return repr(statement) if isinstance(statement, sql.Composable) else statement


shared.resources.Database = RememberingDatabase  # type: ignore[attr-defined]
app = main_app()
