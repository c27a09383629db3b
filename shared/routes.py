"""The fleet's route class: it decides 413, 415, 406, 401, 403 and unknown parameters, in this order, before FastAPI."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from fastapi import Request, Response
from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Cookie, Form, Header, Path
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute

from . import etag, idempotency
from .admission import UNLIMITED, Admission
from .auth import CallerOf, authenticate, count_public, required_token
from .errors import (
    BadRequest,
    BodyTooLarge,
    MalformedJson,
    MethodNotAllowed,
    NotAcceptable,
    RequestTimeout,
    UnsupportedMediaType,
    ValidationFailed,
)
from .language import weight
from .resources import Resources
from .settings import Settings
from .validation import unknown_parameter

# Answers are about people or open a session: no cache on the way may keep them.
NO_STORE = "private, no-store"

# What monitors and other services ask for; they have no rate.
UNCOUNTED = ("/health", "/health/live", "/metrics", "/.well-known/jwks.json", "/auth/login", "/auth/token")

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class FleetRoute(APIRoute):
    """A route whose caller type is checked before its body is read as JSON."""

    def get_route_handler(self) -> Handler:
        """FastAPI's handler behind the checks that have to come first."""
        handler = super().get_route_handler()
        if self.creates:
            handler = idempotency.repeatable(handler)
        if self.tagged:
            handler = etag.tagged(handler)
        callers = self.callers
        parameters = self.query_parameters
        media_type = "application/x-www-form-urlencoded" if self.takes_form else "application/json"

        async def checked(request: Request) -> Response:
            resources: Resources = request.app.state.resources
            # A path of its own (`/doctors/statistics`) that has no such method is not an id of `/doctors/{doctor_id}`.
            allowed = request.app.state.methods.get(request.scope["path"])
            if allowed and request.method not in allowed:
                raise MethodNotAllowed.on(allowed)
            await _read_body(request, resources.settings)
            if self.path in UNLIMITED:
                return await answer(request, resources)
            admission: Admission = request.app.state.admission
            async with admission.visit():
                return await answer(request, resources)

        async def answer(request: Request, resources: Resources) -> Response:
            body = await request.body()
            if body and self.body_field and _media_type(request) != media_type:
                raise UnsupportedMediaType
            if not _accepts(request.headers.getlist("accept"), self.answers_with):
                raise NotAcceptable
            if callers is not None:
                request.state.caller = await authenticate(request, resources, callers)
            elif self.path not in UNCOUNTED:
                await count_public(request, resources)
            unknown = [unknown_parameter(name, parameters) for name in request.query_params if name not in parameters]
            if unknown:
                raise ValidationFailed(*unknown)
            etag.enter(request)
            if body and self.body_field and not self.takes_form:
                request._json = _parse(body)
            response = await handler(request)
            response.headers.setdefault("Cache-Control", NO_STORE)
            return response

        return checked

    @property
    def answers_with(self) -> str:
        """The media type of its answers."""
        kind = self.response_class  # unless a route names its own, FastAPI's default, wrapped
        media_type = str((kind.value if isinstance(kind, DefaultPlaceholder) else kind).media_type)
        return media_type.partition(";")[0]

    @property
    def callers(self) -> CallerOf | None:
        """Who may call; None when the route is public."""
        for dependency in self.dependant.dependencies:
            if isinstance(dependency.call, CallerOf):
                return dependency.call
        return None

    @property
    def creates(self) -> bool:
        """Whether it takes an Idempotency-Key."""
        return self.callers is not None and self.status_code == 201

    @property
    def needs_token(self) -> bool:
        """Whether a request without a bearer token is a 401."""
        return self.callers is not None or any(d.call is required_token for d in self.dependant.dependencies)

    @property
    def takes_form(self) -> bool:
        """Whether the body is a form instead of JSON."""
        return self.body_field is not None and isinstance(self.body_field.field_info, Form)

    @property
    def query_parameters(self) -> frozenset[str]:
        """The names of the query parameters; any other one is refused."""
        return _query_parameters(self.dependant)

    @property
    def _verbs(self) -> set[str]:
        return self.methods or set()

    @property
    def guarded(self) -> bool:
        """Whether If-Match guards what it changes."""
        return self.callers is not None and bool(self._verbs & {"PUT", "PATCH", "DELETE"})

    @property
    def tagged(self) -> bool:
        """Whether its answers carry an ETag: they are one resource of a model, no list; of a POST, what has an id."""
        model = self.response_model
        if self.callers is None or not isinstance(model, type) or not issubclass(model, BaseModel):
            return False
        if {"items", "next_cursor"} & model.model_fields.keys():
            return False
        return "POST" not in self._verbs or "id" in model.model_fields


def methods_by_path(routes: Iterable[BaseRoute]) -> dict[str, list[str]]:
    """The methods of each path, over all of its routes."""
    methods = defaultdict[str, set[str]](set)
    for route in routes:
        if isinstance(route, FleetRoute):
            methods[route.path].update(route.methods or ())
    return {path: sorted(allowed) for path, allowed in methods.items()}


async def _read_body(request: Request, settings: Settings) -> None:
    """Read the whole body, in time and no more than `MAX_BODY_BYTES`, and leave it where FastAPI looks for it."""
    try:
        async with asyncio.timeout(settings.body_timeout_seconds):
            request._body = await _receive(request, settings.max_body_bytes)
    except TimeoutError as exc:
        raise RequestTimeout from exc
    except ClientDisconnect as exc:
        raise BadRequest from exc  # to nobody, but a client that hangs up is no fault of ours


async def _receive(request: Request, limit: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise BodyTooLarge
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge
        chunks.append(chunk)
    return b"".join(chunks)


def _parse(body: bytes) -> Any:
    """The JSON of a body, where FastAPI looks for it. Raises MalformedJson.

    Stricter than Python: UTF-8 only (RFC 8259), and no name twice in an object (RFC 7493): of two values that a client
    sends for one field, whoever checked the request before us may have seen the other one.
    """
    try:
        return json.loads(body.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as exc:
        raise MalformedJson from exc


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a name stands twice")
    return members


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _accepts(lines: Sequence[str], media_type: str) -> bool:
    """Whether the lines of Accept admit `media_type`: the most specific range decides (RFC 9110, section 12.5.1)."""
    weights = defaultdict[str, float](float)
    for part in ",".join(lines).split(","):
        name, _, parameters = part.strip().lower().partition(";")
        if name:
            weights[name.rstrip()] = max(weights[name.rstrip()], weight(parameters))
    if not weights:
        return True
    ranges = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    decisive = next((weights[name] for name in ranges if name in weights), 0.0)
    return decisive > 0 or weights["application/problem+json"] > 0


def _query_parameters(dependant: Dependant) -> frozenset[str]:
    # The fields of a query model come flattened and with pydantic's own field_info: so whatever is nothing else.
    others = (Path, Header, Cookie)
    return frozenset(field.alias for field in get_flat_params(dependant) if not isinstance(field.field_info, others))
