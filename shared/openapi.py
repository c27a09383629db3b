"""The OpenAPI document, completed from what the routes say by themselves: who may call, what comes in, what is refused.

FastAPI describes the answers of success. What can be refused follows from a route's signature (a caller type can be
401, a body 415, an id in the path 404); a route names with `@refuses` only what its rules add. Descriptions and
examples of fields come from the glossaries, so that a name means the same wherever it stands.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel

from . import context, errors, glossary, idempotency
from .admission import UNLIMITED
from .auth import SCHEME
from .errors import PROBLEM_TYPE, TITLES, Problem
from .glossary import Term, Terms
from .rates import RATE_HEADERS
from .routes import UNCOUNTED, FleetRoute
from .schemas import Update

_PROBLEM = {"$ref": "#/components/schemas/ProblemDocument"}
_EVERYBODY = frozenset({"patient", "doctor", "institution", "admin"})
_ALWAYS = (errors.NotAcceptable, errors.BodyTooLarge, errors.ValidationFailed, errors.Busy)
_UNAVAILABLE = (errors.DatabaseUnavailable, errors.RedisUnavailable, errors.AuthUnavailable, errors.DeadlinePassed)

_HEADERS: dict[str, tuple[str, Any]] = {
    "X-Request-ID": ("The id of the request, in every log line and audit row of it.", "4be9b6cd-9d0e-4b5d-8f4c"),
    "Location": ("The path of what was created.", "/api/v1/patients/7d9f1f4e-5f1b-4a7e-9a57-0d6f9a1c2b3e"),
    "WWW-Authenticate": (
        'The challenge of RFC 6750; `error="invalid_token"` when there was a token.',
        'Bearer realm="predicthealth"',
    ),
    "Retry-After": ("Seconds until the request may be made again.", "2"),
    "RateLimit-Limit": ("Requests that a window admits.", "600"),
    "RateLimit-Remaining": ("Requests that are left of the window.", "0"),
    "RateLimit-Reset": ("Seconds until the window is whole again.", "42"),
    "RateLimit-Policy": ("Requests, and the window in seconds.", "600;w=60"),
    "ETag": ("The version of this representation.", '"5f1e0c2b9a7d4e3f8b6a1c0d2e4f6a8b"'),
}
_HEADERS_OF = {"201": ["Location"], "401": ["WWW-Authenticate"], "429": ["Retry-After", *RATE_HEADERS]}
_HEADERS_OF |= {"503": ["Retry-After"], "304": ["ETag"]}

# What routes take in headers: which is told by properties of theirs.
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "description": "The ETag that the change is meant for: any other version is a 412.",
    "schema": {"type": "string"},
    "example": _HEADERS["ETag"][1],
}
_IF_NONE_MATCH = _IF_MATCH | {
    "name": "If-None-Match",
    "description": "The ETag of what the client has: a 304 while it holds.",
}
_IDEMPOTENCY_KEY = {
    "name": idempotency.HEADER,
    "in": "header",
    "description": "Sent again within 24 hours with the same body, it gives the first answer and creates nothing.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": f"^{idempotency.PATTERN}$"},
    "example": "0b6f3c1e-6f0d-4c55-9a51-6a3f0d1b7c11",
}

Route = TypeVar("Route", bound=Callable[..., Any])


class FieldProblem(BaseModel):
    """One invalid field of a 422."""

    field: str
    message: str
    code: str


class ProblemDocument(BaseModel):
    """What every error looks like (RFC 9457). `errors` comes with 422 only."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: list[FieldProblem] = []


@dataclass(frozen=True)
class Glossary:
    """What a service's own words mean, and which error each id of a path becomes when there is nothing behind it."""

    terms: Terms = field(default_factory=dict)
    not_found: Mapping[str, type[Problem]] = field(default_factory=dict)


def refuses(*problems: type[Problem]) -> Callable[[Route], Route]:
    """Declare what a route's rules refuse, beyond what follows from its signature. Stands under `@router...`."""

    def mark(endpoint: Route) -> Route:
        endpoint.refuses = problems  # type: ignore[attr-defined]
        return endpoint

    return mark


