"""Bytes that are no HTTP: a problem document like any other, and the connection ends."""

import json
import socket
from http.client import HTTPResponse

import pytest

from dev.fleet import Fleet
from shared.headers import CONTENT_POLICY

LOGIN = b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
BROKEN = {
    "nonsense": b"secreto\r\n\r\n",
    "tls": bytes.fromhex("16030100050100000100"),
    "nul_in_header": b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: secre\x00to\r\n\r\n",
    "space_before_colon": b"GET /health HTTP/1.1\r\nHost: x\r\nX-A : secreto\r\n\r\n",
    "folded_header": b"GET /health HTTP/1.1\r\nHost: x\r\n secreto\r\n\r\n",
    "unknown_version": b"GET /health HTTP/7.3\r\nHost: x\r\n\r\n",
    "version_2": b"GET /health HTTP/2.0\r\nHost: x\r\n\r\n",
    "no_host": b"GET /health HTTP/1.1\r\nX-A: secreto\r\n\r\n",
    "two_hosts": b"GET /health HTTP/1.1\r\nHost: x\r\nHost: secreto\r\n\r\n",
    "a_proxy's": b"CONNECT secreto:443 HTTP/1.1\r\nHost: secreto:443\r\n\r\n",
    "unknown_method": b"SECRETO /health HTTP/1.1\r\nHost: x\r\n\r\n",
    "two_lengths": LOGIN + b"Content-Length: 2\r\nContent-Length: 7\r\n\r\n{}",
    "negative_length": LOGIN + b"Content-Length: -2\r\n\r\n{}",
    "length_of_words": LOGIN + b"Content-Length: secreto\r\n\r\n{}",
    "length_of_400_digits": LOGIN + b"Content-Length: " + b"9" * 400 + b"\r\n\r\n{}",
    "length_and_chunks": LOGIN + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "chunk_of_words": LOGIN + b"Transfer-Encoding: chunked\r\n\r\nsecreto\r\n{}\r\n0\r\n\r\n",
    "chunk_longer_than_said": LOGIN + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}secreto\r\n0\r\n\r\n",
    "chunked_twice": LOGIN + b"Transfer-Encoding: chunked, identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("service", ["auth", "doctors", "institutions", "patients"])
@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_no_http_is_answered_with_a_problem(fleet: Fleet, service: str, broken: str) -> None:
    host, _, port = fleet.urls[service].removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(BROKEN[broken])
        answer = HTTPResponse(connection)
        answer.begin()
        body = answer.read()
        assert connection.recv(1) == b"", "the connection ends"
    document = json.loads(body)
    assert (answer.status, document["status"], document["code"]) == (400, 400, "bad_request")
    assert document["detail"] == "La solicitud no se puede leer."
    assert b"secreto" not in body.lower()
    expected = {
        "Content-Type": "application/problem+json",
        "Content-Language": "es",
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": CONTENT_POLICY,
        "X-Request-ID": document["request_id"],
        "Server": None,
    }
    assert {name: answer.headers[name] for name in expected} == expected
    assert answer.headers["Date"]
