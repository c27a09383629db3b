"""Typed settings: read once from the environment (and `.env`), passed in, units in the names."""

import re
import sys
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from .addresses import check_postgres, check_redis

# Known to everyone who reads this file, so refused in production: they let one service be run by hand in development.
DEVELOPMENT_KEYS = {
    "jwt_secret_key": "development-only-jwt-secret-key-0000",
    "fleet_internal_key": "development-only-fleet-internal-key",
    "cursor_key": "development-only-cursor-key-00000000",
}
MINIMUM_KEY_BYTES = 32
_EXAMPLE = re.compile(r"change.?(me|this|in)|your.?(super.?)?(jwt.?)?secret|example|development|default|password", re.I)

Rate = Annotated[str, Field(pattern=r"^[1-9][0-9]*/(second|minute|hour|day)$")]


class Settings(BaseSettings):
    """What every service is told. Each field is the environment variable of the same name in upper case."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)

    app_env: Literal["development", "test", "production"] = "development"
    host: str = "127.0.0.1"  # the address that the service listens on
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    default_language: Literal["es", "en"] = "es"
    cors_origins: str = ""  # comma-separated origins, none by default
    fleet_origins: str = ""  # where browsers find the services' own /docs, comma-separated
    auth_public_url: str = ""  # where browsers find the auth service; empty: the service that shows /docs
    max_body_bytes: int = Field(default=1_048_576, ge=1_024)

    # Workers x database_pool_size, summed over the four services, must stay under PostgreSQL's max_connections (100):
    # 4 services x 1 worker x 6 = 24, which leaves room for two more workers each and for operators. Ten do less on two
    # cores (docs/decisions/0014).
    database_url: SecretStr = SecretStr("postgresql://predicthealth@127.0.0.1:5432/predicthealth")
    database_pool_size: int = Field(default=6, ge=1)
    database_pool_wait_seconds: float = Field(default=2.0, gt=0)
    database_pool_queue: int = Field(default=200, ge=0)
    database_connect_timeout_seconds: float = Field(default=2.0, gt=0)
    database_statement_timeout_seconds: float = Field(default=2.0, gt=0)
    database_lock_timeout_seconds: float = Field(default=1.0, gt=0)
    database_prepared_statements: bool = True  # false behind a pooler that shares connections, such as PgBouncer

    database_read_url: SecretStr | None = None  # a replica, for lists and figures that hold no health data
    database_read_max_staleness_seconds: float = Field(default=5.0, gt=0)

    # Of one process. Places and queue are the line that a request finds before it: 12 + 128 at 500 answers a second are
    # 0.3 s; in overload 6 are 0.013 s, as long as an answer takes at the highest rate with nobody refused.
    # Twice as many places as database connections: whichever is given back is taken at once.
    max_concurrent_requests: int = Field(default=12, ge=1)
    max_queued_requests: int = Field(default=128, ge=0)
    max_requests_in_overload: int = Field(default=6, ge=1)
    queue_wait_seconds: float = Field(default=2.0, gt=0)
    max_requests_aside: int = Field(default=256, ge=0)  # that wait for a password's hash or the auth service
    request_deadline_seconds: float = Field(default=4.5, gt=0)  # clients are promised an answer within 5 s
    # Connections cost memory (up to a body each) and a descriptor: 512 x (1 MiB + 64 KiB) is the worst case.
    max_connections: int = Field(default=512, ge=1)
    header_timeout_seconds: float = Field(default=10.0, gt=0)
    body_timeout_seconds: float = Field(default=15.0, gt=0)
    send_timeout_seconds: float = Field(default=30.0, gt=0)
    shutdown_drain_seconds: float = Field(default=0.0, ge=0, le=5)

    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    redis_timeout_seconds: float = Field(default=0.5, gt=0)
    redis_replicas_to_wait_for: int = Field(default=0, ge=0)  # that must have a login or logout before it is answered

    # HS256 signs and verifies with one shared secret; the others sign in the auth service alone, which publishes the
    # public key. The previous secret is accepted while keys rotate.
    jwt_algorithm: Literal["HS256", "EdDSA", "ES256"] = "HS256"
    jwt_secret_key: SecretStr = SecretStr(DEVELOPMENT_KEYS["jwt_secret_key"])
    jwt_previous_secret_key: SecretStr | None = None
    fleet_internal_key: SecretStr = SecretStr(DEVELOPMENT_KEYS["fleet_internal_key"])
    cursor_key: SecretStr = SecretStr(DEVELOPMENT_KEYS["cursor_key"])
    statistics_max_age_seconds: int = Field(default=5, ge=0)  # how long counted figures are kept; 0: never
    session_idle_seconds: int = Field(default=3_600, ge=1)
    session_max_seconds: int = Field(default=43_200, ge=1)
    sessions_per_user: int = Field(default=20, ge=1)

    request_rate_per_client: Rate = "600/minute"
    # Where spans are sent (OTLP over HTTP), such as http://collector:4318; empty: nowhere. Needs the extra `otel`.
    otel_exporter_otlp_endpoint: str = Field(default="", pattern=r"^(https?://.+)?$")
    trusted_proxies: str = ""  # comma-separated addresses and networks whose X-Forwarded-For counts, none by default

    @field_validator("trusted_proxies")
    @classmethod
    def _refuse_other_than_networks(cls, value: str) -> str:
        try:
            for item in _items(value):
                ip_network(item)
        except ValueError:
            raise ValueError("must be addresses and networks (10.0.0.0/8), separated by commas") from None
        return value

    @field_validator("database_url", "database_read_url")
    @classmethod
    def _refuse_other_than_postgres(cls, value: SecretStr | None) -> SecretStr | None:
        return value and SecretStr(check_postgres(value.get_secret_value()))

    @field_validator("redis_url")
    @classmethod
    def _refuse_other_than_redis(cls, value: SecretStr) -> SecretStr:
        return SecretStr(check_redis(value.get_secret_value()))

    @model_validator(mode="after")
    def _refuse_weak_keys(self) -> Self:
        for name in self.secret_names():
            key: SecretStr | None = getattr(self, name)
            if key is not None:
                check_key(name.upper(), key.get_secret_value(), self.app_env)
        return self

    def secret_names(self) -> list[str]:
        """The fields that hold a key; a shared token secret only where tokens are signed with one."""
        shared = ["jwt_secret_key", "jwt_previous_secret_key"] if self.jwt_algorithm == "HS256" else []
        return [*shared, "fleet_internal_key", "cursor_key"]

    @property
    def allowed_origins(self) -> list[str]:
        """The origins of `CORS_ORIGINS` and of the fleet's own pages."""
        return _items(self.cors_origins) + _items(self.fleet_origins)

    @property
    def page_origins(self) -> list[str]:
        """Where the page of `/docs` may send requests, besides its own service: the fleet, to authorize and to try."""
        auth = urlsplit(self.auth_public_url)
        origins = [*_items(self.fleet_origins), *([f"{auth.scheme}://{auth.netloc}"] if auth.netloc else [])]
        return list(dict.fromkeys(origins))

    @property
    def token_secrets(self) -> list[str]:
        """The secrets of HS256 tokens, the current one first."""
        keys = (self.jwt_secret_key, self.jwt_previous_secret_key)
        return [key.get_secret_value() for key in keys if key is not None]

    @property
    def trusted_networks(self) -> list[IPv4Network | IPv6Network]:
        """The networks of `TRUSTED_PROXIES`."""
        return [ip_network(item) for item in _items(self.trusted_proxies)]


