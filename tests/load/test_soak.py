"""Twenty thousand requests: nothing acknowledged is lost, and no service grows. `./fleet test -m soak`."""

import itertools
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dev.fleet import Fleet
from tests.faults.support import Clinic, Writes, ask
from tests.support import PASSWORD, Api

REQUESTS = int(os.environ.get("SOAK_REQUESTS", "20000"))
CLIENTS = 8


def megabytes(pid: int | None) -> float:
    """The resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1_024


@pytest.mark.soak
def test_twenty_thousand_requests_lose_nothing_and_no_service_grows(fleet: Fleet, api: Api) -> None:
    clinic, writes, statuses = Clinic.opened(api), Writes(), Counter[int]()
    reads = list(clinic.reads().values())
    credentials = {"email": clinic.institution.email, "password": PASSWORD}

    def one(number: int) -> int:
        if number % 50 == 0:
            return ask(clinic.create_patient).status
        if number % 50 == 1:
            return ask(lambda: api.anonymous.institutions.post("/auth/login", json=credentials)).status
        if number % 50 == 2:
            return ask(lambda: clinic.doctor.patients.post("/api/v1/patients", json={"first_name": 1})).status
        if number % 5 == 3:
            return clinic.observe(clinic.patients[number % 4], writes).status
        return ask(reads[number % len(reads)]).status

    def run(requests: int) -> None:
        with ThreadPoolExecutor(CLIENTS) as threads:
            statuses.update(threads.map(one, itertools.islice(numbers, requests)))

    numbers = itertools.count()
    run(REQUESTS // 5)  # caches fill, connections open, the allocator finds its size
    before = {name: megabytes(service.pid) for name, service in fleet.services.items()}
    run(REQUESTS - REQUESTS // 5)
    after = {name: megabytes(service.pid) for name, service in fleet.services.items()}
    print(dict(statuses), {name: f"{before[name]:.0f} -> {after[name]:.0f} MiB" for name in before})
    assert set(statuses) == {200, 201, 422}
    clinic.recount(fleet.database_url, writes)
    created = clinic.api.admin.patients.get("/api/v1/patients", params={"doctor_id": clinic.doctor.id, "limit": 1})
    assert created.status_code == 200
    for name in before:
        assert after[name] < before[name] * 1.2, name
