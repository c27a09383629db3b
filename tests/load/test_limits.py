"""Too many requests, too many connections, and clients that take their time: refused in the contract's form."""

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest

from dev.services import Service
from shared.admission import CALM_SECONDS, UNLIMITED
from shared.auth_client import AuthClient
from shared.errors import InvalidCredentials
from shared.settings import ClientSettings, Settings
from tests.load.conftest import Start
from tests.support import Api, User, assert_problem, unique

PLACES, QUEUE, CONNECTIONS = 2, 20, 40
LOGIN = (
    b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 37\r\n\r\n"
    b'{"email":"a@b.mx","password":"wrong"}'
)
READ = "/api/v1/doctors/me/patients"


@pytest.fixture(scope="module")
def slow_auth(start: Start) -> Service:
    """An auth service whose hashes take their time."""
    return start("auth", BCRYPT_ROUNDS="10")


@pytest.fixture(scope="module")
def small(start: Start, slow_auth: Service) -> Service:
    """A doctors' service with room for little."""
    return start(
        "doctors",
        AUTH_SERVICE_URL=slow_auth.url,
        MAX_CONCURRENT_REQUESTS=str(PLACES),
        MAX_QUEUED_REQUESTS=str(QUEUE),
        MAX_REQUESTS_IN_OVERLOAD="6",
        MAX_REQUESTS_ASIDE="8",
        MAX_CONNECTIONS=str(CONNECTIONS),
        HEADER_TIMEOUT_SECONDS="1",
        BODY_TIMEOUT_SECONDS="1",
        SEND_TIMEOUT_SECONDS="1",
    )


@pytest.fixture
def client(small: Service, doctor: User) -> Iterator[httpx.Client]:
    """The doctor at that service."""
    with httpx.Client(base_url=small.url, headers={"Authorization": f"Bearer {doctor.token}"}, timeout=20) as client:
        yield client


def connect(service: Service, sent: bytes) -> socket.socket:
    """A connection over which something was sent."""
    host, _, port = service.url.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    connection.sendall(sent)
    return connection


def rest_of(connection: socket.socket) -> bytes:
    """What comes until the other side ends the connection; a reset ends it too."""
    parts = []
    try:
        while part := connection.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def test_far_too_many_requests_are_refused_at_once_and_the_others_served(client: httpx.Client, small: Service) -> None:
    expected = client.get(READ).json()
    stop = threading.Event()
    answers: list[httpx.Response] = []

    def ask_until_stopped(_: int) -> None:
        with httpx.Client(base_url=small.url, headers=dict(client.headers), timeout=20) as own:
            while not stop.is_set():
                answers.append(own.get(READ))

    with ThreadPoolExecutor(24) as threads:
        asking = threads.map(ask_until_stopped, range(24))
        try:
            deadline = time.monotonic() + 20
            while len(answers) < 1_000 or not any(answer.status_code == 503 for answer in answers):
                assert time.monotonic() < deadline
                # Whoever watches the service has to get through.
                assert client.get("/health").status_code == 200
                assert client.get("/health/live").status_code == 200
        finally:
            stop.set()
        list(asking)
    assert set(Counter(answer.status_code for answer in answers)) == {200, 503}
    for answer in answers:
        if answer.status_code == 200:
            assert answer.json() == expected
        else:
            assert_problem(answer, 503, "busy")
            assert int(answer.headers["retry-after"]) >= 1
    assert client.get(READ).status_code == 200


def test_as_many_as_the_queue_holds_are_all_served(client: httpx.Client, small: Service) -> None:
    headers = dict(client.headers)
    time.sleep(CALM_SECONDS)  # since the overload of another test
    with ThreadPoolExecutor(QUEUE) as threads:
        asked = threads.map(
            lambda _: httpx.get(small.url + READ, headers=headers, timeout=20, verify=False), range(QUEUE)
        )
        assert {answer.status_code for answer in asked} == {200}


def test_more_callers_than_a_pool_has_connections_all_wait_their_turn(start: Start, settings: Settings) -> None:
    callers, patience_seconds = 150, 4.0
    auth = start("auth", BCRYPT_ROUNDS="10", PASSWORD_HASH_QUEUE=str(callers), MAX_QUEUED_REQUESTS=str(callers))
    changes = {"auth_service_url": auth.url, "auth_timeout_seconds": patience_seconds}

    async def log_in_all() -> list[object]:
        client = AuthClient("service-doctors", ClientSettings(**(settings.model_dump() | changes)))
        logins = (client.login(f"{unique('nadie')}@example.com", "wrong", "doctor") for _ in range(callers))
        answers = await asyncio.gather(*logins, return_exceptions=True)
        await client.close()
        return [type(answer) for answer in answers]

    assert set(asyncio.run(log_in_all())) == {InvalidCredentials}


def test_a_flood_of_logins_leaves_the_places_to_the_reads(client: httpx.Client, small: Service) -> None:
    """More logins wait for their hashes than there are places, and every read is served."""
    stop = threading.Event()
    logins: list[httpx.Response] = []

    def log_in_until_stopped(_: int) -> None:
        with httpx.Client(base_url=small.url, timeout=30) as own:
            while not stop.is_set():
                credentials = {"email": f"{unique('nadie')}@example.com", "password": "wrong"}
                logins.append(own.post("/auth/login", json=credentials))

    with ThreadPoolExecutor(6) as threads:
        flood = threads.map(log_in_until_stopped, range(6))
        try:
            reads = [client.get(READ).status_code for _ in range(50)]
            while len(logins) < 6:
                reads.append(client.get(READ).status_code)
        finally:
            stop.set()
        list(flood)
    assert set(reads) == {200}
    assert {login.status_code for login in logins} <= {401, 503}
    assert any(login.status_code == 401 for login in logins)


