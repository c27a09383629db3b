"""A doctor's professional status and its licence's: the moves, who makes them, their history, what they end."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest
from doctors_app.statuses import MOVES
from psycopg2.extras import RealDictCursor

from tests.support import PASSWORD, Api, User, assert_problem

PROFESSIONAL = ("active", "suspended", "retired")
LICENSE = ("pending", "verified", "expired", "revoked")
LEGAL = {
    "professional_status": {
        *(("active", "suspended"), ("suspended", "active"), ("active", "retired"), ("suspended", "retired")),
    },
    "license_status": {
        *(("pending", "verified"), ("verified", "expired"), ("expired", "verified"), ("revoked", "pending")),
        *((current, "revoked") for current in ("pending", "verified", "expired")),
    },
}


def path(doctor_id: str, what: str = "") -> str:
    return f"/api/v1/doctors/{doctor_id}{what}"


def move(user: User, doctor_id: str, field: str, wanted: str, **fields: Any) -> httpx.Response:
    return user.doctors.post(path(doctor_id, "/" + field.replace("_", "-")), json={field: wanted, **fields})


@pytest.fixture(scope="module")
def moved(api: Api, institution: User) -> User:
    """A doctor who is moved about."""
    return api.new_doctor(institution)


@pytest.mark.parametrize(
    ("field", "current", "wanted"),
    [
        *(("professional_status", current, wanted) for current in PROFESSIONAL for wanted in PROFESSIONAL),
        *(("license_status", current, wanted) for current in LICENSE for wanted in LICENSE),
    ],
)
def test_each_move_answers_the_doctor_or_a_409_that_names_what_may_follow(
    api: Api, owner: RealDictCursor, moved: User, field: str, current: str, wanted: str
) -> None:
    owner.execute(f"UPDATE doctors SET {field} = %s WHERE id = %s", (current, moved.id))
    answer = move(api.admin, moved.id, field, wanted)
    shown = api.admin.doctors.get(path(moved.id)).json()
    if (current, wanted) in LEGAL[field]:
        assert answer.status_code == 200 and answer.json() == shown and shown[field] == wanted
    else:
        problem = assert_problem(answer, 409, "invalid_transition")
        assert problem["allowed"] == list(MOVES[field][current]) and problem["current_status"] == current
        assert shown[field] == current


@pytest.mark.parametrize("status", ["suspended", "retired"])
def test_a_suspension_ends_the_sessions_at_once_and_closes_the_login(api: Api, institution: User, status: str) -> None:
    doctor = api.new_doctor(institution)
    assert doctor.doctors.get("/api/v1/doctors/me/profile").status_code == 200
    assert move(institution, doctor.id, "professional_status", status).status_code == 200
    for answer in (doctor.doctors.get("/api/v1/specialties"), doctor.patients.get("/api/v1/sexes")):
        assert_problem(answer, 401, "unauthenticated")
    credentials = {"email": doctor.email, "password": PASSWORD}
    refused = api.anonymous.doctors.post("/auth/login", json=credentials)
    assert_problem(refused, 403, "account_unavailable")
    if status == "suspended":
        assert move(institution, doctor.id, "professional_status", "active").status_code == 200
        assert api.log_in("doctors", doctor.email).id == doctor.id


def test_a_licence_that_is_revoked_does_not_end_a_session(api: Api, institution: User) -> None:
    doctor = api.new_doctor(institution)
    assert move(api.admin, doctor.id, "license_status", "revoked").status_code == 200
    assert doctor.doctors.get("/api/v1/doctors/me/profile").status_code == 200


def test_the_history_tells_who_moved_what_newest_first(api: Api, institution: User) -> None:
    doctor = api.new_doctor(institution)
    move(institution, doctor.id, "professional_status", "suspended", note="Licencia sin goce")
    move(api.admin, doctor.id, "license_status", "verified")
    assert move(api.admin, doctor.id, "license_status", "pending").status_code == 409  # leaves no trace
    history = path(doctor.id, "/status-changes")
    first = institution.doctors.get(history, params={"limit": 1}).json()
    rest = institution.doctors.get(history, params={"limit": 1, "cursor": first["next_cursor"]}).json()
    items = first["items"] + rest["items"]
    for item in items:
        item.pop("created_at")
    assert rest["next_cursor"] is None and items == [
        {
            **{"field": "license_status", "from_status": "pending", "to_status": "verified", "note": None},
            **{"actor_type": "admin", "actor_id": api.admin.id},
        },
        {
            **{"field": "professional_status", "from_status": "active", "to_status": "suspended"},
            **{"note": "Licencia sin goce", "actor_type": "institution", "actor_id": institution.id},
        },
    ]


def test_of_many_equal_moves_at_once_one_is_made(api: Api, institution: User) -> None:
    doctor = api.new_doctor(institution)
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: move(api.admin, doctor.id, "professional_status", "retired").status_code, range(8))
        )
    assert sorted(answers) == [200] + [409] * 7
    assert len(api.admin.doctors.get(path(doctor.id, "/status-changes")).json()["items"]) == 1


def test_an_institution_moves_its_own_doctors_and_no_licence(
    doctor: User, institution: User, other_institution: User
) -> None:
    answer = move(other_institution, doctor.id, "professional_status", "suspended")
    assert_problem(answer, 404, "doctor_not_found")
    assert_problem(other_institution.doctors.get(path(doctor.id, "/status-changes")), 404, "doctor_not_found")
    assert_problem(move(institution, doctor.id, "license_status", "verified"), 403, "forbidden")


def test_doctors_and_patients_move_nothing(api: Api, doctor: User) -> None:
    patient = api.new_patient(doctor)
    for user in (doctor, patient):
        for field, wanted in (("professional_status", "retired"), ("license_status", "verified")):
            assert_problem(move(user, doctor.id, field, wanted), 403, "forbidden")
        assert_problem(user.doctors.get(path(doctor.id, "/status-changes")), 403, "forbidden")


def test_nobody_is_not_found(api: Api) -> None:
    for field, wanted in (("professional_status", "retired"), ("license_status", "verified")):
        assert_problem(move(api.admin, str(uuid4()), field, wanted), 404, "doctor_not_found")


@pytest.mark.parametrize("field", ["professional_status", "license_status"])
def test_a_move_names_a_status_that_there_is(api: Api, doctor: User, field: str) -> None:
    problem = assert_problem(move(api.admin, doctor.id, field, "asleep"), 422, "validation_failed")
    assert [error["field"] for error in problem["errors"]] == [field]


def test_no_status_is_smuggled_into_another_body(api: Api, doctor: User) -> None:
    for field, wanted in (("professional_status", "retired"), ("license_status", "verified")):
        answer = api.admin.doctors.put(path(doctor.id), json={field: wanted})
        assert [error["field"] for error in assert_problem(answer, 422, "validation_failed")["errors"]] == [field]


def test_a_move_is_in_the_audit_trail(api: Api, institution: User, owner: RealDictCursor) -> None:
    doctor = api.new_doctor(institution)
    move(institution, doctor.id, "professional_status", "suspended", note="secreta")
    owner.execute("SELECT actor_id, resource, detail FROM audit_events WHERE detail ->> 'doctor_id' = %s", (doctor.id,))
    (event,) = owner.fetchall()
    assert (str(event["actor_id"]), event["resource"]) == (institution.id, "professional_status")
    assert event["detail"] == {"doctor_id": doctor.id, "from_status": "active", "to_status": "suspended"}
