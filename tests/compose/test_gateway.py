"""The gateway in its container, as the only way in: what the demo prints works through it, and replicas come and go."""

import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from dev import ROOT
from dev.processes import wait_until

from .containers import SERVICES, Gateway, run
from .test_containers import LOGIN, RECOVERY_SECONDS, kill, started


@pytest.fixture
def client(gateway: Gateway) -> Iterator[httpx.Client]:
    """Whoever comes to the gateway."""
    with httpx.Client(base_url=gateway.url, timeout=20) as client:
        yield client


def test_the_lines_that_the_demo_prints_work_through_the_one_port(gateway: Gateway) -> None:
    lines = re.findall(r"^TOKEN=.*?--no-ensure-ascii$", gateway.demo, re.MULTILINE | re.DOTALL)
    assert len(lines) == 3, gateway.demo
    for pasted in lines:
        assert re.findall(r"http://[^/]+", pasted) == [gateway.url] * 2
        assert json.loads(gateway.shell(pasted))


def test_there_is_no_other_way_in(gateway: Gateway) -> None:
    for service in SERVICES.values():
        for each in gateway("ps", "-q", service).split():
            assert not json.loads(run("docker", "inspect", each))[0]["HostConfig"]["PortBindings"]


def test_both_replicas_serve(gateway: Gateway, client: httpx.Client) -> None:
    def serving() -> int:
        assert client.get("/api/v1/specialties").status_code == 401
        return len(set(re.findall(r'"to":"doctors".*"upstream":"([^"]+)"', gateway("logs", "gateway"))))

    assert wait_until(lambda: serving() == 2, 20)


def test_a_killed_gateway_comes_back(gateway: Gateway, client: httpx.Client) -> None:
    before = started(gateway, "gateway")
    kill(gateway, "gateway")
    assert wait_until(lambda: started(gateway, "gateway") != before and answers(client), RECOVERY_SECONDS)


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health/live").status_code == 200
    except httpx.TransportError:
        return False


def test_replacing_every_container_as_the_runbook_says_loses_no_request(gateway: Gateway) -> None:
    """Reads and logins of the demo's people; each is asked once, and nobody asks again."""
    runbook = (ROOT / "docs" / "operations.md").read_text("utf-8")
    loop = re.search(r"^ +(for service in .*?done)$", runbook, re.MULTILINE | re.DOTALL)
    assert loop
    before = {service: set(gateway("ps", "-q", service).split()) for service in SERVICES.values()}
    stop = threading.Event()
    statuses: list[int] = []

    def work(credentials: str, page: str, logs_in: bool) -> None:
        account = json.loads(credentials)
        with httpx.Client(base_url=gateway.url, timeout=40) as client:
            token = client.post("/auth/login", json=account).json()["access_token"]
            client.headers["Authorization"] = f"Bearer {token}"
            while not stop.wait(0.15):  # less than a client's and an address's rate
                answer = client.post("/auth/login", json=account) if logs_in else client.get(page)
                statuses.append(answer.status_code)

    pages = [(credentials, httpx.URL(page).raw_path.decode()) for _, credentials, page in LOGIN.findall(gateway.demo)]
    with ThreadPoolExecutor(3) as threads:
        working = [
            threads.submit(work, *each, logs_in) for each, logs_in in zip(pages, (False, False, True), strict=True)
        ]
        try:
            gateway.shell(loop[1])
        finally:
            stop.set()
    for each in working:
        each.result()
    for service, old in before.items():
        now = set(gateway("ps", "-q", service).split())
        assert len(now) == len(old) and not now & old
    assert len(statuses) > 100 and set(statuses) == {200}, {status: statuses.count(status) for status in set(statuses)}
