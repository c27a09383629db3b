"""The request under way, for code that is not handed it: log lines, audit rows, calls to the auth service."""

from contextvars import ContextVar
from dataclasses import dataclass

from .metrics import Metrics
from .tracing import OUTSIDE, Span


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


_OUTSIDE = RequestContext()
_current: ContextVar[RequestContext] = ContextVar("request_context", default=_OUTSIDE)


def current() -> RequestContext:
    """The context of the request that this task serves; an empty one outside any request."""
    return _current.get()


def for_language() -> dict[str, str]:
    """The `%(language)s` of statements that name things for people."""
    return {"language": current().language}


def enter(context: RequestContext) -> None:
    """Bind `context` to the running task and those that it starts."""
    _current.set(context)
