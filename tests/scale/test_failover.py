"""The primary goes, the standby takes over: nothing that was acknowledged is lost, whatever was read was recorded."""

import time
from collections.abc import Iterator

import pytest

from database.audit import findings
from dev.fleet import Fleet
from dev.processes import wait_until

from ..support import Api, User, assert_problem, institution_body
from .load import Load
from .servers import Cluster, ask, freeze, thaw

# From the promotion to the last 503. One that is gone shows at once; a frozen one only when a statement's time is up,
# first in the auth service, then in the one that has called it.
RECOVERY_SECONDS = {"killed": 3, "killed, its standby away before": 3, "stopped": 3, "frozen": 8, "awake again": 8}
LOAD_SECONDS = 2


@pytest.fixture(scope="module")
def patient(replicated_api: Api) -> User:
    """Somebody with a record."""
    return replicated_api.new_patient(institution=replicated_api.new_institution())


@pytest.fixture
def pair(cluster: Cluster) -> Iterator[Cluster]:
    """Both servers, and again both afterwards."""
    yield cluster
    cluster.rejoin()


def load_of(api: Api, patient: User) -> Load:
    """Small writes, large ones across two services, reads that are audited, reads that may come from the standby."""
    observation = {"code": "8867-4", "value": 60, "unit": "/min"}
    return Load(
        observations=lambda: patient.patients.post(f"/api/v1/patients/{patient.id}/observations", json=observation),
        institutions=lambda: api.admin.institutions.post("/api/v1/institutions", json=institution_body()),
        dashboards=lambda: patient.patients.get(f"/api/v1/patients/{patient.id}/dashboard"),
        lists=lambda: patient.institutions.get("/api/v1/institutions", params={"limit": 1}),
    )


def assert_nothing_lost(cluster: Cluster, load: Load) -> None:
    """Each acknowledged write, and the record of each answered read, is on the present primary."""
    stored = {
        "observations": {str(row["id"]) for row in ask(cluster.primary.url, "SELECT id FROM observations")},
        "institutions": {str(row["id"]) for row in ask(cluster.primary.url, "SELECT id FROM medical_institutions")},
    }
    for name, ids in stored.items():
        acknowledged = {str(answer.body["id"]) for answer in load.acknowledged(name)}
        assert acknowledged and acknowledged <= ids, f"{len(acknowledged - ids)} {name} lost"
    recorded = {row["request_id"] for row in ask(cluster.primary.url, "SELECT request_id FROM audit_events")}
    assert {answer.request_id for answer in load.acknowledged("dashboards")} <= recorded
    # Two servers have written the trail in turn, and its chains are whole.
    assert list(findings(cluster.primary.url)) == []


@pytest.mark.parametrize("end", ["killed", "killed, its standby away before", "frozen", "stopped"])
def test_a_promotion_under_load_loses_no_acknowledged_write(
    end: str, pair: Cluster, replicated_api: Api, patient: User, capsys: pytest.CaptureFixture[str]
) -> None:
    with load_of(replicated_api, patient) as load:
        time.sleep(LOAD_SECONDS)
        if end == "killed, its standby away before":
            # What the primary confirms now, it would confirm alone.
            pair.standby.kill()
            time.sleep(1)
            pair.primary.kill()
            pair.standby.start()
        elif end == "frozen":
            freeze(pair.primary)
        elif end == "stopped":
            pair.primary.stop()
        else:
            pair.primary.kill()
        time.sleep(1)
        pair.promote()
        promoted = time.monotonic()
        time.sleep(RECOVERY_SECONDS[end] + LOAD_SECONDS)
    said = load.check(started_after=promoted + RECOVERY_SECONDS[end])
    with capsys.disabled():
        print(f"\n{end}: {said}, the last 503 {load.last_refusal() - promoted:.1f} s after the promotion")
    assert_nothing_lost(pair, load)


def test_a_former_primary_that_wakes_up_confirms_nothing(pair: Cluster, replicated_api: Api, patient: User) -> None:
    freeze(pair.primary)
    pair.promote()
    thaw(pair.standby)
    with load_of(replicated_api, patient) as load:
        time.sleep(RECOVERY_SECONDS["awake again"] + 1)
    load.check(started_after=load.answers["lists"][0].started + RECOVERY_SECONDS["awake again"])
    assert_nothing_lost(pair, load)


def test_without_its_standby_the_primary_confirms_nothing(
    cluster: Cluster, replicated: Fleet, replicated_api: Api, patient: User
) -> None:
    freeze(cluster.standby)
    try:
        path = f"/api/v1/patients/{patient.id}/observations"
        body = {"code": "8867-4", "value": 61, "unit": "/min"}
        assert_problem(patient.patients.post(path, json=body), 503, "database_unavailable")
        # A read of health data is a write too: of its record.
        assert_problem(patient.patients.get(f"/api/v1/patients/{patient.id}"), 503, "database_unavailable")
        # Others go on.
        assert patient.institutions.get("/api/v1/institutions").status_code == 200
    finally:
        thaw(cluster.standby)
    assert wait_until(lambda: patient.patients.post(path, json=body).status_code == 201, 10)
