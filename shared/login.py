"""The delegated login of the services: the same body and answer as the auth service's, for one user type."""

import re
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, Field

from . import errors
from .resources import ClientResources
from .schemas import Body

_SURROGATE = re.compile("[\ud800-\udfff]")


def _without_surrogates(value: Any) -> Any:
    """A lone surrogate can be sent but not stored: as a NUL, which no account has either, it is just wrong (401)."""
    return _SURROGATE.sub("\x00", value) if isinstance(value, str) else value


_STORABLE = BeforeValidator(_without_surrogates)
Credential = Annotated[str, _STORABLE]
LoginName = Annotated[str, Field(max_length=1_000), _STORABLE]  # in this order for the reason that shared.text has


LOGIN_REFUSALS = (
    errors.InvalidCredentials,
    errors.WrongUserType,
    errors.AccountDisabled,
    errors.AccountUnavailable,
    errors.TooManyAttempts,
    errors.TooManyRequests,
)


class Login(Body):
    """Who logs in. Nothing but text is checked here: every wrong pair gets the same answer."""

    email: LoginName = Field(examples=["ana.lopez@clinica.mx"])
    password: Credential


class TokenPair(BaseModel):
    """The answer to a login. `user_id` equals `reference_id`; `refresh_token` renews the pair once."""

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"]
    expires_in: int
    refresh_expires_in: int
    session_id: UUID
    user_id: UUID
    reference_id: UUID
    user_type: str
    email: str


async def delegate(res: ClientResources, credentials: Login, user_type: str) -> dict[str, Any]:
    """Log in at the auth service. Raises InvalidCredentials, WrongUserType, AccountUnavailable, AccountDisabled."""
    return await res.auth.login(credentials.email, credentials.password, user_type)
