"""Prometheus in its container: it finds every replica by the names of the network, and notices who is gone.

Grafana is not started: its image can't be had everywhere. What its dashboard asks is tried in tests/ops.
"""

from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from dev.processes import wait_until

from ..ops.test_monitoring import query
from .containers import SERVICES, Gateway

SCRAPES_SECONDS = 60  # a few of the 15 s between two


@pytest.fixture(scope="module")
def prometheus(gateway: Gateway) -> Iterator[httpx.Client]:
    """A client of the profile's Prometheus, as the runbook starts it, but for Grafana."""
    gateway("up", "--detach", "--wait", "prometheus", "audit-watch")
    with httpx.Client(base_url=f"{gateway.prometheus_url}/api/v1", timeout=20) as client:
        yield client


def up(prometheus: httpx.Client) -> Counter[str]:
    """How many targets of each job answer."""
    return Counter(series["metric"]["job"] for series in query(prometheus, "up == 1"))


def test_every_replica_is_a_target_of_its_own(prometheus: httpx.Client) -> None:
    expected = Counter({"auth": 1, "doctors": 2, "institutions": 1, "patients": 1, "gateway": 1, "audit": 1})
    assert wait_until(lambda: up(prometheus) == expected, SCRAPES_SECONDS), up(prometheus)


def test_the_audit_trail_was_verified(prometheus: httpx.Client) -> None:
    assert wait_until(lambda: query(prometheus, "predicthealth_audit_verified_timestamp_seconds > 0"), SCRAPES_SECONDS)
    assert query(prometheus, "predicthealth_audit_findings")[0]["value"][1] == "0"


def test_a_service_that_is_gone_is_about_to_ring_until_it_is_back(gateway: Gateway, prometheus: httpx.Client) -> None:
    rings = 'ALERTS{alertname="ServiceDown", job="institutions"}'
    gateway("stop", SERVICES["institutions"])
    assert wait_until(lambda: query(prometheus, rings), SCRAPES_SECONDS)
    gateway("up", "--detach", "--wait", SERVICES["institutions"])
    assert wait_until(lambda: not query(prometheus, rings), SCRAPES_SECONDS)
    assert up(prometheus)["institutions"] == 1
