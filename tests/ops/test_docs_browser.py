"""The interactive docs through the gateway, in a real Chromium: one origin, every path below the service's name."""

import pytest

from ..conftest import ADMIN_PASSWORD
from ..e2e.test_docs_browser import READS, log_in
from .gateway import Gateway

pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
from playwright.sync_api import Page, expect

from ..e2e.test_docs_browser import CHROMIUM, browser, page  # noqa: F401

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs {CHROMIUM}: apt-get install -y chromium")


@pytest.mark.parametrize("service", ["auth", "patients"])
def test_authorize_logs_in_and_a_request_is_executed(service: str, gateway: Gateway, page: Page) -> None:  # noqa: F811
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{gateway.url}/docs/{service}")
    log_in(page, ADMIN_PASSWORD)
    expect(page.locator(".auth-container")).to_contain_text("Logout")
    page.locator(".modal-ux button.close-modal").click()

    operation = page.locator(f"[id$='{READS[service]}']")
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
    assert f"{gateway.url}/auth/token" in asked
    assert [url for url in asked if not url.startswith((gateway.url, "data:", "blob:"))] == []
