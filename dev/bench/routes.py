"""What is measured: each route with its requests."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from dev import FleetError
from dev.bench.callers import PAGE_SIZE, Caller, Callers
from dev.bench.data import PASSWORD
from dev.bench.load import UNIQUE, Request, send

TERMS = ("garcía", "lópez", "hernández cruz", "zúñiga", "xicoténcatl", "juana", "íñigo", "maria.guadalupe")
FILTERS = (
    {"validation_status": "pending"},
    {"validation_status": "full_access", "born_after": "1980-01-01"},
    {"born_before": "1950-12-31"},
    {"validation_status": "validated_by_doctor", "born_before": "1990-12-31"},
)


@dataclass(frozen=True)
class Route:
    """A route by the name that it has in the reports. `hashes`: a password's hash is nearly all that it costs."""

    name: str
    service: str
    requests: Callable[[Callers, int], list[Request]]  # for so many connections
    hashes: bool = False


def _post(path: str, body: dict[str, object], token: str = "") -> Request:
    return Request("POST", path, token, json.dumps(body, ensure_ascii=False))


def _logins(callers: Callers, connections: int) -> list[Request]:
    return [_post("/auth/login", {"email": email, "password": PASSWORD}) for email in callers.emails]


def _refreshes(callers: Callers, connections: int) -> list[Request]:
    # More than are under way at once: a thread of wrk never waits for the answer that holds the next token.
    tokens = callers.refresh_tokens(2 * connections + 8)
    return [_post("/auth/refresh", {"refresh_token": token}) for token in tokens]


def _verifications(callers: Callers, connections: int) -> list[Request]:
    return [Request("POST", "/auth/verify-token", caller.token) for caller in callers.patients]


def _of_doctor(path: str) -> Callable[[Callers, int], list[Request]]:
    return lambda callers, _: [Request("GET", path, caller.token) for caller in callers.doctors]


def _of_patient(part: str) -> Callable[[Callers, int], list[Request]]:
    def requests(callers: Callers, connections: int) -> list[Request]:
        return [Request("GET", _path(caller, part), caller.token) for caller in callers.patients]

    return requests


def _path(caller: Caller, part: str) -> str:
    return f"/api/v1/patients/{caller.account.id}/{part}"


def _list(callers: Callers, **parameters: str) -> Request:
    query = urlencode({"limit": PAGE_SIZE, **parameters}, quote_via=quote)
    return Request("GET", f"/api/v1/patients?{query}", callers.admin.token)


def _creations(callers: Callers, connections: int) -> list[Request]:
    person = {"first_name": "Ana", "last_name": f"Nueva {UNIQUE}", "date_of_birth": "1980-05-17"}
    contact = {"contact_email": {"email_address": f"{UNIQUE}@example.com"}, "password": PASSWORD}
    return [_post("/api/v1/patients", {**person, **contact}, caller.token) for caller in callers.doctors]


def _observations(callers: Callers, connections: int) -> list[Request]:
    body: dict[str, object] = {"code": "29463-7", "value": 71.5, "unit": "kg"}
    return [_post(_path(caller, "observations"), body, caller.token) for caller in callers.recorders]


ROUTES = (
    Route("login", "auth", _logins, hashes=True),
    Route("refresh", "auth", _refreshes),
    Route("verify", "auth", _verifications),
    Route("doctor dashboard", "doctors", _of_doctor("/api/v1/doctors/me/dashboard")),
    Route("my patients", "doctors", _of_doctor("/api/v1/doctors/me/patients")),
    Route("patient dashboard", "patients", _of_patient("dashboard")),
    Route("medical record", "patients", _of_patient("medical-record")),
    Route("care team", "patients", _of_patient("care-team")),
    Route("patient list: first page", "patients", lambda callers, _: [_list(callers)]),
    Route("patient list: page 1,000", "patients", lambda callers, _: [_list(callers, cursor=callers.cursor)]),
    Route("patient list: 50 rows", "patients", lambda callers, _: [_list(callers, limit="50")]),
    Route("patient list: filtered", "patients", lambda callers, _: [_list(callers, **choice) for choice in FILTERS]),
    Route("patient list: q", "patients", lambda callers, _: [_list(callers, q=term) for term in TERMS]),
    Route("add observation", "patients", _observations),
    Route("create patient", "patients", _creations, hashes=True),
)
# What is compared with and without the audit trail.
AUDITED = ("my patients", "patient dashboard", "medical record", "care team", "patient list: first page")


def check(urls: Mapping[str, str], callers: Callers) -> None:
    """Ask each route once; FleetError for one that doesn't answer with 2xx."""
    for route in ROUTES:
        answer = next(send(urls[route.service], route.requests(callers, 1)))
        if not answer.is_success:
            raise FleetError(f"{route.name}: {answer.status_code} {answer.text}")
