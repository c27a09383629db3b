"""The four services as child processes: what each gets in its environment, and when it is healthy."""

import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from database.roles import password_variable, service_url
from dev import ROOT
from dev.processes import Child, Member
from dev.settings import SERVICE_FOLDERS, Secrets, url_host

# Less than the supervisor's own limit, so that uvicorn can end requests that hang before it is killed itself.
GRACEFUL_SECONDS = 8
LONGEST_DRAIN_SECONDS = 5  # SHUTDOWN_DRAIN_SECONDS; what was set may be no number, as the service itself will say
# What a user may have set and only the auth service may know.
SIGNING_VARIABLES = {"JWT_PRIVATE_KEY", "JWT_PREVIOUS_KEY", "REFRESH_TOKEN_KEY"}
# A proxy of the user's has no business between us and 127.0.0.1.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Service(Member):
    """One of the four services, run by uvicorn in its own folder."""

    def __init__(self, name: str, *, host: str, port: int, data_dir: Path, env: Mapping[str, str]) -> None:
        self.stop_seconds = LONGEST_DRAIN_SECONDS + GRACEFUL_SECONDS + 1
        self._url = f"http://{url_host(host)}:{port}"
        self.child = Child(
            name,
            [sys.executable, "-m", "uvicorn", "app.main:app", "--host", host, "--port", str(port)]
            + ["--http", "shared.connections:BoundedConnection"]
            + ["--no-access-log", "--no-proxy-headers", "--no-server-header"]
            + ["--timeout-graceful-shutdown", str(GRACEFUL_SECONDS)],
            data_dir=data_dir,
            cwd=ROOT / SERVICE_FOLDERS[name],
            env=env,
        )

    @property
    def url(self) -> str:
        """Its base URL, as this machine reaches it."""
        return self._url

    def is_ready(self) -> bool:
        """Tell whether `/health` answers 200."""
        try:
            with OPENER.open(f"{self.url}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def service_environment(
    name: str,
    environ: Mapping[str, str],
    *,
    database_url: str,
    redis_url: str,
    urls: Mapping[str, str],
    secrets: Secrets,
    key_files: Mapping[str, str],
) -> dict[str, str]:
    """Return what the service `name` finds in its environment: our choices, and over them whatever the user has set.

    Each service logs in to PostgreSQL with its own role, and only the auth service gets what signs tokens.
    `database_url` is the owner's.
    """
    chosen = {
        "APP_ENV": "development",
        "REDIS_URL": redis_url,
        "AUTH_SERVICE_URL": urls["auth"],
        "AUTH_PUBLIC_URL": urls["auth"],
        "FLEET_ORIGINS": ",".join(origins_of(urls)),
        "FLEET_INTERNAL_KEY": secrets["FLEET_INTERNAL_KEY"],
        "CURSOR_KEY": secrets["CURSOR_KEY"],
        "PYTHONUNBUFFERED": "1",
    }
    # A user who gives the shared secret alone means HS256, which needs one; else tokens are signed with our key file.
    chosen["JWT_ALGORITHM"] = "HS256" if environ.get("JWT_SECRET_KEY") else "EdDSA"
    if (environ.get("JWT_ALGORITHM") or chosen["JWT_ALGORITHM"]) == "HS256":
        chosen["JWT_SECRET_KEY"] = secrets["JWT_SECRET_KEY"]
    if name == "auth":
        chosen |= {"REFRESH_TOKEN_KEY": secrets["REFRESH_TOKEN_KEY"], **key_files}
    set_by_user = {name: value for name, value in environ.items() if value or name not in chosen}
    paths = [str(ROOT), environ.get("PYTHONPATH", "")]
    own = {
        "DATABASE_URL": environ.get(f"{name.upper()}_DATABASE_URL")
        or service_url(database_url, name, secrets[password_variable(name)]),
        "PYTHONPATH": ":".join(path for path in paths if path),
    }
    if read_url := environ.get("DATABASE_READ_URL"):
        own["DATABASE_READ_URL"] = service_url(read_url, name, secrets[password_variable(name)])
    hidden = {password_variable(other) for other in SERVICE_FOLDERS} | (set() if name == "auth" else SIGNING_VARIABLES)
    return {key: value for key, value in {**chosen, **set_by_user, **own}.items() if key not in hidden}


def owner_environment(auth_environment: Mapping[str, str], database_url: str, secrets: Secrets) -> dict[str, str]:
    """Return the environment of our own commands: the auth service's, as the database's owner, who makes the roles."""
    passwords = {password_variable(name): secrets[password_variable(name)] for name in SERVICE_FOLDERS}
    return {**auth_environment, "DATABASE_URL": database_url, **passwords}


def origins_of(urls: Mapping[str, str]) -> list[str]:
    """Return where a browser on this machine may find the services' pages."""
    return [origin for url in urls.values() for origin in (url, url.replace("127.0.0.1", "localhost"))]
