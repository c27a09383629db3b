"""JSON Web Tokens (RFC 7519): the access token of a user, and the credential of one service towards another."""

import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import jwt

from .keys import VerificationKeys

ISSUER = "predicthealth-auth"
AUDIENCE = "predicthealth"
ACCESS_CLAIMS = ("exp", "iat", "nbf", "iss", "aud", "sub", "jti", "sid", "typ")
SERVICE_TOKEN_SECONDS = 60
_SERVICE_ALGORITHM = "HS256"
_LEEWAY_SECONDS = 5


class InvalidToken(Exception):
    """Malformed, forged, of another kind, or without a claim that it needs; `reason` is `invalid` or `expired`."""

    def __init__(self, reason: str = "invalid") -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class AccessToken:
    """The verified claims that the fleet acts on; `claims` holds all of them."""

    user_id: UUID
    user_type: str
    session_id: UUID
    claims: dict[str, Any]


@dataclass(frozen=True)
class ServiceToken:
    """Which service calls, and on whose behalf: the end user's address and user agent, the only user type it serves."""

    service: str
    user_type: str | None
    client_address: str | None
    user_agent: str | None


async def read_access_token(token: str, keys: VerificationKeys, *, allow_expired: bool = False) -> AccessToken:
    """Verify signature, time, issuer, audience and kind of an access token. Raises InvalidToken, AuthUnavailable."""
    options: Any = {
        "require": list(ACCESS_CLAIMS),
        "verify_exp": not allow_expired,
        "enforce_minimum_key_length": True,
    }
    key = await keys.find(_key_id(token))
    if key is None:
        raise InvalidToken
    claims = decode(token, key, keys.algorithm, AUDIENCE, ISSUER, options)
    if claims["typ"] != "access":
        raise InvalidToken
    try:
        return AccessToken(UUID(claims["sub"]), str(claims["user_type"]), UUID(claims["sid"]), claims)
    except (KeyError, ValueError, AttributeError, TypeError) as exc:
        raise InvalidToken from exc


def issue_service_token(
    key: str,
    service: str,
    audience: str,
    *,
    user_type: str | None = None,
    client_address: str | None = None,
    user_agent: str | None = None,
) -> str:
    """A credential of `service` for one `audience`, valid for SERVICE_TOKEN_SECONDS, signed with the fleet's key."""
    now = int(time.time())
    claims = {
        **{"iss": service, "aud": audience, "sub": service, "jti": str(uuid4()), "typ": "service"},
        **{"iat": now, "nbf": now, "exp": now + SERVICE_TOKEN_SECONDS},
        **{"user_type": user_type, "client_address": client_address, "user_agent": user_agent},
    }
    return jwt.encode(claims, key, algorithm=_SERVICE_ALGORITHM)


def read_service_token(token: str, key: str, audience: str) -> ServiceToken:
    """Verify a service's credential. Raises InvalidToken."""
    options: Any = {
        "require": ["exp", "iat", "nbf", "iss", "aud", "sub", "jti", "typ"],
        "enforce_minimum_key_length": True,
    }
    claims = decode(token, key, _SERVICE_ALGORITHM, audience, None, options)
    too_long_lived = claims["exp"] - claims["iat"] > SERVICE_TOKEN_SECONDS
    if claims["typ"] != "service" or claims["iss"] != claims["sub"] or too_long_lived:
        raise InvalidToken
    return ServiceToken(
        str(claims["sub"]), claims.get("user_type"), claims.get("client_address"), claims.get("user_agent")
    )


def _key_id(token: str) -> str | None:
    try:
        key_id = jwt.get_unverified_header(token).get("kid")
    except (jwt.InvalidTokenError, ValueError, TypeError, RecursionError) as exc:
        raise InvalidToken from exc
    return key_id if isinstance(key_id, str) else None


def decode(token: str, key: Any, algorithm: str, audience: str, issuer: str | None, options: Any) -> dict[str, Any]:
    """The claims of a token that this key signed for this audience, in its time. Raises InvalidToken."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token, key, [algorithm], audience=audience, issuer=issuer, options=options, leeway=_LEEWAY_SECONDS
        )
    except jwt.ExpiredSignatureError as exc:
        raise InvalidToken("expired") from exc
    except (jwt.InvalidTokenError, ValueError, TypeError, RecursionError) as exc:
        raise InvalidToken from exc
    return claims
