"""Doctors' statistics, recounted."""

from datetime import datetime

from psycopg2.extras import RealDictCursor

from tests.doctors.conftest import GENERAL_PRACTICE
from tests.support import Api, User, assert_problem

STATISTICS = "/api/v1/doctors/statistics"


def test_an_institution_counts_its_own_doctors(api: Api, owner: RealDictCursor) -> None:
    institution = api.new_institution()
    owner.execute("SELECT id, name_es, name_en FROM doctor_specialties WHERE id <> %s LIMIT 1", (GENERAL_PRACTICE,))
    other = owner.fetchone()
    assert other is not None
    api.new_doctor(institution, specialty_id=GENERAL_PRACTICE, years_experience=1, consultation_fee=500)
    api.new_doctor(institution, specialty_id=GENERAL_PRACTICE, years_experience=2, consultation_fee=700.5)
    api.new_doctor(institution, specialty_id=str(other["id"]), years_experience=2)
    suspended = api.new_doctor(institution)
    owner.execute("UPDATE doctors SET professional_status = 'suspended' WHERE id = %s", (suspended.id,))
    gone = api.new_doctor(institution, years_experience=80, consultation_fee=1_000_000)
    assert api.admin.doctors.delete(f"/api/v1/doctors/{gone.id}").status_code == 204

    figures = institution.doctors.get(STATISTICS, headers={"Accept-Language": "en"}).json()
    by_specialty = figures.pop("by_specialty")
    assert by_specialty[0] == {"specialty_id": GENERAL_PRACTICE, "specialty_name": "General Practice", "count": 2}
    assert {(entry["specialty_id"], entry["specialty_name"], entry["count"]) for entry in by_specialty[1:]} == {
        (str(other["id"]), other["name_en"], 1),
        (None, None, 1),
    }
    datetime.fromisoformat(figures.pop("as_of"))
    assert figures == {
        "total": 4,
        "by_status": {"active": 3, "suspended": 1, "retired": 0},
        "average_fee": 600.25,
        "average_experience": 1.67,
    }


def test_an_institution_without_doctors_has_no_averages(api: Api) -> None:
    figures = api.new_institution().doctors.get(STATISTICS).json()
    assert (figures["total"], figures["by_specialty"]) == (0, [])
    assert (figures["average_fee"], figures["average_experience"]) == (None, None)
    assert figures["by_status"] == {"active": 0, "suspended": 0, "retired": 0}


def test_an_admin_counts_all_doctors(api: Api, doctor: User, owner: RealDictCursor) -> None:
    figures = api.admin.doctors.get(STATISTICS).json()
    owner.execute(
        "SELECT count(*) AS total, avg(consultation_fee)::float AS fee FROM doctors WHERE deleted_at IS NULL "
        "AND created_at < %s",
        (figures["as_of"],),
    )
    row = owner.fetchone()
    assert row is not None and figures["total"] == row["total"] == sum(figures["by_status"].values())
    assert figures["total"] == sum(entry["count"] for entry in figures["by_specialty"])
    assert abs(figures["average_fee"] - row["fee"]) <= 0.005


def test_doctors_and_patients_are_shown_no_figures(api: Api, doctor: User) -> None:
    for user in (doctor, api.new_patient(doctor)):
        assert_problem(user.doctors.get(STATISTICS), 403, "forbidden")
