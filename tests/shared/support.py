"""One service in this process, with settings of its own, called from any address."""

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI

from dev.fleet import Fleet


@asynccontextmanager
async def serving(fleet: Fleet, service: str, **changes: Any) -> AsyncIterator[FastAPI]:
    """A service of the fleet as an application, its settings the fleet's but for the changes."""
    main = importlib.import_module(f"{service}_app.main")
    settings_class = main.create_app.__annotations__["settings"]
    environment = fleet.environments[service]
    given = {name: environment[name.upper()] for name in settings_class.model_fields if name.upper() in environment}
    app: FastAPI = main.create_app(settings_class(**{**given, **changes}))
    async with app.router.lifespan_context(app):
        yield app


def client(app: FastAPI, address: str, token: str | None = None) -> httpx.AsyncClient:
    """A client of the application whose connections come from `address`."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    transport = httpx.ASGITransport(app=app, client=(address, 50_000))
    return httpx.AsyncClient(transport=transport, base_url="http://service", headers=headers)
