"""The doctors' service over HTTP: every route for every role, every field of the contract."""

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
from psycopg2.extras import RealDictCursor
from redis import Redis

from dev.fleet import Fleet
from tests.auth.support import ALIVE, DEAD, statuses
from tests.support import NOBODY, PASSWORD, SEPARATORS, Api, User, assert_problem, doctor_body, unique

from .conftest import GENERAL_PRACTICE

DOCTOR = {
    *("id", "institution_id", "first_name", "last_name", "medical_license", "license_status", "specialty_id"),
    *("specialty_name", "years_experience", "consultation_fee", "is_active", "professional_status", "contact_email"),
    *("contact_phone", "created_at", "updated_at"),
}
PATIENT = {
    *("id", "first_name", "last_name", "date_of_birth", "contact_email", "contact_phone", "last_login"),
    *("validation_status", "health_score", "risk_level"),
}
HEALTH_PROFILE = {
    *("height_cm", "weight_kg", "blood_type_id", "blood_type", "is_smoker", "smoking_years", "smoking_status"),
    *("quit_date", "secondhand_smoke_home", "consumes_alcohol", "alcohol_frequency"),
    *("physical_activity_minutes_weekly", "sleep_hours", "diet_score", "takes_bp_medication", "takes_lipid_medication"),
    *("has_diabetes", "notes"),
}
ME = [
    ("GET", "/api/v1/doctors/me/dashboard"),
    ("GET", "/api/v1/doctors/me/profile"),
    ("PUT", "/api/v1/doctors/me/profile"),
    ("GET", "/api/v1/doctors/me/institution"),
    ("GET", "/api/v1/doctors/me/patients"),
    ("GET", f"/api/v1/doctors/me/patients/{NOBODY}/medical-record"),
]
OTHERS = [
    ("GET", "/api/v1/doctors"),
    ("POST", "/api/v1/doctors"),
    ("GET", f"/api/v1/doctors/{NOBODY}"),
    ("PUT", f"/api/v1/doctors/{NOBODY}"),
    ("DELETE", f"/api/v1/doctors/{NOBODY}"),
    ("GET", "/api/v1/specialties"),
]


@pytest.fixture(scope="module")
def patient(api: Api, doctor: User) -> User:
    return api.new_patient(doctor, contact_phone="+52 449 123 4567", health_profile={"height_cm": 165.5})


def path_of(doctor: User) -> str:
    return f"/api/v1/doctors/{doctor.id}"


def fields_of(answer: httpx.Response, code: str = "validation_failed") -> list[str]:
    return [error["field"] for error in assert_problem(answer, 422, code)["errors"]]


def pages(client: httpx.Client, path: str, items: str, **parameters: Any) -> list[list[dict[str, Any]]]:
    """Every page of a list."""
    found, cursor = [], None
    while True:
        place = {"cursor": cursor} if cursor else {}
        answer = client.get(path, params={**parameters, **place})
        assert answer.status_code == 200, answer.text
        found.append(answer.json()[items])
        assert answer.json()["next_cursor"] != cursor or cursor is None, "the list stands still"
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return found


# Who may


@pytest.mark.parametrize(("method", "path"), ME + OTHERS)
def test_without_a_token_there_is_nothing(method: str, path: str, api: Api) -> None:
    assert_problem(api.anonymous.doctors.request(method, path), 401, "unauthenticated")


@pytest.mark.parametrize(("method", "path"), ME)
def test_only_a_doctor_has_a_me(method: str, path: str, api: Api, institution: User, patient: User) -> None:
    for user in (api.admin, institution, patient):
        assert_problem(user.doctors.request(method, path), 403, "forbidden")


@pytest.mark.parametrize(("method", "path"), OTHERS[:5])
def test_a_patient_has_no_business_with_doctors(method: str, path: str, patient: User) -> None:
    assert_problem(patient.doctors.request(method, path), 403, "forbidden")


@pytest.mark.parametrize(("method", "path"), [OTHERS[1], *OTHERS[3:5]])
def test_a_doctor_creates_changes_and_deletes_no_doctors(method: str, path: str, doctor: User) -> None:
    assert_problem(doctor.doctors.request(method, path), 403, "forbidden")
    if method != "POST":
        assert_problem(doctor.doctors.request(method, path_of(doctor), json={"first_name": "Eva"}), 403, "forbidden")


@pytest.mark.parametrize("body", [b"{", b"{}", b'{"is_verified": true}'])
def test_a_role_is_refused_before_its_body_is_read(body: bytes, doctor: User, api: Api) -> None:
    headers = {"Content-Type": "application/json"}
    answer = doctor.doctors.post("/api/v1/doctors", content=body, headers=headers)
    assert_problem(answer, 403, "forbidden")
    answer = api.anonymous.doctors.post("/api/v1/doctors", content=body, headers=headers)
    assert_problem(answer, 401, "unauthenticated")


# Me


