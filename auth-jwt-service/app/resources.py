"""What the auth service holds open."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client import Counter

from shared.context import current
from shared.errors import TooManyAttempts
from shared.metrics import Metric, gauge
from shared.rates import Rate, Window
from shared.resources import Resources
from shared.settings import Settings

from .guessing import Guesses
from .keys import SigningKeys
from .outcomes import logins_counter
from .passwords import Hasher
from .settings import AuthSettings


@dataclass(frozen=True)
class AuthResources(Resources):
    """The fleet's resources, the keys that sign, the password hasher and the limits on guessing."""

    settings: AuthSettings
    keys: SigningKeys
    hasher: Hasher
    guesses: Guesses
    login_rate: Rate
    logins: Counter = field(default_factory=logins_counter)

    @classmethod
    def open(cls, service: str, settings: Settings) -> "AuthResources":
        """The resources of the auth service."""
        assert isinstance(settings, AuthSettings)
        base = Resources.build(service, settings, _signing_keys(settings))
        return cls(
            **vars(base),
            hasher=Hasher(settings.bcrypt_rounds, settings.password_hash_queue),
            guesses=Guesses(base.redis),
            login_rate=Rate.of(settings.login_rate_per_ip),
        )

    async def count_attempt(self) -> None:
        """Count an attempt to get in, over all accounts of the client's address. Raises TooManyAttempts."""
        await self.rates.count(Window("login", current().client_address or "", self.login_rate), TooManyAttempts)

    def measure(self) -> Iterator[Metric]:
        """What Prometheus is told at each scrape."""
        yield from super().measure()
        yield from self.logins.collect()
        name = "predicthealth_password_hash_queue_length"
        yield gauge(name, "Passwords that wait for a core to be hashed.", self.hasher.waiting)

    def shed(self) -> None:
        """Hash no more passwords than those under way: the queue may be longer than the time that is left."""
        self.hasher.close()

    async def close(self) -> None:
        """Close every connection and end the hashing threads."""
        await super().close()
        self.hasher.close()


def _signing_keys(settings: AuthSettings) -> SigningKeys:
    if settings.jwt_algorithm == "HS256":
        return SigningKeys.of_secrets(settings.token_secrets)
    return SigningKeys.of_keys(settings.jwt_algorithm, settings.private_keys())
