"""What comes over a connection besides well-formed requests of HTTP/1.1."""

import json
import socket
from http.client import HTTPResponse

import pytest

from dev.fleet import Fleet
from shared.connections import MAX_HEAD_BYTES
from tests.support import PASSWORD, Api


def connect(url: str) -> socket.socket:
    host, _, port = url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), 20)


def answer_of(connection: socket.socket) -> tuple[int, bytes]:
    answer = HTTPResponse(connection)
    answer.begin()
    return answer.status, answer.read()


def test_a_trailer_is_no_header(fleet: Fleet, api: Api) -> None:
    head = b"GET /auth/sessions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    trailer = f"Authorization: Bearer {api.admin.token}\r\n\r\n".encode()
    with connect(fleet.urls["auth"]) as connection:
        connection.sendall(head + b"2\r\n{}\r\n0\r\n" + trailer)
        status, body = answer_of(connection)
    assert (status, json.loads(body)["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("protocol", ["h2c", "websocket", "TLS/1.0, secreto"])
def test_an_offer_of_another_protocol_is_passed_over(protocol: str, pieces: int, fleet: Fleet, api: Api) -> None:
    """Clients that prefer HTTP/2 offer it with their first request, and send its body at once."""
    body = json.dumps({"email": api.new_institution().email, "password": PASSWORD}).encode()
    head = (
        "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Connection: keep-alive, Upgrade\r\nUpgrade: {protocol}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    request = head.encode() + body
    with connect(fleet.urls["auth"]) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        size = -(-len(request) // pieces)
        for place in range(0, len(request), size):
            connection.sendall(request[place : place + size])
        status, answer = answer_of(connection)
        assert status == 200 and json.loads(answer)["access_token"]
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer_of(connection) == (200, b'{"status":"alive"}')


@pytest.mark.parametrize(("version", "connection"), [("1.1", "close, Upgrade"), ("1.0", "Upgrade")])
def test_an_offer_with_the_last_request_of_a_connection_is_passed_over_too(
    version: str, connection: str, fleet: Fleet
) -> None:
    head = f"POST /auth/verify-token HTTP/{version}\r\nHost: x\r\nConnection: {connection}\r\nUpgrade: h2c\r\n"
    with connect(fleet.urls["auth"]) as last:
        last.sendall(head.encode() + b"Content-Length: 2\r\n\r\n{}")
        status, answer = answer_of(last)
        assert (status, json.loads(answer)["valid"]) == (200, False)
        assert last.recv(1) == b"", "the connection ends"


GET, POST = b"GET /health/live HTTP/1.1\r\nHost: x\r\n", b"POST /auth/login HTTP/1.1\r\nHost: x\r\n"
ENDLESS = 1_000 * MAX_HEAD_BYTES  # more than sockets hold while nobody reads
CHUNKED = POST + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("begun", "more"),
    [
        (GET + b"X-Long: ", b"x" * 16_000),
        (GET, b"X-Short: x\r\n" * 1_000),
        (CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-Trailer: x\r\n" * 1_000),
        (CHUNKED + b"2;", b"x" * 16_000),
    ],
    ids=["one header", "many headers", "trailers", "chunk extension"],
)
def test_a_head_without_end_is_refused(begun: bytes, more: bytes, fleet: Fleet) -> None:
    sent, answer = 0, b""
    with connect(fleet.urls["auth"]) as connection:
        connection.sendall(begun)
        connection.settimeout(0.001)
        while not answer and sent < ENDLESS:
            try:
                sent += connection.send(more)
                answer = connection.recv(65_536)
            except TimeoutError:
                continue
            except ConnectionError:  # it has hung up on what we were still sending
                break
    assert MAX_HEAD_BYTES <= sent + len(begun) < ENDLESS
    assert not answer or (answer.startswith(b"HTTP/1.1 400 ") and b'"code":"bad_request"' in answer)


def test_any_number_of_offers_sent_at_once_are_passed_over(fleet: Fleet) -> None:
    request = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    many = 1_500  # more than Python calls itself
    with connect(fleet.urls["auth"]) as connection:
        connection.sendall(request * many + b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answers = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answers.count(b"HTTP/1.1 200 ") == many + 1