class ClientSettings(Settings):
    """Settings of a service that calls the auth service."""

    auth_service_url: str = "http://servicio-auth-jwt:8003"
    auth_timeout_seconds: float = Field(default=3.0, gt=0)


def check_key(name: str, key: str, app_env: str) -> None:
    """Raise ValueError for a key that is too short or, in production, one that others know or could guess."""
    if len(key.encode()) < MINIMUM_KEY_BYTES:
        raise ValueError(f"{name} must have at least {MINIMUM_KEY_BYTES} bytes")
    if app_env == "production" and key.startswith("development-only-"):  # the default of whichever key
        raise ValueError(f"{name} must be set in production")
    if app_env == "production" and (_EXAMPLE.search(key) or len(set(key)) < MINIMUM_KEY_BYTES // 4):
        raise ValueError(f"{name} looks like an example, not like a random key")


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


SettingsType = TypeVar("SettingsType", bound=Settings)


def load(settings_class: type[SettingsType]) -> SettingsType:
    """Read the settings, or stop the process with one line per wrong variable; a value is never printed."""
    try:
        return settings_class()
    except ValidationError as exc:
        for error in exc.errors(include_input=False, include_url=False):
            name = ".".join(str(part) for part in error["loc"]).upper()
            sys.stderr.write(f"settings: {name + ': ' if name else ''}{error['msg'].removeprefix('Value error, ')}\n")
        raise SystemExit(78) from None  # EX_CONFIG of sysexits.h
