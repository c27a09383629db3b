"""The routes of the auth service."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Form, Query, Response

from shared import app as factory
from shared.auth import AdminCaller, AnyCaller, BearerToken, CallerOf, Introduction, OptionalToken
from shared.caller import Caller
from shared.errors import (
    PASSWORD_REFUSALS,
    AccountExists,
    EmailTaken,
    InvalidRefreshToken,
    RefreshTokenReused,
    TooManyAttempts,
    WrongPassword,
)
from shared.login import LOGIN_REFUSALS, Login, TokenPair
from shared.openapi import refuses
from shared.pagination import Page
from shared.resources import resources
from shared.routes import FleetRoute
from shared.settings import load

from . import accounts, activation, domain, trail
from .errors import AccountActive, InvalidActivation, OwnAccount
from .glossary import GLOSSARY
from .resources import AuthResources
from .settings import AuthSettings

SERVICE = "auth-jwt-service"

router = APIRouter(route_class=FleetRoute)
Res = Annotated[AuthResources, Depends(resources)]
ServiceOrAdminCaller = Annotated[Caller, Depends(CallerOf("service", "admin"))]


@router.post("/auth/login", response_model=TokenPair, tags=["auth"])
@refuses(*LOGIN_REFUSALS)
async def login(body: Login, res: Res, introduction: Introduction) -> dict[str, Any]:
    """Log in with e-mail and password. Every wrong pair gets the same 401 `invalid_credentials`."""
    return await domain.login(res, body, introduction)


@router.post("/auth/token", response_model=TokenPair, tags=["auth"])
@refuses(*LOGIN_REFUSALS)
async def issue_token(form: Annotated[domain.LoginForm, Form()], res: Res) -> dict[str, Any]:
    """Log in with the form of OAuth 2's password grant, as the Authorize button of `/docs` does."""
    return await domain.login(res, Login(email=form.username, password=form.password), None)


@router.post("/auth/refresh", response_model=TokenPair, tags=["auth"])
@refuses(InvalidRefreshToken, RefreshTokenReused)
async def refresh(body: domain.Refresh, res: Res) -> dict[str, Any]:
    """Spend a refresh token for a new pair; spent again after the grace, the session ends."""
    return await domain.refresh(res, body.refresh_token)


@router.post("/auth/verify-token", response_model=domain.Verification, response_model_exclude_unset=True, tags=["auth"])
async def verify_token(res: Res, token: OptionalToken) -> domain.Verification:
    """Whether the bearer token is a valid access token of a living session; 200 in every case."""
    return await domain.verify_token(res, token)


@router.get(
    "/auth/session/validate",
    response_model=domain.SessionValidation,
    response_model_exclude_unset=True,
    tags=["auth"],
    operation_id="get_session",
)
@router.post(
    "/auth/session/validate", response_model=domain.SessionValidation, response_model_exclude_unset=True, tags=["auth"]
)
async def validate_session(res: Res, token: OptionalToken) -> domain.SessionValidation:
    """The session behind the bearer token and whose it is; 200 in every case."""
    return await domain.validate_session(res, token)


@router.post("/auth/logout", response_model=domain.LogoutAnswer, tags=["auth"])
async def logout(res: Res, token: BearerToken) -> domain.LogoutAnswer:
    """End the session of the bearer token (an expired one will do) in every service at once."""
    return await domain.logout(res, token)


@router.post("/auth/logout-all", response_model=domain.LogoutAllAnswer, tags=["auth"])
async def logout_all(caller: AnyCaller, res: Res) -> domain.LogoutAllAnswer:
    """End every session of the caller, this one too."""
    return await domain.logout_all(res, caller)


@router.get("/auth/sessions", response_model=domain.SessionItems, tags=["auth"])
async def list_sessions(caller: AnyCaller, res: Res) -> domain.SessionItems:
    """The caller's living sessions and the devices behind them."""
    return await domain.list_sessions(res, caller)


@router.delete("/auth/sessions/{session_id}", status_code=204, tags=["auth"])
async def end_session(session_id: UUID, caller: AnyCaller, res: Res) -> None:
    """End one of the caller's sessions."""
    await domain.end_session(res, caller, session_id)


@router.post("/auth/change-password", status_code=204, tags=["auth"])
@refuses(WrongPassword, *PASSWORD_REFUSALS, TooManyAttempts)
async def change_password(body: domain.PasswordChange, caller: AnyCaller, res: Res) -> None:
    """Set a new password, confirmed by the current one; the other sessions end."""
    await domain.change_password(res, caller, body)


@router.post("/auth/activate", status_code=204, tags=["auth"])
@refuses(InvalidActivation, *PASSWORD_REFUSALS, TooManyAttempts)
async def activate(body: activation.FirstPassword, res: Res) -> None:
    """Set the first password of an account that has none, with the token of its activation link."""
    await activation.activate(res, body)


@router.get("/.well-known/jwks.json", response_model=domain.KeySet, tags=["auth"])
async def get_keys(res: Res) -> dict[str, Any]:
    """The public keys of access tokens (RFC 7517); none when they are signed with a shared secret."""
    return {"keys": res.keys.published}


@router.post("/users/create", status_code=201, response_model=accounts.Account, tags=["users"])
@refuses(EmailTaken, AccountExists, *PASSWORD_REFUSALS)
async def create_user(
    body: accounts.NewAccount, caller: ServiceOrAdminCaller, res: Res, response: Response
) -> dict[str, Any]:
    """Create the account of a patient, doctor or institution that is about to be created with the same id."""
    account = await accounts.create_account(res, caller, body)
    response.headers["Location"] = f"/users/{account['id']}"
    return account


@router.get("/users", response_model=Page[accounts.Account], tags=["users"])
async def list_users(
    caller: AdminCaller, res: Res, query: Annotated[accounts.AccountQuery, Query()]
) -> Page[dict[str, Any]]:
    """Accounts, newest first."""
    return await accounts.list_accounts(res, query)


@router.get("/users/{user_id}", response_model=accounts.Account, tags=["users"])
async def get_user(user_id: UUID, caller: AdminCaller, res: Res) -> dict[str, Any]:
    """An account."""
    return await accounts.get_account(res, user_id)


@router.patch("/users/{user_id}", response_model=accounts.Account, tags=["users"])
@refuses(OwnAccount)
async def update_user(user_id: UUID, body: accounts.AccountUpdate, caller: AdminCaller, res: Res) -> dict[str, Any]:
    """Enable or disable an account; disabling ends its sessions."""
    return await accounts.update_account(res, caller, user_id, body)


@router.post("/users/{user_id}/activation", response_model=activation.Activation, tags=["users"])
@refuses(AccountActive)
async def issue_activation(user_id: UUID, caller: AdminCaller, res: Res) -> activation.Activation:
    """A token for the activation link of an account that has no password, as imported ones."""
    return await activation.issue(res, caller, user_id)


@router.get("/api/v1/audit", response_model=Page[trail.Event], tags=["audit"])
async def list_events(
    caller: AdminCaller, res: Res, query: Annotated[trail.EventQuery, Query()]
) -> Page[dict[str, Any]]:
    """The audit trail, newest first."""
    return await trail.list_events(res, caller, query)


def create_app(settings: AuthSettings) -> FastAPI:
    """The auth service."""
    return factory.create(settings, SERVICE, "PredictHealth · auth", router, AuthResources.open, GLOSSARY)


app = create_app(load(AuthSettings))


if __name__ == "__main__":
    factory.serve("app.main:app", port=8003)
