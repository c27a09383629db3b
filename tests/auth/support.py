"""What the four services answer to a token."""

from typing import Any

import httpx

from tests.support import Api

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
