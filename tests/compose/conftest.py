"""The containers of docker-compose.yml, built and started for the whole run: `./fleet test --compose`."""

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dev import ROOT
from dev.dotenv import text
from dev.settings import free_port, read_env_file

from ..conftest import ADMIN_EMAIL, ADMIN_PASSWORD

collect_ignore_glob = [] if "TEST_COMPOSE" in os.environ else ["test_*.py"]

PROJECT = "predicthealth-test"
SERVICES = {
    "auth": "servicio-auth-jwt",
    "doctors": "servicio-doctores",
    "institutions": "servicio-instituciones",
    "patients": "servicio-pacientes",
}
LIMIT_SECONDS = 900


class Compose:
    """The fleet in containers, as tests know a fleet: `urls` and `database_url`; `demo` is what the demo printed."""

    def __init__(self, folder: Path) -> None:
        ports = {name: free_port() for name in [*SERVICES, "postgres"]}
        self.urls = {name: f"http://127.0.0.1:{ports[name]}" for name in SERVICES}
        self._env_file = folder / "env"
        chosen = {f"{name.upper()}_PORT": str(port) for name, port in ports.items()}
        # Not the names, the network and the images of a fleet that runs here for its users.
        prefix = f"10.{200 + secrets.randbelow(50)}"
        chosen |= {"NETWORK_NAME": PROJECT, "NETWORK_PREFIX": prefix, "IMAGE_TAG": "test"}
        chosen |= {"ADMIN_EMAIL": ADMIN_EMAIL, "ADMIN_PASSWORD": f'"{ADMIN_PASSWORD}"'}
        lines = "".join(f"{name}={value}\n" for name, value in chosen.items())
        self._env_file.write_text(text() + lines, encoding="utf-8")
        password = read_env_file(self._env_file)["POSTGRES_PASSWORD"]
        self.database_url = f"postgresql://postgres:{password}@127.0.0.1:{ports['postgres']}/predicthealth"
        self.demo = ""

    def __call__(self, *arguments: str) -> str:
        """Run a command of docker compose; its standard output."""
        files = ["-f", "docker-compose.yml", "-f", "tests/compose/published.yml"]
        options = ["-p", PROJECT, "--env-file", str(self._env_file), "--progress", "plain"]
        return run("docker", "compose", *options, *files, *arguments)

    def start(self) -> None:
        """Build and start everything and load the demo."""
        self("up", "--detach", "--build", "--wait")
        self.demo = self("run", "--rm", "--no-TTY", "demo")

    def container(self, service: str) -> dict[str, Any]:
        """What Docker knows of a service's container."""
        found: list[dict[str, Any]] = json.loads(run("docker", "inspect", self("ps", "-aq", service).strip()))
        return found[0]

    def remove(self) -> None:
        """Take everything down, volumes too."""
        self("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "5")


def run(*command: str) -> str:
    """Run a command in the checkout; its standard output. What it said goes into the failure."""
    # The user's own settings of compose would mix with ours.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """In the place of the other tests' fleet."""
    containers = Compose(tmp_path_factory.mktemp("compose"))
    containers.remove()  # what a run that was killed has left
    try:
        containers.start()
        yield containers
    finally:
        containers.remove()