def operation_id(route: APIRoute) -> str:
    """The function's name: what generated clients call their functions."""
    return route.name


def completed(
    app: FastAPI, routes: Iterable[Any], service_glossary: Glossary, auth_public_url: str
) -> Callable[[], dict[str, Any]]:
    """What replaces `app.openapi`: FastAPI's document of `routes`, completed once, when it is first asked for."""
    generate, made = app.openapi, dict[str, Any]()

    def openapi() -> dict[str, Any]:
        if not made:
            document = generate()
            for route in routes:
                if isinstance(route, FleetRoute) and route.include_in_schema:
                    for method in route.methods or ():
                        operation = document["paths"][route.path_format][method.lower()]
                        _take_headers(operation, route, method)
                        _complete_operation(operation, route, service_glossary.not_found)
            _describe(document, {**glossary.TERMS, **service_glossary.terms})
            components = document["components"]
            components["headers"] = {
                name: {"description": text, "schema": {"type": "string"}, "example": example}
                for name, (text, example) in _HEADERS.items()
            }
            made.update(document)
        # Behind the gateway's one address the auth service is where this page is.
        return _with_password_form(made, "" if context.current().path_prefix else auth_public_url)

    return openapi


def _with_password_form(document: dict[str, Any], auth_url: str) -> dict[str, Any]:
    """The document with an Authorize button that logs in at the auth service, wherever `/docs` is shown."""
    schemes = document["components"].get("securitySchemes", {})
    if SCHEME not in schemes:
        return document
    flow = {"tokenUrl": f"{auth_url}/auth/token", "scopes": {}}
    schemes = {**schemes, SCHEME: {"type": "oauth2", "flows": {"password": flow}}}
    return {**document, "components": {**document["components"], "securitySchemes": schemes}}


def refusals(route: FleetRoute, not_found: Mapping[str, type[Problem]]) -> Iterator[type[Problem]]:
    """Every error that a route may answer with, as far as its signature and `@refuses` tell."""
    yield from _ALWAYS
    yield from getattr(route.endpoint, "refuses", ())
    for parameter in route.dependant.path_params:
        yield not_found.get(parameter.name, errors.NotFound)
    if "cursor" in route.query_parameters:
        yield errors.InvalidCursor
    if route.body_field is not None:
        yield from (errors.BadRequest, errors.UnsupportedMediaType, errors.RequestTimeout)
        if not route.takes_form:
            yield errors.MalformedJson
        body = route.body_field.field_info.annotation
        if isinstance(body, type) and issubclass(body, Update):
            yield errors.EmptyUpdate
    if route.needs_token:
        yield errors.Unauthenticated
    if route.callers is not None and (route.callers.own or not route.callers.roles >= _EVERYBODY):
        yield errors.Forbidden
    if route.path not in UNCOUNTED:
        yield errors.TooManyRequests
    if route.path not in UNLIMITED:
        yield from _UNAVAILABLE
    if route.guarded or route.tagged:
        yield errors.PreconditionFailed
    if route.creates:
        yield from (errors.IdempotencyKeyInUse, errors.IdempotencyKeyReused)


def _take_headers(operation: dict[str, Any], route: FleetRoute, method: str) -> None:
    """Add what a route takes and gives in headers, and the 304."""
    reads = route.tagged and method == "GET"
    taken = ((_IF_MATCH, route.guarded), (_IF_NONE_MATCH, reads), (_IDEMPOTENCY_KEY, route.creates))
    if parameters := [dict(parameter) for parameter, takes in taken if takes]:
        operation["parameters"] = [*operation.get("parameters", ()), *parameters]
    if route.tagged:
        operation["responses"][str(route.status_code or 200)]["headers"] = {
            "ETag": {"$ref": "#/components/headers/ETag"}
        }
    if reads:
        operation["responses"]["304"] = {"description": "The client has it already."}


