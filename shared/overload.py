"""Refusing what there is no room for, at a small part of the cost of serving it.

At ten times what a service can do, nine of ten requests are refused; so a refusal has to cost less than a tenth of an
answer, or refusing is all that the service does. This is therefore the first thing that a request meets: no routing,
no body, no log line of its own (one a second says how many there were).
"""

import logging
import time

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from .admission import UNLIMITED, Admission
from .context import request_id_of
from .errors import Busy
from .language import negotiate
from .rendering import bare

log = logging.getLogger(__name__)

REPORT_SECONDS = 1.0


class Doorkeeper:
    """Answers 503 `busy` while the queue is full, and lets everything else pass. `refused` counts."""

    def __init__(self, app: ASGIApp, admission: Admission, default_language: str, allowed_origins: list[str]) -> None:
        self._app = app
        self._admission = admission
        self._default_language = default_language
        # So that a browser's page may read the refusal and its Retry-After.
        self._refuse_browser = CORSMiddleware(self._refuse, allowed_origins, expose_headers=["Retry-After"])
        self._reported_at = 0.0
        self._reported = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        if scope["type"] != "http" or scope["path"] in UNLIMITED or self._admission.has_room():
            await self._app(scope, receive, send)
            return
        self._admission.refused += 1
        self._report()
        refuse = self._refuse_browser if any(name == b"origin" for name, _ in scope["headers"]) else self._refuse
        await refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers, problem = Headers(scope=scope), Busy()
        request_id = request_id_of(headers.get("x-request-id"))
        language = negotiate(headers.get("accept-language"), self._default_language)
        fields, body = bare(problem, language, scope["path"], request_id)
        await send({"type": "http.response.start", "status": problem.status, "headers": fields})
        await send({"type": "http.response.body", "body": body})

    def _report(self) -> None:
        now = time.monotonic()
        if now - self._reported_at >= REPORT_SECONDS:
            log.warning("busy", extra={"refused": self._admission.refused - self._reported})
            self._reported_at, self._reported = now, self._admission.refused
