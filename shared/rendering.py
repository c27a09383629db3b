"""The one renderer: whatever goes wrong becomes a problem document (RFC 9457) in the language of the request."""

import logging

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic_core import to_json
from starlette.exceptions import HTTPException

from . import context, errors
from .headers import RawHeaders, completed
from .routes import NO_STORE
from .validation import field_errors

log = logging.getLogger(__name__)

_BY_STATUS: dict[int, type[errors.Problem]] = {
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.BodyTooLarge,
}


class ProblemResponse(JSONResponse):
    """An RFC 9457 problem document."""

    media_type = "application/problem+json"


def add_handlers(app: FastAPI) -> None:
    """Let the application answer every error with a problem document."""
    app.add_exception_handler(errors.Problem, _render)
    app.add_exception_handler(RequestValidationError, _render_validation)
    app.add_exception_handler(HTTPException, _render_http)


def problem_response(request: Request, problem: errors.Problem) -> ProblemResponse:
    """A problem in the language of the request."""
    current = context.current()
    document = problem.document(current.language, request.url.path, current.request_id)
    return ProblemResponse(
        document, problem.status, {"Cache-Control": NO_STORE, "Content-Language": current.language, **problem.headers}
    )


def bare(problem: errors.Problem, language: str, path: str, request_id: str) -> tuple[RawHeaders, bytes]:
    """The headers (names in lower case) and the body of an answer to what has not come to be a `Request`."""
    body = to_json(problem.document(language, path, request_id))
    given = {"Cache-Control": NO_STORE, "Content-Language": language, **problem.headers}
    fields = [(name.lower().encode(), value.encode()) for name, value in given.items()]
    fields += [
        (b"content-type", ProblemResponse.media_type.encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    return completed(fields, request_id, over_tls=False), body


async def _render(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, errors.Problem)
    if exc.status >= 500:
        log.warning("problem", extra={"code": exc.code, "cause": type(exc.__cause__).__name__})
    return problem_response(request, exc)


async def _render_validation(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    findings = exc.errors()
    if any(finding["type"] == "json_invalid" for finding in findings):
        return problem_response(request, errors.MalformedJson())
    return problem_response(request, errors.ValidationFailed(*field_errors(findings[: errors.MOST_ERRORS])))


async def _render_http(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    problem = _BY_STATUS.get(exc.status_code, errors.BadRequest)()
    problem.headers.update(exc.headers or {})
    if exc.status_code == 405:
        # Starlette names the methods of the first route of a path only.
        allowed = request.app.state.methods.get(getattr(request.scope.get("route"), "path", None))
        problem = errors.MethodNotAllowed.on(allowed) if allowed else problem
    return problem_response(request, problem)
