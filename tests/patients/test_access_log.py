"""The access log: who saw or changed a patient's data, for the patient itself and admins."""

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from patients_app import access_log_db
from psycopg2.extras import RealDictCursor

from shared import audit
from shared.caller import Caller
from tests.patients.conftest import Care
from tests.support import Api, answer_of, assert_problem

FIELDS = {"actor_type", "actor_id", "actor_name", "action", "resource", "occurred_at", "request_id"}


def _log(care: Care, **parameters: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer_of(care.patient.patients.get(f"{care.path}/access-log", params=parameters))[
        "items"
    ]
    return found


def _deeds(items: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(item["actor_type"], item["action"], item["resource"]) for item in items]


@pytest.fixture
def own(api: Api, care: Care) -> Care:
    """A patient of this test alone."""
    return Care(care.institution, care.doctor, api.new_patient(care.doctor, care.institution))


def test_a_patient_reads_who_saw_and_changed_its_data_newest_first(api: Api, own: Care) -> None:
    before = datetime.now(UTC)
    answer_of(own.doctor.patients.get(f"{own.path}/medical-record", headers={"X-Request-ID": "the-look"}))
    answer_of(own.doctor.doctors.get(f"/api/v1/doctors/me/patients/{own.patient.id}/medical-record"))
    answer_of(own.institution.patients.get(own.path))
    answer_of(own.doctor.patients.post(f"{own.path}/conditions", json={"name": "Asma"}), 201)
    answer_of(api.admin.patients.put(own.path, json={"first_name": "Luz"}))
    items = _log(own)
    assert all(set(item) == FIELDS for item in items)
    assert _deeds(items) == [
        ("admin", "update", "patient"),
        ("doctor", "create", "condition"),
        ("institution", "read", "patient"),
        ("doctor", "read", "medical_record"),
        ("doctor", "read", "medical_record"),
        ("patient", "login", "account"),
        ("admin", "create", "patient"),
        ("service", "account_create", "account"),
    ]
    assert {item["actor_id"] for item in items[:3]} == {api.admin.id, own.doctor.id, own.institution.id}
    assert items[4]["request_id"] == "the-look"
    assert (items[-1]["actor_id"], items[-1]["actor_name"]) == (None, "Sistema PredictHealth")
    moments = [datetime.fromisoformat(item["occurred_at"]) for item in items]
    assert moments == sorted(moments, reverse=True) and moments[4] >= before > moments[5]
    # This look, too, is one.
    assert _deeds(_log(own))[0] == ("patient", "read", "access_log")


def test_attempts_that_failed_are_no_accesses(api: Api, own: Care) -> None:
    answer_of(own.patient.patients.get(own.path))
    before = _deeds(_log(own))
    credentials = {"email": own.patient.email, "password": "not the password"}
    assert_problem(api.anonymous.patients.post("/auth/login", json=credentials), 401, "invalid_credentials")
    assert_problem(own.patient.patients.delete(own.path), 403, "forbidden")
    assert _deeds(_log(own)) == [("patient", "read", "access_log"), *before]


@pytest.mark.parametrize(
    ("language", "admin"), [("es", "Administración de PredictHealth"), ("en", "PredictHealth administration")]
)
def test_people_and_places_have_their_names_and_admins_a_label(api: Api, own: Care, language: str, admin: str) -> None:
    for user in (api.admin, own.institution, own.doctor, own.patient):
        answer_of(user.patients.get(own.path))
    answer = own.patient.patients.get(f"{own.path}/access-log", headers={"Accept-Language": language})
    names = [item["actor_name"] for item in answer_of(answer)["items"]][:4]
    patient = answer_of(own.patient.patients.get(own.path))
    doctor = answer_of(api.admin.doctors.get(f"/api/v1/doctors/{own.doctor.id}"))
    institution = answer_of(api.admin.institutions.get(f"/api/v1/institutions/{own.institution.id}"))
    people = [f"{one['first_name']} {one['last_name']}" for one in (patient, doctor)]
    assert names == [*people, institution["name"], admin]


def test_the_log_is_read_by_the_patient_itself_and_admins_alone(api: Api, care: Care, others: Care) -> None:
    path = f"{care.path}/access-log"
    assert answer_of(api.admin.patients.get(path))["items"]
    assert_problem(api.anonymous.patients.get(path), 401, "unauthenticated")
    for user in (care.doctor, care.institution, others.doctor, others.institution):
        assert_problem(user.patients.get(path), 403, "forbidden")
    assert_problem(others.patient.patients.get(path), 404, "patient_not_found")
    assert_problem(api.admin.patients.get(f"/api/v1/patients/{uuid4()}/access-log"), 404, "patient_not_found")


def test_a_list_of_patients_is_a_look_at_each_that_it_showed(own: Care) -> None:
    answer_of(own.doctor.patients.get("/api/v1/patients", params={"limit": 1}))
    assert _deeds(_log(own))[0] == ("doctor", "read", "patient_list")
    before = len(_log(own))
    answer_of(own.doctor.patients.get("/api/v1/patients", params={"q": "nobody of this name"}))
    assert len(_log(own)) == before + 1


def test_the_log_is_walked_page_by_page_while_it_grows(own: Care) -> None:
    for number in range(6):
        answer_of(own.doctor.patients.get(own.path, headers={"X-Request-ID": f"look-{number}"}))
    path, cursor, seen = f"{own.path}/access-log", None, []
    for _ in range(10):
        page = answer_of(own.patient.patients.get(path, params={"limit": 2} | ({"cursor": cursor} if cursor else {})))
        assert len(page["items"]) <= 2
        seen += page["items"]
        if (cursor := page["next_cursor"]) is None:
            break
    assert cursor is None
    # What each page added is newer than where the walk began: it does not come up in it.
    assert _deeds(seen) == [("doctor", "read", "patient")] * 6 + [
        ("patient", "login", "account"),
        ("admin", "create", "patient"),
        ("service", "account_create", "account"),
    ]
    assert [item["request_id"] for item in seen[:6]] == [f"look-{number}" for number in (5, 4, 3, 2, 1, 0)]


def test_a_cursor_is_one_patients_and_cannot_be_made_up(api: Api, own: Care, care: Care) -> None:
    cursor = answer_of(api.admin.patients.get(f"{own.path}/access-log", params={"limit": 1}))["next_cursor"]
    for path, given in ((care.path, cursor), (own.path, cursor[:-4] + "AAA="), (own.path, "x")):
        answer = api.admin.patients.get(f"{path}/access-log", params={"limit": 1, "cursor": given})
        assert_problem(answer, 400, "invalid_cursor")
    assert_problem(api.admin.patients.get(f"{own.path}/access-log", params={"limit": 0}), 422, "validation_failed")
    assert_problem(api.admin.patients.get(f"{own.path}/access-log", params={"limt": 1}), 422, "validation_failed")


def test_a_patient_whom_no_event_concerns_has_an_empty_log(own: Care, owner: RealDictCursor) -> None:
    owner.execute("BEGIN; SET LOCAL session_replication_role = replica")
    owner.execute("DELETE FROM audit_event_patients WHERE patient_id = %s; COMMIT", (own.patient.id,))
    assert _log(own) == []
    assert _deeds(_log(own)) == [("patient", "read", "access_log")]


def test_the_log_of_a_deleted_patient_is_not_there(api: Api, own: Care) -> None:
    assert api.admin.patients.delete(own.path).status_code == 204
    assert_problem(api.admin.patients.get(f"{own.path}/access-log"), 404, "patient_not_found")


def test_every_event_of_a_patient_is_in_its_log_and_no_other(own: Care, owner: RealDictCursor) -> None:
    _log(own)
    owner.execute("SELECT id, occurred_at, patient_ids::text[] AS patients FROM audit_events WHERE outcome = 'success'")
    expected = {(patient, row["occurred_at"], row["id"]) for row in owner.fetchall() for patient in row["patients"]}
    owner.execute("SELECT patient_id::text, occurred_at, event_id FROM audit_event_patients")
    found = {tuple(row.values()) for row in owner.fetchall()}
    # (The test above took one patient's away.)
    assert found <= expected and {row for row in expected if row[0] == own.patient.id} <= found


def test_a_page_deep_in_a_long_log_reads_no_more_than_the_first(own: Care, owner: RealDictCursor) -> None:
    patient_id = UUID(own.patient.id)
    owner.execute("BEGIN")
    # Without the triggers: the chain would take its time, and nothing of this is kept.
    owner.execute("SET LOCAL session_replication_role = replica")
    owner.execute(
        """
        WITH made AS (
            INSERT INTO audit_events (service, actor_type, action, resource, patient_ids, outcome, request_id)
            SELECT 's', 'doctor', 'read', 'patient', ARRAY[%s, gen_random_uuid()]::uuid[], 'success', 'r'
            FROM generate_series(1, 20000) RETURNING id, occurred_at, patient_ids)
        INSERT INTO audit_event_patients (patient_id, occurred_at, event_id)
        SELECT unnest(patient_ids), occurred_at, id FROM made
        """,
        (own.patient.id,),
    )
    owner.execute("ANALYZE audit_events, audit_event_patients")
    owner.execute(
        "SELECT occurred_at, event_id FROM audit_event_patients WHERE patient_id = %s "
        "ORDER BY occurred_at LIMIT 1 OFFSET 100",
        (own.patient.id,),
    )
    deep = owner.fetchone()
    event = audit.parameters("service-patients", Caller("patient", patient_id), "read", "access_log")
    caller = {"patient_id": patient_id, "caller_type": "patient", "caller_id": patient_id, "limit": 50}
    for place in ((None, None), (deep["occurred_at"].isoformat(), deep["event_id"])):
        parameters = {**caller, **event, "after_occurred_at": place[0], "after_event_id": place[1]}
        owner.execute("EXPLAIN (ANALYZE, TIMING OFF) " + access_log_db.LIST_ACCESSES.given(parameters), parameters)
        plan = "\n".join(row["QUERY PLAN"] for row in owner.fetchall())
        assert re.search(r"Index (Only )?Scan Backward using pk_audit_event_patients", plan), plan
        # Of the trail; the names of the actors may come from a table that is small enough to be read whole.
        assert max(int(rows) for rows in re.findall(r"on audit_event.*actual rows=(\d+)", plan)) <= 51, plan
        assert not [int(rows) for rows in re.findall(r"Rows Removed by Filter: (\d+)", plan) if int(rows) > 1000], plan
    owner.execute("ROLLBACK")
