"""Who sends the requests: wrk where it is installed, else httpx, which takes as much of a core as what it measures."""

import asyncio
import itertools
import json
import os
import re
import secrets
import shutil
import statistics
import subprocess
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from dev import FleetError

SCRIPT = Path(__file__).parent / "requests.lua"
UNIQUE = "@" * 16  # in a body, it stands for 16 characters that no other request has
ANSWER_SECONDS = 60
_REFRESH = re.compile(r"rt\.[\w=-]+")


@dataclass(frozen=True)
class Request:
    """What is asked for. A refresh token in the body is spent once; then its successor takes its place."""

    method: str
    path: str
    token: str = ""
    body: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """Its headers."""
        return {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})


@dataclass(frozen=True)
class Measurement:
    """How it went: times are of whole answers; `errors` counts what was no 2xx or no answer at all."""

    rps: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    errors: int

    @classmethod
    def of(cls, figures: dict[str, float]) -> "Measurement":
        """What a generator counted: `requests` in `seconds`, `errors` among them."""
        rps = (figures["requests"] - figures["errors"]) / figures["seconds"]
        times = (figures["p50_ms"], figures["p95_ms"], figures["p99_ms"])
        return cls(max(rps, 0.0), *times, errors=int(figures["errors"]))


def generator() -> str:
    """Which one measures: `wrk` or `httpx`."""
    return "wrk" if shutil.which("wrk") else "httpx"


def measure(
    url: str, requests: Sequence[Request], connections: int, seconds: float, scratch: Path, with_: str = ""
) -> Measurement:
    """Send the requests in turn over so many connections, each of which waits for its answer. wrk: whole seconds.

    Counted is what is answered in this time. For what is still due then httpx waits; wrk hangs up.
    """
    if (with_ or generator()) == "wrk":
        return Measurement.of(_wrk(url, requests, connections, max(round(seconds), 1), scratch))
    return Measurement.of(asyncio.run(_httpx(url, requests, connections, seconds)))


def send(url: str, requests: Iterable[Request]) -> Iterator[httpx.Response]:
    """Send each request once, one after the other."""
    # verify: a fleet of the bench speaks no TLS, and to load the roots of the certificates takes longer than a request.
    with httpx.Client(base_url=url, timeout=ANSWER_SECONDS, trust_env=False, verify=False) as client:
        for request in requests:
            body = request.body.replace(UNIQUE, secrets.token_hex(8))
            yield client.request(request.method, request.path, headers=request.headers, content=body)


def _wrk(url: str, requests: Sequence[Request], connections: int, seconds: int, scratch: Path) -> dict[str, float]:
    lines, output = scratch / "requests.tsv", scratch / "measured.json"
    # Each thread takes its share of them.
    threads = min(connections, len(requests), 2)
    lines.write_text("".join(f"{r.method}\t{r.path}\t{r.token}\t{r.body}\n" for r in requests), encoding="utf-8")
    command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", f"--timeout={ANSWER_SECONDS}s"]
    command += ["-s", str(SCRIPT), url, "--", str(lines), str(threads), secrets.token_hex(3)[:5]]
    done = subprocess.run(
        command, env={**os.environ, "BENCH_OUTPUT": str(output)}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0 or not output.exists():
        raise FleetError(f"wrk failed: {(done.stderr or done.stdout).strip()}")
    found: dict[str, float] = json.loads(output.read_text(encoding="ascii"))
    output.unlink()
    return found


async def _httpx(url: str, requests: Sequence[Request], connections: int, seconds: float) -> dict[str, float]:
    queue, in_time, errors = deque(requests), 0, 0
    times: list[float] = []
    prefix, numbers = secrets.token_hex(3)[:5], itertools.count()

    async def ask(client: httpx.AsyncClient, number: int) -> None:
        nonlocal in_time, errors
        # Of connections that come in one turn, the first worker to wake up takes all.
        await asyncio.sleep(number * 0.001)
        while time.perf_counter() < ends:
            request = queue.popleft()
            refreshes = _REFRESH.search(request.body)
            if not refreshes:
                queue.append(request)
            body = request.body.replace(UNIQUE, f"{prefix}{next(numbers):011}")
            began = time.perf_counter()
            try:
                answer = await client.request(request.method, request.path, headers=request.headers, content=body)
            except httpx.HTTPError:
                errors += 1
            else:
                errors += not answer.is_success
                in_time += answer.is_success and time.perf_counter() < ends
                if refreshes and answer.is_success:
                    successor = _REFRESH.sub(answer.json()["refresh_token"], request.body)
                    queue.append(Request(request.method, request.path, request.token, successor))
            times.append((time.perf_counter() - began) * 1000)

    limits = httpx.Limits(max_connections=connections)
    async with httpx.AsyncClient(
        base_url=url, limits=limits, timeout=ANSWER_SECONDS, trust_env=False, verify=False
    ) as client:
        ends = time.perf_counter() + seconds
        await asyncio.gather(*(ask(client, number) for number in range(connections)))
    # A later answer still tells how long it took. It isn't counted: fewer and fewer connections are at work.
    return {"requests": in_time + errors, "seconds": seconds, "errors": errors, **percentiles(times)}


def percentiles(times: Sequence[float]) -> dict[str, float]:
    """The 50th, 95th and 99th percentile of times in ms."""
    cuts = statistics.quantiles(times, n=100, method="inclusive") if len(times) > 1 else [*times, 0.0][:1] * 99
    return {"p50_ms": cuts[49], "p95_ms": cuts[94], "p99_ms": cuts[98]}
