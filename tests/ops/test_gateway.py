"""The gateway in front of the fleet: every request reaches its service, and nothing else passes."""

import http.client
import json
import re
import socket
import ssl
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from dev.processes import wait_until
from dev.services import Service
from dev.settings import SERVICE_FOLDERS
from shared import errors

from ..certificates import make_certificate
from ..conftest import ADMIN_PASSWORD
from ..support import PASSWORD, Api, assert_problem, unique
from .conftest import BROKEN, FIRST, SECOND, Replicas, Start
from .gateway import NGINX, Gateway, quitter

pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
from playwright.sync_api import Page, expect

from ..e2e.test_docs_browser import CHROMIUM, READS, browser, log_in, page  # noqa: F401

INSIDE = ("/health", "/health/live", "/metrics")
ENGLISH = {"Accept-Language": "en"}

pytestmark = pytest.mark.skipif(NGINX is None, reason="needs nginx: apt-get install -y nginx-light")


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> Iterator[httpx.Client]:
    """A stranger at the gateway."""
    with httpx.Client(base_url=gateway.url, timeout=20) as opened:
        yield opened


@pytest.fixture(scope="module")
def patient(api: Api) -> Any:
    """A patient with a doctor and an institution."""
    institution = api.new_institution()
    return api.new_patient(api.new_doctor(institution), institution)


