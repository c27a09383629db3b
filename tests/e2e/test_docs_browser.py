"""The interactive docs in a real Chromium: Authorize logs in, a request is executed, other origins stay out."""

import contextlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from dev.fleet import Fleet
from dev.settings import free_port

from ..conftest import ADMIN_EMAIL, ADMIN_PASSWORD, TEST_ENVIRONMENT

pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
# An operation of each service that an admin may call without parameters: its id in the page ends in this.
READS = {
    "auth": "list_sessions",
    "doctors": "list_specialties",
    "institutions": "list_institution_types",
    "patients": "list_blood_types",
}
FETCH = """
    async ([url, token]) => {
        const headers = token ? {Authorization: `Bearer ${token}`} : {};
        try {
            return (await fetch(url, {headers})).status;
        } catch (error) {
            return error.name;
        }
    }
"""

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs {CHROMIUM}: apt-get install -y chromium")


class _Blank(http.server.BaseHTTPRequestHandler):
    """An empty page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """The tests need no log of it."""


@contextlib.contextmanager
def site(port: int) -> Iterator[str]:
    """A page of another origin; its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), _Blank)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def listed() -> Iterator[str]:
    """A frontend whose origin CORS_ORIGINS names."""
    with site(free_port()) as address:
        yield address


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, listed: str) -> Iterator[Fleet]:
    """A fleet of its own: the one of the other tests names no origin."""
    environment = {**TEST_ENVIRONMENT, "CORS_ORIGINS": f"https://clinica.example, {listed}"}
    running = Fleet(Path(tmp_path_factory.mktemp("browser")), extra_env=environment)
    running.start()
    yield running
    running.remove()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a browser that remembers nothing."""
    context = browser.new_context()
    context.set_default_timeout(20_000)
    expect.set_options(timeout=20_000)
    yield context.new_page()
    context.close()


def token_of(fleet: Fleet) -> str:
    """An access token."""
    credentials = {"email": ADMIN_EMAIL, "password": ADMIN_PASSWORD}
    answer = httpx.post(f"{fleet.urls['auth']}/auth/login", json=credentials, timeout=20)
    return str(answer.json()["access_token"])


def log_in(page: Page, password: str) -> None:
    """Fill in the Authorize form and send it."""
    page.get_by_role("button", name="Authorize").first.click()
    form = page.locator(".auth-container")
    form.locator("input[type=text]").first.fill(ADMIN_EMAIL)
    form.locator("input[type=password]").first.fill(password)
    form.get_by_role("button", name="Apply credentials").or_(form.locator("button.authorize")).first.click()


@pytest.mark.parametrize("service", READS)
def test_authorize_logs_in_and_a_request_is_executed(service: str, fleet: Fleet, page: Page) -> None:
    elsewhere: list[str] = []
    refused: list[str] = []
    page.on("console", lambda line: refused.append(line.text) if "Content Security Policy" in line.text else None)
    page.on("request", lambda request: elsewhere.append(request.url) if "127.0.0.1" not in request.url else None)
    page.goto(f"{fleet.urls[service]}/docs")
    log_in(page, ADMIN_PASSWORD)
    expect(page.locator(".auth-container")).to_contain_text("Logout")
    page.locator(".modal-ux button.close-modal").click()

    operation = page.locator(f"[id$='{READS[service]}']")
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
    assert [url for url in elsewhere if not url.startswith(("data:", "blob:"))] == []
    assert refused == []


def test_authorize_with_a_wrong_password_says_so(fleet: Fleet, page: Page) -> None:
    page.goto(f"{fleet.urls['patients']}/docs")
    log_in(page, "wrong")
    expect(page.locator(".auth-container .errors")).to_contain_text("Unauthorized")


def test_a_page_of_another_origin_reads_nothing(fleet: Fleet, page: Page) -> None:
    token = token_of(fleet)
    with site(free_port()) as stranger:
        for opened in (stranger, "data:text/html,<p>x"):
            page.goto(opened)
            for url in fleet.urls.values():
                assert page.evaluate(FETCH, [f"{url}/health", None]) == "TypeError"
            assert page.evaluate(FETCH, [f"{fleet.urls['auth']}/auth/sessions", token]) == "TypeError"


def test_a_page_of_a_listed_origin_and_the_fleets_own_read(fleet: Fleet, listed: str, page: Page) -> None:
    token = token_of(fleet)
    for opened in (
        listed,
        f"{fleet.urls['doctors']}/docs",
        f"{fleet.urls['doctors']}/docs".replace("127.0.0.1", "localhost"),
    ):
        page.goto(opened)
        for url in fleet.urls.values():
            assert page.evaluate(FETCH, [f"{url}/health", None]) == 200
        assert page.evaluate(FETCH, [f"{fleet.urls['auth']}/auth/sessions", token]) == 200


@pytest.mark.parametrize("service", READS)
def test_no_other_origin_is_named_in_an_answer(service: str, fleet: Fleet, listed: str) -> None:
    for origin in (
        *(
            "https://evil.example",
            "null",
            f"{listed}.evil.example",
            f"{listed}0",
            "http://127.0.0.1",
            "https://clinica.example:444",
        ),
        *("https://clinica.example.mx", "http://clinica.example", listed.replace("http:", "https:")),
    ):
        headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        for answer in (
            httpx.get(f"{fleet.urls[service]}/health", headers=headers),
            httpx.options(f"{fleet.urls[service]}/health", headers=headers),
        ):
            assert "access-control-allow-origin" not in answer.headers, origin
            assert "access-control-allow-credentials" not in answer.headers, origin
    named = httpx.get(f"{fleet.urls[service]}/health", headers={"Origin": "https://clinica.example"})
    assert named.headers["access-control-allow-origin"] == "https://clinica.example"
    assert "access-control-allow-credentials" not in named.headers
