"""What a table of routes doesn't show: what the audit trail costs, and how a flood of logins weighs on others."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from statistics import mean
from typing import Any

import httpx

from dev.bench import load, usage
from dev.bench.callers import Callers
from dev.bench.routes import ROUTES, Route
from dev.bench.rows import Row
from dev.bench.stage import Stage
from dev.fleet import Fleet

UNAUDITED = "dev.bench.variants.unaudited:app"
DASHBOARD_CONNECTIONS = 4
AUDIT_CONNECTIONS, AUDIT_TURNS = (8, 32), 3
LOGINS, DASHBOARDS = ROUTES[0], ROUTES[3]


def cost_of_audit(
    fleet: Fleet, scratch: Path, callers: Callers, routes: Sequence[Route], seconds: float, generator: str
) -> list[dict[str, Any]]:
    """Audited reads by one worker with the audit trail and without, in turns: a machine's speed changes in minutes."""
    found = []
    with (
        Stage(fleet, scratch / "audited", routes, generator=generator) as audited,
        Stage(fleet, scratch / "unaudited", routes, application=UNAUDITED, generator=generator) as unaudited,
    ):
        for route in routes:
            for stage in (audited, unaudited):
                stage.rehearse(route, callers)
            for connections in AUDIT_CONNECTIONS:
                rates = [
                    stage.measure(route, callers, connections, seconds).measurement.rps
                    for stage in (audited, unaudited) * AUDIT_TURNS
                ]
                found.append(
                    {
                        "route": route.name,
                        "connections": connections,
                        "audited_rps": round(mean(rates[::2]), 1),
                        "unaudited_rps": round(mean(rates[1::2]), 1),
                    }
                )
    return found


def flood_of_logins(
    fleet: Fleet, scratch: Path, callers: Callers, logins: int, seconds: float, generator: str
) -> dict[str, Any]:
    """So many logins at once on the fleet's own services, whose limits are the defaults; doctors' dashboards meanwhile.

    Every login is to be answered, or shed with 503; `p99_ratio`, of the dashboards, is to stay under 3.
    """
    dashboards = DASHBOARDS.requests(callers, DASHBOARD_CONNECTIONS)

    def measure(seconds: float) -> load.Measurement:
        url = fleet.urls["doctors"]
        return load.measure(url, dashboards, DASHBOARD_CONNECTIONS, seconds, scratch, generator)

    measure(min(seconds, 1.0))
    normal = measure(seconds)
    with ThreadPoolExecutor(1) as aside:
        requests = LOGINS.requests(callers, logins)
        flood = aside.submit(asyncio.run, _log_in_at_once(fleet.urls["auth"], requests, logins))
        during = measure(seconds)
    answers = flood.result()
    return {
        "logins": logins,
        "connections": DASHBOARD_CONNECTIONS,
        "answers": dict(sorted(Counter(status for status, _ in answers).items())),
        "slowest_answer_s": round(max(took for _, took in answers), 2),
        "slowest_503_s": round(max((took for status, took in answers if status == "503"), default=0.0), 2),
        "dashboards_p99_ms": round(normal.p99_ms, 2),
        "dashboards_p99_ms_meanwhile": round(during.p99_ms, 2),
        "p99_ratio": round(during.p99_ms / normal.p99_ms, 2) if normal.p99_ms else None,
        "dashboards_errors": during.errors,
    }


async def _log_in_at_once(url: str, requests: Sequence[load.Request], logins: int) -> list[tuple[str, float]]:
    """Of each login the status (or `none`) and the seconds until its answer."""

    async def log_in(client: httpx.AsyncClient, request: load.Request) -> tuple[str, float]:
        began = time.perf_counter()
        try:
            answer = await client.request(request.method, request.path, headers=request.headers, content=request.body)
            status = str(answer.status_code)
        except httpx.HTTPError:
            status = "none"
        return status, time.perf_counter() - began

    limits = httpx.Limits(max_connections=logins)
    async with httpx.AsyncClient(
        base_url=url, limits=limits, timeout=load.ANSWER_SECONDS, trust_env=False, verify=False
    ) as client:
        return await asyncio.gather(*(log_in(client, request) for request in islice(cycle(requests), logins)))


def idle_memory(fleet: Fleet) -> dict[str, float]:
    """Of each process of the fleet the memory (MiB) that it has now."""
    for member in fleet.members:
        usage.forget_peaks(member.pid)
    return {member.name: taken.peak_mib for member in fleet.members if (taken := usage.usage_of(member.pid))}


def memory(idle: Mapping[str, float], rows: Sequence[Row]) -> dict[str, dict[str, float | None]]:
    """Of each process the memory (MiB) that it had at rest, and at most while one worker was measured."""
    peaks: dict[str, float] = {}
    for row in rows:
        for name, taken in row.processes.items():
            if row.workers == 1:
                peaks[name] = max(peaks.get(name, 0.0), taken["peak_mib"])
    return {name: {"idle_mib": mib, "peak_mib": peaks.get(name)} for name, mib in sorted(idle.items())}