def operations(replica: Service) -> list[tuple[str, str]]:
    """Every method and path template of a service."""
    paths = httpx.get(f"{replica.url}/openapi.json", timeout=20).json()["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


def seen(replica: Service) -> dict[str, str | None]:
    """The request ids that a replica served, with the route of each."""
    lines = (json.loads(line) for line in replica.child.log.read_text("utf-8").splitlines() if line.startswith("{"))
    return {line["request_id"]: line["route"] for line in lines if line["event"] == "request"}


def served(replica: Service, ids: Collection[str]) -> dict[str, str | None]:
    """The route of each of `ids` at a replica, awaited: a service writes its line once it has answered."""
    wait_until(lambda: seen(replica).keys() >= set(ids), 10)
    return {request_id: route for request_id, route in seen(replica).items() if request_id in ids}


def logged(gateway: Gateway, request_id: str) -> dict[str, Any]:
    """The line of a request in the gateway's log."""
    assert wait_until(lambda: request_id in gateway.log, 10)
    return next(line for line in map(json.loads, gateway.log.splitlines()) if line["request_id"] == request_id)


def send_raw(port: int, request: bytes) -> httpx.Response:
    """The answer to bytes that no HTTP client would send."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())


def raw(path: str, method: str = "GET", headers: str = "") -> bytes:
    """A request with the path as it stands."""
    return f"{method} {path} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n{headers}\r\n".encode()


# Routes


@pytest.mark.parametrize("service", SERVICE_FOLDERS)
@pytest.mark.parametrize("below", ["", "own name"])
def test_every_operation_reaches_its_service(
    service: str, below: str, client: httpx.Client, replicas: Replicas
) -> None:
    prefix = f"/{service}" if below else ""
    expected = {}
    for method, template in operations(replicas.first[service]):
        if template not in INSIDE and (prefix or template != "/auth/login" or service == "auth"):
            request_id = uuid4().hex
            expected[request_id] = template
            path = re.sub(r"\{.*?\}", str(uuid4()), template)
            client.request(method, prefix + path, headers={"X-Request-ID": request_id})
    assert expected
    assert served(replicas.first[service], expected) == expected


@pytest.mark.parametrize(
    "path",
    [
        *("/health", "/metrics"),
        *(f"/{service}{path}" for service in SERVICE_FOLDERS for path in INSIDE),
        *(
            "/",
            "/nope",
            "/api/v1/nope",
            "/api/v1/doctorsx",
            "/api/v1",
            "/users.",
            "/.well-known/other",
            "/openapi.json",
        ),
        *("//metrics", "/doctors//metrics", "/doctors/%6detrics", "/doctors/./metrics", "/doctors/%2fmetrics"),
        *("/api/v1/doctors/../../../metrics", "/api/v1/doctors/..%2f..%2f..%2fmetrics", "/auth/auth/%2e%2e/metrics"),
    ],
)
def test_what_is_inside_stays_inside(path: str, gateway: Gateway) -> None:
    request_id = uuid4().hex
    answer = send_raw(gateway.port, raw(path, headers=f"X-Request-ID: {request_id}\r\n"))
    assert_problem(answer, 404, "not_found")
    assert logged(gateway, request_id)["upstream"] == ""


@pytest.mark.parametrize("service", SERVICE_FOLDERS)
def test_the_documentation_names_the_gateways_paths(service: str, client: httpx.Client) -> None:
    redirect = client.get(f"/docs/{service}")
    assert (redirect.status_code, redirect.headers["location"]) == (307, f"/{service}/docs")
    shown = client.get(redirect.headers["location"]).text
    for linked in re.findall(r'(?:href|src)="([^"]+)"', shown) + re.findall(r"url: '([^']+)'", shown):
        assert client.get(linked).status_code == 200, linked
    document = client.get(f"/{service}/openapi.json").json()
    assert document["servers"] == [{"url": f"/{service}"}]
    assert document["components"]["securitySchemes"]["PredictHealth"]["flows"]["password"]["tokenUrl"] == "/auth/token"


@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs {CHROMIUM}: apt-get install -y chromium")
@pytest.mark.parametrize("service", ["auth", "patients"])
def test_authorize_logs_in_and_a_request_is_executed(service: str, gateway: Gateway, page: Page) -> None:  # noqa: F811
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{gateway.url}/docs/{service}")
    log_in(page, ADMIN_PASSWORD)
    expect(page.locator(".auth-container")).to_contain_text("Logout", timeout=20_000)
    page.locator(".modal-ux button.close-modal").click()

    operation = page.locator(f"[id$='{READS[service]}']")
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table .response-col_status").last).to_contain_text("200", timeout=20_000)
    assert f"{gateway.url}/auth/token" in asked
    assert [url for url in asked if not url.startswith((gateway.url, "data:", "blob:"))] == []


def test_only_the_gateway_moves_a_service(api: Api, client: httpx.Client) -> None:
    client.get("/patients/openapi.json")
    document = api.anonymous.patients.get("/openapi.json", headers={"X-Forwarded-Prefix": "/evil"}).json()
    assert "servers" not in document
    assert client.get("/patients/openapi.json", headers={"X-Forwarded-Prefix": "/evil"}).json()["servers"] == [
        {"url": "/patients"}
    ]


def test_everybody_logs_in_and_works_through_one_port(client: httpx.Client, api: Api, patient: Any) -> None:
    institution = api.new_institution()
    doctor = api.new_doctor(institution)
    for user, where, what in (
        (api.admin, "/auth/login", "/api/v1/patients?limit=1"),
        (doctor, "/doctors/auth/login", "/api/v1/doctors/me/dashboard"),
        (institution, "/institutions/auth/login", "/api/v1/institutions/doctors"),
        (patient, "/patients/auth/login", f"/api/v1/patients/{patient.id}/dashboard"),
    ):
        pair = client.post(where, json={"email": user.email, "password": user.password})
        assert pair.status_code == 200, pair.text
        bearer = {"Authorization": f"Bearer {pair.json()['access_token']}"}
        assert client.get(what, headers=bearer).status_code == 200
        assert client.post("/auth/logout", headers=bearer).status_code == 200
        assert_problem(client.get(what, headers=bearer), 401, "unauthenticated")
    refused = client.post("/doctors/auth/login", json={"email": patient.email, "password": PASSWORD})
    assert_problem(refused, 403, "wrong_user_type")


# Whose request it is


def address_of_session(client: httpx.Client, patient: Any, forwarded_for: str) -> str:
    """The address that the fleet keeps of a login with this header."""
    pair = client.post(
        "/patients/auth/login",
        json={"email": patient.email, "password": PASSWORD},
        headers={"X-Forwarded-For": forwarded_for, "X-Real-IP": forwarded_for, "Forwarded": f"for={forwarded_for}"},
    ).json()
    items = client.get("/auth/sessions", headers={"Authorization": f"Bearer {pair['access_token']}"}).json()["items"]
    return str(next(item["device"]["ip"] for item in items if item["is_current"]))


def test_nobody_chooses_an_address_by_a_header(client: httpx.Client, patient: Any) -> None:
    for forged in ("6.6.6.6", "6.6.6.6, 127.0.0.1", "127.0.0.1, 6.6.6.6"):
        assert address_of_session(client, patient, forged) == "127.0.0.1"


def test_a_proxy_before_the_gateway_is_believed_if_it_is_named(start_gateway: Start, patient: Any) -> None:
    behind = start_gateway(GATEWAY_TRUSTED_PROXY="127.0.0.0/8")
    with httpx.Client(base_url=behind.url, timeout=20) as client:
        assert address_of_session(client, patient, "203.0.113.7") == "203.0.113.7"
        assert address_of_session(client, patient, "6.6.6.6, 203.0.113.7") == "203.0.113.7"
        answer = client.get("/nope", headers={"X-Forwarded-Proto": "https"})
        assert answer.headers["strict-transport-security"]


def test_the_request_id_is_the_clients_or_a_new_one(client: httpx.Client, replicas: Replicas) -> None:
    mine = f"mine.{uuid4()}"
    assert client.get("/users", headers={"X-Request-ID": mine}).headers["x-request-id"] == mine
    assert client.get("/nope", headers={"X-Request-ID": mine}).headers["x-request-id"] == mine
    for bad in ("with space", "x" * 129, 'a"b', ""):
        answer = client.get("/users", headers={"X-Request-ID": bad})
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
        assert served(replicas.first["auth"], {answer.headers["x-request-id"]})
        assert_problem(client.get("/nope", headers={"X-Request-ID": bad}), 404, "not_found")


# Limits and what the gateway says itself


def test_a_body_over_the_limit_never_reaches_a_service(client: httpx.Client, replicas: Replicas) -> None:
    fits, too_large = b" " * 1_048_576, b" " * 1_048_577
    json_type = {"Content-Type": "application/json", **ENGLISH}
    assert client.post("/auth/login", content=fits, headers=json_type).status_code == 400
    for content in (too_large, iter([too_large])):
        request_id = uuid4().hex
        answer = client.post("/auth/login", content=content, headers={**json_type, "X-Request-ID": request_id})
        document = assert_problem(answer, 413, "body_too_large")
        direct = httpx.post(f"{replicas.first['auth'].url}/auth/login", content=too_large, headers=json_type)
        assert document | {"request_id": ""} == direct.json() | {"request_id": ""}
        assert request_id not in seen(replicas.first["auth"])


def test_a_client_has_its_rate(start_gateway: Start) -> None:
    limited = start_gateway(GATEWAY_REQUESTS_PER_SECOND="1", GATEWAY_BURST="4", CORS_ORIGINS="https://clinica.example")
    with httpx.Client(base_url=limited.url, timeout=20, headers=ENGLISH) as client:
        passed = 0
        while (refused := client.get("/users?q=Zoraida")).status_code == 401 and passed < 500:
            passed += 1
        assert passed >= 5
        document = assert_problem(refused, 429, "too_many_requests")
        assert document["detail"] == errors.TooManyRequests(1).document("en", "", "")["detail"]
        assert refused.headers["retry-after"] == refused.headers["ratelimit-reset"] == "1"
        assert (refused.headers["ratelimit-limit"], refused.headers["ratelimit-remaining"]) == ("1", "0")
        assert refused.headers["ratelimit-policy"] == "1;w=1"
        # Whether the gateway lives is no client's rate.
        assert {client.get("/health/live").status_code for _ in range(12)} == {200}
    assert "Zoraida" not in limited.log


BROKEN_REQUESTS = {
    "bad_request": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "not_found": raw("/nope"),
    "method_not_allowed": raw("/users", "TRACE"),
    "uri_too_long": raw(f"/users?{'x' * 20_000}"),
    "headers_too_large": raw("/users", headers=f"X-Long: {'x' * 20_000}\r\n"),
    "body_too_large": raw("/users", "POST", "Content-Length: 99999999\r\n"),
}


@pytest.mark.parametrize("language", ["es", "en"])
@pytest.mark.parametrize("code", BROKEN_REQUESTS)
def test_its_own_answers_are_the_services_words(code: str, language: str, gateway: Gateway) -> None:
    request = BROKEN_REQUESTS[code].replace(b"Host: ", f"Accept-Language: {language}\r\nHost: ".encode(), 1)
    answer = send_raw(gateway.port, request)
    document = assert_problem(answer, answer.status_code, code)
    spoken = answer.headers["content-language"]
    # Of a request line that is too long nothing more is read.
    assert spoken == ("es" if code == "uri_too_long" else language)
    assert answer.headers["cache-control"] == "private, no-store"
    known = {problem.code: problem for problem in everyone(errors.Problem)}
    if code in known:
        assert document == known[code]().document(spoken, document["instance"], document["request_id"])
        assert answer.status_code == known[code].status


def everyone(of: type[errors.Problem]) -> Iterator[type[errors.Problem]]:
    """A class and all below it that need no more to be made."""
    for problem in of.__subclasses__():
        yield from everyone(problem)
    if of.code in BROKEN_REQUESTS:
        yield of


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("en", "en"),
        ("EN-us,es;q=0.5", "en"),
        ("es-MX,en;q=0.8", "es"),
        ("fr, en;q=0.9", "en"),
        ("fr", "es"),
        ("enx", "es"),
        ("", "es"),
    ],
)
def test_the_language_is_the_first_that_is_named(accepted: str, language: str, client: httpx.Client) -> None:
    answer = client.get("/nope", headers={"Accept-Language": accepted})
    assert answer.headers["content-language"] == language


@pytest.mark.parametrize("path", ['/a"b', "/a\\b", "/ñ?q=secret", "/a?b=c", "/%00", "/a%22b", "/" + "x" * 3000])
def test_no_path_breaks_the_document(path: str, gateway: Gateway) -> None:
    answer = send_raw(gateway.port, raw(path))
    document = assert_problem(answer, answer.status_code, answer.json()["code"])
    assert answer.status_code in (400, 404)
    assert path.startswith(document["instance"])
    assert "secret" not in answer.text


def test_its_own_answers_carry_the_services_headers(client: httpx.Client, replicas: Replicas) -> None:
    direct = httpx.get(f"{replicas.first['auth'].url}/nope", timeout=20).headers
    own = client.get("/nope").headers
    expected = direct.keys() - {"content-length", "date", "x-request-id"}
    assert {name: own.get(name) for name in expected} == {name: direct[name] for name in expected}


def test_a_listed_frontend_can_read_the_gateways_own_answers(start_gateway: Start) -> None:
    open_to = start_gateway(CORS_ORIGINS="https://clinica.example, http://localhost:3000")
    with httpx.Client(base_url=open_to.url, timeout=20) as client:
        for origin in ("https://clinica.example", "http://localhost:3000"):
            assert client.get("/nope", headers={"Origin": origin}).headers["access-control-allow-origin"] == origin
        for origin in (
            *("https://evil.example", "https://clinica.example.evil", "https://clinica", "null", "", "localhost:3000"),
            "https://clinica.example, http://localhost:3000",
        ):
            assert "access-control-allow-origin" not in client.get("/nope", headers={"Origin": origin}).headers


# Replicas


def test_two_replicas_share_the_load(start_gateway: Start, replicas: Replicas) -> None:
    balanced = start_gateway({"institutions": [FIRST, SECOND]})
    ids = [uuid4().hex for _ in range(60)]
    with httpx.Client(base_url=balanced.url, timeout=20) as client:
        for request_id in ids:
            client.get("/api/v1/regions", headers={"X-Request-ID": request_id})
    both = (replicas.first["institutions"], replicas.second)
    assert wait_until(lambda: sum(len(set(ids) & seen(replica).keys()) for replica in both) == 60, 10)
    assert min(len(set(ids) & seen(replica).keys()) for replica in both) >= 10


def test_a_get_is_sent_again_and_a_post_never(start_gateway: Start, replicas: Replicas) -> None:
    gateway = start_gateway({"institutions": [FIRST, BROKEN]})
    good = replicas.first["institutions"]
    with (
        quitter(BROKEN, replicas.ports["institutions"]) as taken,
        httpx.Client(base_url=gateway.url, timeout=20) as client,
    ):
        statuses = {client.get("/api/v1/regions?country=Zoraida").status_code for _ in range(30)}
        assert statuses == {401}
        assert taken, "the broken one was never tried"
        taken.clear()
        lost = {}
        for _ in range(30):
            request_id = uuid4().hex
            answer = client.post("/api/v1/institutions", json={}, headers={"X-Request-ID": request_id})
            if answer.status_code != 401:
                assert_problem(answer, 503, "unavailable")
                assert answer.headers["retry-after"] == "2"
                lost[request_id] = answer
    assert len(taken) == len(lost) > 0
    assert not lost.keys() & seen(good).keys()
    assert "Zoraida" not in gateway.log


def test_a_dead_replica_costs_nobody_a_request(start_gateway: Start, replicas: Replicas) -> None:
    gateway = start_gateway({"institutions": [FIRST, "127.0.0.5"]})
    with httpx.Client(base_url=gateway.url, timeout=20) as client:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            answers = {client.request(method, "/api/v1/institutions/x", json={}).status_code for _ in range(10)}
            assert answers <= {401, 405}


def test_without_a_service_the_others_go_on(start_gateway: Start) -> None:
    gateway = start_gateway({"patients": []})
    with httpx.Client(base_url=gateway.url, timeout=20) as client:
        answer = client.get("/api/v1/patients?q=Zoraida", headers=ENGLISH)
        document = assert_problem(answer, 503, "unavailable")
        assert document["detail"] == errors.Unavailable.en
        assert document["instance"] == "/api/v1/patients"
        assert client.get("/api/v1/doctors").status_code == 401
    assert "Zoraida" not in gateway.log


# TLS, the log, and what Prometheus sees


def test_with_a_certificate_it_speaks_tls(start_gateway: Start, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    gateway = start_gateway(
        GATEWAY_MODE="tls", GATEWAY_CERTIFICATE_FILE=str(certificate), GATEWAY_CERTIFICATE_KEY_FILE=str(key)
    )
    with httpx.Client(
        base_url=f"https://127.0.0.1:{gateway.tls_port}", verify=ssl.create_default_context(cafile=str(certificate))
    ) as client:
        assert client.get("/users").status_code == 401
        assert client.get("/nope").headers["strict-transport-security"].startswith("max-age=")
        plain = client.get(f"{gateway.url}/users?limit=1")
        assert (plain.status_code, plain.headers["location"]) == (308, "https://127.0.0.1/users?limit=1")
        assert client.get(f"{gateway.url}/health/live").status_code == 200
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(certificate)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", gateway.tls_port)) as connection, pytest.raises(ssl.SSLError):
        old.wrap_socket(connection, server_hostname="127.0.0.1")


def test_the_log_says_who_and_where_to_but_not_what(client: httpx.Client, gateway: Gateway) -> None:
    word = unique("zoraida")
    request_id = uuid4().hex
    client.post(
        f"/patients/api/v1/patients?q={word}",
        json={"first_name": word},
        headers={"X-Request-ID": request_id, "Authorization": f"Bearer {word}", "Referer": word, "User-Agent": word},
    )
    client.get(f"/{word}")
    send_raw(gateway.port, f"GET /{word}\x01 HTTP/1.1\r\nHost: {word}\r\n\r\n".encode())
    line = logged(gateway, request_id)
    assert (line["method"], line["to"], line["status"], line["client"]) == ("POST", "patients", 401, "127.0.0.1")
    assert word not in gateway.log


def test_prometheus_finds_its_connections_inside_only(gateway: Gateway, client: httpx.Client) -> None:
    text = httpx.get(f"http://127.0.0.1:{gateway.metrics_port}/metrics").text
    assert re.search(r'^predicthealth_gateway_connections\{state="waiting"\} \d+$', text, re.M)
    assert_problem(client.get("/metrics"), 404, "not_found")
