"""What overload does to a service, measured: `python -m tests.load.overload` (from the checkout; two minutes).

First the highest rate that eight clients reach who each wait for their answer, then half of that as the normal load,
then ten times the highest rate, sent without waiting for anybody. Settings may
follow the command: `MAX_QUEUED_REQUESTS=64`.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

from dev.fleet import Fleet
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, TEST_ENVIRONMENT
from tests.support import Api

SECONDS = 10.0
CONNECTIONS = 400
PATH = "/api/v1/doctors/me/patients"


class Client:
    """One kept-alive connection; the statuses and times (ms) of its answers."""

    def __init__(self, port: int, request: bytes, found: list[tuple[int, float]]) -> None:
        self._port, self._request, self._found = port, request, found

    async def open(self) -> "Client":
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def ask(self) -> None:
        """Ask once, and wait for the answer."""
        started = time.perf_counter()
        self._writer.write(self._request)
        header = await self._reader.readuntil(b"\r\n\r\n")
        length = next(line for line in header.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await self._reader.readexactly(int(length.split(b":")[1]))
        self._found.append((int(header[9:12]), (time.perf_counter() - started) * 1000))

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


async def closed_loop(port: int, request: bytes, clients: int) -> list[tuple[int, float]]:
    """So many clients, each of whom waits for its answer before it asks again."""
    found: list[tuple[int, float]] = []
    end = time.perf_counter() + SECONDS

    async def run() -> None:
        client = await Client(port, request, found).open()
        while time.perf_counter() < end:
            await client.ask()
        client.close()

    await asyncio.gather(*(run() for _ in range(clients)))
    return found


async def open_loop(port: int, request: bytes, rate: float) -> tuple[list[tuple[int, float]], int]:
    """So many requests a second, whatever becomes of them; and for how many no connection was free."""
    found: list[tuple[int, float]] = []
    # Each in its turn: the service closes one that is idle for long.
    free = deque([await Client(port, request, found).open() for _ in range(CONNECTIONS)])
    started, sent, without = time.perf_counter(), 0, 0
    tasks = set[asyncio.Task[None]]()

    async def ask(client: Client) -> None:
        await client.ask()
        free.append(client)

    while (now := time.perf_counter() - started) < SECONDS:
        for _ in range(int(now * rate) - sent):
            sent += 1
            if free:
                task = asyncio.create_task(ask(free.popleft()))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            else:
                without += 1
        await asyncio.sleep(0.001)
    await asyncio.gather(*tasks)
    for client in free:
        client.close()
    return found, without


def told(name: str, found: list[tuple[int, float]]) -> None:
    """Print the answers by status: how many a second, median and 99th percentile."""
    for status in sorted({status for status, _ in found}):
        times = sorted(ms for each, ms in found if each == status)
        p99 = times[min(len(times) - 1, int(len(times) * 0.99))]
        print(
            f"{name:24} {status}  {len(times) / SECONDS:7.0f}/s"
            f"  median {statistics.median(times):6.1f} ms  p99 {p99:6.1f} ms"
        )


def main() -> int:
    """Measure the doctors' service of a fleet of its own."""
    given = dict(setting.split("=", 1) for setting in sys.argv[1:])
    fleet = Fleet(Path(tempfile.mkdtemp()), extra_env=TEST_ENVIRONMENT | given)
    fleet.start()
    try:
        api = Api(fleet.urls, ADMIN_EMAIL, ADMIN_PASSWORD)
        doctor = api.new_doctor(api.new_institution())
        header = f"GET {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {doctor.token}\r\n\r\n"
        port, request = fleet.ports["doctors"], header.encode()
        highest = asyncio.run(closed_loop(port, request, 8))
        told("as fast as 8 can", highest)
        rate = len(highest) / SECONDS
        told("half of that", asyncio.run(open_loop(port, request, rate / 2))[0])
        found, without = asyncio.run(open_loop(port, request, rate * 10))
        told("ten times that", found)
        print(f"{without / SECONDS:.0f}/s found all {CONNECTIONS} connections of the measuring client in use")
        api.close()
    finally:
        fleet.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main())
