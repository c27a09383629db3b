"""The request under way, for code that is not handed it: log lines, audit rows, calls to the auth service."""

import re
from contextvars import ContextVar
from dataclasses import dataclass
from uuid import uuid4

from .metrics import Metrics
from .tracing import OUTSIDE, Span

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


@dataclass(frozen=True)
class RequestContext:
    """What every line about one request shares.

    `language` is `es` or `en`; `client_address` and `user_agent` are the end user's, as far as this service can tell;
    `path_prefix` is the path below which a gateway shows this service.
    """

    request_id: str = "-"
    language: str = "es"
    client_address: str | None = None
    user_agent: str | None = None
    path_prefix: str = ""
    span: Span = OUTSIDE
    metrics: Metrics | None = None
    wrote_recently: bool = False  # the caller's own writes may not have reached a replica yet


_OUTSIDE = RequestContext()
_current: ContextVar[RequestContext] = ContextVar("request_context", default=_OUTSIDE)


def current() -> RequestContext:
    """The context of the request that this task serves; an empty one outside any request."""
    return _current.get()


def request_id_of(given: str | None) -> str:
    """The id of a request: the caller's own if it is a good one, else a new one."""
    return given if given and _REQUEST_ID.fullmatch(given) else str(uuid4())


def for_language() -> dict[str, str]:
    """The `%(language)s` of statements that name things for people."""
    return {"language": current().language}


def enter(context: RequestContext) -> None:
    """Bind `context` to the running task and those that it starts."""
    _current.set(context)
