"""A small checkout with stand-ins for the services, so that the supervisor is tested for itself, and fast."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev import ROOT
from dev.processes import wait_until
from dev.servers import EmbeddedPostgres, EmbeddedValkey
from dev.settings import SERVICE_FOLDERS, free_port

SERVICE = """
import asyncio

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(60)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})
"""


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that PostgreSQL's account can reach: pytest's own `tmp_path` is closed to others."""
    path = Path(tempfile.mkdtemp(prefix="predicthealth-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


class Up:
    """A `./fleet up` in a process of its own."""

    def __init__(self, checkout: Path, **more_env: str) -> None:
        self.checkout = checkout
        self.data_dir = checkout / ".predicthealth"
        self.ports = {name: free_port() for name in SERVICE_FOLDERS}
        ports = {f"{name.upper()}_PORT": str(port) for name, port in self.ports.items()}
        self.env = {"PATH": os.environ["PATH"], **ports, **more_env}
        self.process: subprocess.Popen[str] | None = None
        self.output = checkout / "output"

    def run(self, verb: str = "up", **more_env: str) -> subprocess.CompletedProcess[str]:
        """Run a verb to its end; for those that are expected to end."""
        command = [sys.executable, "-m", "dev", verb]
        env = {**self.env, **more_env}
        return subprocess.run(
            command, cwd=self.checkout, env=env, capture_output=True, text=True, timeout=30, check=False
        )

    def start(self, hang_up: signal.Handlers = signal.SIG_DFL) -> None:
        """Start it, as under nohup where `hang_up` is ignored, and wait for the table."""
        with open(self.output, "w", encoding="utf-8") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dev", "up"],
                cwd=self.checkout,
                env=self.env,
                stdout=output,
                stderr=output,
                preexec_fn=lambda: signal.signal(signal.SIGHUP, hang_up),
            )
        assert wait_until(lambda: "is up" in self.said() or self.process.poll() is not None, 60), self.said()
        assert self.process.poll() is None, self.said()

    def said(self) -> str:
        """All that it has printed."""
        return self.output.read_text(encoding="utf-8")

    def signal(self, sig: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(sig)

    def wait(self) -> int:
        """Wait for its end and return the exit status."""
        assert self.process is not None
        return self.process.wait(30)

    def children(self) -> dict[str, int]:
        """The ids of its children by name."""
        files = (self.data_dir / "run").glob("*.pid")
        return {file.stem: int(file.read_text(encoding="ascii").split()[0]) for file in files}

    def listens(self, name: str) -> bool:
        """Tell whether something listens on the port of a service."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.ports[name])) == 0


@pytest.fixture
def checkout(open_dir: Path) -> Path:
    """A checkout with the real `dev` and `shared` and four services that only know /health."""
    for folder in ("dev", "shared"):
        shutil.copytree(ROOT / folder, open_dir / folder, ignore=shutil.ignore_patterns("__pycache__"))
    roles = (ROOT / "database" / "roles.py").read_text(encoding="utf-8")  # names the roles of the services' URLs
    modules = {"database/migrate.py": "", "database/__init__.py": "", "database/roles.py": roles}
    # The stand-ins have no settings to bound their connections by.
    modules["shared/connections.py"] = (
        "from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as BoundedConnection"
    )
    for folder in SERVICE_FOLDERS.values():
        modules |= {f"{folder}/app/__init__.py": "", f"{folder}/app/main.py": SERVICE}
    modules[f"{SERVICE_FOLDERS['auth']}/app/admin.py"] = "print('created')"
    for name, source in modules.items():
        (open_dir / name).parent.mkdir(parents=True, exist_ok=True)
        (open_dir / name).write_text(source, encoding="utf-8")
    return open_dir


@pytest.fixture
def up(checkout: Path) -> Iterator[Up]:
    """A supervisor with both embedded servers; whatever a test leaves is ended."""
    supervisor = Up(checkout)
    yield supervisor
    end(supervisor)


@pytest.fixture(scope="session")
def server_urls() -> Iterator[dict[str, str]]:
    """The URLs of servers that belong to none of the supervisors."""
    directory = Path(tempfile.mkdtemp(prefix="predicthealth-test-"))
    directory.chmod(0o755)
    postgres, valkey = EmbeddedPostgres(directory), EmbeddedValkey(directory)
    yield {"DATABASE_URL": postgres.start(), "REDIS_URL": valkey.start()}
    valkey.remove()
    postgres.remove()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def up_without_servers(checkout: Path, server_urls: dict[str, str]) -> Iterator[Up]:
    """A supervisor that is told to use servers that already run: a faster start."""
    supervisor = Up(checkout, **server_urls)
    yield supervisor
    end(supervisor)


def end(supervisor: Up) -> None:
    """End a supervisor that still runs."""
    if supervisor.process is not None and supervisor.process.poll() is None:
        supervisor.signal(signal.SIGTERM)
        supervisor.wait()