def test_a_body_that_comes_byte_by_byte_holds_no_place_and_is_given_up(client: httpx.Client, small: Service) -> None:
    header = b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
    with ExitStack() as stack:
        slow = [stack.enter_context(connect(small, header)) for _ in range(PLACES + QUEUE + 8)]
        assert client.get(READ).status_code == 200
        said = [rest_of(connection) for connection in slow]
    for answer in said:
        assert answer.startswith(b"HTTP/1.1 408 ") and b'"code":"request_timeout"' in answer
        assert b"connection: close" in answer.lower()
    assert client.get(READ).status_code == 200


@pytest.mark.parametrize("path", UNLIMITED)
def test_a_body_is_bounded_where_none_is_asked_for_too(path: str, client: httpx.Client, small: Service) -> None:
    """Who sends one slowly would hold a connection for ever, which nobody may take the place of."""
    header = f"GET {path} HTTP/1.1\r\nHost: x\r\nContent-Length: ".encode()
    with ExitStack() as stack:
        slow = [stack.enter_context(connect(small, header + b"9\r\n\r\n{")) for _ in range(CONNECTIONS)]
        assert all(rest_of(connection).startswith(b"HTTP/1.1 408 ") for connection in slow)
    connect(small, header + b"9\r\n\r\n{").close()
    with connect(small, header + b"99999999\r\n\r\n") as large:
        assert large.recv(65_536).startswith(b"HTTP/1.1 413 ")
    assert client.get(path).status_code == 200
    assert "unhandled error" not in small.child.log.read_text()


@pytest.mark.parametrize("sent", [b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
@pytest.mark.parametrize("before", [b"", b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["first", "later"])
def test_a_header_that_comes_byte_by_byte_is_given_up(before: bytes, sent: bytes, small: Service) -> None:
    with connect(small, before) as connection:
        if before:
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        connection.sendall(sent)
        assert _ends_while_bytes_come(connection)


def test_a_connection_over_which_nothing_comes_is_given_up(small: Service) -> None:
    with connect(small, b"") as connection:
        assert rest_of(connection) == b""


def _ends_while_bytes_come(connection: socket.socket) -> bool:
    connection.settimeout(0.1)
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        try:
            connection.sendall(b"x")
            if connection.recv(1) == b"":
                return True
        except TimeoutError:
            continue
        except ConnectionError:
            return True
    return False


def test_connections_that_ask_nothing_make_room_for_those_that_do(client: httpx.Client, small: Service) -> None:
    with ExitStack() as stack:
        idle = [stack.enter_context(connect(small, b"")) for _ in range(3 * CONNECTIONS)]
        for _ in range(5):
            with httpx.Client(base_url=small.url, headers=dict(client.headers), timeout=20) as newcomer:
                assert newcomer.get(READ).status_code == 200
                assert newcomer.get("/health").status_code == 200
        assert rest_of(idle[0]) == b"", "the oldest was closed"
    assert client.get(READ).status_code == 200


@pytest.mark.parametrize(
    "sent",
    [LOGIN[:-1], b"GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n" * 8],
    ids=["a_body_that_does_not_come", "answers_that_are_not_read"],
)
def test_clients_that_are_waited_for_make_room_for_others(sent: bytes, start: Start) -> None:
    service = start("doctors", MAX_CONNECTIONS=str(CONNECTIONS))
    with ExitStack() as stack:
        _ = [stack.enter_context(connect(service, sent)) for _ in range(3 * CONNECTIONS)]
        time.sleep(1)
        for _ in range(5):
            assert httpx.get(f"{service.url}/health/live", timeout=20).status_code == 200


def test_a_client_that_does_not_read_its_answers_is_given_up(client: httpx.Client, small: Service) -> None:
    page = client.get("/docs").text
    script = next(part for part in page.split('"') if part.endswith(".js") and part.startswith("/"))
    ask = f"GET {script} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    size = len(client.get(script).content)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        host, _, port = small.url.removeprefix("http://").partition(":")
        connection.connect((host, int(port)))
        connection.settimeout(20)
        connection.sendall(ask * 8)
        time.sleep(3)
        assert len(rest_of(connection)) < 8 * size, "it waited for us to read"
    assert client.get(READ).status_code == 200
    assert "unhandled error" not in small.child.log.read_text()


def test_a_client_that_has_sent_its_last_byte_gets_its_answers(small: Service) -> None:
    with connect(small, LOGIN * 2) as connection:
        connection.shutdown(socket.SHUT_WR)
        answers = rest_of(connection)
    assert answers.count(b"HTTP/1.1 401 ") == 2 and answers.count(b"connection: close") == 1


def test_nonsense_after_a_request_does_not_take_the_place_of_its_answer(small: Service) -> None:
    """As when a body is longer than its `Content-Length` says."""
    with connect(small, LOGIN + b"}") as connection:
        answers = rest_of(connection)
    assert answers.startswith(b"HTTP/1.1 401 ") and answers.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answers


def test_a_client_that_ends_in_the_middle_of_its_request_is_not_waited_for(small: Service) -> None:
    with connect(small, LOGIN[:-1]) as connection:
        connection.shutdown(socket.SHUT_WR)
        assert rest_of(connection) == b""


def test_limits_do_not_change_what_a_client_is_told(client: httpx.Client, api: Api) -> None:
    """Over the limit of a body, of a wrong type, without a token: the contract's order stands."""
    assert_problem(client.post("/auth/login", content=b"x" * 1_100_000), 413, "body_too_large")
    assert_problem(client.post("/auth/login", content=b"x"), 415, "unsupported_media_type")
    assert_problem(httpx.get(str(client.base_url.join(READ))), 401, "unauthenticated")
