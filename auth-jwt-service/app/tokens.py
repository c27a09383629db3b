"""Issues access tokens; `shared.tokens` verifies them."""

import time
from uuid import UUID, uuid4

import jwt

from shared.tokens import AUDIENCE, ISSUER

from .settings import AuthSettings


def issue_access_token(settings: AuthSettings, user_id: UUID, user_type: str, email: str, session_id: UUID) -> str:
    """A signed access token with the claims of the contract, valid for `ACCESS_TOKEN_TTL_SECONDS`."""
    now, subject = int(time.time()), str(user_id)
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject,
        "iat": now,
        "nbf": now,
        "exp": now + settings.access_token_ttl_seconds,
        "jti": str(uuid4()),
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
    return jwt.encode(claims, settings.jwt_secret_key.get_secret_value(), algorithm=settings.jwt_algorithm)
