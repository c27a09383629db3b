"""docker-compose.yml as tests use it: a fleet in containers, with ports and names of its own."""

import json
import os
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dev import ROOT
from dev.dotenv import text
from dev.settings import free_port, read_env_file

from ..conftest import ADMIN_EMAIL, ADMIN_PASSWORD

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


class Gateway(Compose):
    """A fleet whose services publish no port: its gateway's address is `url`, Prometheus's `prometheus_url`."""

    def __init__(self, folder: Path) -> None:
        port, prometheus_port = free_port(), free_port()
        self.url, self.prometheus_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{prometheus_port}"
        settings = {
            "COMPOSE_PROFILES": "gateway",
            "GATEWAY_IMAGE": image("nginx:1.28", "nginx"),
            "GATEWAY_PORT": str(port),
            "GATEWAY_TLS_PORT": str(free_port()),
            "GATEWAY_REQUESTS_PER_SECOND": "10000",
            "PROMETHEUS_IMAGE": image("prom/prometheus:v3.5.0", "prometheus"),
            "PROMETHEUS_PORT": str(prometheus_port),
        }
        super().__init__(folder, f"{PROJECT}-gateway", ["ops/gateway/only-way-in.yml"], settings)


def image(official: str, program: str) -> str:
    """The official image of a program where it can be had, else one of Debian's packages, built in its folder here."""
    for found in (["docker", "image", "inspect", official], ["docker", "pull", "--quiet", official]):
        if subprocess.run(found, capture_output=True, timeout=300, check=False).returncode == 0:
            return official
    stand_in = f"{PROJECT}/{program}"
    run("docker", "build", "--tag", stand_in, f"tests/compose/{program}")
    return stand_in
