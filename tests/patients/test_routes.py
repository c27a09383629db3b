"""Each route of the patients' service: who may call it, what it answers, what it refuses."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
from psycopg2.extras import RealDictCursor

from tests.patients.conftest import HEALTH_PROFILE, Care
from tests.support import NOBODY, PASSWORD, Api, User, answer_of, assert_problem, patient_body, unique

PATIENTS = "/api/v1/patients"
VIEWS = ["", "/dashboard", "/medical-record", "/care-team", "/profile"]
CATALOGUES = ["blood-types", "sexes", "genders", "medical-conditions", "medications", "allergies"]
PATIENT_FIELDS = {
    *("id", "doctor_id", "institution_id", "first_name", "last_name", "date_of_birth", "age", "sex_id", "gender_id"),
    *("emergency_contact_name", "emergency_contact_phone", "contact_email", "contact_phone", "is_active"),
    *("is_verified", "validation_status", "health_profile", "created_at", "updated_at"),
}
CLEARABLE = {"sex_id", "gender_id", "emergency_contact_name", "emergency_contact_phone", "contact_phone"}


def _fields(problem: dict[str, Any]) -> set[str]:
    return {error["field"] for error in problem["errors"]}


def _create(user: User, **fields: Any) -> httpx.Response:
    return user.patients.post(PATIENTS, json=patient_body(**fields))


def _age(born: date) -> int:
    today = datetime.now(UTC).date()
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


# Who may call.


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", f"{PATIENTS}/{NOBODY}{view}") for view in VIEWS),
        *(("GET", f"/api/v1/{name}") for name in CATALOGUES),
        ("GET", PATIENTS),
        ("POST", PATIENTS),
        ("PUT", f"{PATIENTS}/{NOBODY}"),
        ("DELETE", f"{PATIENTS}/{NOBODY}"),
    ],
)
def test_nobody_is_answered_without_a_token(api: Api, method: str, path: str) -> None:
    answer = api.anonymous.patients.request(method, path)
    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == 'Bearer realm="predicthealth"'


def test_a_patient_neither_lists_nor_creates_nor_deletes_patients(care: Care) -> None:
    own = care.patient.patients
    assert_problem(own.get(PATIENTS), 403, "forbidden")
    assert_problem(own.post(PATIENTS, json=patient_body()), 403, "forbidden")
    assert_problem(own.delete(care.path), 403, "forbidden")


def test_a_doctor_deletes_nobody(care: Care) -> None:
    assert_problem(care.doctor.patients.delete(care.path), 403, "forbidden")


@pytest.mark.parametrize("view", VIEWS)
def test_a_patient_is_seen_by_an_admin_itself_its_doctor_and_its_institution(api: Api, care: Care, view: str) -> None:
    answers = [
        answer_of(user.patients.get(care.path + view))
        for user in (api.admin, care.patient, care.doctor, care.institution)
    ]
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize("view", VIEWS)
def test_a_patient_is_not_there_for_anybody_else(api: Api, care: Care, others: Care, view: str) -> None:
    for user in (others.patient, others.doctor, others.institution):
        assert_problem(user.patients.get(care.path + view), 404, "patient_not_found")
    assert_problem(api.admin.patients.get(f"{PATIENTS}/{uuid4()}{view}"), 404, "patient_not_found")


@pytest.mark.parametrize("view", VIEWS)
def test_an_id_that_is_no_uuid_is_a_422(api: Api, view: str) -> None:
    assert _fields(assert_problem(api.admin.patients.get(f"{PATIENTS}/1{view}"), 422, "validation_failed")) == {
        "patient_id"
    }


def test_a_stranger_can_neither_change_nor_delete_a_patient(care: Care, others: Care) -> None:
    for user in (others.patient, others.doctor, others.institution):
        assert_problem(user.patients.put(care.path, json={"first_name": "X"}), 404, "patient_not_found")
    assert_problem(others.institution.patients.delete(care.path), 404, "patient_not_found")


# Login.


def test_a_patient_logs_in_here_and_nobody_else_does(api: Api, care: Care) -> None:
    user = api.log_in("patients", care.patient.email)
    assert (user.id, user.user_type) == (care.patient.id, "patient")
    for other in (care.doctor, care.institution, api.admin):
        credentials = {"email": other.email, "password": other.password}
        assert_problem(api.anonymous.patients.post("/auth/login", json=credentials), 403, "wrong_user_type")


def test_a_wrong_password_is_a_401(api: Api, care: Care) -> None:
    credentials = {"email": care.patient.email, "password": "not the password"}
    assert_problem(api.anonymous.patients.post("/auth/login", json=credentials), 401, "invalid_credentials")


# Creation.


def test_a_creation_answers_with_every_field_and_says_where_the_patient_is(api: Api, care: Care) -> None:
    body = patient_body(
        doctor_id=care.doctor.id,
        institution_id=care.institution.id,
        sex_id=1,
        gender_id=3,
        emergency_contact_name="Luz",
        emergency_contact_phone="55 1111 2222",
        contact_phone="55 3333 4444",
        health_profile=HEALTH_PROFILE,
    )
    answer = api.admin.patients.post(PATIENTS, json=body)
    patient = answer_of(answer, 201)
    assert set(patient) == PATIENT_FIELDS
    given = (PATIENT_FIELDS & set(body)) - {"health_profile", "contact_email"}
    assert {name: patient[name] for name in given} == {name: body[name] for name in given}
    assert patient["contact_email"] == body["contact_email"]["email_address"]
    assert patient["health_profile"] == HEALTH_PROFILE | {"blood_type": "O+"}
    assert patient["age"] == _age(date(1980, 5, 17))
    state = ("is_active", "is_verified", "validation_status")
    assert tuple(patient[name] for name in state) == (True, False, "pending")
    assert answer.headers["location"] == f"{PATIENTS}/{patient['id']}"
    assert answer_of(api.admin.patients.get(answer.headers["location"])) == patient


def test_a_creation_with_the_least_leaves_the_rest_unknown(care: Care) -> None:
    patient = answer_of(_create(care.doctor), 201)
    assert set(patient) == PATIENT_FIELDS and set(patient["health_profile"]) == {*HEALTH_PROFILE, "blood_type"}
    assert set(patient["health_profile"].values()) == {None}
    assert {patient[name] for name in CLEARABLE | {"institution_id"}} == {None}


def test_a_new_patient_logs_in_and_sees_its_dashboard(api: Api, care: Care) -> None:
    email = f"{unique('nueva')}@example.com"
    created = answer_of(_create(care.doctor, contact_email={"email_address": email}), 201)
    user = api.log_in("patients", email.upper())
    assert user.id == created["id"]
    assert answer_of(user.patients.get(f"{PATIENTS}/{user.id}/dashboard"))["patient"]["first_name"] == "José"


def test_text_is_trimmed_and_normalised(care: Care) -> None:
    patient = answer_of(_create(care.doctor, first_name="  Jose\u0301 \t"), 201)
    assert patient["first_name"] == "Jos\u00e9"


def test_a_doctor_creates_its_own_patients_only(care: Care, others: Care) -> None:
    assert answer_of(_create(care.doctor), 201)["doctor_id"] == care.doctor.id
    own = answer_of(_create(care.doctor, doctor_id=care.doctor.id, institution_id=care.institution.id), 201)
    assert own["institution_id"] == care.institution.id
    assert_problem(_create(care.doctor, doctor_id=others.doctor.id), 403, "forbidden")
    refused = _create(care.doctor, institution_id=others.institution.id)
    assert _fields(assert_problem(refused, 422, "doctor_not_in_institution")) == {"doctor_id"}


def test_an_institution_creates_patients_for_itself_only(care: Care, others: Care) -> None:
    assert answer_of(_create(care.institution), 201)["institution_id"] == care.institution.id
    with_doctor = answer_of(_create(care.institution, doctor_id=care.doctor.id), 201)
    assert (with_doctor["doctor_id"], with_doctor["institution_id"]) == (care.doctor.id, care.institution.id)
    assert_problem(_create(care.institution, institution_id=others.institution.id), 403, "forbidden")
    assert_problem(_create(care.institution, doctor_id=others.doctor.id), 422, "doctor_not_in_institution")


def test_a_patient_belongs_to_somebody_and_to_nobody_who_does_not_exist(api: Api, care: Care, others: Care) -> None:
    problem = assert_problem(_create(api.admin), 422, "association_required")
    assert _fields(problem) == {"doctor_id", "institution_id"}
    for field in ("doctor_id", "institution_id"):
        refused = _create(api.admin, **{field: str(uuid4())})
        assert _fields(assert_problem(refused, 422, "validation_failed")) == {field}
    refused = _create(api.admin, doctor_id=care.doctor.id, institution_id=others.institution.id)
    assert_problem(refused, 422, "doctor_not_in_institution")


def test_a_deleted_doctor_or_institution_gets_no_patients(api: Api) -> None:
    institution = api.new_institution()
    doctor = api.new_doctor(institution)
    assert api.admin.doctors.delete(f"/api/v1/doctors/{doctor.id}").status_code == 204
    assert _fields(assert_problem(_create(api.admin, doctor_id=doctor.id), 422, "validation_failed")) == {"doctor_id"}
    assert api.admin.institutions.delete(f"/api/v1/institutions/{institution.id}").status_code == 204
    refused = _create(api.admin, institution_id=institution.id)
    assert _fields(assert_problem(refused, 422, "validation_failed")) == {"institution_id"}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"date_of_birth": "9999-01-01"}, {"date_of_birth"}),
        ({"date_of_birth": "1890-01-01"}, {"date_of_birth"}),
        ({"date_of_birth": "1981-02-29"}, {"date_of_birth"}),
        ({"date_of_birth": 0}, {"date_of_birth"}),
        ({"emergency_contact_name": "Luz"}, {"emergency_contact_name", "emergency_contact_phone"}),
        ({"emergency_contact_phone": "55 1111 2222"}, {"emergency_contact_name", "emergency_contact_phone"}),
        ({"sex_id": 99}, {"sex_id"}),
        ({"gender_id": 99}, {"gender_id"}),
        ({"sex_id": 10**30}, {"sex_id"}),
        ({"doctor_id": "1"}, {"doctor_id"}),
        ({"first_name": " "}, {"first_name"}),
        ({"last_name": "a\x00b"}, {"last_name"}),
        ({"first_name": "x" * 101}, {"first_name"}),
        ({"contact_email": "a@example.com"}, {"contact_email"}),
        ({"contact_email": {"email_address": "nobody"}}, {"contact_email.email_address"}),
        ({"contact_phone": "call me"}, {"contact_phone"}),
        ({"password": "short"}, {"password"}),
        ({"health_profile": {"height_cm": 29.9}}, {"health_profile.height_cm"}),
        ({"health_profile": {"blood_type_id": 99}}, {"health_profile.blood_type_id"}),
        ({"health_profile": {"blood_type": "A+"}}, {"health_profile.blood_type"}),
        ({"health_profile": {"quit_date": "9999-01-01"}}, {"health_profile.quit_date"}),
        ({"health_profile": []}, {"health_profile"}),
        ({"validation_status": "full_access", "is_verified": True}, {"validation_status", "is_verified"}),
    ],
)
def test_an_invalid_creation_names_the_fields_and_creates_nothing(
    care: Care, owner: RealDictCursor, fields: dict[str, Any], named: set[str]
) -> None:
    owner.execute("SELECT id FROM patients ORDER BY id")
    before = owner.fetchall()
    answer = _create(care.doctor, **fields)
    assert answer.status_code == 422, answer.text
    assert _fields(assert_problem(answer, 422, answer.json()["code"])) == named
    owner.execute("SELECT id FROM patients ORDER BY id")
    assert owner.fetchall() == before


def test_a_problem_is_told_in_the_language_of_the_request(care: Care) -> None:
    body = patient_body(date_of_birth="9999-01-01")
    sentences = {
        language: assert_problem(
            care.doctor.patients.post(PATIENTS, json=body, headers={"Accept-Language": language}),
            422,
            "validation_failed",
        )["errors"][0]["message"]
        for language in ("es", "en")
    }
    assert sentences == {"es": "No puede estar en el futuro.", "en": "Cannot be in the future."}


def test_a_taken_email_is_a_409_and_leaves_nothing_behind(care: Care, owner: RealDictCursor) -> None:
    last_name = unique("Repetida")
    for email in (care.patient.email, care.doctor.email, care.patient.email.upper()):
        answer = _create(care.doctor, last_name=last_name, contact_email={"email_address": email})
        assert_problem(answer, 409, "email_taken")
    owner.execute("SELECT count(*) AS count FROM patients WHERE last_name = %s", (last_name,))
    assert owner.fetchone()["count"] == 0


def test_what_is_wrong_with_a_body_is_told_before_that_its_email_is_taken(api: Api, care: Care) -> None:
    taken = {"contact_email": {"email_address": care.patient.email}}
    incomplete = _create(care.doctor, emergency_contact_name="Luz", **taken)
    assert_problem(incomplete, 422, "validation_failed")
    assert_problem(_create(api.admin, **taken), 422, "association_required")


def test_an_email_can_be_used_after_a_creation_that_failed_late(api: Api, care: Care, owner: RealDictCursor) -> None:
    email = f"{unique('tarde')}@example.com"
    contact = {"email_address": email}
    # Refused by the database after the account, the patient's row and, with the blood type, the profile's turn.
    for fields in ({"sex_id": 99}, {"gender_id": 99}, {"health_profile": {"blood_type_id": 99}}):
        answer = _create(api.admin, **{"doctor_id": care.doctor.id, "contact_email": contact} | fields)
        assert_problem(answer, 422, "validation_failed")
        assert_problem(
            api.anonymous.patients.post("/auth/login", json={"email": email, "password": PASSWORD}),
            401,
            "invalid_credentials",
        )
    owner.execute("SELECT id FROM users WHERE email = %s", (email,))
    abandoned = tuple(row["id"] for row in owner.fetchall())
    assert len(abandoned) == 3
    for table, column in (
        *(("patients", "id"), ("health_profiles", "patient_id")),
        *(("emails", "entity_id"), ("phones", "entity_id")),
    ):
        owner.execute(f"SELECT count(*) AS count FROM {table} WHERE {column} IN %s", (abandoned,))
        assert owner.fetchone()["count"] == 0, table
    created = answer_of(_create(api.admin, doctor_id=care.doctor.id, contact_email=contact), 201)
    assert api.log_in("patients", email).id == created["id"]


def test_a_creation_is_recorded_with_its_patient(care: Care, owner: RealDictCursor) -> None:
    answer = _create(care.doctor)
    owner.execute(
        "SELECT service, actor_type, actor_id, action, resource, patient_ids FROM audit_events WHERE request_id = %s "
        "ORDER BY id",
        (answer.headers["x-request-id"],),
    )
    account, patient = [{name: str(value) for name, value in row.items()} for row in owner.fetchall()]
    for event in (account, patient):
        assert answer.json()["id"] in event.pop("patient_ids")
    assert account == {
        **{"service": "auth-jwt-service", "actor_type": "service", "actor_id": "None"},
        **{"action": "account_create", "resource": "account"},
    }
    assert patient == {
        **{"service": "service-patients", "actor_type": "doctor", "actor_id": care.doctor.id},
        **{"action": "create", "resource": "patient"},
    }


# Change.


@pytest.fixture
def own(api: Api, care: Care) -> Care:
    """A patient of `care`'s doctor and institution that the test may change."""
    patient = api.new_patient(
        care.doctor,
        care.institution,
        sex_id=1,
        gender_id=1,
        contact_phone="55 1000 0001",
        emergency_contact_name="Luz",
        emergency_contact_phone="55 1111 2222",
    )
    return Care(care.institution, care.doctor, patient)


