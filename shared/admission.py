"""Who may come in, and for how long: places for requests at work, a bounded queue before them, one deadline for each.

A request takes its place once its body is in, so that a slow client holds none, and leaves it before its answer is
sent. The deadline bounds the sum of all that a request waits for (a place, a connection, statements, Redis, the auth
service): each of these has a limit of its own, but their sum is what the client waits.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

from .errors import Busy, DeadlinePassed
from .metrics import Metric, counter, gauge
from .settings import Settings

# What has to answer under any load: places, queue and deadline are not for them.
UNLIMITED = ("/health", "/health/live", "/metrics")
# Without a refusal for so long, overload is over.
CALM_SECONDS = 1.0


class Admission:
    """The places of one process. Raises Busy when too many wait or one waits too long, DeadlinePassed when time is up.

    Places and queue together are the line that a request finds before it. It is long enough for many clients who each
    wait for their answer. Once it is full, requests come faster than they can be served, and waiting helps nobody: then
    no more than `MAX_REQUESTS_IN_OVERLOAD` may be there, at work or waiting, until nobody was refused for a second.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._places = asyncio.Semaphore(settings.max_concurrent_requests)
        self._queue: list[asyncio.Timeout] = []  # the patience of each who waits for a place, in order of arrival
        self._overloaded_until = 0.0  # on the loop's clock
        self.at_work = 0
        self.aside = 0
        self.refused = 0

    def measure(self) -> Iterator[Metric]:
        """How full it is, for Prometheus."""
        yield gauge("predicthealth_http_requests_at_work", "Requests that hold a place.", self.at_work)
        yield gauge(
            "predicthealth_http_requests_aside", "Requests that wait for a hash or the auth service.", self.aside
        )
        yield gauge("predicthealth_http_requests_waiting", "Requests that wait for a place.", self.waiting)
        yield counter("predicthealth_http_requests_refused", "Requests refused for want of room.", self.refused)

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._queue)

    def has_room(self, coming: int = 0) -> bool:
        """Whether one more request may come in besides those that are `coming`. With one too many, overload begins."""
        limits, now = self._settings, asyncio.get_running_loop().time()
        overloaded = now < self._overloaded_until
        usual = limits.max_concurrent_requests + limits.max_queued_requests
        if self.at_work + self.waiting + coming < (limits.max_requests_in_overload if overloaded else usual):
            return True
        self._overloaded_until = now + CALM_SECONDS
        for patience in self._queue[max(0, limits.max_requests_in_overload - self.at_work) :]:
            if not patience.expired():
                patience.reschedule(now)
        return False

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
        if not self.has_room():
            raise Busy
        try:
            async with asyncio.timeout(self._settings.queue_wait_seconds) as patience:
                self._queue.append(patience)
                try:
                    await self._places.acquire()
                finally:
                    self._queue.remove(patience)
        except TimeoutError as exc:
            raise Busy from exc

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
        self._is_in()

    async def come_back(self) -> None:
        await self.admission._places.acquire()  # what was done aside was dear: nobody is sent away after it
        self._is_in()

    def leave(self) -> None:
        if self.inside:
            self.admission._places.release()
            self.admission.at_work -= 1
            self.inside = False

    def _is_in(self) -> None:
        self.admission.at_work += 1
        self.inside = True


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
    await visit.come_back()


def start_clock_anew() -> None:
    """Give the request under way its full time again: what it waits for has just shown that it is alive."""
    visit = _current.get()
    if visit is not None:
        deadline = visit.admission._settings.request_deadline_seconds
        visit.clock.reschedule(asyncio.get_running_loop().time() + deadline)
