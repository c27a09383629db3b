"""The containers of docker-compose.yml, built and started for the whole run: `./fleet test --compose`."""

import json
import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
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
    """The fleet in containers, as tests know a fleet: `urls` and `database_url`; `demo` is what the demo printed.

    `files` stand beside docker-compose.yml, `settings` in the `.env`; several fleets need a `name` each.
    """

    def __init__(
        self,
        folder: Path,
        name: str = PROJECT,
        files: Sequence[str] = (),
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        ports = {name: free_port() for name in [*SERVICES, "postgres"]}
        self.urls = {name: f"http://127.0.0.1:{ports[name]}" for name in SERVICES}
        self._env_file = folder / "env"
        self._environment = {
            "COMPOSE_PROJECT_NAME": name,
            "COMPOSE_FILE": ":".join(["docker-compose.yml", "tests/compose/published.yml", *files]),
            "COMPOSE_ENV_FILES": str(self._env_file),
        }
        chosen = {f"{name.upper()}_PORT": str(port) for name, port in ports.items()}
        # Not the names, the network and the images of a fleet that runs here for its users.
        prefix = f"10.{100 + secrets.randbelow(150)}"
        chosen |= {"NETWORK_NAME": name, "NETWORK_PREFIX": prefix, "IMAGE_TAG": "test", **settings}
        chosen |= {"ADMIN_EMAIL": ADMIN_EMAIL, "ADMIN_PASSWORD": f'"{ADMIN_PASSWORD}"'}
        lines = "".join(f"{name}={value}\n" for name, value in chosen.items())
        self._env_file.write_text(text() + lines, encoding="utf-8")
        password = read_env_file(self._env_file)["POSTGRES_PASSWORD"]
        self.database_url = f"postgresql://postgres:{password}@127.0.0.1:{ports['postgres']}/predicthealth"
        self.demo = ""

    def __call__(self, *arguments: str) -> str:
        """Run a command of docker compose; its standard output."""
        return run("docker", "compose", *arguments, **self._environment)

    def shell(self, script: str) -> str:
        """Run commands of the runbook as its reader would."""
        return run("bash", "-c", script, **self._environment)

    def start(self, *options: str) -> None:
        """Build and start everything and load the demo."""
        self("up", "--detach", "--build", "--wait", *options)
        self.demo = self("run", "--rm", "--no-TTY", "demo")

    def container(self, service: str) -> dict[str, Any]:
        """What Docker knows of a service's container, the first of several."""
        found: list[dict[str, Any]] = json.loads(run("docker", "inspect", *self("ps", "-aq", service).split()))
        return found[0]

    def remove(self) -> None:
        """Take everything down, volumes too."""
        self("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "5")


def run(*command: str, **settings: str) -> str:
    """Run a command in the checkout; its standard output. What it said goes into the failure."""
    # The user's own settings of compose would mix with ours.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")} | settings
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
