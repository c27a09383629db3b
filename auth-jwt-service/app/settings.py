"""Settings of the auth service."""

from pydantic import Field

from shared.settings import Settings


class AuthSettings(Settings):
    """What only the auth service is told."""

    access_token_ttl_seconds: int = Field(default=900, ge=1, le=86_400)
    bcrypt_rounds: int = Field(default=12, ge=4, le=16)
    password_hash_queue: int = Field(default=64, ge=1)  # hashes waiting for a core; past it, 503
    password_min_length: int = Field(default=8, ge=1, le=72)
