"""The fleet's route class: it decides 413, 415, 406, 401, 403 and unknown parameters, in this order, before FastAPI."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Cookie, Form, Header, Path
from fastapi.routing import APIRoute

from .auth import CallerOf, authenticate, count_public
from .errors import BodyTooLarge, NotAcceptable, UnsupportedMediaType, ValidationFailed
from .resources import Resources
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
        callers = self.callers
        parameters = _query_parameters(self.dependant)
        takes_form = self.body_field is not None and isinstance(self.body_field.field_info, Form)
        media_type = "application/x-www-form-urlencoded" if takes_form else "application/json"

        async def checked(request: Request) -> Response:
            resources: Resources = request.app.state.resources
            body = await _read_body(request, resources.settings.max_body_bytes)
            if body and self.body_field and _media_type(request) != media_type:
                raise UnsupportedMediaType
            if not _accepts(request.headers.get("accept"), self.answers_with):
                raise NotAcceptable
            if callers is not None:
                request.state.caller = await authenticate(request, resources, callers)
            elif self.path not in UNCOUNTED:
                await count_public(request, resources)
            unknown = [unknown_parameter(name, parameters) for name in request.query_params if name not in parameters]
            if unknown:
                raise ValidationFailed(*unknown)
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


async def _read_body(request: Request, limit: int) -> bytes:
    """Read the whole body, no more than `limit` bytes, and leave it where FastAPI looks for it."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise BodyTooLarge
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge
        chunks.append(chunk)
    request._body = b"".join(chunks)
    return request._body


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _accepts(accept: str | None, media_type: str) -> bool:
    if not accept:
        return True
    ranges = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    return bool(ranges & {"*/*", f"{media_type.partition('/')[0]}/*", media_type, "application/problem+json"})


def _query_parameters(dependant: Dependant) -> frozenset[str]:
    # The fields of a query model come flattened and with pydantic's own field_info: so whatever is nothing else.
    others = (Path, Header, Cookie)
    return frozenset(field.alias for field in get_flat_params(dependant) if not isinstance(field.field_info, others))
