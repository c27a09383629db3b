"""Settings of the auth service."""

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from shared.settings import Rate, Settings

from .keys import PrivateKey, parse_key, read_key

DEVELOPMENT_REFRESH_KEY = "development-only-refresh-token-key-0"


class AuthSettings(Settings):
    """What only the auth service is told."""

    # EdDSA and ES256 sign with this private key (PEM), which no other service needs to know: the text itself or a file
    # that holds it. The previous one is still accepted.
    jwt_private_key: SecretStr | None = None
    jwt_private_key_file: Path | None = None
    jwt_previous_key: SecretStr | None = None
    jwt_previous_key_file: Path | None = None
    refresh_token_key: SecretStr = SecretStr(DEVELOPMENT_REFRESH_KEY)
    refresh_grace_seconds: int = Field(default=10, ge=0, le=60)

    access_token_ttl_seconds: int = Field(default=900, ge=1, le=86_400)
    activation_days: int = Field(default=14, ge=1, le=90)  # how long an activation token may wait to be used
    bcrypt_rounds: int = Field(default=12, ge=4, le=16)
    password_hash_queue: int = Field(default=64, ge=1)  # hashes waiting for a core; past it, 503
    password_min_length: int = Field(default=8, ge=8, le=72)  # NIST SP 800-63B: not below
    login_rate_per_ip: Rate = "30/minute"

    def secret_names(self) -> list[str]:
        """The fields that hold a key."""
        return [*super().secret_names(), "refresh_token_key"]

    def private_keys(self) -> list[PrivateKey]:
        """The keys of EdDSA or ES256, the current one first. ValueError, which names the setting, without one."""
        keys = [self._private_key("JWT_PRIVATE_KEY", self.jwt_private_key, self.jwt_private_key_file)]
        keys += [self._private_key("JWT_PREVIOUS_KEY", self.jwt_previous_key, self.jwt_previous_key_file)]
        if keys[0] is None:
            raise ValueError(f"JWT_PRIVATE_KEY_FILE must be set for JWT_ALGORITHM={self.jwt_algorithm}")
        return [key for key in keys if key is not None]

    def _private_key(self, name: str, pem: SecretStr | None, file: Path | None) -> PrivateKey | None:
        if pem is not None:
            return parse_key(name, pem.get_secret_value().encode(), self.jwt_algorithm)
        return None if file is None else read_key(f"{name}_FILE", file, self.jwt_algorithm)

    @model_validator(mode="after")
    def _read_private_keys(self) -> Self:
        if self.jwt_algorithm != "HS256":
            self.private_keys()
        return self