CHANGES: dict[str, Any] = {
    "first_name": "Eva",
    "last_name": "Ríos",
    "date_of_birth": "1999-12-31",
    "sex_id": 2,
    "gender_id": 2,
    "emergency_contact_name": "Sol",
    "emergency_contact_phone": "55 9999 8888",
    "contact_phone": "55 2000 0002",
}


@pytest.mark.parametrize("field", sorted(CHANGES))
def test_each_personal_field_changes_alone_and_the_others_stay(own: Care, field: str) -> None:
    before = answer_of(own.patient.patients.get(own.path))
    after = answer_of(own.patient.patients.put(own.path, json={field: CHANGES[field]}))
    assert after[field] == CHANGES[field]
    assert {name for name in before if before[name] != after[name]} - {field, "age", "updated_at"} == set()
    assert after["updated_at"] > before["updated_at"]
    assert answer_of(own.patient.patients.get(own.path)) == after


def test_personal_fields_are_changed_by_an_admin_itself_its_doctor_and_its_institution(api: Api, own: Care) -> None:
    for number, user in enumerate((api.admin, own.patient, own.doctor, own.institution)):
        name = f"Nombre {number}"
        assert answer_of(user.patients.put(own.path, json={"first_name": name}))["first_name"] == name


def test_null_clears_what_is_optional(own: Care) -> None:
    after = answer_of(own.patient.patients.put(own.path, json=dict.fromkeys(CLEARABLE)))
    assert {after[name] for name in CLEARABLE} == {None}


