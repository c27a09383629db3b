"""The page of `/docs`: Swagger UI from this service alone, under a policy that runs no script but its own."""

import base64
import hashlib
import re

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

ASSETS = "/static-offline-docs"
_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def add_page(app: FastAPI, origins: list[str]) -> None:
    """Serve `/docs`; its requests may go to this service and to `origins`."""
    assets = next(route for route in app.routes if isinstance(route, Mount))
    assets.app = _whole(assets.app)

    @app.get("/docs", include_in_schema=False)
    async def show_docs(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "")
        page = get_swagger_ui_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=app.title,
            swagger_js_url=f"{root}{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{root}{ASSETS}/favicon.png",
        )
        page.headers["Content-Security-Policy"] = _policy(bytes(page.body).decode(), origins)
        return page


def _whole(assets: ASGIApp) -> ASGIApp:
    """The assets without parts of them: what is no range of theirs they would refuse in plain text."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [header for header in scope["headers"] if header[0] != b"range"]
        await assets({**scope, "headers": headers}, receive, send)

    return serve


def _policy(page: str, origins: list[str]) -> str:
    """A Content-Security-Policy for the page: its inline script goes by its hash, so nothing injected runs."""
    digests = [hashlib.sha256(script.encode()).digest() for script in _INLINE_SCRIPT.findall(page)]
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' {hashes}",
            "style-src 'self'",
            "img-src 'self' data:",
            " ".join(("connect-src 'self'", *origins)),
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
