"""What the auth service's tests do over and over: ask all four services, log in, refresh, all at once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import httpx

from dev import processes
from dev.fleet import Fleet
from dev.services import Service
from dev.settings import free_port
from tests.support import PASSWORD, Api

Result = TypeVar("Result")

# One route of each service that needs a living session; a doctor, patient or institution may not create users.
PROTECTED = {
    "auth": ("POST", "/users/create"),
    "doctors": ("GET", "/api/v1/specialties"),
    "institutions": ("GET", "/api/v1/institution-types"),
    "patients": ("GET", "/api/v1/blood-types"),
}
ALIVE = {"auth": 403, "doctors": 200, "institutions": 200, "patients": 200}
DEAD = {"auth": 401, "doctors": 401, "institutions": 401, "patients": 401}


def ask(api: Api, service: str, token: str | None, **request: Any) -> httpx.Response:
    """The answer of a service's protected route to a token; `request` adds to the request."""
    client: httpx.Client = getattr(api.anonymous, service)
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    return client.request(*PROTECTED[service], **{"headers": headers, **request})


def statuses(api: Api, token: str | None) -> dict[str, int]:
    """What each service answers to a token: ALIVE or DEAD."""
    return {service: ask(api, service, token).status_code for service in PROTECTED}


def log_in(url: str, email: str, password: str = PASSWORD, **headers: str) -> httpx.Response:
    """The answer of a service to a login, over a connection of its own."""
    return _post(f"{url}/auth/login", {"email": email, "password": password}, headers)


def refresh(url: str, token: str) -> httpx.Response:
    """The answer of the auth service to a refresh, over a connection of its own."""
    return _post(f"{url}/auth/refresh", {"refresh_token": token}, {})


def _post(url: str, body: dict[str, str], headers: dict[str, str]) -> httpx.Response:
    # There is no certificate to verify, and reading those of the system takes longer than the whole request.
    return httpx.post(url, json=body, headers=headers, timeout=30, verify=False)


def at_once(times: int, action: Callable[[int], Result]) -> list[Result]:
    """Do it `times` times at the same moment, with the number of each; the results in order."""
    barrier = threading.Barrier(times)

    def act(number: int) -> Result:
        barrier.wait(20)
        return action(number)

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(act, range(times)))


def wait_until(happened: Callable[[], object], seconds: float = 20) -> None:
    """Return when it has happened; a test that waits in vain fails."""
    assert processes.wait_until(happened, seconds), "it does not happen"


def another_auth_service(fleet: Fleet, data_dir: Path, **changes: str) -> Service:
    """An auth service with other settings on the servers of the fleet, started; who asked for it stops it."""
    for folder in ("logs", "run"):
        (data_dir / folder).mkdir()
    environment = fleet.environments["auth"] | changes
    service = Service("auth", host="127.0.0.1", port=free_port(), data_dir=data_dir, env=environment)
    service.start()
    return service
