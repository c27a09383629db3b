"""What the auth service holds open."""

from dataclasses import dataclass

from shared.resources import Resources
from shared.settings import Settings

from .passwords import Hasher
from .settings import AuthSettings


@dataclass(frozen=True)
class AuthResources(Resources):
    """The fleet's resources and the password hasher."""

    settings: AuthSettings
    hasher: Hasher

    @classmethod
    def open(cls, service: str, settings: Settings) -> "AuthResources":
        """The resources of the auth service."""
        assert isinstance(settings, AuthSettings)
        hasher = Hasher(settings.bcrypt_rounds, settings.password_hash_queue)
        return cls(**vars(Resources.open(service, settings)), hasher=hasher)

    async def close(self) -> None:
        """Close every connection and end the hashing threads."""
        await super().close()
        self.hasher.close()
