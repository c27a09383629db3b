"""Prometheus with the rules and the dashboard that compose gives it, on the numbers of the running fleet.

Grafana itself can't be had on every machine: its dashboard is held against a real Prometheus, panel by panel.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from database.audit import findings
from dev import ROOT
from dev.fleet import Fleet
from dev.processes import Child, wait_until
from dev.settings import free_port, make_data_dir

from ..support import Api, unique
from .gateway import NGINX, Gateway

FOLDER = ROOT / "ops" / "monitoring"
DASHBOARD = json.loads((FOLDER / "grafana" / "dashboards" / "predicthealth.json").read_text("utf-8"))
EXPRESSIONS = [
    pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", ())
]
PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
TARGETS = re.compile(r"dns_sd_configs:\n +- \{names: \[[a-z-]+\], type: A, port: [0-9]+, refresh_interval: 15s\}")

pytestmark = pytest.mark.skipif(
    PROMETHEUS is None or PROMTOOL is None, reason="needs prometheus and promtool: apt-get install -y prometheus"
)


def promtool(*arguments: str) -> str:
    """What promtool says; it must be content."""
    done = subprocess.run(["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def alerts() -> list[str]:
    """The names of the alerts."""
    return re.findall(r"- alert: (\w+)", (FOLDER / "alerts.yml").read_text("utf-8"))


@pytest.fixture(scope="module")
def audit_watch(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The verification for Prometheus, each second; its port."""
    folder, port = tmp_path_factory.mktemp("audit"), free_port()
    make_data_dir(folder)
    environment = {**fleet.environment, "AUDIT_WATCH_LISTEN": f"127.0.0.1:{port}", "AUDIT_WATCH_SECONDS": "1"}
    command = [sys.executable, "-m", "database.audit", "watch"]
    child = Child("audit-watch", command, data_dir=folder, cwd=ROOT, env=environment)
    child.spawn()
    yield port
    child.stop(5)


