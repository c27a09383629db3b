"""A request that there is no room for: refused before it becomes anything, in the contract's form, on a connection that
stays usable."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg2
import pytest

from dev.fleet import Fleet
from dev.processes import wait_until
from dev.services import Service
from tests.load.conftest import Start
from tests.load.test_limits import connect, rest_of
from tests.support import User, assert_problem

READ = "/api/v1/doctors/me/profile"
ALIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def full(start: Start, fleet: Fleet, doctor: User) -> Iterator[Service]:
    """A doctors' service with one place, no queue, and a request in that place which waits for a lock."""
    service = start(
        "doctors",
        MAX_CONCURRENT_REQUESTS="1",
        MAX_QUEUED_REQUESTS="0",
        MAX_REQUESTS_IN_OVERLOAD="1",
        REQUEST_DEADLINE_SECONDS="120",
        DATABASE_STATEMENT_TIMEOUT_SECONDS="120",
        DATABASE_LOCK_TIMEOUT_SECONDS="120",
        SEND_TIMEOUT_SECONDS="1",
    )
    lock = psycopg2.connect(fleet.database_url)
    with lock.cursor() as cursor:
        cursor.execute("LOCK TABLE doctors IN ACCESS EXCLUSIVE MODE")
    request = f"GET {READ} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {doctor.token}\r\n\r\n"
    waiting = connect(service, request.encode())
    try:
        assert wait_until(lambda: httpx.get(service.url + READ, verify=False).status_code == 503, 10)
        yield service
    finally:
        lock.close()
        assert waiting.recv(12) == b"HTTP/1.1 200"
        waiting.close()


def everything(connection: socket.socket) -> bytes:
    """What comes until the service hangs up, which the last request asks for."""
    with connection:
        return rest_of(connection)


def test_a_refusal_is_a_problem_document_in_the_language_of_the_request(full: Service) -> None:
    headers = {"Accept-Language": "en", "X-Request-ID": "a-known-id"}
    answer = httpx.get(full.url + READ, headers=headers, verify=False)
    document = assert_problem(answer, 503, "busy")
    assert document["detail"].startswith("The service is unavailable")
    assert document["instance"] == READ
    assert document["request_id"] == answer.headers["x-request-id"] == "a-known-id"
    assert answer.headers["content-language"] == "en" and "no-store" in answer.headers["cache-control"]
    assert int(answer.headers["retry-after"]) >= 1 and "date" in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_refused_head_has_no_body_and_the_connection_goes_on(full: Service) -> None:
    said = everything(connect(full, f"HEAD {READ} HTTP/1.1\r\nHost: x\r\n\r\n".encode() + ALIVE))
    refused, _, alive = said.partition(b"\r\n\r\n")
    assert refused.startswith(b"HTTP/1.1 503") and alive.startswith(b"HTTP/1.1 200"), said


@pytest.mark.parametrize("parts", [1, 50])
def test_the_body_of_what_is_refused_is_passed_over(full: Service, parts: int) -> None:
    head = f"POST {READ} HTTP/1.1\r\nHost: x\r\nContent-Length: {parts * 4_000}\r\n\r\n"
    connection = connect(full, head.encode())
    for _ in range(parts):
        connection.sendall(b"x" * 4_000)
    connection.sendall(ALIVE)
    assert re.findall(rb"HTTP/1.1 (\d+)", everything(connection)) == [b"503", b"200"]


def test_what_was_sent_ahead_is_answered_in_its_order(full: Service) -> None:
    ids = [f"number-{number}" for number in range(40)]
    requests = "".join(f"GET {READ} HTTP/1.1\r\nHost: x\r\nX-Request-ID: {name}\r\n\r\n" for name in ids)
    said = everything(connect(full, requests.encode() + ALIVE))
    assert re.findall(rb"HTTP/1.1 (\d+)", said) == [b"503"] * 40 + [b"200"]
    assert re.findall(r"x-request-id: (number-\d+)", said.decode()) == ids


def test_who_wants_the_connection_closed_has_it_closed(full: Service) -> None:
    said = everything(connect(full, f"GET {READ} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()))
    assert said.startswith(b"HTTP/1.1 503") and b"\r\nconnection: close\r\n" in said


def test_who_asks_before_it_sends_its_body_is_told_no_and_hung_up_on(full: Service) -> None:
    head = f"POST {READ} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n"
    said = everything(connect(full, head.encode()))
    assert said.startswith(b"HTTP/1.1 503") and b"\r\nconnection: close\r\n" in said


def test_who_sends_thousands_and_reads_nothing_is_hung_up_on(full: Service) -> None:
    def sockets() -> int:
        files = Path(f"/proc/{full.pid}/fd").iterdir()
        return sum(file.is_symlink() and str(file.readlink()).startswith("socket:") for file in files)

    before = sockets()
    request = f"GET {READ} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with connect(full, b"") as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.settimeout(2)
        # The kernel keeps what was not read, so that this side may learn nothing of the end.
        with pytest.raises((ConnectionResetError, BrokenPipeError, TimeoutError)):
            for _ in range(20_000):
                connection.sendall(request * 10)
        assert wait_until(lambda: sockets() <= before, 5)
    assert httpx.get(full.url + "/health/live", verify=False).status_code == 200
