"""Whether a service and what it depends on are up."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

from .errors import Unavailable
from .redis import available
from .resources import Resources


async def report(resources: Resources, version: str, *, ending: bool = False) -> dict[str, Any]:
    """The health document; `latency_ms` is null for a dependency that is down. A service that ends is unhealthy."""
    postgres, redis = await asyncio.gather(_check(resources.db.ping()), _check(_write(resources)))
    checks = {"postgres": postgres, "redis": redis}
    healthy = not ending and all(check["status"] == "up" for check in checks.values())
    status = "healthy" if healthy else "unhealthy"
    return {"status": status, "service": resources.service, "version": version, "checks": checks}


async def _write(resources: Resources) -> None:
    """To Redis: every request with a session does, and one that only reads (full, a replica by now) answers a PING."""
    with available():
        await resources.redis.set("health", "", ex=10)


async def _check(probe: Awaitable[Any]) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        await probe
    except Unavailable:
        return {"status": "down", "latency_ms": None}
    return {"status": "up", "latency_ms": round((time.perf_counter() - started) * 1000, 1)}
