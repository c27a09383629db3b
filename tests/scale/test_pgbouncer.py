"""The fleet through PgBouncer in transaction mode: it relies on nothing that a session remembers."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg2
import pytest
from psycopg2.extras import RealDictCursor

from database.roles import SERVICES, SETTINGS, service_url
from dev.fleet import Fleet

from ..e2e.test_main_jobs import test_a_clinic_is_set_up_and_its_people_do_their_work as do_the_main_jobs
from ..support import Api, User, patient_body
from .servers import POOL_SIZE, PgBouncer, ask

CLIENTS, TASKS = 12, 48


def test_the_main_jobs_are_done(api: Api, owner: RealDictCursor) -> None:
    do_the_main_jobs(api, owner)


@pytest.mark.parametrize("service", SERVICES)
def test_the_limits_of_statements_hold(
    fleet: Fleet, pgbouncer: PgBouncer, passwords: dict[str, str], service: str
) -> None:
    url = service_url(pgbouncer.url, service, passwords[service])
    # As the services connect: they ask for their own limits, which PgBouncer doesn't pass on.
    shown = {name: ask(f"{url}?options=-c%20statement_timeout%3D0", f"SHOW {name}")[0] for name in SETTINGS}
    assert {name: row.get(name) or row.get("TimeZone") for name, row in shown.items()} == SETTINGS
    if service == "patients":
        with pytest.raises(psycopg2.errors.QueryCanceled):
            ask(url, "SELECT pg_sleep(4)")


def test_many_clients_share_few_connections_and_disturb_nobody(api: Api, fleet: Fleet) -> None:
    institution = api.new_institution()
    patients = [api.new_patient(institution=institution) for _ in range(4)]

    def work(number: int) -> set[int]:
        patient = patients[number % len(patients)]
        path = f"/api/v1/patients/{patient.id}"
        body = {"observations": [{"code": "8867-4", "value": number, "unit": "/min"}] * 5}
        answers = [patient.patients.post(f"{path}/observations", json=body), patient.patients.get(f"{path}/dashboard")]
        answers.append(institution.patients.post("/api/v1/patients", json=new_patient(institution)))
        answers.append(institution.patients.post("/api/v1/patients", json={**new_patient(institution), "sex_id": 999}))
        for answer in answers[:2]:
            assert patient.id in str(answer.request.url)
        return {answer.status_code for answer in answers}

    with ThreadPoolExecutor(CLIENTS) as threads:
        statuses = list(threads.map(work, range(TASKS)))
    # A refused creation (422) leaves no transaction open for whoever gets its connection next.
    assert all(found == {200, 201, 422} for found in statuses), statuses
    for number, patient in enumerate(patients):
        listed = patient.patients.get(f"/api/v1/patients/{patient.id}/observations", params={"limit": 200}).json()
        values = [item["value"] for item in listed["items"]]
        expected = [n for n in range(TASKS) if n % len(patients) == number] * 5
        assert sorted(values) == sorted(expected)
    in_use = ask(fleet.database_url, "SELECT count(*) AS n FROM pg_stat_activity WHERE usename LIKE '%\\_patients'")
    assert in_use[0]["n"] <= POOL_SIZE


def test_after_a_restart_of_pgbouncer_the_first_request_succeeds(api: Api, pgbouncer: PgBouncer) -> None:
    institution: User = api.new_institution()
    pgbouncer.kill()
    refused = institution.patients.get("/api/v1/patients")
    assert refused.status_code == 503
    pgbouncer.start()
    assert institution.patients.get("/api/v1/patients").status_code == 200
    created: httpx.Response = institution.patients.post("/api/v1/patients", json=new_patient(institution))
    assert created.status_code == 201


def new_patient(institution: User) -> dict[str, object]:
    """A body that creates a patient of an institution."""
    return patient_body(institution_id=institution.id)
