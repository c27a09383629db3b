"""The caller types of route signatures, and the check behind them: signature, living session, role."""

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from . import audit, context, tokens
from .auth_client import AUDIENCE
from .caller import NO_ID, Caller
from .errors import Forbidden, Unauthenticated
from .resources import Resources

SCHEME = "PredictHealth"
_READING = {"GET", "HEAD", "OPTIONS"}
bearer = HTTPBearer(scheme_name=SCHEME, auto_error=False)
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


class CallerOf:
    """A dependency that admits the callers of some roles: `Annotated[Caller, Depends(CallerOf("doctor", "admin"))]`.

    FleetRoute runs the check before it looks at the body, so that 401 and 403 come before any 400 or 422. With `own`,
    the name of an id in the path, all but admins have to be whom that id names.
    """

    def __init__(self, *roles: str, own: str | None = None) -> None:
        self.roles = frozenset(roles)
        self.own = own

    def admits(self, caller: Caller, request: Request) -> bool:
        """Whether a caller may do this at all."""
        if caller.user_type not in self.roles:
            return False
        return self.own is None or caller.is_admin or _id(request.path_params[self.own]) == caller.user_id

    async def __call__(self, request: Request, _: Credentials) -> Caller:
        caller: Caller = request.state.caller
        return caller


AnyCaller = Annotated[Caller, Depends(CallerOf("patient", "doctor", "institution", "admin"))]
AdminCaller = Annotated[Caller, Depends(CallerOf("admin"))]
DoctorCaller = Annotated[Caller, Depends(CallerOf("doctor"))]
InstitutionCaller = Annotated[Caller, Depends(CallerOf("institution"))]
AdminOrInstitutionCaller = Annotated[Caller, Depends(CallerOf("admin", "institution"))]
AdminOrThatInstitution = Annotated[Caller, Depends(CallerOf("admin", "institution", own="institution_id"))]
StaffCaller = Annotated[Caller, Depends(CallerOf("admin", "institution", "doctor"))]


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


async def _optional_token(credentials: Credentials) -> str | None:
    return credentials.credentials if credentials else None


OptionalToken = Annotated[str | None, Depends(_optional_token)]


async def required_token(token: OptionalToken) -> str:
    """The bearer token of a request. Raises Unauthenticated without one."""
    if not token:
        raise Unauthenticated
    return token


BearerToken = Annotated[str, Depends(required_token)]


async def authenticate(request: Request, resources: Resources, callers: CallerOf) -> Caller:
    """The caller behind the request's bearer token, its request counted; who may not is recorded in the audit trail.

    Raises Unauthenticated, Forbidden, TooManyRequests, RedisUnavailable, AuthUnavailable, DatabaseUnavailable.
    """
    try:
        token = await required_token(await _optional_token(await bearer(request)))
        caller = _service_caller(token, resources) if "service" in callers.roles else None
        caller = caller or await _session_caller(token, resources, writes=request.method not in _READING)
    except Unauthenticated:
        await resources.rates.count_request(_address())
        raise
    if not callers.admits(caller, request):
        route = f"{request.method} {request.scope['route'].path}"
        event = audit.parameters(resources.service, caller, "access", route, outcome="failure")
        await audit.record(resources.db, event)
        raise Forbidden
    return caller


async def count_public(request: Request, resources: Resources) -> None:
    """Count a request to a public route: under a genuine token's account (a gateway brings many), else its address.

    Raises TooManyRequests, RedisUnavailable, AuthUnavailable.
    """
    token = await _optional_token(await bearer(request))
    try:
        client = str((await tokens.read_access_token(token or "", resources.keys)).user_id)
    except tokens.InvalidToken:
        client = _address()
    await resources.rates.count_request(client)


def _address() -> str:
    return context.current().client_address or "unknown"


def _service_caller(token: str, resources: Resources) -> Caller | None:
    key = resources.settings.fleet_internal_key.get_secret_value()
    try:
        tokens.read_service_token(token, key, AUDIENCE)
    except tokens.InvalidToken:
        return None
    return Caller("service", NO_ID)


async def _session_caller(token: str, resources: Resources, *, writes: bool) -> Caller:
    try:
        access = await tokens.read_access_token(token, resources.keys)
    except tokens.InvalidToken as exc:
        raise Unauthenticated(invalid_token=True) from exc
    counting = resources.rates.window_of(str(access.user_id))
    session = await resources.sessions.touch_of(access, writes=writes, counting=counting)
    if session is None:
        raise Unauthenticated(invalid_token=True)
    context.enter(replace(context.current(), wrote_recently=session.wrote_recently))
    return Caller(session.user_type, session.user_id, session.id)


async def _introduction(request: Request, token: OptionalToken) -> tokens.ServiceToken | None:
    resources: Resources = request.app.state.resources
    key = resources.settings.fleet_internal_key.get_secret_value()
    try:
        member = tokens.read_service_token(token or "", key, AUDIENCE)
    except tokens.InvalidToken:
        return None
    # A member of the fleet is trusted to say who its client is; from here on the request is that client's.
    user = replace(context.current(), client_address=member.client_address, user_agent=member.user_agent)
    context.enter(user)
    return member


# The member of the fleet that calls on a user's behalf, if one does; any other token does not matter there.
Introduction = Annotated[tokens.ServiceToken | None, Depends(_introduction)]