def test_the_dashboard_counts_the_doctors_patients(api: Api, institution: User, owner: RealDictCursor) -> None:
    doctor = api.new_doctor(institution)
    assert doctor.doctors.get("/api/v1/doctors/me/dashboard").json() == {
        **{"total_patients": 0, "today_appointments": 0, "pending_reviews": 0}
    }
    validated, _, deleted = [api.new_patient(doctor, institution).id for _ in range(3)]
    owner.execute("UPDATE patients SET validation_status = 'validated_by_doctor' WHERE id = %s", [validated])
    assert institution.patients.delete(f"/api/v1/patients/{deleted}").status_code == 204
    assert doctor.doctors.get("/api/v1/doctors/me/dashboard").json() == {
        **{"total_patients": 2, "today_appointments": 0, "pending_reviews": 1}
    }


def test_the_profile_has_every_field_of_the_contract(doctor: User, institution: User) -> None:
    answer = doctor.doctors.get("/api/v1/doctors/me/profile", headers={"Accept-Language": "en"})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "private, no-store"
    profile = answer.json()
    names = {name: profile.pop(name) for name in ("last_name", "medical_license", "institution_name")}
    assert all(names.values())
    assert profile == {
        **{"id": doctor.id, "first_name": "María José", "email": doctor.email, "years_experience": 12},
        **{"specialty_name": "General Practice", "specialty_id": GENERAL_PRACTICE, "consultation_fee": 850.5},
        **{"professional_status": "active"},
    }


