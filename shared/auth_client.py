"""The HTTP client of the auth service: one kept-alive pool, time limits, a retry only where nothing was sent."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx

from . import context, errors
from .admission import aside, start_clock_anew
from .rates import RATE_HEADERS
from .settings import ClientSettings
from .tokens import issue_service_token

AUDIENCE = "auth-jwt-service"
LONGEST_ANSWER_SECONDS = 35.0  # more than a login ever waits for its turn at the auth service

# What the auth service may refuse and a client of ours may read; any other answer is a fault of the fleet.
_REFUSALS: dict[str, type[errors.Problem]] = {
    refusal.code: refusal
    for refusal in (
        errors.InvalidCredentials,
        errors.AccountDisabled,
        errors.AccountUnavailable,
        errors.WrongUserType,
        errors.EmailTaken,
        errors.AccountExists,
        errors.TooManyAttempts,
        errors.TooManyRequests,
    )
}
_PASSWORD_REFUSALS = {"password_too_short", "password_too_long", "password_too_common"}


class _PasswordRefused(errors.ValidationFailed):
    """A password rule of the auth service: its code and its sentence, in the language that the client asked for."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(errors.FieldError("password", code, sentence, sentence))

    def document(self, language: str, instance: str, request_id: str) -> dict[str, Any]:
        """The problem document as the auth service would have put it."""
        refusal = self.errors[0]
        named = {"type": errors.PROBLEM_TYPE + refusal.code, "code": refusal.code, "detail": refusal.en}
        return super().document(language, instance, request_id) | named


class _Transport(httpx.AsyncHTTPTransport):
    """httpx's own, for which a connection that ends just as it opens is one that failed.

    anyio asks that connection's socket for its addresses, and uvloop has none any more.
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. Raises NetworkError for an AttributeError, all others as httpx does."""
        try:
            return await super().handle_async_request(request)
        except AttributeError as exc:
            raise httpx.NetworkError("the connection ended") from exc


class AuthClient:
    """Calls the auth service as `service`, with the request id, language and end user of the request under way.

    Raises the auth service's own refusals (InvalidCredentials, EmailTaken, …) and AuthUnavailable for everything else.
    """

    def __init__(self, service: str, settings: ClientSettings) -> None:
        self._service = service
        self._key = settings.fleet_internal_key.get_secret_value()
        self._patience_seconds = settings.auth_timeout_seconds
        self._http = httpx.AsyncClient(
            base_url=settings.auth_service_url,
            timeout=httpx.Timeout(LONGEST_ANSWER_SECONDS, connect=1.0),
            # Retries connecting only: a request that may have been received is never sent again. As many connections as
            # there are calls (MAX_REQUESTS_ASIDE bounds these): the question for a sign of life must find one. An idle
            # one is given up long before the auth service ends it, after 5 s: a request that meets that end is lost.
            transport=_Transport(
                # Without TLS there is no certificate: the 2.7 MB of roots that they are checked against stay unread.
                verify=httpx.URL(settings.auth_service_url).scheme != "http",
                retries=1,
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=2.0),
            ),
            trust_env=False,
        )
        self._sign_of_life: asyncio.Task[httpx.Response] | None = None

    async def create_user(self, email: str, password: str, user_type: str, reference_id: UUID) -> dict[str, Any]:
        """Create the account of the entity `reference_id` (`POST /users/create`); the entity itself follows."""
        body = {"email": email, "password": password, "user_type": user_type, "reference_id": str(reference_id)}
        return await self._post("/users/create", body, self._credential())

    async def login(self, email: str, password: str, user_type: str) -> dict[str, Any]:
        """A token pair for an account of `user_type` only; a refused login leaves no session."""
        return await self._post(
            "/auth/login", {"email": email, "password": password}, self._credential(user_type=user_type)
        )

    async def verify(self, token: str) -> dict[str, Any]:
        """`{"valid": ..., "payload": ...}` of an access token."""
        return await self._post("/auth/verify-token", None, token)

    async def fetch_keys(self) -> dict[str, Any]:
        """The JSON Web Key Set that the auth service publishes (RFC 7517)."""
        try:
            with self._call("GET", "/.well-known/jwks.json") as headers:
                response = await self._http.get("/.well-known/jwks.json", headers=headers, timeout=1.0)
            answer: dict[str, Any] = response.raise_for_status().json()
        except (httpx.HTTPError, ValueError) as exc:
            raise errors.AuthUnavailable from exc
        return answer

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def _credential(self, user_type: str | None = None) -> str:
        request = context.current()
        return issue_service_token(
            self._key,
            self._service,
            AUDIENCE,
            user_type=user_type,
            client_address=request.client_address,
            user_agent=request.user_agent,
        )

    async def _post(self, path: str, body: dict[str, Any] | None, bearer: str) -> dict[str, Any]:
        try:
            with self._call("POST", path) as headers:
                headers["Authorization"] = f"Bearer {bearer}"
                response = await self._while_alive(self._http.post(path, json=body, headers=headers))
            answer: dict[str, Any] = response.json()
        except (httpx.HTTPError, ValueError) as exc:
            raise errors.AuthUnavailable from exc
        if response.is_success:
            return answer
        raise _refusal(answer, response.headers)

    @contextmanager
    def _call(self, method: str, path: str) -> Iterator[dict[str, str]]:
        """The headers that make a call to the auth service part of the request under way and of its trace."""
        request = context.current()
        with request.span.step(f"{method} {path}", server__name=AUDIENCE) as span:
            yield {"X-Request-ID": request.request_id, "Accept-Language": request.language, **span.headers}

    async def _while_alive(self, request: Coroutine[Any, Any, httpx.Response]) -> httpx.Response:
        """The answer, awaited for as long as the auth service shows life in between.

        There a login may have to wait its turn behind many others, and needs no place of ours meanwhile; a service that
        is frozen says nothing to either question, and is given up after `AUTH_TIMEOUT_SECONDS` and one second more.
        """
        answer = asyncio.ensure_future(request)
        try:
            async with aside(clock_stops=False):
                while not (await asyncio.wait({answer}, timeout=self._patience_seconds))[0]:
                    await self._show_life()
                    start_clock_anew()
            return answer.result()
        finally:
            answer.cancel()

    async def _show_life(self) -> None:
        """Ask once, however many wait; httpx.HTTPError where there is no answer within a second."""
        asked = self._sign_of_life
        if asked is None or asked.done():
            asked = self._sign_of_life = asyncio.create_task(self._http.get("/health/live", timeout=1.0))
            # Whoever asked may have left by then; an error that nobody reads would be logged with the driver's words.
            asked.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(asked)


def _refusal(document: dict[str, Any], headers: httpx.Headers) -> errors.Problem:
    code = document.get("code", "")
    if code in _PASSWORD_REFUSALS:
        return _PasswordRefused(code, str(document["detail"]))
    refusal = _REFUSALS.get(code, errors.AuthUnavailable)
    retry_after = headers.get("retry-after", "")
    if issubclass(refusal, errors.TooManyRequests) and retry_after.isdecimal():
        return refusal(int(retry_after), **{name: headers[name] for name in RATE_HEADERS if name in headers})
    return refusal()