@pytest.mark.parametrize("field", ["first_name", "last_name", "date_of_birth"])
def test_null_does_not_clear_what_every_patient_has(own: Care, field: str) -> None:
    answer = own.patient.patients.put(own.path, json={field: None})
    assert _fields(assert_problem(answer, 422, "validation_failed")) == {field}


def test_an_empty_update_is_a_400(own: Care) -> None:
    assert_problem(own.patient.patients.put(own.path, json={}), 400, "empty_update")


@pytest.mark.parametrize(
    "field", ["contact_email", "password", "health_profile", "validation_status", "is_verified", "id", "user_type"]
)
def test_an_update_does_not_know_other_fields(api: Api, own: Care, field: str) -> None:
    answer = api.admin.patients.put(own.path, json={field: "x"})
    assert _fields(assert_problem(answer, 422, "validation_failed")) == {field}


def test_an_update_cannot_leave_half_an_emergency_contact(own: Care) -> None:
    for field in ("emergency_contact_name", "emergency_contact_phone"):
        answer = own.patient.patients.put(own.path, json={field: None, "first_name": "Nadie"})
        assert field in _fields(assert_problem(answer, 422, "validation_failed"))
    assert answer_of(own.patient.patients.get(own.path))["first_name"] == "José"


def test_an_invalid_update_changes_nothing_of_it(own: Care) -> None:
    before = answer_of(own.patient.patients.get(own.path))
    answer = own.patient.patients.put(own.path, json={"contact_phone": "55 2000 0002", "sex_id": 99})
    assert _fields(assert_problem(answer, 422, "validation_failed")) == {"sex_id"}
    assert answer_of(own.patient.patients.get(own.path)) == before


