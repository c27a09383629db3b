"""What comes over a connection besides well-formed requests of HTTP/1.1."""

import json
import socket
from http.client import HTTPResponse

from dev.fleet import Fleet
from tests.support import Api


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
