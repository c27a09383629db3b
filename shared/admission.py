"""Who may come in, and for how long: places for requests at work, a bounded queue before them, one deadline for each.

A request takes its place once its body is in, so that a slow client holds none, and leaves it before its answer is
sent. The deadline bounds the sum of all that a request waits for (a place, a connection, statements, Redis, the auth
service): each of these has a limit of its own, but their sum is what the client waits.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

from .errors import Busy, DeadlinePassed
from .metrics import Metric, counter, gauge
from .settings import Settings

# What has to answer under any load: places, queue and deadline are not for them.
UNLIMITED = ("/health", "/health/live", "/metrics")


class Admission:
    """The places of one process. Raises Busy when too many wait or one waits too long, DeadlinePassed when time is up.

    The arithmetic: places and queue together are the line that a request finds before it under lasting overload; at 500
    answers a second 32 + 32 are 0.13 s. A burst may queue up further, since it will be over soon: for `BURST_SECONDS`
    after the queue was last empty, `MAX_BURST_REQUESTS` may wait.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._places = asyncio.Semaphore(settings.max_concurrent_requests)
        self._queue_since = time.monotonic()
        self.at_work = 0  # requests that hold a place
        self.waiting = 0  # for a place
        self.aside = 0  # that wait elsewhere and hold none
        self.refused = 0  # since the start, for want of room

    def measure(self) -> Iterator[Metric]:
        """How long the lines are, for Prometheus."""
        yield gauge("predicthealth_http_requests_at_work", "Requests that hold a place.", self.at_work)
        yield gauge("predicthealth_http_requests_waiting", "Requests that wait for a place.", self.waiting)
        yield counter("predicthealth_http_requests_refused", "Requests refused for want of room.", self.refused)

    @property
    def full(self) -> bool:
        """Whether one more request would find no room in the queue."""
        if not self._places.locked():
            return False
        lasting = time.monotonic() - self._queue_since > self._settings.burst_seconds
        most = self._settings.max_queued_requests if lasting else self._settings.max_burst_requests
        return self.waiting >= most

    @asynccontextmanager
    async def visit(self) -> AsyncIterator[None]:
        """Hold a place until the end of the block, for `REQUEST_DEADLINE_SECONDS` at most, the wait for it included."""
        try:
            async with asyncio.timeout(self._settings.request_deadline_seconds) as clock:
                visit = _Visit(self, clock)
                await visit.enter()
                _current.set(visit)
                try:
                    yield
                finally:
                    _current.set(None)
                    visit.leave()
        except TimeoutError as exc:
            if not clock.expired():
                raise
            raise DeadlinePassed from exc

    async def _take_place(self) -> None:
        if self.full:
            raise Busy
        if not self.waiting:
            self._queue_since = time.monotonic()
        self.waiting += 1
        try:
            async with asyncio.timeout(self._settings.queue_wait_seconds):
                await self._places.acquire()
        except TimeoutError as exc:
            raise Busy from exc
        finally:
            self.waiting -= 1

    @asynccontextmanager
    async def _stand_aside(self) -> AsyncIterator[None]:
        if self.aside >= self._settings.max_requests_aside:
            raise Busy
        self.aside += 1
        try:
            yield
        finally:
            self.aside -= 1


class _Visit:
    """One request: whether it holds its place, and its clock."""

    def __init__(self, admission: Admission, clock: asyncio.Timeout) -> None:
        self.admission = admission
        self.clock = clock
        self.inside = False

    async def enter(self) -> None:
        await self.admission._take_place()
        self.admission.at_work += 1
        self.inside = True

    def leave(self) -> None:
        if self.inside:
            self.admission._places.release()
            self.admission.at_work -= 1
            self.inside = False


_current: ContextVar[_Visit | None] = ContextVar("visit", default=None)


@asynccontextmanager
async def aside(*, clock_stops: bool) -> AsyncIterator[None]:
    """Give the place to others for the length of the block, which waits for its turn at something that is not ours.

    So a flood of logins, each of which waits for its hash, leaves the places to the reads. `clock_stops` for a wait
    that is bounded otherwise and no sign of a fault. Raises Busy when `MAX_REQUESTS_ASIDE` already do. Outside any
    request there is no place to give.
    """
    visit = _current.get()
    if visit is None or not visit.inside:
        yield
        return
    now = asyncio.get_running_loop().time
    async with visit.admission._stand_aside():
        visit.leave()
        left = (visit.clock.when() or now()) - now()
        if clock_stops:
            visit.clock.reschedule(None)
        try:
            yield
        finally:
            if clock_stops:
                visit.clock.reschedule(now() + left)
    await visit.enter()


def start_clock_anew() -> None:
    """Give the request under way its full time again: what it waits for has just shown that it is alive."""
    visit = _current.get()
    if visit is not None:
        deadline = visit.admission._settings.request_deadline_seconds
        visit.clock.reschedule(asyncio.get_running_loop().time() + deadline)