@pytest.mark.parametrize("field", ["doctor_id", "institution_id"])
def test_neither_the_patient_nor_its_doctor_says_whom_it_belongs_to(own: Care, field: str) -> None:
    for user in (own.patient, own.doctor):
        for value in (None, getattr(own, field.removesuffix("_id")).id):
            assert_problem(user.patients.put(own.path, json={field: value}), 403, "forbidden")


def test_its_institution_gives_a_patient_another_of_its_doctors_or_none(api: Api, own: Care, others: Care) -> None:
    other_doctor = api.new_doctor(own.institution)
    put = own.institution.patients.put
    assert answer_of(put(own.path, json={"doctor_id": other_doctor.id}))["doctor_id"] == other_doctor.id
    assert other_doctor.patients.get(own.path).status_code == 200
    assert_problem(own.doctor.patients.get(own.path), 404, "patient_not_found")
    assert answer_of(put(own.path, json={"doctor_id": None}))["doctor_id"] is None
    assert_problem(put(own.path, json={"doctor_id": others.doctor.id}), 422, "doctor_not_in_institution")
    assert _fields(assert_problem(put(own.path, json={"doctor_id": str(uuid4())}), 422, "validation_failed")) == {
        "doctor_id"
    }


def test_its_institution_refers_a_patient_elsewhere_and_then_no_longer_knows_it(own: Care, others: Care) -> None:
    elsewhere = {"doctor_id": others.doctor.id, "institution_id": others.institution.id}
    moved = answer_of(own.institution.patients.put(own.path, json=elsewhere))
    assert elsewhere.items() <= moved.items()
    assert_problem(own.institution.patients.get(own.path), 404, "patient_not_found")
    assert others.institution.patients.get(own.path).status_code == 200


