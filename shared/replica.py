"""A streaming replica for reads that may be some seconds old; the primary for everybody else."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from . import context
from .errors import Unavailable
from .postgres import Database, Parameters, Row, Statement
from .settings import Settings

log = logging.getLogger(__name__)

LOOKS_PER_STALENESS = 5
LOOK_SECONDS = 0.5

POSITION = "SELECT pg_current_wal_lsn()::text AS position"
# Null, so no, from a server that never was a replica.
HAS_REACHED = "SELECT pg_last_wal_replay_lsn() >= %(position)s::pg_lsn AS reached"

Answer = TypeVar("Answer")


class Replica:
    """A Reader that asks the replica of `DATABASE_READ_URL` while what it shows is fresh enough, else the primary.

    Fresh enough: it has everything that was committed up to `DATABASE_READ_MAX_STALENESS_SECONDS` ago. No server's
    clock is trusted for that: the primary is asked for its position in the log, and the replica whether it has reached
    it; if so, it has all from before that question. Whoever has just written something reads from the primary.
    """

    def __init__(self, primary: Database, settings: Settings) -> None:
        assert settings.database_read_url is not None
        self._primary = primary
        self._replica = Database(settings.model_copy(update={"database_url": settings.database_read_url}))
        self._longest = settings.database_read_max_staleness_seconds
        self._complete_until = float("-inf")
        self._asked: tuple[float, str] | None = None
        self._looked_at = float("-inf")

    async def fetch_one(self, statement: Statement, parameters: Parameters | None = None) -> Row | None:
        """The first row, or None."""
        return await self._read(lambda database: database.fetch_one(statement, parameters))

    async def fetch_all(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        """Every row."""
        return await self._read(lambda database: database.fetch_all(statement, parameters))

    def close(self) -> None:
        """Close the idle connections to the replica."""
        self._replica.close()

    async def _read(self, read: Callable[[Database], Awaitable[Answer]]) -> Answer:
        if not context.current().wrote_recently and await self._is_fresh():
            try:
                return await read(self._replica)
            except Unavailable:
                self._complete_until = float("-inf")  # until the next look finds it well
                log.warning("replica lost")
        return await read(self._primary)

    async def _is_fresh(self) -> bool:
        now = time.monotonic()
        if now - self._looked_at >= self._longest / LOOKS_PER_STALENESS:
            self._looked_at = now  # the others go by what is known while one looks
            await self._look(now)
        return time.monotonic() - self._complete_until <= self._longest

    async def _look(self, now: float) -> None:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                if self._asked is None or now - self._asked[0] > self._longest:
                    row = await self._primary.fetch_one(POSITION)
                    self._asked = now, row["position"] if row else ""
                asked_at, position = self._asked
                row = await self._replica.fetch_one(HAS_REACHED, {"position": position})
        except (Unavailable, TimeoutError) as exc:
            log.warning("replica not reached", extra={"error": type(exc).__name__})
            return
        if row and row["reached"]:
            self._complete_until, self._asked = asked_at, None
