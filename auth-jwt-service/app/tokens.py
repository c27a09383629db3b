"""Issues access, refresh and activation tokens; `shared.tokens` verifies the first, this module the others."""

import base64
import hmac
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

import jwt

from shared.tokens import AUDIENCE, ISSUER, InvalidToken, decode

from .keys import SigningKeys

_PREFIX = "rt."
_MAC_BYTES = 32
# Of no other token of the fleet: so none passes for an activation token, and it passes for none.
_ACTIVATION_AUDIENCE = "predicthealth-activation"


@dataclass(frozen=True)
class RefreshToken:
    """Which session it refreshes, and how often that has been refreshed before."""

    session_id: UUID
    generation: int


def issue_access_token(
    keys: SigningKeys,
    ttl_seconds: int,
    user_id: UUID,
    user_type: str,
    email: str,
    session_id: UUID,
    generation: int,
    issued_at: int,
) -> str:
    """A signed access token with the claims of the contract, valid for `ttl_seconds` from `issued_at` (Unix seconds).

    The same session, generation and time give the same token, so that a refresh may be answered twice.
    """
    subject = str(user_id)
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject,
        "iat": issued_at,
        "nbf": issued_at,
        "exp": issued_at + ttl_seconds,
        "jti": str(uuid5(session_id, str(generation))),
        "sid": str(session_id),
        "typ": "access",
        # What the frontends read.
        "user_id": subject,
        "user_type": user_type,
        "email": email,
        "roles": [user_type],
        "reference_id": subject,
        "metadata": {"reference_id": subject},
    }
    return keys.sign(claims)


def issue_refresh_token(key: str, session_id: UUID, generation: int) -> str:
    """The refresh token of a session's generation: derived, so that nothing needs to keep it."""
    content = session_id.bytes + generation.to_bytes(4)
    return _PREFIX + base64.urlsafe_b64encode(content + _mac(key, content)).decode()


def read_refresh_token(token: str, key: str) -> RefreshToken:
    """Verify a refresh token's form and origin, not whether it is spent. Raises InvalidToken."""
    try:
        raw = base64.b64decode(token.removeprefix(_PREFIX).encode("ascii"), altchars=b"-_", validate=True)
    except ValueError as exc:
        raise InvalidToken from exc
    content = raw[:-_MAC_BYTES]
    if len(content) != 20:
        raise InvalidToken
    read = RefreshToken(UUID(bytes=content[:16]), int.from_bytes(content[16:]))
    # The whole text is compared: base64 has more than one for the same bytes.
    if not hmac.compare_digest(token, issue_refresh_token(key, read.session_id, read.generation)):
        raise InvalidToken
    return read


def issue_activation_token(key: str, user_id: UUID, expires_at: int) -> str:
    """A signed token that sets the first password of an account until `expires_at` (Unix seconds)."""
    claims = {
        "iss": ISSUER,
        "aud": _ACTIVATION_AUDIENCE,
        "sub": str(user_id),
        "iat": int(time.time()),
        "exp": expires_at,
    }
    return jwt.encode(claims, key, algorithm="HS256")


def read_activation_token(token: str, key: str) -> UUID:
    """The account whose activation token it is. Raises InvalidToken."""
    options: Any = {"require": ["exp", "iat", "iss", "aud", "sub"], "enforce_minimum_key_length": True}
    return UUID(decode(token, key, "HS256", _ACTIVATION_AUDIENCE, ISSUER, options)["sub"])


def _mac(key: str, content: bytes) -> bytes:
    return hmac.digest(key.encode(), b"predicthealth refresh token" + content, "sha256")