def _complete_operation(operation: dict[str, Any], route: FleetRoute, not_found: Mapping[str, type[Problem]]) -> None:
    by_status = defaultdict[int, list[type[Problem]]](list)
    for problem in dict.fromkeys(refusals(route, not_found)):
        by_status[problem.status].append(problem)
    responses = operation["responses"]
    # FastAPI would describe its own 422 if none were declared; ours takes the place of the one that keeps it away.
    responses.pop("422", None)
    for status, problems in sorted(by_status.items()):
        answer = responses.setdefault(str(status), {"description": TITLES[status][1] + "."})
        answer.setdefault("content", {})["application/problem+json"] = {
            "schema": _PROBLEM,
            "examples": {problem.code: _example(problem, route) for problem in problems},
        }
    for status_text, answer in responses.items():
        names = ["X-Request-ID", *_HEADERS_OF.get(status_text, [])]
        answer["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names} | answer.get(
            "headers", {}
        )
    roles = sorted(route.callers.roles) if route.callers else []
    operation["x-roles"] = roles
    operation["description"] = f"{route.description}\n\n{_who(route, roles)}"
    if "security" in operation and not route.needs_token:
        operation["security"].append({})


def _who(route: FleetRoute, roles: list[str]) -> str:
    if not roles:
        return "The bearer of the token." if route.needs_token else "Anyone: no token is needed."
    whose = (
        f", who must be the one of `{route.callers.own}` (admins: any)" if route.callers and route.callers.own else ""
    )
    return f"Roles: {', '.join(f'`{role}`' for role in roles)}{whose}."


def _example(problem: type[Problem], route: FleetRoute) -> dict[str, Any]:
    document = {
        "type": PROBLEM_TYPE + problem.code,
        "title": TITLES[problem.status][1],
        "status": problem.status,
        "detail": problem.en.format_map(defaultdict(lambda: "…")),
        "instance": route.path,
        "code": problem.code,
        "request_id": _HEADERS["X-Request-ID"][1],
        **problem.example_members,
    }
    if problem.status == 422:
        invalid = {
            "field": getattr(problem, "field_name", "limit"),
            "message": document["detail"],
            "code": problem.code,
        }
        document["errors"] = [invalid]
    return {"summary": problem.code, "value": document}


# Descriptions and examples.

_OF_TYPE = {
    "boolean": True,
    "integer": 7,
    "uuid": "7d9f1f4e-5f1b-4a7e-9a57-0d6f9a1c2b3e",
    "date": "2024-05-17",
    "date-time": "2026-01-31T15:30:00Z",
}


def _describe(document: dict[str, Any], terms: Terms) -> None:
    schemas = document["components"]["schemas"]
    fields = [
        (described, terms.get(f"{model}.{name}") or terms.get(name) or Term())
        for model, schema in schemas.items()
        for name, described in schema.get("properties", {}).items()
    ]
    # What is composed of other models last: its example is made of theirs.
    for described, term in sorted(fields, key=lambda item: "$ref" in str(item[0]) and item[1].example is None):
        described.setdefault("description", term.description)
        described.setdefault("examples", [_example_of(described, schemas, term.example)])
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", []):
                term = terms.get(parameter["name"]) or Term()
                parameter.setdefault("description", term.description)
                example = _example_of(parameter["schema"], schemas, term.example)
                parameter.setdefault("example", example)


def _example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any], example: Any = None) -> Any:
    """An example that fits `schema`: the one given, else one that the schema itself tells, composed where it nests."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if "examples" in schema:
        return schema["examples"][0]
    forms = schema.get("anyOf") or schema.get("oneOf") or [schema]
    form = forms[0] if "$ref" not in forms[0] else schemas[forms[0]["$ref"].rpartition("/")[2]]
    if "examples" in form:
        return form["examples"][0]
    if "properties" in form:
        return {name: _example_of(inner, schemas) for name, inner in form["properties"].items()}
    if example is not None:
        return example
    if "const" in form or "enum" in form:
        return form.get("const", form.get("enum", [None])[0])
    if schema.get("default") is not None:
        return schema["default"]
    if form.get("type") == "array":
        return [_example_of(form["items"], schemas)]
    return _OF_TYPE.get(form.get("format") or form.get("type", ""))
