"""ETag, If-Match, If-None-Match, Location and Idempotency-Key in the OpenAPI of the routes that have them."""

from collections.abc import Iterable
from typing import Any

from starlette.routing import BaseRoute

from . import idempotency
from .routes import FleetRoute

_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "description": "The ETag that the change is meant for: any other version is a 412.",
    "schema": {"type": "string"},
    "example": '"5f1e0c2b9a7d4e3f8b6a1c0d2e4f6a8b"',
}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag of what the client has: a 304 while it holds.",
    "schema": {"type": "string"},
    "example": '"5f1e0c2b9a7d4e3f8b6a1c0d2e4f6a8b"',
}
_IDEMPOTENCY_KEY = {
    "name": idempotency.HEADER,
    "in": "header",
    "description": "Sent again within 24 hours with the same body, it gives the first answer and creates nothing.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": f"^{idempotency.PATTERN}$"},
    "example": "0b6f3c1e-6f0d-4c55-9a51-6a3f0d1b7c11",
}
_ETAG = {"description": "The version of this representation.", "schema": {"type": "string"}}
_LOCATION = {"description": "Where it is to be found.", "schema": {"type": "string"}}


def declare(document: dict[str, Any], routes: Iterable[BaseRoute]) -> None:
    """Add what the fleet's routes take and give in headers, and the 304, to their operations in the document."""
    for route in routes:
        if isinstance(route, FleetRoute) and route.path_format in document["paths"]:
            for method in route.methods or ():
                _declare(document["paths"][route.path_format][method.lower()], route, method)


def _declare(operation: dict[str, Any], route: FleetRoute, method: str) -> None:
    takes = {
        "If-Match": _IF_MATCH if route.guarded else None,
        "If-None-Match": _IF_NONE_MATCH if route.tagged and method == "GET" else None,
        idempotency.HEADER: _IDEMPOTENCY_KEY if route.creates else None,
    }
    if parameters := [parameter for parameter in takes.values() if parameter]:
        operation["parameters"] = [*operation.get("parameters", ()), *parameters]
    gives = {"ETag": _ETAG if route.tagged else None, "Location": _LOCATION if route.creates else None}
    success = operation["responses"][str(route.status_code or 200)]
    if headers := {name: header for name, header in gives.items() if header}:
        success["headers"] = success.get("headers", {}) | headers
    if route.tagged and method == "GET":
        operation["responses"]["304"] = {"description": "The client has it already.", "headers": {"ETag": _ETAG}}
