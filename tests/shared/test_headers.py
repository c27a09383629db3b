"""The headers of every answer: errors, preflights and pages too."""

import base64
import hashlib
import re

import httpx
import pytest

from dev.fleet import Fleet
from shared.headers import CONTENT_POLICY, completed

from ..support import Api, assert_problem
from .support import client, serving

SERVICES = ("auth", "doctors", "institutions", "patients")


def assert_careful(answer: httpx.Response) -> None:
    for name, value in {
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "x-frame-options": "DENY",
    }.items():
        assert answer.headers.get_list(name) == [value]
    assert len(answer.headers.get_list("content-security-policy")) == 1
    assert "server" not in answer.headers and "x-powered-by" not in answer.headers
    assert "strict-transport-security" not in answer.headers


@pytest.mark.parametrize("service", SERVICES)
def test_every_kind_of_answer_carries_them(service: str, fleet: Fleet, api: Api) -> None:
    anonymous: httpx.Client = getattr(api.anonymous, service)
    origin = fleet.urls["patients"]
    preflight = {"Origin": origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "if-match"}
    answers = {
        200: anonymous.get("/health"),
        401: anonymous.get("/users" if service == "auth" else f"/api/v1/{service}"),
        404: anonymous.get("/nowhere"),
        405: anonymous.put("/auth/login"),
        406: anonymous.get("/health", headers={"Accept": "image/png"}),
        413: anonymous.post("/auth/login", content=b"x" * 1_100_000),
        415: anonymous.post("/auth/login", content=b"x"),
        422: anonymous.post("/auth/login", json={}),
    }
    for status, answer in answers.items():
        assert answer.status_code == status
        assert_careful(answer)
        assert answer.headers["content-security-policy"] == CONTENT_POLICY
        assert answer.headers["cache-control"] == "private, no-store"
    for answer in (anonymous.options("/health", headers=preflight), anonymous.get("/openapi.json")):
        assert answer.status_code == 200
        assert_careful(answer)


@pytest.mark.parametrize("service", SERVICES)
def test_a_refused_preflight_is_a_problem_document_in_the_clients_language(
    service: str, fleet: Fleet, api: Api
) -> None:
    own = {"Origin": fleet.urls["patients"], "Access-Control-Request-Method": "GET"}
    for refused in (
        {"Origin": "https://elsewhere.example"},
        {"Access-Control-Request-Method": "TRACE"},
        {"Access-Control-Request-Headers": "x-other"},
    ):
        for language, word in (("es", "página"), ("en", "page")):
            headers = {**own, **refused, "Accept-Language": language}
            answer = getattr(api.anonymous, service).options("/health", headers=headers)
            assert word in assert_problem(answer, 400, "preflight_refused")["detail"]
            assert_careful(answer)
            assert answer.headers["vary"] == "Origin"
            assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("service", SERVICES)
def test_the_page_of_docs_runs_its_own_script_and_no_other(service: str, fleet: Fleet, api: Api) -> None:
    page = getattr(api.anonymous, service).get("/docs")
    assert_careful(page)
    policy = page.headers["content-security-policy"]
    (script,) = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}';" in policy
    assert "unsafe" not in policy and "*" not in policy and policy.startswith("default-src 'none'; ")
    assert fleet.urls["auth"] in policy
    for asset in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert_careful(getattr(api.anonymous, service).get(asset))


@pytest.mark.anyio
async def test_encrypted_connections_are_told_to_stay_so(fleet: Fleet) -> None:
    async with serving(fleet, "doctors", trusted_proxies="10.0.0.0/8") as app:
        for address, proto, told in (
            ("10.0.0.1", "https", True),
            ("10.0.0.1", "http, HTTPS", True),
            ("10.0.0.1", "https, http", False),
            ("10.0.0.1", "http", False),
            ("10.0.0.1", "", False),
            ("192.0.2.1", "https", False),
        ):
            async with client(app, address) as caller:
                for path in ("/health/live", "/nowhere"):
                    answer = await caller.get(path, headers={"X-Forwarded-Proto": proto})
                    assert ("strict-transport-security" in answer.headers) == told, (address, proto)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="https://service") as caller:
            answer = await caller.get("/health/live")
            assert answer.headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.anyio
async def test_a_bug_is_answered_with_them_too(fleet: Fleet) -> None:
    async def fail() -> None:
        raise ValueError("ana@clinica.mx")

    async with serving(fleet, "doctors") as app, client(app, "10.1.3.1") as caller:
        app.add_api_route("/fail", fail)
        answer = await caller.get("/fail")
        assert answer.status_code == 500 and "ana@clinica.mx" not in answer.text
        assert_careful(answer)
        counted = 'predicthealth_http_requests_total{method="GET",route="/fail",status="500"} 1.0'
        assert counted in (await caller.get("/metrics")).text


def test_what_an_answer_says_itself_stays() -> None:
    given = [(b"content-security-policy", b"script-src 'self'"), (b"x-request-id", b"its-own")]
    headers = completed(given, "r-1", over_tls=True)
    assert headers[:2] == given
    names = [name for name, _ in headers]
    assert len(names) == len(set(names)) == 6
