"""The frame of each request: id, trace and language, the headers of its answer, its count, its line in the log."""

import asyncio
import logging
import time

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import context, errors, headers, metrics, tracing
from .context import RequestContext
from .language import negotiate
from .proxies import client_address, over_tls, path_prefix
from .rendering import problem_response
from .settings import Settings

log = logging.getLogger(__name__)


class RequestMiddleware:
    """Gives each request its id, trace and language, answers with the id and the headers that every answer carries,
    counts it, writes the access line, and renders a bug as a 500."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._trusted_networks = settings.trusted_networks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request, started, status = Request(scope), time.perf_counter(), 0
        request_id = context.request_id_of(request.headers.get("x-request-id"))
        state, peer = request.app.state, request.client.host if request.client else None
        scope["root_path"] = path_prefix(peer, request.headers.get("x-forwarded-prefix", ""), self._trusted_networks)
        span = tracing.serve(request.headers, state.tracer)
        proto = request.headers.get("x-forwarded-proto")
        encrypted = over_tls(scope["scheme"], peer, proto, self._trusted_networks)
        context.enter(
            RequestContext(
                request_id=request_id,
                language=negotiate(
                    ", ".join(request.headers.getlist("accept-language")), self._settings.default_language
                ),
                client_address=client_address(
                    peer,
                    # Some proxies add a line of their own to a stranger's instead of an item to it.
                    ",".join(request.headers.getlist("x-forwarded-for")),
                    self._trusted_networks,
                ),
                user_agent=request.headers.get("user-agent", "")[:256] or None,
                path_prefix=scope["root_path"],
                span=span,
                metrics=state.metrics,
            )
        )

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = headers.completed(message["headers"], request_id, over_tls=encrypted)
            await send(message)

        try:
            with state.metrics.request():
                await self._app(scope, receive, send_with_id)
        except asyncio.CancelledError:  # uvicorn ends, and waits no longer: for the rest of a body, for one who reads
            if status:
                raise
            await problem_response(request, errors.DeadlinePassed())(scope, receive, send_with_id)
        except Exception:
            log.exception("unhandled error")
            if not status:
                await problem_response(request, errors.Problem())(scope, receive, send_with_id)
        finally:
            caller = getattr(request.state, "caller", None)
            method, route = metrics.labels_of(scope)
            seconds = time.perf_counter() - started
            state.metrics.answered(method, route, status, seconds)
            span.end(
                f"{method} {route}",
                {"http.request.method": method, "http.route": route, "http.response.status_code": status},
                failed=not 0 < status < 500,
            )
            log.info(
                "request",
                extra={
                    "method": method,
                    "route": route,
                    "status": status,
                    "duration_ms": round(seconds * 1000, 1),
                    "caller_id": caller and caller.user_id,
                    "caller_type": caller and caller.user_type,
                    "postgresql_trips": span.trips["postgresql"],
                    "redis_trips": span.trips["redis"],
                },
            )