def test_an_update_cannot_leave_a_patient_to_nobody(api: Api, own: Care) -> None:
    nobody = {"doctor_id": None, "institution_id": None}
    for user in (api.admin, own.institution):
        assert_problem(user.patients.put(own.path, json=nobody), 422, "association_required")
    assert answer_of(api.admin.patients.put(own.path, json={"institution_id": None}))["institution_id"] is None
    assert_problem(api.admin.patients.put(own.path, json={"doctor_id": None}), 422, "association_required")


def test_an_update_is_recorded_and_a_refused_one_is_not(own: Care, owner: RealDictCursor) -> None:
    done = own.doctor.patients.put(own.path, json={"first_name": "Eva"})
    refused = own.doctor.patients.put(own.path, json={"sex_id": 99})
    owner.execute(
        "SELECT request_id, action FROM audit_events WHERE request_id IN %s",
        ((done.headers["x-request-id"], refused.headers["x-request-id"]),),
    )
    assert [dict(row) for row in owner.fetchall()] == [{"request_id": done.headers["x-request-id"], "action": "update"}]


# Deletion.


def test_a_deleted_patient_is_hidden_and_its_token_is_dead_in_every_service_at_once(api: Api, own: Care) -> None:
    again = api.log_in("patients", own.patient.email)
    answer = own.institution.patients.delete(own.path)
    assert (answer.status_code, answer.content) == (204, b"")
    for user in (own.patient, again):
        assert_problem(user.patients.get(own.path), 401, "unauthenticated")
        assert_problem(user.doctors.get("/api/v1/specialties"), 401, "unauthenticated")
        assert_problem(user.institutions.get("/api/v1/institution-types"), 401, "unauthenticated")
        assert_problem(user.auth.post("/users/create", json={}), 401, "unauthenticated")
        assert user.auth.post("/auth/session/validate").json()["valid"] is False
    credentials = {"email": own.patient.email, "password": own.patient.password}
    assert_problem(api.anonymous.patients.post("/auth/login", json=credentials), 401, "invalid_credentials")
    for user in (api.admin, own.institution, own.doctor):
        for view in VIEWS:
            assert_problem(user.patients.get(own.path + view), 404, "patient_not_found")
        assert_problem(user.patients.put(own.path, json={"first_name": "X"}), 404, "patient_not_found")
        listed = answer_of(user.patients.get(PATIENTS, params={"q": own.patient.email}))
        assert listed == {"items": [], "next_cursor": None}
    assert_problem(own.institution.patients.delete(own.path), 404, "patient_not_found")


