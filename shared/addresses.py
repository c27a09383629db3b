"""Whether the address of a server can be read, before a driver reads it: its complaint would quote the password."""

from urllib.parse import urlsplit

import psycopg2
from psycopg2.extensions import parse_dsn

_ESCAPED = "user and password with all but letters and digits as %XX"


def check_postgres(address: str) -> str:
    """The address of one PostgreSQL or several. Raises ValueError, without any value, for what is none."""
    try:
        parts = {name: str(value) for name, value in parse_dsn(address).items()}
    except psycopg2.Error:
        parts = {"port": "unreadable"}
    # A password that is not escaped ends early; what is left of it becomes the port or the host.
    if parts.get("port", "").strip("0123456789,") or "@" in parts.get("host", ""):
        raise ValueError(f"must be postgresql://user:password@host:5432/name, {_ESCAPED}")
    return address


def check_redis(address: str) -> str:
    """The address of a Redis, or of Sentinels. Raises ValueError, without any value, for what is none."""
    try:
        parts = urlsplit(address)
        known = parts.scheme in ("redis", "rediss", "unix", "redis+sentinel")
        for host in parts.netloc.rpartition("@")[2].split(","):
            _ = urlsplit(f"//{host}").port
    except ValueError:
        known = False
    if not known:
        raise ValueError(f"must be redis://user:password@host:6379/0, {_ESCAPED}")
    return address
