"""The auth service stopped or frozen, a service killed in the middle of creations: who does not need it goes on."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial

import httpx
import pytest

from dev.fleet import Fleet
from dev.processes import Member
from tests.faults.support import SERVICES, Clinic, Writes, ask, frozen, health, query, stopped, until
from tests.support import PASSWORD, Api, assert_problem, unique


@pytest.mark.parametrize("away", [stopped, frozen])
def test_without_the_auth_service_reads_and_records_go_on(
    away: Callable[[Member], AbstractContextManager[None]], fleet: Fleet, api: Api, clinic: Clinic
) -> None:
    with away(fleet.services["auth"]):
        credentials = {"email": clinic.doctor.email, "password": PASSWORD}
        needing: list[Callable[[], httpx.Response]] = [
            clinic.create_patient,
            clinic.create_doctor,
            lambda: api.anonymous.doctors.post("/auth/login", json=credentials),
        ]
        with ThreadPoolExecutor(12) as threads:
            for said in threads.map(ask, needing * 4):
                assert_problem(said.answer, 503, "auth_unavailable")
        for name in ("doctors", "institutions", "patients", "record"):
            assert ask(clinic.reads()[name]).status == 200, name
        assert clinic.observe(clinic.patients[0], Writes()).status == 201
        for service in SERVICES[1:]:
            assert health(api, service)["status"] == "healthy"
    clinic.assert_all_works()
    assert ask(lambda: api.anonymous.doctors.post("/auth/login", json=credentials)).status == 200


@pytest.mark.parametrize("service", ["patients", "auth"])
def test_killed_in_the_middle_of_creations_nothing_is_half_there(service: str, fleet: Fleet, clinic: Clinic) -> None:
    """Whoever got a 201 is there with profile, contacts and login; of the others there is all or nothing to be seen."""
    created: list[str] = []
    tried: list[str] = []
    statuses: set[int] = set()
    stop = threading.Event()

    def create_until_stopped() -> None:
        while not stop.is_set():
            email = f"{unique('creado')}@example.com"
            tried.append(email)
            try:
                said = ask(partial(clinic.create_patient, email))
            except httpx.TransportError:
                stop.wait(0.05)  # it is not there at the moment
                continue
            statuses.add(said.status)
            if said.status == 201:
                created.append(email)

    threads = [threading.Thread(target=create_until_stopped) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            done = len(created)
            until(lambda done=done: len(created) > done + 4)  # type: ignore[misc]
            fleet.services[service].kill()
            fleet.services[service].start()
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert statuses <= {201, 503}
    rows = query(
        fleet.database_url,
        """
        SELECT e.email_address, u.owner_status,
               (SELECT count(*) FROM phones WHERE entity_id = p.id),
               (SELECT count(*) FROM health_profiles WHERE patient_id = p.id)
        FROM emails e JOIN patients p ON p.id = e.entity_id LEFT JOIN users u ON u.id = p.id
        WHERE e.email_address = ANY (%(tried)s)
        """,
        {"tried": tried},
    )
    assert set(created) <= {row[0] for row in rows}, "an acknowledged creation is lost"
    assert {row[1:] for row in rows} == {("active", 1, 1)}, "a creation is half there"
    orphans = query(
        fleet.database_url,
        "SELECT email FROM users WHERE email = ANY (%(tried)s) AND owner_status <> 'missing' AND NOT EXISTS "
        "(SELECT FROM patients WHERE patients.id = users.id)",
        {"tried": tried},
    )
    assert not orphans, "an account shows without its patient"
    clinic.assert_all_works()