def test_an_admin_deletes_any_patient_and_sees_the_deleted_when_it_asks(api: Api, own: Care) -> None:
    assert api.admin.patients.delete(own.path).status_code == 204
    found = answer_of(api.admin.patients.get(PATIENTS, params={"q": own.patient.email, "is_active": "false"}))
    assert [(one["id"], one["is_active"]) for one in found["items"]] == [(own.patient.id, False)]
    for user in (own.doctor, own.institution):
        assert answer_of(user.patients.get(PATIENTS, params={"is_active": "false"}))["items"] == []


def test_a_deleted_patients_email_stays_taken(api: Api, own: Care) -> None:
    assert api.admin.patients.delete(own.path).status_code == 204
    answer = _create(own.doctor, contact_email={"email_address": own.patient.email})
    assert_problem(answer, 409, "email_taken")


def test_a_deletion_is_recorded(own: Care, owner: RealDictCursor) -> None:
    request_id = own.institution.patients.delete(own.path).headers["x-request-id"]
    owner.execute("SELECT action, patient_ids::text[] AS ids FROM audit_events WHERE request_id = %s", (request_id,))
    assert dict(owner.fetchone()) == {"action": "delete", "ids": [own.patient.id]}


# The list.


@pytest.fixture(scope="module")
def crowd(api: Api) -> tuple[Care, list[str]]:
    """A doctor and institution with seven patients, and their ids, newest first."""
    institution = api.new_institution()
    doctor = api.new_doctor(institution)
    patients = [api.new_patient(doctor, institution, date_of_birth=f"199{n}-01-01") for n in range(7)]
    return Care(institution, doctor, patients[-1]), [patient.id for patient in patients[::-1]]


def _walk(user: User, **parameters: Any) -> list[list[str]]:
    pages, cursor = [], None
    while True:
        page = answer_of(user.patients.get(PATIENTS, params=parameters | ({"cursor": cursor} if cursor else {})))
        pages.append([item["id"] for item in page["items"]])
        cursor = page["next_cursor"]
        if cursor is None:
            return pages


def test_the_list_is_walked_page_by_page_and_holds_each_patient_once(crowd: tuple[Care, list[str]]) -> None:
    care, ids = crowd
    for user in (care.doctor, care.institution):
        assert _walk(user, limit=3) == [ids[:3], ids[3:6], ids[6:]]
        assert _walk(user, limit=7) == [ids]
        assert _walk(user, limit=1) == [[one] for one in ids]


