"""What the auth service holds open."""

from dataclasses import dataclass

from limits import RateLimitItem, parse

from shared.resources import Resources
from shared.settings import Settings

from .guessing import Guesses
from .keys import SigningKeys
from .passwords import Hasher
from .settings import AuthSettings


@dataclass(frozen=True)
class AuthResources(Resources):
    """The fleet's resources, the keys that sign, the password hasher and the limits on guessing."""

    settings: AuthSettings
    keys: SigningKeys
    hasher: Hasher
    guesses: Guesses
    login_rate: RateLimitItem

    @classmethod
    def open(cls, service: str, settings: Settings) -> "AuthResources":
        """The resources of the auth service."""
        assert isinstance(settings, AuthSettings)
        base = Resources.build(service, settings, _signing_keys(settings))
        return cls(
            **vars(base),
            hasher=Hasher(settings.bcrypt_rounds, settings.password_hash_queue),
            guesses=Guesses(base.redis),
            login_rate=parse(settings.login_rate_per_ip),
        )

    async def close(self) -> None:
        """Close every connection and end the hashing threads."""
        await super().close()
        self.hasher.close()


def _signing_keys(settings: AuthSettings) -> SigningKeys:
    if settings.jwt_algorithm == "HS256":
        return SigningKeys.of_secrets(settings.token_secrets)
    return SigningKeys.of_keys(settings.jwt_algorithm, settings.private_keys())
