"""The app factory: what every service of the fleet does alike, so that its main.py is only routes."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import uvicorn
from fastapi import APIRouter, Depends, FastAPI
from fastapi_offline import FastAPIOffline

from . import docs, operations, rendering
from . import logging as fleet_logging
from .admission import Admission
from .cors import FleetCors
from .exporting import SpanExport
from .metrics import Metrics
from .middleware import RequestMiddleware
from .openapi import Glossary, ProblemDocument, completed, operation_id
from .operations import VERSION
from .overload import Doorkeeper
from .resources import ClientResources, Resources, resources
from .routes import methods_by_path
from .settings import Settings, load
from .shutdown import Ending

# FastAPI's own spans and logs hold query strings and the text of exceptions, which quote values; a variable of the
# environment (FASTAPI_OTEL_AUTO_CONFIGURE) would be enough to switch them on.
NO_TELEMETRY = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}

log = logging.getLogger(__name__)

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
        try:
            app.state.resources = open_resources(service, settings)
        except Exception:
            log.critical("not started", exc_info=True)
            raise
        export = SpanExport(service, VERSION, settings)
        app.state.tracer = export.tracer
        app.state.ending = Ending(settings.shutdown_drain_seconds, app.state.resources.shed)
        app.state.ending.watch()
        gc.collect()
        gc.freeze()  # what start-up made lives as long as the process: no collection is to look through it again
        log.info("started")
        with (
            app.state.metrics.including(app.state.resources.measure),
            app.state.metrics.including(app.state.admission.measure),
        ):
            # What shared.connections is told.
            doorkeeper = Doorkeeper(app.state.admission, settings)
            yield {"settings": settings, "ending": app.state.ending, "doorkeeper": doorkeeper}
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
    routes = [*router.routes, *operations.router.routes]
    app.state.methods = methods_by_path(routes)
    app.openapi = completed(app, routes, glossary, settings.auth_public_url)  # type: ignore[method-assign]
    app.state.metrics = Metrics(service, VERSION)
    docs.add_page(app, settings.page_origins)
    app.include_router(router)
    app.include_router(operations.router)
    rendering.add_handlers(app)
    app.add_middleware(
        FleetCors,
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
    return app


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