def test_the_pages_go_on_where_they_were_while_others_write(api: Api) -> None:
    institution = api.new_institution()
    ids = [api.new_patient(institution=institution).id for _ in range(4)][::-1]
    first = answer_of(institution.patients.get(PATIENTS, params={"limit": 2}))
    assert [one["id"] for one in first["items"]] == ids[:2]
    api.new_patient(institution=institution)
    assert institution.patients.delete(f"{PATIENTS}/{ids[1]}").status_code == 204
    rest = answer_of(institution.patients.get(PATIENTS, params={"limit": 2, "cursor": first["next_cursor"]}))
    assert [one["id"] for one in rest["items"]] == ids[2:]


def test_an_item_of_the_list_is_the_patient_itself(crowd: tuple[Care, list[str]]) -> None:
    care, ids = crowd
    item = answer_of(care.doctor.patients.get(PATIENTS, params={"limit": 1}))["items"][0]
    assert set(item) == PATIENT_FIELDS
    assert item == answer_of(care.doctor.patients.get(f"{PATIENTS}/{ids[0]}"))


def test_a_cursor_is_bound_to_its_filters_and_cannot_be_made_up(crowd: tuple[Care, list[str]]) -> None:
    care, _ = crowd
    get = care.doctor.patients.get
    cursor = answer_of(get(PATIENTS, params={"limit": 2, "born_after": "1990-01-01"}))["next_cursor"]
    assert get(PATIENTS, params={"limit": 5, "born_after": "1990-01-01", "cursor": cursor}).status_code == 200
    middle = len(cursor) // 2
    tampered = cursor[:middle] + ("A" if cursor[middle] != "A" else "B") + cursor[middle + 1 :]
    for parameters in (
        {"cursor": cursor},
        {"cursor": cursor, "born_after": "1990-01-02"},
        {"cursor": tampered, "born_after": "1990-01-01"},
        {"cursor": "bm9uc2Vuc2U=", "born_after": "1990-01-01"},
        {"cursor": "ñ", "born_after": "1990-01-01"},
    ):
        assert_problem(get(PATIENTS, params=parameters), 400, "invalid_cursor")


def test_a_cursor_of_one_caller_shows_another_nothing_that_is_not_its_own(
    crowd: tuple[Care, list[str]], others: Care
) -> None:
    care, ids = crowd
    cursor = answer_of(care.doctor.patients.get(PATIENTS, params={"limit": 2}))["next_cursor"]
    seen = answer_of(others.doctor.patients.get(PATIENTS, params={"limit": 2, "cursor": cursor}))
    assert not {one["id"] for one in seen["items"]} & set(ids)


def test_the_filters_of_the_list(api: Api, crowd: tuple[Care, list[str]], others: Care) -> None:
    care, ids = crowd
    expected: list[tuple[dict[str, Any], list[str]]] = [
        ({"doctor_id": care.doctor.id}, ids),
        ({"institution_id": care.institution.id}, ids),
        ({"doctor_id": others.doctor.id}, []),
        ({"institution_id": others.institution.id}, []),
        ({"validation_status": "pending"}, ids),
        ({"validation_status": "full_access"}, []),
        ({"is_active": "true"}, ids),
        ({"born_after": "1995-01-01"}, ids[:2]),
        ({"born_before": "1991-01-01"}, ids[5:]),
        ({"born_after": "1993-01-01", "born_before": "1993-01-01"}, [ids[3]]),
        ({"q": care.patient.email}, [ids[0]]),
        ({"q": "jose nunez"}, ids),
        ({"q": "jose nunez", "born_before": "1990-12-31"}, [ids[6]]),
    ]
    for user in (care.doctor, care.institution):
        for filters, found in expected:
            assert _walk(user, **filters) == [found], filters
    assert _walk(api.admin, doctor_id=care.doctor.id, institution_id=care.institution.id) == [ids]
    assert _walk(api.admin, doctor_id=care.doctor.id, institution_id=others.institution.id) == [[]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("limit", value) for value in ("0", "201", "-1", "x", "1e999", "9" * 400)),
        *(("doctor_id", "1"), ("institution_id", ""), ("validation_status", "maybe"), ("is_active", "perhaps")),
        *(("born_after", "yesterday"), ("born_before", "0"), ("born_before", "2020-02-30")),
        *(("q", ""), ("q", "x" * 101), ("q", "a\x00"), ("serach", "x"), ("token", "x")),
    ],
)
def test_a_parameter_that_makes_no_sense_is_named(care: Care, name: str, value: str) -> None:
    answer = care.doctor.patients.get(PATIENTS, params={name: value})
    assert _fields(assert_problem(answer, 422, "validation_failed")) == {name}


