"""Deleted patients come back whole, their record and login included."""

from uuid import uuid4

from psycopg2.extras import RealDictCursor

from tests.patients.conftest import HEALTH_PROFILE, Care, add_record
from tests.support import PASSWORD, Api, assert_problem, patient_body


def path(patient_id: str) -> str:
    return f"/api/v1/patients/{patient_id}"


def test_a_restored_patient_is_the_whole_again_and_logs_in(api: Api, care: Care, owner: RealDictCursor) -> None:
    patient = api.new_patient(
        care.doctor, care.institution, health_profile=HEALTH_PROFILE, contact_phone="55 1234 5678"
    )
    add_record(owner, patient.id)
    parts = ("", "/medical-record", "/care-team", "/profile")
    before = [api.admin.patients.get(path(patient.id) + part).json() for part in parts]
    assert care.institution.patients.delete(path(patient.id)).status_code == 204
    # Until then its e-mail stays taken.
    body = patient_body(doctor_id=care.doctor.id, contact_email={"email_address": patient.email})
    assert_problem(api.admin.patients.post("/api/v1/patients", json=body), 409, "email_taken")
    credentials = {"email": patient.email, "password": PASSWORD}
    refused = api.anonymous.patients.post("/auth/login", json=credentials)
    assert_problem(refused, 401, "invalid_credentials")

    answer = api.admin.patients.post(path(patient.id) + "/restore")
    assert answer.status_code == 200, answer.text
    after = [care.doctor.patients.get(path(patient.id) + part).json() for part in parts]
    assert after[0] == answer.json() and after[1:] == before[1:]
    assert after[0] | {"updated_at": None} == before[0] | {"updated_at": None}
    assert api.log_in("patients", patient.email).id == patient.id
    assert_problem(patient.patients.get(path(patient.id)), 401, "unauthenticated")  # its sessions stay ended


def test_a_patient_returns_after_its_institution(api: Api) -> None:
    institution = api.new_institution()
    patient = api.new_patient(institution=institution)
    assert api.admin.patients.delete(path(patient.id)).status_code == 204
    assert api.admin.institutions.delete(f"/api/v1/institutions/{institution.id}").status_code == 204
    assert_problem(api.admin.patients.post(path(patient.id) + "/restore"), 409, "institution_deleted")
    assert_problem(api.admin.patients.get(path(patient.id)), 404, "patient_not_found")
    assert api.admin.institutions.post(f"/api/v1/institutions/{institution.id}/restore").status_code == 200
    assert api.admin.patients.post(path(patient.id) + "/restore").status_code == 200


def test_one_who_is_not_deleted_is_answered_as_it_is(api: Api, care: Care) -> None:
    before = api.admin.patients.get(path(care.patient.id)).json()
    answer = api.admin.patients.post(path(care.patient.id) + "/restore")
    assert (answer.status_code, answer.json()) == (200, before)


def test_an_unknown_one_is_not_found(api: Api) -> None:
    assert_problem(api.admin.patients.post(path(str(uuid4())) + "/restore"), 404, "patient_not_found")


def test_nobody_else_restores(care: Care) -> None:
    for user in (care.institution, care.doctor, care.patient):
        assert_problem(user.patients.post(path(care.patient.id) + "/restore"), 403, "forbidden")


def test_a_restoration_is_in_the_audit_trail(api: Api, care: Care, owner: RealDictCursor) -> None:
    patient = api.new_patient(care.doctor)
    api.admin.patients.delete(path(patient.id))
    for _ in range(2):
        api.admin.patients.post(path(patient.id) + "/restore")
    owner.execute(
        "SELECT actor_id, action FROM audit_events WHERE %s::uuid = ANY (patient_ids) ORDER BY id", (patient.id,)
    )
    events = [(str(row["actor_id"]), row["action"]) for row in owner.fetchall()]
    admin = api.admin.id
    assert events[-3:] == [(admin, "delete"), (admin, "restore"), (admin, "read")]
