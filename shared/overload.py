"""Refusing what there is no room for, at a small part of the cost of serving it.

At ten times what a service can do, nine of ten requests are refused; so a refusal has to cost less than a tenth of an
answer, or refusing is all that the service does. A connection therefore asks here before a request becomes anything of
the application's: no task, no routing, no body, no log line of its own (one a second says how many there were). And who
is in has a turn between a few refusals: hundreds may come in one turn of the event loop, and an answer takes ten turns.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from .admission import UNLIMITED, Admission
from .context import request_id_of
from .errors import Busy
from .headers import RawHeaders
from .language import negotiate
from .rendering import bare
from .settings import Settings

log = logging.getLogger(__name__)

# About 2 ms. Fewer: who is in waits less, and a turn's own cost takes more of the time of those who are refused.
REFUSALS_PER_TURN = 32
REPORT_SECONDS = 1.0


class Doorkeeper:
    """Turns requests away with 503 `busy` while the queue is full. The admission's `refused` counts them."""

    def __init__(self, admission: Admission, settings: Settings) -> None:
        self._admission = admission
        self._default_language = settings.default_language
        self._origins = {origin.encode() for origin in settings.allowed_origins}
        self._just_let_in = 0
        self._refusals: deque[Callable[[], None]] = deque()
        self._refusing = False
        self._reported_at = 0.0
        self._reported = 0

    def lets_in(self, path: str) -> bool:
        """Whether there is room for one more request."""
        if path in UNLIMITED:
            return True
        if self._admission.has_room(self._just_let_in):
            self._let_in()
            return True
        self._admission.refused += 1
        self._report()
        return False

    def refuse_in_turn(self, refuse: Callable[[], None]) -> None:
        """Call it soon: `REFUSALS_PER_TURN` in each turn of the loop."""
        self._refusals.append(refuse)
        if not self._refusing:
            self._refusing = True
            asyncio.get_running_loop().call_soon(self._refuse_some)

    def _refuse_some(self) -> None:
        try:
            for _ in range(min(len(self._refusals), REFUSALS_PER_TURN)):
                self._refusals.popleft()()
        finally:  # one that fails leaves nobody behind it without an answer
            self._refusing = bool(self._refusals)
            if self._refusing:
                asyncio.get_running_loop().call_soon(self._refuse_some)

    def refusal_of(self, scope: Mapping[str, Any]) -> tuple[RawHeaders, bytes]:
        """The headers and the body of the refusal of a request."""
        given = dict(scope["headers"])
        request_id = request_id_of(given.get(b"x-request-id", b"").decode("latin-1"))
        lines = [value for name, value in scope["headers"] if name == b"accept-language"]
        language = negotiate(b",".join(lines).decode("latin-1"), self._default_language)
        fields, body = bare(Busy(), language, scope["path"], request_id)
        return [*fields, *self._shared_with(given.get(b"origin"))], body

    def _let_in(self) -> None:
        """Hundreds may come in one turn of the loop; none of them takes its place before the next one begins."""
        if not self._just_let_in:
            asyncio.get_running_loop().call_soon(self._turn)
        self._just_let_in += 1

    def _turn(self) -> None:
        self._just_let_in = 0

    def _shared_with(self, origin: bytes | None) -> RawHeaders:
        """What lets a page of an allowed origin read the refusal and its Retry-After."""
        if origin is None or not self._origins & {origin, b"*"}:
            return []
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", b"Retry-After"),
            (b"vary", b"Origin"),
        ]

    def _report(self) -> None:
        now = time.monotonic()
        if now - self._reported_at >= REPORT_SECONDS:
            log.warning("busy", extra={"refused": self._admission.refused - self._reported})
            self._reported_at, self._reported = now, self._admission.refused
