"""What monitors ask of every service: health, liveness, metrics."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from . import health, metrics
from .resources import Resources, resources
from .routes import FleetRoute

VERSION = "0.1.0"

AnyResources = Annotated[Resources, Depends(resources)]

router = APIRouter(route_class=FleetRoute, tags=["operations"])


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


@router.get("/health", response_model=Health, responses={503: {"model": Health}})
async def get_health(resources: AnyResources, request: Request, response: Response) -> dict[str, Any]:
    """Whether this service and what it depends on are up: 200, or 503 while a dependency is down or it is ending."""
    report = await health.report(resources, VERSION, ending=request.app.state.ending.begun)
    response.status_code = 200 if report["status"] == "healthy" else 503
    return report


@router.get("/health/live")
async def get_liveness() -> Liveness:
    """200 whenever the process serves."""
    return Liveness(status="alive")


@router.get("/metrics", response_class=MetricsText)
async def get_metrics(request: Request) -> Response:
    """Counters, durations and queue lengths of this process, for Prometheus."""
    return MetricsText(request.app.state.metrics.render())