def test_an_unknown_parameter_is_answered_with_the_nearest_one(care: Care) -> None:
    answer = care.doctor.patients.get(PATIENTS, params={"doctor": care.doctor.id})
    assert "doctor_id" in assert_problem(answer, 422, "validation_failed")["errors"][0]["message"]


@pytest.mark.parametrize("view", VIEWS)
def test_every_look_at_a_patient_is_recorded_once(care: Care, owner: RealDictCursor, view: str) -> None:
    request_id = care.doctor.patients.get(care.path + view).headers["x-request-id"]
    owner.execute(
        "SELECT actor_id::text, action, resource, patient_ids::text[] FROM audit_events WHERE request_id = %s",
        (request_id,),
    )
    resource = view.strip("/").replace("-", "_") or "patient"
    assert [tuple(row.values()) for row in owner.fetchall()] == [(care.doctor.id, "read", resource, [care.patient.id])]


# Catalogues.


@pytest.mark.parametrize("name", CATALOGUES)
def test_every_role_reads_every_catalogue(api: Api, care: Care, name: str) -> None:
    fields = {"sexes": {"id", "name", "code"}, "blood-types": {"id", "name"}, "genders": {"id", "name"}}
    answers = [
        answer_of(user.patients.get(f"/api/v1/{name}"))
        for user in (api.admin, care.patient, care.doctor, care.institution)
    ]
    assert all(answer == answers[0] for answer in answers) and set(answers[0]) == {"items"}
    assert all(set(item) == fields.get(name, {"id", "name", "code"}) for item in answers[0]["items"])
    assert answers[0]["items"]


def test_a_catalogue_is_in_the_language_of_the_request(care: Care) -> None:
    names = {
        language: answer_of(care.patient.patients.get("/api/v1/sexes", headers={"Accept-Language": language}))
        for language in ("es", "en")
    }
    assert names["es"]["items"][0]["name"] == "Femenino" and names["en"]["items"][0]["name"] == "Female"


@pytest.mark.parametrize(
    ("name", "q", "found"),
    [
        ("medical-conditions", "hipertension", "Hipertensión arterial"),
        ("medications", "LOSARTAN", "Losartán"),
        ("allergies", "penicil", "Penicilina"),
    ],
)
def test_clinical_terms_are_searched(care: Care, name: str, q: str, found: str) -> None:
    get = care.patient.patients.get
    assert found in [item["name"] for item in answer_of(get(f"/api/v1/{name}", params={"q": q}))["items"]]
    assert answer_of(get(f"/api/v1/{name}", params={"q": "zzzzzz"}))["items"] == []
    assert _fields(assert_problem(get(f"/api/v1/{name}", params={"q": ""}), 422, "validation_failed")) == {"q"}


@pytest.mark.parametrize("name", ["blood-types", "sexes", "genders"])
def test_a_short_catalogue_takes_no_parameters(care: Care, name: str) -> None:
    answer = care.patient.patients.get(f"/api/v1/{name}", params={"q": "x"})
    assert _fields(assert_problem(answer, 422, "validation_failed")) == {"q"}


@pytest.mark.parametrize("filters", [{}, {"q": "jose"}])
def test_a_page_of_the_list_records_the_patients_that_it_shows_and_no_other(
    filters: dict[str, str], api: Api, owner: RealDictCursor
) -> None:
    institution = api.new_institution()
    for _ in range(2):
        api.new_patient(institution=institution)
    answer = institution.patients.get("/api/v1/patients", params={"limit": 1, **filters})
    shown = [row["id"] for row in answer.json()["items"]]
    assert len(shown) == 1 and answer.json()["next_cursor"]
    owner.execute(
        "SELECT patient_ids::text[] AS ids FROM audit_events WHERE request_id = %s", [answer.headers["x-request-id"]]
    )
    assert [row["ids"] for row in owner.fetchall()] == [shown]
