"""The four services as child processes: what each gets in its environment, and when it is healthy."""

import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from dev import ROOT
from dev.processes import Child, Member
from dev.settings import SERVICE_FOLDERS, Secrets, url_host

# Less than the supervisor's own limit, so that uvicorn can end requests that hang before it is killed itself.
GRACEFUL_SECONDS = 8
# A proxy of the user's has no business between us and 127.0.0.1.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Service(Member):
    """One of the four services, run by uvicorn in its own folder."""

    stop_seconds = GRACEFUL_SECONDS + 1

    def __init__(self, name: str, *, host: str, port: int, data_dir: Path, env: Mapping[str, str]) -> None:
        self._url = f"http://{url_host(host)}:{port}"
        self.child = Child(
            name,
            [sys.executable, "-m", "uvicorn", "app.main:app", "--host", host, "--port", str(port)]
            + ["--no-access-log", "--timeout-graceful-shutdown", str(GRACEFUL_SECONDS)],
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
    environ: Mapping[str, str], *, database_url: str, redis_url: str, auth_url: str, secrets: Secrets
) -> dict[str, str]:
    """Return what a service finds in its environment: our choices, and over them whatever the user has set."""
    chosen = {
        "APP_ENV": "development",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "AUTH_SERVICE_URL": auth_url,
        "JWT_SECRET_KEY": secrets["JWT_SECRET_KEY"],
        "FLEET_INTERNAL_KEY": secrets["FLEET_INTERNAL_KEY"],
        "CURSOR_KEY": secrets["CURSOR_KEY"],
        "PYTHONUNBUFFERED": "1",
    }
    set_by_user = {name: value for name, value in environ.items() if value or name not in chosen}
    paths = [str(ROOT), environ.get("PYTHONPATH", "")]
    return {**chosen, **set_by_user, "PYTHONPATH": ":".join(path for path in paths if path)}