def test_a_doctor_changes_three_fields_of_itself(api: Api, institution: User) -> None:
    doctor = api.new_doctor(institution, specialty_id=GENERAL_PRACTICE, years_experience=3, consultation_fee=500)

    def put(**body: Any) -> tuple[Any, Any, Any]:
        answer = doctor.doctors.put("/api/v1/doctors/me/profile", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json() == doctor.doctors.get("/api/v1/doctors/me/profile").json()
        return tuple(answer.json()[name] for name in ("specialty_id", "years_experience", "consultation_fee"))  # type: ignore[return-value]

    assert put(years_experience=4) == (GENERAL_PRACTICE, 4, 500)
    assert put(consultation_fee=612.25) == (GENERAL_PRACTICE, 4, 612.25)
    assert put(specialty_id=None, years_experience=None, consultation_fee=None) == (None, None, None)
    assert put(specialty_id=GENERAL_PRACTICE) == (GENERAL_PRACTICE, None, None)


def test_a_doctor_changes_nothing_else_of_itself(doctor: User) -> None:
    def put(body: dict[str, Any]) -> httpx.Response:
        return doctor.doctors.put("/api/v1/doctors/me/profile", json=body)

    assert_problem(put({}), 400, "empty_update")
    for field in ("first_name", "medical_license", "institution_id", "professional_status", "contact_phone"):
        assert fields_of(put({field: "x"})) == [field]
    assert fields_of(put({"years_experience": 81, "consultation_fee": -1})) == ["years_experience", "consultation_fee"]
    assert fields_of(put({"specialty_id": str(uuid4())})) == ["specialty_id"]


def test_the_institution_has_every_field_of_the_contract(doctor: User, institution: User, other_doctor: User) -> None:
    answer = doctor.doctors.get("/api/v1/doctors/me/institution", headers={"Accept-Language": "en"})
    document = answer.json()
    assert document.pop("name") and document.pop("license_number")
    assert document == {
        **{"id": institution.id, "type": "Clinic", "email": institution.email, "phone": "+52 55 8765 4321"},
        **{"website": "https://clinica.example.com/"},
        "address": {
            **{"street_address": "Av. Juárez 10", "city": "Aguascalientes", "region_name": "Aguascalientes"},
            **{"country_name": "Mexico", "postal_code": "20000"},
        },
    }
    bare = other_doctor.doctors.get("/api/v1/doctors/me/institution").json()
    assert (bare["address"], bare["phone"], bare["website"]) == (None, None, None)


def test_the_patients_have_every_field_of_the_contract(api: Api, institution: User) -> None:
    doctor = api.new_doctor(institution)
    patient = api.new_patient(doctor, contact_phone="+52 449 123 4567")
    answer = doctor.doctors.get("/api/v1/doctors/me/patients")
    assert answer.headers["cache-control"] == "private, no-store"
    document = answer.json()
    assert set(document) == {"patient_count", "patients", "next_cursor"}
    assert (document["patient_count"], document["next_cursor"]) == (1, None)
    found = document["patients"][0]
    assert set(found) == PATIENT
    assert datetime.fromisoformat(found.pop("last_login")).utcoffset() is not None
    assert found.pop("last_name")
    assert found == {
        **{"id": patient.id, "first_name": "José", "date_of_birth": "1980-05-17", "contact_email": patient.email},
        **{"contact_phone": "+52 449 123 4567", "validation_status": "pending"},
        **{"health_score": None, "risk_level": "unknown"},
    }


def test_the_patients_are_walked_by_name_page_by_page_each_once(
    api: Api, institution: User, owner: RealDictCursor
) -> None:
    doctor = api.new_doctor(institution)
    names = [("Zúñiga", "Eva"), ("álvarez", "Ana"), ("Alvarado", "Óscar"), ("ALVAREZ", "Beto"), ("Ñandú", "Ana")]
    made = {name: api.new_patient(doctor, last_name=name[0], first_name=name[1]).id for name in names}
    same = [
        api.new_patient(doctor, last_name="Ñandú", first_name="Ana", date_of_birth=f"199{n}-01-01").id for n in (1, 2)
    ]
    walked = pages(doctor.doctors, "/api/v1/doctors/me/patients", "patients", limit=2)
    assert [len(page) for page in walked] == [2, 2, 2, 1]
    found = [patient["id"] for page in walked for patient in page]
    assert found[:3] == [made[names[2]], made[names[1]], made[names[3]]]
    assert found[3:6] == sorted([made[names[4]], *same]) and found[6] == made[names[0]]
    assert doctor.doctors.get("/api/v1/doctors/me/patients", params={"limit": 1}).json()["patient_count"] == 7


def test_the_patients_are_filtered_without_case_and_accents(api: Api, institution: User, owner: RealDictCursor) -> None:
    doctor = api.new_doctor(institution)
    nunez = api.new_patient(doctor, last_name="Núñez Pérez", first_name="José")
    percent = api.new_patient(doctor, last_name="100% Sano")
    owner.execute("UPDATE patients SET validation_status = 'full_access' WHERE id = %s", [percent.id])

    def found(**filters: str) -> set[str]:
        document = doctor.doctors.get("/api/v1/doctors/me/patients", params=filters).json()
        assert document["patient_count"] == len(document["patients"])
        return {patient["id"] for patient in document["patients"]}

    assert found(q="JOSE NUNEZ") == found(q=" nuñez ") == found(q=nunez.email.upper()) == {nunez.id}
    assert found(q="100% s") == {percent.id}
    assert found(q="1_0") == found(q="nobody") == set()
    assert found(validation_status="full_access") == {percent.id}
    assert found(validation_status="pending", q="nunez") == {nunez.id}
    assert found(validation_status="validated_by_doctor") == set()


def test_a_doctor_sees_no_patients_of_others_and_none_that_are_deleted(
    api: Api, institution: User, doctor: User
) -> None:
    colleague = api.new_doctor(institution)
    api.new_patient(doctor, institution)
    api.new_patient(institution=institution)
    deleted = api.new_patient(colleague, institution)
    assert institution.patients.delete(f"/api/v1/patients/{deleted.id}").status_code == 204
    assert colleague.doctors.get("/api/v1/doctors/me/patients").json() == {
        **{"patient_count": 0, "patients": [], "next_cursor": None}
    }


def record_path(patient: User) -> str:
    return f"/api/v1/doctors/me/patients/{patient.id}/medical-record"


def test_the_record_has_every_field_of_the_contract(
    doctor: User, patient: User, fill_record: Callable[[str], None]
) -> None:
    fill_record(patient.id)
    answer = doctor.doctors.get(record_path(patient), headers={"Accept-Language": "en"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "private, no-store"
    record = answer.json()
    assert set(record) == {
        *("patient_info", "health_profile", "conditions", "medications", "allergies", "family_history", "observations")
    }
    assert set(record["patient_info"]) == PATIENT and record["patient_info"]["id"] == patient.id
    assert record["patient_info"]["contact_phone"] == "+52 449 123 4567"
    assert set(record["health_profile"]) == HEALTH_PROFILE
    assert {name for name, value in record["health_profile"].items() if value is not None} == {"height_cm"}
    assert record["health_profile"]["height_cm"] == 165.5

    diabetes, other = record["conditions"]
    assert isinstance(diabetes.pop("id"), int)
    assert diabetes == {
        **{"name": "Diabetes mellitus tipo 2", "diagnosis_date": "2019-03-01", "abatement_date": None},
        **{"notes": "Controlada"},
    }
    assert (other["name"], other["diagnosis_date"], other["notes"]) == ("Dislipidemia", None, None)
    (medication,) = record["medications"]
    assert isinstance(medication.pop("id"), int)
    assert medication == {
        **{"name": "Metformina", "dosage": "850 mg", "frequency": "Cada 12 horas", "start_date": "2019-03-02"},
        **{"status": "active"},
    }
    (allergy,) = record["allergies"]
    assert isinstance(allergy.pop("id"), int)
    assert allergy == {"name": "Penicilina", "severity": "severe", "reaction_description": "Urticaria"}
    (relative,) = record["family_history"]
    assert relative.pop("id")
    assert relative == {"condition_name": "Diabetes mellitus tipo 2", "relative_type": "mother", "notes": None}

    weight, pressure, smoking = record["observations"]
    assert pressure.pop("id")
    assert datetime.fromisoformat(pressure.pop("effective_at")) == datetime.fromisoformat("2024-05-01T10:00:00Z")
    assert pressure == {
        **{"code": "8480-6", "name": "Systolic blood pressure", "value": 128.5, "unit": "mm[Hg]"},
        "recorded_by": {"actor_type": "patient", "actor_id": patient.id},
    }
    assert weight["value"] == 71 and weight["recorded_by"] == {"actor_type": "service", "actor_id": None}
    assert (smoking["code"], smoking["value"]) == ("72166-2", "former")


def test_an_empty_record_is_empty_lists(api: Api, doctor: User) -> None:
    record = doctor.doctors.get(record_path(api.new_patient(doctor))).json()
    for name in ("conditions", "medications", "allergies", "family_history", "observations"):
        assert record[name] == []


def test_a_patient_of_another_doctor_is_not_found(
    api: Api, doctor: User, other_doctor: User, institution: User, patient: User
) -> None:
    colleague = api.new_doctor(institution)
    deleted = api.new_patient(doctor, institution)
    assert institution.patients.delete(f"/api/v1/patients/{deleted.id}").status_code == 204
    for user in (other_doctor, colleague):
        assert_problem(user.doctors.get(record_path(patient)), 404, "patient_not_found")
    assert_problem(doctor.doctors.get(record_path(deleted)), 404, "patient_not_found")
    assert_problem(doctor.doctors.get(ME[-1][1]), 404, "patient_not_found")
    assert fields_of(doctor.doctors.get("/api/v1/doctors/me/patients/1/medical-record")) == ["patient_id"]


def test_whose_data_a_doctor_read_is_recorded(api: Api, doctor: User, patient: User, owner: RealDictCursor) -> None:
    for path, resource in ((record_path(patient), "medical_record"), ("/api/v1/doctors/me/patients", "patient_list")):
        request_id = unique("request")
        assert doctor.doctors.get(path, headers={"X-Request-ID": request_id}).status_code == 200
        owner.execute("SELECT * FROM audit_events WHERE request_id = %s", [request_id])
        (event,) = owner.fetchall()
        assert patient.id in {str(patient_id) for patient_id in event["patient_ids"]}
        assert (event["service"], event["actor_type"], str(event["actor_id"])) == (
            *("service-doctors", "doctor"),
            doctor.id,
        )
        assert (event["action"], event["resource"], event["outcome"]) == ("read", resource, "success")
        assert event["client_address"] == "127.0.0.1"


def test_only_the_patients_on_the_page_are_recorded(api: Api, institution: User, owner: RealDictCursor) -> None:
    doctor = api.new_doctor(institution)
    for _ in range(3):
        api.new_patient(doctor)
    cursor, seen = None, 0
    while cursor or not seen:
        request_id, place = unique("request"), {"cursor": cursor} if cursor else {}
        headers = {"X-Request-ID": request_id}
        page = doctor.doctors.get("/api/v1/doctors/me/patients", params={"limit": 2, **place}, headers=headers).json()
        owner.execute("SELECT patient_ids FROM audit_events WHERE request_id = %s", [request_id])
        (event,) = owner.fetchall()
        assert sorted(map(str, event["patient_ids"])) == sorted(patient["id"] for patient in page["patients"])
        assert page["next_cursor"] != cursor or cursor is None, "the list stands still"
        cursor, seen = page["next_cursor"], seen + len(page["patients"])
    assert seen == 3


# Lists of doctors


def test_a_list_shows_each_caller_the_doctors_that_it_may_know(
    api: Api, institution: User, other_institution: User, doctor: User, other_doctor: User
) -> None:
    colleague = api.new_doctor(institution)

    def seen_by(user: User) -> set[str]:
        walked = pages(user.doctors, "/api/v1/doctors", "items", limit=200)
        return {found["id"] for page in walked for found in page}

    own = {doctor.id, colleague.id}
    assert seen_by(institution) >= own and other_doctor.id not in seen_by(institution)
    assert seen_by(doctor) == seen_by(institution)
    assert seen_by(other_institution) == seen_by(other_doctor) >= {other_doctor.id}
    assert seen_by(other_institution).isdisjoint(own)
    assert seen_by(api.admin) >= own | {other_doctor.id}


def test_a_list_of_doctors_has_every_field_of_the_contract(institution: User) -> None:
    document = institution.doctors.get("/api/v1/doctors").json()
    assert set(document) == {"items", "next_cursor"}
    assert all(set(doctor) == DOCTOR for doctor in document["items"])


def test_doctors_are_walked_page_by_page_newest_first_while_others_write(api: Api, owner: RealDictCursor) -> None:
    institution = api.new_institution()
    made = [api.new_doctor(institution).id for _ in range(5)]
    # Three of the same moment: the order is total all the same.
    owner.execute("UPDATE doctors SET created_at = '2024-01-01' WHERE id = ANY(%s::uuid[])", [made[:3]])
    first = institution.doctors.get("/api/v1/doctors", params={"limit": 2}).json()
    api.new_doctor(institution)
    found, cursor = [doctor["id"] for doctor in first["items"]], first["next_cursor"]
    while cursor:
        page = institution.doctors.get("/api/v1/doctors", params={"limit": 1, "cursor": cursor}).json()
        found += [doctor["id"] for doctor in page["items"]]
        assert page["next_cursor"] != cursor, "the list stands still"
        cursor = page["next_cursor"]
    assert found == [made[4], made[3], *sorted(made[:3], reverse=True)]


def test_a_last_page_that_is_full_has_no_cursor(api: Api) -> None:
    institution = api.new_institution()
    for _ in range(2):
        api.new_doctor(institution)
    page = institution.doctors.get("/api/v1/doctors", params={"limit": 2}).json()
    assert len(page["items"]) == 2 and page["next_cursor"] is None


@pytest.mark.parametrize("path", ["/api/v1/doctors", "/api/v1/doctors/me/patients"])
def test_a_cursor_of_other_filters_of_another_list_or_of_nobody_is_refused(
    path: str, api: Api, institution: User
) -> None:
    doctor = api.new_doctor(institution)
    for _ in range(2):
        api.new_patient(doctor, institution)
    cursors = {
        name: doctor.doctors.get(name, params={"limit": 1}).json()["next_cursor"]
        for name in ("/api/v1/doctors", "/api/v1/doctors/me/patients")
    }
    foreign = institution.institutions.get("/api/v1/institutions/patients", params={"limit": 1}).json()["next_cursor"]
    own = cursors[path]
    (other,) = (cursor for name, cursor in cursors.items() if name != path)
    assert own and other and foreign

    def get(**parameters: str) -> httpx.Response:
        return doctor.doctors.get(path, params=parameters)

    assert get(cursor=own, limit="7").status_code == 200
    assert_problem(get(cursor=own, q="ana"), 400, "invalid_cursor")
    swapped = own[:-2] + ("A" if own[-2] != "A" else "B") + own[-1]
    for cursor in (other, foreign, swapped, own + "AAAA", own[:-4], "", "abc", "ñ", "====", "W10="):
        assert_problem(get(cursor=cursor), 400, "invalid_cursor")
    assert fields_of(get(cursor="x" * 1_001)) == ["cursor"]


@pytest.mark.parametrize("path", ["/api/v1/doctors", "/api/v1/doctors/me/patients"])
@pytest.mark.parametrize(
    ("parameter", "value"),
    [("limit", "0"), ("limit", "201"), ("limit", "-1"), ("limit", "x"), ("limit", "9" * 30), ("q", " "), ("q", "\x00")],
)
def test_an_invalid_parameter_is_named(path: str, parameter: str, value: str, doctor: User) -> None:
    answer = doctor.doctors.get(path, params={parameter: value})
    assert fields_of(answer) == [parameter]


def test_an_invalid_filter_of_doctors_is_named(doctor: User) -> None:
    for parameter, value in {
        **{"specialty_id": "1", "institution_id": "x", "professional_status": "busy", "is_active": "maybe"},
        **{"min_experience": "81", "max_fee": "nan"},
    }.items():
        assert fields_of(doctor.doctors.get("/api/v1/doctors", params={parameter: value})) == [parameter]
    answer = doctor.doctors.get("/api/v1/doctors/me/patients", params={"validation_status": "ok"})
    assert fields_of(answer) == ["validation_status"]


def test_an_unknown_parameter_is_answered_with_the_nearest_known_one(doctor: User) -> None:
    for path, unknown, nearest in (
        ("/api/v1/doctors", "speciality", "specialty_id"),
        ("/api/v1/doctors/me/patients", "status", "validation_status"),
    ):
        headers = {"Accept-Language": "en"}
        document = assert_problem(
            doctor.doctors.get(path, params={unknown: "x"}, headers=headers), 422, "validation_failed"
        )
        assert [error["field"] for error in document["errors"]] == [unknown]
        assert f'"{nearest}"' in document["errors"][0]["message"]


def test_doctors_are_filtered(api: Api, owner: RealDictCursor, other_institution: User) -> None:
    institution = api.new_institution()
    licence = unique("CED")
    lopez = api.new_doctor(
        institution,
        **{"first_name": "Óscar", "last_name": "López Ávila", "medical_license": licence},
        **{"specialty_id": GENERAL_PRACTICE, "years_experience": 10, "consultation_fee": 500},
    )
    young = api.new_doctor(institution, first_name="Eva", years_experience=2, consultation_fee=900)
    blank = api.new_doctor(institution, first_name="Under_score")
    owner.execute("UPDATE doctors SET professional_status = 'suspended' WHERE id = %s", [young.id])
    deleted = api.new_doctor(institution)
    assert institution.doctors.delete(path_of(deleted)).status_code == 204

    def found(user: User = institution, **filters: Any) -> set[str]:
        answer = user.doctors.get("/api/v1/doctors", params=filters)
        assert answer.status_code == 200, answer.text
        return {doctor["id"] for doctor in answer.json()["items"]}

    assert found(q="oscar lopez") == found(q="AVILA") == found(q=licence[4:]) == found(q=lopez.email) == {lopez.id}
    assert found(q="under_s") == {blank.id} and found(q="under%s") == set()
    assert found(specialty_id=GENERAL_PRACTICE) == {lopez.id}
    assert found(min_experience=10) == {lopez.id} and found(min_experience=11) == set()
    assert found(max_fee=900) == {lopez.id, young.id} and found(max_fee=899.99) == {lopez.id}
    assert found(professional_status="suspended") == {young.id}
    assert found(institution_id=institution.id) == found() == {lopez.id, young.id, blank.id}
    assert found(institution_id=other_institution.id) == set()
    assert found(api.admin, institution_id=institution.id) == found()
    assert found(api.admin, institution_id=institution.id, is_active=False) == {deleted.id}
    assert found(is_active=False) == set()
    assert found(specialty_id=GENERAL_PRACTICE, min_experience=1, max_fee=500, q="opez") == {lopez.id}


# Creating


def test_a_new_doctor_has_every_field_of_the_contract(api: Api, institution: User) -> None:
    for user in (api.admin, institution):
        body = doctor_body(
            institution.id,
            **{"specialty_id": GENERAL_PRACTICE, "years_experience": 0, "consultation_fee": 1_000_000},
            **{"contact_phone": "+52 55 1234 5678", "first_name": "  Jose\u0301 "},
        )
        answer = user.doctors.post("/api/v1/doctors", json=body, headers={"Accept-Language": "en"})
        assert answer.status_code == 201, answer.text
        doctor = answer.json()
        assert answer.headers["location"] == f"/api/v1/doctors/{doctor['id']}"
        assert user.doctors.get(answer.headers["location"], headers={"Accept-Language": "en"}).json() == doctor
        assert set(doctor) == DOCTOR
        times = [datetime.fromisoformat(doctor.pop(name)) for name in ("created_at", "updated_at")]
        assert all(moment.utcoffset() is not None for moment in times)
        assert doctor == {
            **{"id": doctor["id"], "institution_id": institution.id, "first_name": "José"},
            **{name: body[name] for name in ("last_name", "medical_license")},
            **{"license_status": "pending", "specialty_id": GENERAL_PRACTICE, "specialty_name": "General Practice"},
            **{"years_experience": 0, "consultation_fee": 1_000_000, "is_active": True},
            **{"professional_status": "active", "contact_email": body["contact_email"]["email_address"]},
            **{"contact_phone": "+52 55 1234 5678"},
        }
        assert api.log_in("doctors", body["contact_email"]["email_address"]).id == doctor["id"]


def test_an_institution_creates_no_doctors_of_another(institution: User, other_institution: User) -> None:
    answer = institution.doctors.post("/api/v1/doctors", json=doctor_body(other_institution.id))
    assert_problem(answer, 403, "forbidden")


def test_invalid_fields_are_named_all_at_once_and_no_value_is_repeated(api: Api, institution: User) -> None:
    body = doctor_body(
        institution.id,
        **{"first_name": " ", "medical_license": "---", "years_experience": 81, "consultation_fee": 1.005},
        **{"contact_email": {"email_address": "no address"}, "contact_phone": "call me", "is_verified": True},
        **{"password": 12345678},
    )
    answer = api.admin.doctors.post("/api/v1/doctors", json=body)
    assert set(fields_of(answer)) == {
        *("first_name", "medical_license", "years_experience", "consultation_fee", "contact_email.email_address"),
        *("contact_phone", "is_verified", "password"),
    }
    assert not [value for value in ("no address", "call me", "12345678", "1.005") if value in answer.text]
    for field in ("institution_id", "specialty_id"):
        body = doctor_body(institution.id) | {field: str(uuid4())}
        assert fields_of(api.admin.doctors.post("/api/v1/doctors", json=body)) == [field]
    assert "institution_id" in fields_of(api.admin.doctors.post("/api/v1/doctors", json={}))


@pytest.mark.parametrize("fee", ["NaN", "1e999", "-Infinity", "1e400", "0." + "1" * 400, "9" * 400])
def test_a_hostile_number_is_the_clients_error(fee: str, api: Api, institution: User) -> None:
    body = httpx.Request("POST", "http://unused", json=doctor_body(institution.id)).content
    hostile = body[:-1] + b', "consultation_fee": ' + fee.encode() + b"}"
    answer = api.admin.doctors.post("/api/v1/doctors", content=hostile, headers={"Content-Type": "application/json"})
    assert fields_of(answer) == ["consultation_fee"]


def visible(owner: RealDictCursor, email: str) -> int:
    """How many rows tell of an e-mail: contacts, and accounts that have an owner."""
    owner.execute("SELECT FROM emails WHERE lower(email_address) = lower(%s)", [email])
    contacts = owner.rowcount
    owner.execute("SELECT FROM users WHERE lower(email) = lower(%s) AND owner_status <> 'missing'", [email])
    return contacts + owner.rowcount


def test_a_taken_licence_creates_nothing_and_its_email_stays_free(
    api: Api, institution: User, other_institution: User, owner: RealDictCursor
) -> None:
    licence = unique("CED")
    api.new_doctor(institution, medical_license=licence)
    separated = (licence.replace("-", separator) for separator in (" ", SEPARATORS))
    for same in (licence, licence.lower(), *separated, f" {licence.replace('-', '')} "):
        body = doctor_body(other_institution.id, medical_license=same, contact_phone="+52 55 1234 5678")
        email = body["contact_email"]["email_address"]
        assert_problem(api.admin.doctors.post("/api/v1/doctors", json=body), 409, "license_taken")
        assert visible(owner, email) == 0
        owner.execute("SELECT FROM phones p JOIN users u ON u.id = p.entity_id WHERE u.email = %s", [email])
        assert owner.rowcount == 0
        answer = api.anonymous.auth.post("/auth/login", json={"email": email, "password": PASSWORD})
        assert_problem(answer, 401, "invalid_credentials")
        again = api.admin.doctors.post("/api/v1/doctors", json=body | {"medical_license": unique("CED")})
        assert again.status_code == 201 and visible(owner, email) == 2


def test_a_taken_email_creates_nothing_and_its_licence_stays_free(
    api: Api, doctor: User, institution: User, owner: RealDictCursor
) -> None:
    for email in (doctor.email, doctor.email.upper(), institution.email):
        body = doctor_body(institution.id, contact_email={"email_address": email})
        assert_problem(api.admin.doctors.post("/api/v1/doctors", json=body), 409, "email_taken")
        owner.execute("SELECT FROM doctors WHERE medical_license = %s", [body["medical_license"]])
        assert owner.rowcount == 0 and visible(owner, email) == 2
        free = doctor_body(institution.id, medical_license=body["medical_license"])
        assert api.admin.doctors.post("/api/v1/doctors", json=free).status_code == 201


@pytest.mark.parametrize(("shared", "code"), [("contact_email", "email_taken"), ("medical_license", "license_taken")])
def test_of_creations_at_the_same_moment_one_wins(
    shared: str, code: str, api: Api, institution: User, fleet: Fleet, owner: RealDictCursor
) -> None:
    for _ in range(5):
        first = doctor_body(institution.id)
        bodies = [first] + [doctor_body(institution.id) | {shared: first[shared]} for _ in range(3)]
        answers = at_once([lambda body=body: create(fleet, api, body) for body in bodies])
        assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
        for answer in answers:
            if answer.status_code == 409:
                assert_problem(answer, 409, code)
        emails = {body["contact_email"]["email_address"] for body in bodies}
        assert sum(visible(owner, email) for email in emails) == 2


def create(fleet: Fleet, api: Api, body: dict[str, Any]) -> httpx.Response:
    headers = {"Authorization": f"Bearer {api.admin.token}"}
    return httpx.post(f"{fleet.urls['doctors']}/api/v1/doctors", json=body, headers=headers, timeout=20)


def at_once(actions: list[Callable[[], httpx.Response]]) -> list[httpx.Response]:
    """Do all at the same moment, each in a thread."""
    barrier, answers = threading.Barrier(len(actions)), []

    def run(action: Callable[[], httpx.Response]) -> None:
        barrier.wait(20)
        answers.append(action())

    threads = [threading.Thread(target=run, args=[action]) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


# One doctor


def test_a_doctor_is_read_by_those_who_may_know_it(
    api: Api, doctor: User, institution: User, other_institution: User, other_doctor: User
) -> None:
    for user in (api.admin, institution, doctor):
        answer = user.doctors.get(path_of(doctor))
        assert answer.status_code == 200 and set(answer.json()) == DOCTOR and answer.json()["id"] == doctor.id
    colleague = api.new_doctor(institution)
    for user in (other_institution, other_doctor, colleague):
        assert_problem(user.doctors.get(path_of(doctor)), 404, "doctor_not_found")
    assert_problem(api.admin.doctors.get(f"/api/v1/doctors/{uuid4()}"), 404, "doctor_not_found")
    assert fields_of(api.admin.doctors.get("/api/v1/doctors/1")) == ["doctor_id"]


def test_an_update_takes_any_subset_of_the_fields(api: Api, institution: User) -> None:
    doctor = api.new_doctor(institution, contact_phone="+52 55 1234 5678", years_experience=3, consultation_fee=500)
    before = institution.doctors.get(path_of(doctor)).json()

    def put(user: User = institution, **body: Any) -> dict[str, Any]:
        answer = user.doctors.put(path_of(doctor), json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json() == institution.doctors.get(path_of(doctor)).json()
        changed = {
            name: value for name, value in answer.json().items() if value != before[name] and name != "updated_at"
        }
        assert answer.json()["updated_at"] > before["updated_at"]
        return changed

    assert put(first_name="Eva") == {"first_name": "Eva"}
    assert put(contact_phone="+52 55 8765 4321") == {"first_name": "Eva", "contact_phone": "+52 55 8765 4321"}
    assert put(api.admin, years_experience=None, consultation_fee=None, contact_phone=None) == {
        **{"first_name": "Eva", "contact_phone": None, "years_experience": None, "consultation_fee": None}
    }
    assert put(specialty_id=GENERAL_PRACTICE)["specialty_name"] == "Medicina general"
    whole = {
        **{"institution_id": institution.id, "first_name": "Ana", "last_name": "Ruiz"},
        **{"medical_license": unique("CED"), "specialty_id": None, "years_experience": 80, "consultation_fee": 0},
    }
    assert put(**whole).items() >= {name: whole[name] for name in ("last_name", "medical_license")}.items()
    licence = whole["medical_license"].lower()
    assert put(medical_license=licence)["medical_license"] == licence


def test_an_update_refuses_what_is_empty_null_unknown_or_taken(
    api: Api, institution: User, other_institution: User, doctor: User
) -> None:
    mine = api.new_doctor(institution)

    def put(body: dict[str, Any], user: User = institution) -> httpx.Response:
        return user.doctors.put(path_of(mine), json=body)

    before = institution.doctors.get(path_of(mine)).json()
    assert_problem(put({}), 400, "empty_update")
    for field in ("institution_id", "first_name", "last_name", "medical_license"):
        assert fields_of(put({field: None})) == [field]
    for field in ("contact_email", "password", "professional_status", "license_status", "is_active", "id"):
        assert fields_of(put({field: "x"})) == [field]
    assert fields_of(put({"specialty_id": str(uuid4())})) == ["specialty_id"]
    assert fields_of(put({"institution_id": str(uuid4())}, api.admin)) == ["institution_id"]
    taken = api.admin.doctors.get(path_of(doctor)).json()["medical_license"]
    both = {"first_name": "Eva", "contact_phone": "+52 55 1234 5678", "medical_license": taken}
    assert_problem(put(both), 409, "license_taken")
    assert_problem(put({"institution_id": other_institution.id}), 403, "forbidden")
    assert institution.doctors.get(path_of(mine)).json() == before


def test_a_doctor_moves_to_another_institution_only_without_patients(
    api: Api, institution: User, other_institution: User
) -> None:
    doctor = api.new_doctor(institution)
    move = {"institution_id": other_institution.id}
    answer = api.admin.doctors.put(path_of(doctor), json=move)
    assert answer.status_code == 200 and answer.json()["institution_id"] == other_institution.id
    assert_problem(institution.doctors.get(path_of(doctor)), 404, "doctor_not_found")
    api.new_patient(doctor, other_institution)
    answer = api.admin.doctors.put(path_of(doctor), json={"institution_id": institution.id})
    assert_problem(answer, 409, "doctor_has_patients")


def test_a_deleted_institution_gets_no_doctors(api: Api, institution: User) -> None:
    closed, doctor = api.new_institution(), api.new_doctor(institution)
    assert api.admin.institutions.delete(f"/api/v1/institutions/{closed.id}").status_code == 204
    answer = api.admin.doctors.put(path_of(doctor), json={"institution_id": closed.id})
    assert fields_of(answer) == ["institution_id"]
    assert fields_of(api.admin.doctors.post("/api/v1/doctors", json=doctor_body(closed.id))) == ["institution_id"]


def test_a_foreign_doctor_is_neither_changed_nor_deleted(
    api: Api, doctor: User, institution: User, other_institution: User
) -> None:
    before = institution.doctors.get(path_of(doctor)).json()
    answer = other_institution.doctors.put(path_of(doctor), json={"first_name": "Eva"})
    assert_problem(answer, 404, "doctor_not_found")
    assert_problem(other_institution.doctors.delete(path_of(doctor)), 404, "doctor_not_found")
    for method in ("PUT", "DELETE"):
        answer = api.admin.doctors.request(method, f"/api/v1/doctors/{uuid4()}", json={"first_name": "Eva"})
        assert_problem(answer, 404, "doctor_not_found")
    assert institution.doctors.get(path_of(doctor)).json() == before


@pytest.mark.parametrize("by", ["admin", "institution"])
def test_a_deletion_hides_the_doctor_and_ends_its_sessions_at_once(
    by: str, api: Api, institution: User, fleet: Fleet
) -> None:
    doctor = api.new_doctor(institution)
    second = api.log_in("auth", doctor.email)
    assert statuses(api, doctor.token) == statuses(api, second.token) == ALIVE
    user = api.admin if by == "admin" else institution
    answer = user.doctors.delete(path_of(doctor))
    assert (answer.status_code, answer.content) == (204, b"")
    assert statuses(api, doctor.token) == statuses(api, second.token) == DEAD
    with Redis.from_url(fleet.redis_url) as redis:
        assert not redis.exists(f"user-sessions:{doctor.id}")
    for service in ("auth", "doctors"):
        login = getattr(api.anonymous, service).post("/auth/login", json={"email": doctor.email, "password": PASSWORD})
        assert_problem(login, 401, "invalid_credentials")
    for method in ("GET", "PUT", "DELETE"):
        answer = user.doctors.request(method, path_of(doctor), json={"first_name": "Eva"})
        assert_problem(answer, 404, "doctor_not_found")
    listed = pages(user.doctors, "/api/v1/doctors", "items", institution_id=institution.id, limit=200)
    assert doctor.id not in {found["id"] for page in listed for found in page}


def test_a_deleted_doctor_keeps_its_email_and_licence(api: Api, institution: User) -> None:
    licence = unique("CED")
    doctor = api.new_doctor(institution, medical_license=licence)
    assert institution.doctors.delete(path_of(doctor)).status_code == 204
    for taken, code in (
        ({"medical_license": licence}, "license_taken"),
        ({"contact_email": {"email_address": doctor.email}}, "email_taken"),
    ):
        answer = institution.doctors.post("/api/v1/doctors", json=doctor_body(institution.id, **taken))
        assert_problem(answer, 409, code)


# Specialties


def test_the_specialties_are_for_every_role_in_its_language(
    api: Api, doctor: User, institution: User, patient: User
) -> None:
    for user in (api.admin, doctor, institution, patient):
        for language, name, category in (
            ("es", "Medicina general", "Atención primaria"),
            ("en", "General Practice", "Primary care"),
        ):
            answer = user.doctors.get("/api/v1/specialties", headers={"Accept-Language": language})
            assert answer.status_code == 200 and set(answer.json()) == {"items"}
            assert {"id": GENERAL_PRACTICE, "name": name, "category": category} in answer.json()["items"]
    assert fields_of(doctor.doctors.get("/api/v1/specialties", params={"limit": 1})) == ["limit"]


def test_an_unknown_institution_is_told_before_a_taken_email(api: Api) -> None:
    institution = api.new_institution()
    taken = api.new_doctor(institution)
    body = doctor_body(str(uuid4()), contact_email={"email_address": taken.email})
    refused = assert_problem(api.admin.doctors.post("/api/v1/doctors", json=body), 422, "validation_failed")
    assert refused["errors"][0]["field"] == "institution_id"