@pytest.fixture(scope="module")
def prometheus(fleet: Fleet, audit_watch: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a real Prometheus: the repository's configuration, but for where the targets are and the hurry."""
    folder = tmp_path_factory.mktemp("prometheus")
    make_data_dir(folder)
    ports = {**fleet.ports, "audit": audit_watch}
    gateway = None
    if NGINX:
        upstreams = {f"GATEWAY_{name.upper()}": url.removeprefix("http://") for name, url in fleet.urls.items()}
        gateway = Gateway(folder / "gateway", {**upstreams, "GATEWAY_RESOLVER": "127.0.0.1:53"})
        gateway.start()
        ports["gateway"] = gateway.metrics_port
    shutil.copy(FOLDER / "alerts.yml", folder)
    (folder / "prometheus.yml").write_text(aimed(ports), "utf-8")
    listen = f"127.0.0.1:{free_port()}"
    command = [
        "prometheus",
        "--config.file=prometheus.yml",
        f"--web.listen-address={listen}",
        "--storage.tsdb.path=data",
    ]
    child = Child("prometheus", command, data_dir=folder, cwd=folder, env={"PATH": "/usr/bin"})
    child.spawn()
    with httpx.Client(base_url=f"http://{listen}/api/v1", timeout=20) as client:
        assert wait_until(lambda: ready(client), 30), child.last_words()
        yield client
    child.stop(5)
    if gateway:
        gateway.child.stop(5)


def aimed(ports: dict[str, int]) -> str:
    """The configuration with each job's target on this machine, asked each second."""
    configuration = (FOLDER / "prometheus.yml").read_text("utf-8").replace("_interval: 15s\n", "_interval: 1s\n")
    head, *jobs = re.split(r"(?=  - job_name: )", configuration)
    for i, job in enumerate(jobs):
        port = ports.get(job.split()[2], 1)
        jobs[i], found = TARGETS.subn(f'static_configs:\n      - targets: ["127.0.0.1:{port}"]', job)
        assert found == 1, job
    return head + "".join(jobs)


def ready(client: httpx.Client) -> bool:
    try:
        return query(client, "count(up == 1)")[0]["value"][1] >= "5"
    except (httpx.TransportError, IndexError, ValueError):
        return False


def query(client: httpx.Client, expression: str) -> list[dict[str, Any]]:
    """The series of an expression now; a mistake in it fails."""
    answer = client.get("/query", params={"query": expression}).json()
    assert answer["status"] == "success", answer
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


@pytest.fixture(scope="module")
def traffic(api: Api, prometheus: httpx.Client) -> None:
    """Something to see, spread over more than one scrape."""
    institution = api.new_institution()
    doctor = api.new_doctor(institution)
    patient = api.new_patient(doctor, institution)

    def work() -> bool:
        api.log_in("doctors", doctor.email)
        wrong = {"email": f"{unique('nobody')}@example.com", "password": "not the password"}
        api.anonymous.auth.post("/auth/login", json=wrong)
        doctor.doctors.get("/api/v1/doctors/me/dashboard")
        institution.institutions.get("/api/v1/institutions/patients")
        patient.patients.get(f"/api/v1/patients/{patient.id}/dashboard")
        busy = 'count(rate(predicthealth_http_requests_total{route=~"/api.*|/auth/login"}[30s]) > 0) by (job)'
        return len(query(prometheus, busy)) == 4

    assert wait_until(work, 30)


# Rules


def test_promtool_accepts_the_configuration_and_the_rules() -> None:
    assert "SUCCESS" in promtool("check", "config", "--lint=all", "--lint-fatal", "prometheus.yml")
    assert f"{len(alerts())} rules found" in promtool("check", "rules", "--lint=all", "--lint-fatal", "alerts.yml")


def test_each_alert_rings_when_it_has_to_and_only_then() -> None:
    promtool("test", "rules", "alerts_test.yml")
    tested = re.findall(r"alertname: (\w+)", (FOLDER / "alerts_test.yml").read_text("utf-8"))
    assert set(tested) == set(alerts())


def test_the_runbook_says_what_each_alert_means() -> None:
    headings = re.findall(r"^### (\w+)", (ROOT / "docs" / "operations.md").read_text("utf-8"), re.M)
    assert set(alerts()) <= set(headings)


def test_the_rules_run_on_the_numbers_that_the_fleet_gives(prometheus: httpx.Client, traffic: None) -> None:
    def evaluated() -> list[dict[str, Any]]:
        rules = prometheus.get("/rules").json()["data"]["groups"][0]["rules"]
        return rules if all(rule["health"] != "unknown" for rule in rules) else []

    rules = wait_until(evaluated, 20)
    assert rules and {rule["health"] for rule in rules} == {"ok"}
    expressions = [*(rule["query"] for rule in rules), *(target.values[0] for target in EXPRESSIONS)]
    names = set(prometheus.get("/label/__name__/values").json()["data"])
    labels = set(prometheus.get("/labels").json()["data"])
    for expression in expressions:
        used = set(re.findall(r"\b(?:predicthealth|process)_\w+", str(expression)))
        assert used <= names, f"{used - names} in {expression}"
        by = re.findall(r"\bby \(([^)]+)\)", str(expression))
        grouped = {name.strip() for group in by for name in group.split(",")}
        filtered = set(re.findall(r"(\w+)(?:=~|!~|!=|=)\"", str(expression)))
        assert grouped | filtered <= labels | {"alertstate"}, expression


# Dashboard


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_panel_has_data(expression: str, prometheus: httpx.Client, traffic: None) -> None:
    if "gateway_" in expression and NGINX is None:
        pytest.skip("needs nginx: apt-get install -y nginx-light")
    asked = expression.replace("$__rate_interval", "30s").replace("$service", ".*")
    assert wait_until(lambda: query(prometheus, asked), 20), asked


def test_the_dashboard_names_what_is_provisioned() -> None:
    provisioning = FOLDER / "grafana" / "provisioning"
    uid = re.search(r"uid: (\w+)", (provisioning / "datasources" / "prometheus.yml").read_text("utf-8"))
    assert uid
    text = json.dumps(DASHBOARD)
    assert set(re.findall(r'"datasource": \{"type": "(\w+)", "uid": "(\w+)"\}', text)) == {("prometheus", uid[1])}
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    cells = [cell for panel in DASHBOARD["panels"] for cell in cells_of(panel["gridPos"])]
    assert len(cells) == len(set(cells)), "two panels lie on each other"
    assert all(x < 24 for x, _ in cells)


def cells_of(place: dict[str, int]) -> list[tuple[int, int]]:
    """The cells of the grid that a panel covers."""
    return [
        (x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])
    ]


# The audit trail


def test_the_verification_tells_what_it_found_and_when(fleet: Fleet, audit_watch: int) -> None:
    def told() -> dict[str, float]:
        try:
            text = httpx.get(f"http://127.0.0.1:{audit_watch}/metrics").text
        except httpx.TransportError:
            return {}
        return {name: float(value) for name, value in re.findall(r"^(\w+) (\S+)$", text, re.M)}

    first = wait_until(told, 20)
    assert first and first["predicthealth_audit_findings"] == len(list(findings(fleet.database_url)))
    moment = "predicthealth_audit_verified_timestamp_seconds"
    assert wait_until(lambda: told()[moment] > first[moment], 20)
