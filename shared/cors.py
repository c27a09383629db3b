"""Pages of other origins: which may call, with what; what is refused is a problem document, as any other refusal."""

from fastapi import Request, Response
from fastapi.middleware.cors import CORSMiddleware
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from .errors import PreflightRefused
from .rendering import problem_response


class FleetCors(CORSMiddleware):
    """Starlette's, but for its refusals, which are plain text in English."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or answer the preflight of one."""
        try:
            await super().__call__(scope, receive, send)
        except PreflightRefused as refused:
            await problem_response(Request(scope), refused)(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        """The answer to a preflight. Raises PreflightRefused."""
        response = super().preflight_response(request_headers)
        if response.status_code != 200:
            raise PreflightRefused
        return response
