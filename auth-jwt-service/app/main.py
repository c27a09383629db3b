"""The routes of the auth service."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI

from shared import app as factory
from shared.auth import BearerToken, CallerOf, Introduction, OptionalToken
from shared.caller import Caller
from shared.login import Login, TokenPair
from shared.routes import FleetRoute
from shared.settings import load

from . import domain
from .resources import AuthResources
from .settings import AuthSettings

SERVICE = "auth-jwt-service"

router = APIRouter(route_class=FleetRoute)
Res = Annotated[AuthResources, Depends(factory.resources)]
ServiceOrAdminCaller = Annotated[Caller, Depends(CallerOf("service", "admin"))]


@router.post("/auth/login", response_model=TokenPair, tags=["auth"])
async def login(body: Login, res: Res, introduction: Introduction) -> dict[str, Any]:
    """Log in with e-mail and password. Every wrong pair gets the same 401 `invalid_credentials`."""
    return await domain.login(res, body, introduction)


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


@router.post("/users/create", status_code=201, response_model=domain.Account, tags=["users"])
async def create_user(body: domain.NewAccount, caller: ServiceOrAdminCaller, res: Res) -> dict[str, Any]:
    """Create the account of a patient, doctor or institution that is about to be created with the same id."""
    return await domain.create_account(res, body)


def create_app(settings: AuthSettings) -> FastAPI:
    """The auth service."""
    return factory.create(settings, SERVICE, "PredictHealth · auth", router, AuthResources.open)


app = create_app(load(AuthSettings))


if __name__ == "__main__":
    factory.serve("app.main:app", port=8003)
