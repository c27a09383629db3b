"""The app factory: what every service of the fleet does alike, so that its main.py is only routes."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import context, docs, errors, headers, health, metrics, tracing
from . import logging as fleet_logging
from .admission import Admission
from .context import RequestContext
from .exporting import SpanExport
from .language import negotiate
from .metrics import Metrics
from .openapi import Glossary, ProblemDocument, completed, operation_id
from .overload import Doorkeeper
from .proxies import client_address, over_tls, path_prefix
from .resources import ClientResources, Resources
from .routes import NO_STORE, FleetRoute, methods_by_path
from .settings import Settings, load
from .shutdown import Ending
from .validation import field_errors

VERSION = "0.1.0"
# FastAPI's own spans and logs hold query strings and the text of exceptions, which quote values; a variable of the
# environment (FASTAPI_OTEL_AUTO_CONFIGURE) would be enough to switch them on.
NO_TELEMETRY = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}

log = logging.getLogger(__name__)

_BY_STATUS: dict[int, type[errors.Problem]] = {
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.BodyTooLarge,
}


class ProblemResponse(JSONResponse):
    """An RFC 9457 problem document."""

    media_type = "application/problem+json"


class MetricsText(PlainTextResponse):
    """Prometheus's text format."""

    media_type = metrics.CONTENT_TYPE


class DependencyCheck(BaseModel):
    """One dependency: `latency_ms` of a round trip, null while it is down."""

    status: Literal["up", "down"]
    latency_ms: float | None


class Health(BaseModel):
    """Whether the service can do its work."""

    status: Literal["healthy", "unhealthy"]
    service: str
    version: str
    checks: dict[str, DependencyCheck]


class Liveness(BaseModel):
    """The answer of a process that serves."""

    status: Literal["alive"]


def resources(request: Request) -> Any:
    """The dependency that hands a route its service's resources."""
    return request.app.state.resources


AnyResources = Annotated[Resources, Depends(resources)]
ClientResourcesOf = Annotated[ClientResources, Depends(resources)]


def create(
    settings: Settings,
    service: str,
    title: str,
    router: APIRouter,
    open_resources: Callable[[str, Settings], Resources],
    glossary: Glossary,
) -> FastAPI:
    """A service: `router` behind request ids, logs, the error renderer, health and offline `/docs`."""
    fleet_logging.configure(service, settings.log_level)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        fleet_logging.watch(asyncio.get_running_loop())
        app.state.resources = open_resources(service, settings)
        export = SpanExport(service, VERSION, settings)
        app.state.tracer = export.tracer
        app.state.ending = Ending(settings.shutdown_drain_seconds)
        app.state.ending.watch()
        log.info("started")
        with (
            app.state.metrics.including(app.state.resources.measure),
            app.state.metrics.including(app.state.admission.measure),
        ):
            yield {"settings": settings, "ending": app.state.ending}  # what shared.connections is told
        await app.state.resources.close()
        await export.close()
        log.info("stopped")

    app = FastAPIOffline(
        title=title,
        version=VERSION,
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        telemetry=NO_TELEMETRY,
        generate_unique_id_function=operation_id,
        responses={422: {"model": ProblemDocument}},
    )
    routes = [*router.routes, *_operations.routes]
    app.state.methods = methods_by_path(routes)
    app.openapi = completed(app, routes, glossary, settings.auth_public_url)  # type: ignore[method-assign]
    app.state.metrics = Metrics(service, VERSION)
    docs.add_page(app, settings.page_origins)
    app.include_router(router)
    app.include_router(_operations)
    app.add_exception_handler(errors.Problem, _render)
    app.add_exception_handler(RequestValidationError, _render_validation)
    app.add_exception_handler(HTTPException, _render_http)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.allowed_origins,
        allow_methods=["*"],
        allow_headers=[
            "Authorization",
            "Content-Type",
            "Accept-Language",
            "Idempotency-Key",
            "If-Match",
            "If-None-Match",
            "X-Request-ID",
            "traceparent",
            "tracestate",
            "X-Requested-With",  # the Authorize form of /docs sends it
        ],
        expose_headers=[
            "X-Request-ID",
            "ETag",
            "Location",
            "Retry-After",
            "RateLimit-Limit",
            "RateLimit-Remaining",
            "RateLimit-Reset",
            "RateLimit-Policy",
        ],
    )
    app.add_middleware(RequestMiddleware, settings=settings)
    app.state.admission = Admission(settings)
    app.add_middleware(
        Doorkeeper,
        admission=app.state.admission,
        default_language=settings.default_language,
        allowed_origins=settings.allowed_origins,
    )
    return app


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
                language=negotiate(request.headers.get("accept-language"), self._settings.default_language),
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
                },
            )


def problem_response(request: Request, problem: errors.Problem) -> ProblemResponse:
    """The one renderer: a problem document in the language of the request."""
    current = context.current()
    document = problem.document(current.language, request.url.path, current.request_id)
    return ProblemResponse(
        document, problem.status, {"Cache-Control": NO_STORE, "Content-Language": current.language, **problem.headers}
    )


async def _render(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, errors.Problem)
    if exc.status >= 500:
        log.warning("problem", extra={"code": exc.code, "cause": type(exc.__cause__).__name__})
    return problem_response(request, exc)


async def _render_validation(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    findings = exc.errors()
    if any(finding["type"] == "json_invalid" for finding in findings):
        return problem_response(request, errors.MalformedJson())
    return problem_response(request, errors.ValidationFailed(*field_errors(findings)))


async def _render_http(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    problem = _BY_STATUS.get(exc.status_code, errors.BadRequest)()
    problem.headers.update(exc.headers or {})
    if exc.status_code == 405:
        # Starlette names the methods of the first route of a path only.
        allowed = request.app.state.methods.get(getattr(request.scope.get("route"), "path", None))
        problem = errors.MethodNotAllowed.on(allowed) if allowed else problem
    return problem_response(request, problem)


_operations = APIRouter(route_class=FleetRoute, tags=["operations"])


@_operations.get("/health", response_model=Health, responses={503: {"model": Health}})
async def get_health(resources: AnyResources, request: Request, response: Response) -> dict[str, Any]:
    """Whether this service and what it depends on are up: 200, or 503 while a dependency is down or it is ending."""
    report = await health.report(resources, VERSION, ending=request.app.state.ending.begun)
    response.status_code = 200 if report["status"] == "healthy" else 503
    return report


@_operations.get("/health/live")
async def get_liveness() -> Liveness:
    """200 whenever the process serves."""
    return Liveness(status="alive")


@_operations.get("/metrics", response_class=MetricsText)
async def get_metrics(request: Request) -> Response:
    """Counters, durations and queue lengths of this process, for Prometheus."""
    return MetricsText(request.app.state.metrics.render())


def serve(application: str, port: int) -> None:
    """Run one service: by hand with `python -m app.main`, and in its image."""
    uvicorn.run(
        application,
        host=load(Settings).host,
        port=port,
        http="shared.connections:BoundedConnection",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=8,  # more than a request's deadline
    )
