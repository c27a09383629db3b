"""Deleted doctors come back whole, their login included."""

from uuid import uuid4

from psycopg2.extras import RealDictCursor

from tests.support import PASSWORD, Api, User, assert_problem, doctor_body


def path(doctor_id: str) -> str:
    return f"/api/v1/doctors/{doctor_id}"


def test_a_restored_doctor_is_the_whole_again_and_logs_in(api: Api, institution: User) -> None:
    doctor = api.new_doctor(institution, contact_phone="55 1234 5678")
    before = api.admin.doctors.get(path(doctor.id)).json()
    assert api.admin.doctors.delete(path(doctor.id)).status_code == 204
    # Until then its e-mail and licence stay taken.
    same_email = doctor_body(institution.id, contact_email={"email_address": doctor.email})
    assert_problem(api.admin.doctors.post("/api/v1/doctors", json=same_email), 409, "email_taken")
    same_licence = doctor_body(institution.id, medical_license=before["medical_license"])
    assert_problem(api.admin.doctors.post("/api/v1/doctors", json=same_licence), 409, "license_taken")

    answer = api.admin.doctors.post(path(doctor.id) + "/restore")
    assert answer.status_code == 200 and answer.json() | {"updated_at": None} == before | {"updated_at": None}
    assert institution.doctors.get(path(doctor.id)).json() == answer.json()
    assert api.log_in("doctors", doctor.email).id == doctor.id


def test_one_who_was_suspended_comes_back_suspended(api: Api, institution: User, owner: RealDictCursor) -> None:
    doctor = api.new_doctor(institution)
    owner.execute("UPDATE doctors SET professional_status = 'suspended' WHERE id = %s", (doctor.id,))
    api.admin.doctors.delete(path(doctor.id))
    assert api.admin.doctors.post(path(doctor.id) + "/restore").json()["professional_status"] == "suspended"
    credentials = {"email": doctor.email, "password": PASSWORD}
    refused = api.anonymous.doctors.post("/auth/login", json=credentials)
    assert_problem(refused, 403, "account_unavailable")


def test_a_doctor_returns_after_its_institution(api: Api) -> None:
    institution = api.new_institution()
    doctor = api.new_doctor(institution)
    assert api.admin.doctors.delete(path(doctor.id)).status_code == 204
    assert api.admin.institutions.delete(f"/api/v1/institutions/{institution.id}").status_code == 204
    assert_problem(api.admin.doctors.post(path(doctor.id) + "/restore"), 409, "institution_deleted")
    assert_problem(api.admin.doctors.get(path(doctor.id)), 404, "doctor_not_found")
    assert api.admin.institutions.post(f"/api/v1/institutions/{institution.id}/restore").status_code == 200
    assert api.admin.doctors.post(path(doctor.id) + "/restore").status_code == 200


def test_one_who_is_not_deleted_is_answered_as_it_is(api: Api, doctor: User) -> None:
    before = api.admin.doctors.get(path(doctor.id)).json()
    answer = api.admin.doctors.post(path(doctor.id) + "/restore")
    assert (answer.status_code, answer.json()) == (200, before)


def test_an_unknown_one_is_not_found(api: Api) -> None:
    assert_problem(api.admin.doctors.post(path(str(uuid4())) + "/restore"), 404, "doctor_not_found")


def test_nobody_else_restores(api: Api, doctor: User, institution: User) -> None:
    for user in (institution, doctor, api.new_patient(doctor)):
        assert_problem(user.doctors.post(path(doctor.id) + "/restore"), 403, "forbidden")


def test_a_restoration_is_in_the_audit_trail(api: Api, institution: User, owner: RealDictCursor) -> None:
    doctor = api.new_doctor(institution)
    api.admin.doctors.delete(path(doctor.id))
    api.admin.doctors.post(path(doctor.id) + "/restore")
    owner.execute(
        "SELECT actor_id FROM audit_events WHERE action = 'restore' AND detail ->> 'doctor_id' = %s", (doctor.id,)
    )
    assert [str(row["actor_id"]) for row in owner.fetchall()] == [api.admin.id]
