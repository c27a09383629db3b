"""What Prometheus reads, from the running fleet and from services in this process."""

import asyncio
import importlib
import re

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from dev import ROOT
from dev.fleet import Fleet
from dev.settings import free_port
from shared.metrics import CONTENT_TYPE
from shared.postgres import Database

from ..support import Api, assert_problem
from .support import client, serving

SERVICES = ("auth", "doctors", "institutions", "patients")
PROMETHEUS_ACCEPTS = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    """Every sample by its name and labels."""
    families = text_string_to_metric_families(text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def value(found: Samples, name: str, **labels: str) -> float:
    return found.get((f"predicthealth_{name}", frozenset(labels.items())), 0.0)


async def scrape(app: httpx.AsyncClient) -> Samples:
    return samples((await app.get("/metrics")).text)


@pytest.mark.parametrize("service", SERVICES)
def test_prometheus_reads_it_without_a_token(service: str, api: Api) -> None:
    answer = getattr(api.anonymous, service).get("/metrics", headers={"Accept": PROMETHEUS_ACCEPTS})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == CONTENT_TYPE == "text/plain; version=0.0.4; charset=utf-8"
    found = samples(answer.text)
    names = {name for name, _ in found}
    for name in ("in_use", "idle", "waiting"):
        assert f"predicthealth_database_pool_connections_{name}" in names
    assert {"predicthealth_redis_errors_total", "process_resident_memory_bytes"} <= names
    assert value(found, "http_requests_in_progress") >= 1
    module = importlib.import_module(f"{service}_app.main")
    assert value(found, "build_info", service=module.SERVICE, version=module.app.version) == 1
    assert ("predicthealth_password_hash_queue_length" in names) == (service == "auth")
    said = re.findall(r"`(\w+)`", (ROOT / "docs" / "observability.md").read_text(encoding="utf-8"))
    explained = tuple(term for term in said if term.startswith(("_", "predicthealth_")))
    exposed = re.findall(r"^# TYPE (predicthealth_\w+)", answer.text, re.MULTILINE)
    assert [name for name in exposed if not name.endswith(explained)] == []
    for accept in ("application/json", "text/html"):
        refused = getattr(api.anonymous, service).get("/metrics", headers={"Accept": accept})
        assert_problem(refused, 406, "not_acceptable")


@pytest.mark.anyio
async def test_requests_count_by_template_and_a_client_adds_no_series(fleet: Fleet, api: Api) -> None:
    patient = api.new_patient(institution=api.new_institution())
    async with serving(fleet, "patients") as app, client(app, "10.1.1.1", patient.token) as caller:
        before = await scrape(caller)
        for _ in range(3):
            assert (await caller.get(f"/api/v1/patients/{patient.id}/profile")).status_code == 200
        for number in range(50):
            assert (await caller.get(f"/x{number}?name={number}")).status_code == 404
            assert (await caller.request(f"VERB{number}", f"/api/v1/patients/{number}")).status_code == 405
        found = await scrape(caller)
    route = "/api/v1/patients/{patient_id}/profile"
    assert value(found, "http_requests_total", method="GET", route=route, status="200") == 3
    assert value(found, "http_request_duration_seconds_count", method="GET", route=route) == 3
    assert value(found, "http_request_duration_seconds_bucket", method="GET", route=route, le="+Inf") == 3
    assert value(found, "http_requests_total", method="GET", route="unmatched", status="404") == 50
    assert value(found, "http_requests_in_progress") == 1
    counted = {labels for name, labels in found.keys() - before.keys() if name == "predicthealth_http_requests_total"}
    assert len(counted) == 4, counted  # the two above, one for all the invented verbs, and /metrics itself
    assert sum(dict(labels)["method"] == "_OTHER" for labels in counted) == 1
    assert not [labels for _, labels in found if any(patient.id in text for _, text in labels)]


@pytest.mark.anyio
async def test_logins_count_by_outcome(fleet: Fleet, api: Api) -> None:
    doctor = api.new_doctor(api.new_institution())
    async with serving(fleet, "auth", password_hash_queue=1) as app, client(app, "10.1.1.2") as caller:
        assert value(await scrape(caller), "auth_logins_total", outcome="too_many_attempts") == 0
        right, wrong = ({"email": doctor.email, "password": p} for p in (doctor.password, "wrong"))
        await caller.post("/auth/login", json=right)
        await caller.post("/auth/token", data={"username": doctor.email, "password": doctor.password})
        for _ in range(6):
            await caller.post("/auth/login", json=wrong)
        await caller.post("/auth/login", json={"email": 1})
        found = await scrape(caller)
        counts = {
            dict(labels)["outcome"]: count
            for (name, labels), count in found.items()
            if name == "predicthealth_auth_logins_total" and count
        }
        assert counts == {"success": 2, "invalid_credentials": 5, "too_many_attempts": 1}
        hasher = app.state.resources.hasher
        flood = [hasher.matches("x", None) for _ in range(hasher._capacity)]
        waiting = asyncio.gather(*flood)
        await asyncio.sleep(0)
        assert value(samples(app.state.metrics.render().decode()), "password_hash_queue_length") == 1
        await waiting


@pytest.mark.anyio
async def test_redis_errors_count_where_they_happen(fleet: Fleet) -> None:
    away = f"redis://127.0.0.1:{free_port()}/0"
    async with serving(fleet, "doctors", redis_url=away) as app, client(app, "10.1.1.3") as caller:
        for _ in range(2):
            assert (await caller.get("/health")).status_code == 503
        found = await scrape(caller)
    assert value(found, "redis_errors_total") == 2
    async with serving(fleet, "doctors") as app, client(app, "10.1.1.3") as caller:
        assert value(await scrape(caller), "redis_errors_total") == 0


@pytest.mark.anyio
async def test_the_pool_says_who_uses_it_and_who_waits(database: Database) -> None:
    def use() -> list[float]:
        return [metric.samples[0].value for metric in database.measure()]

    assert use() == [0, 0, 0]
    size = 6
    asleep = [asyncio.ensure_future(database.fetch_one("SELECT pg_sleep(0.2)")) for _ in range(size + 3)]
    await asyncio.sleep(0.1)
    assert use() == [size, 0, 3]
    await asyncio.gather(*asleep)
    assert use() == [0, size, 0]
    with pytest.raises(ZeroDivisionError):
        async with database.transaction():
            _ = 1 / 0
    assert use() == [0, size, 0]
