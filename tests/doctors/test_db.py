"""The SQL of doctors, each function on the real server."""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import groupby
from typing import Any
from uuid import UUID, uuid4

import pytest
from doctors_app import db
from doctors_app.errors import DoctorHasPatients, DoctorNotFound
from psycopg2.extras import RealDictCursor

from shared import audit
from shared.caller import Caller
from shared.errors import DatabaseUnavailable, EmailTaken, LicenseTaken, UnknownReference
from shared.postgres import Database
from tests.support import Api, User, unique

from .conftest import GENERAL_PRACTICE

pytestmark = pytest.mark.anyio
ADMIN = {"caller_type": "admin", "caller_id": uuid4()}
NO_FILTERS = dict.fromkeys(
    ("q", "specialty_id", "institution_id", "professional_status", "min_experience", "max_fee")
) | {"is_active": True, "sort": "created_at"}
NO_PATIENT_FILTERS = {"q": None, "validation_status": None}


def scope_of(user: User) -> dict[str, Any]:
    return {"caller_type": user.user_type, "caller_id": UUID(user.id)}


def event_of(user: User) -> dict[str, Any]:
    caller = Caller(user.user_type, UUID(user.id))
    return audit.parameters("service-doctors", caller, "read", "a test")


def events_about(owner: RealDictCursor, patient_id: str) -> int:
    owner.execute("SELECT FROM audit_events WHERE %s::uuid = ANY (patient_ids) AND resource = 'a test'", [patient_id])
    return owner.rowcount


def an_account(owner: RealDictCursor, email: str | None = None) -> UUID:
    user_id = uuid4()
    email = email or f"{unique('doctora')}@example.com"
    owner.execute("INSERT INTO users (id, email, user_type) VALUES (%s, %s, 'doctor')", [user_id, email])
    return user_id


def row_of(doctor_id: UUID, institution: User, **fields: Any) -> dict[str, Any]:
    return {
        **{"id": doctor_id, "institution_id": UUID(institution.id), "first_name": "Eva", "last_name": "Ruiz"},
        **{"medical_license": unique("MED"), "specialty_id": None, "years_experience": None, "consultation_fee": None},
    } | fields


async def test_a_doctor_is_read_by_an_admin_its_institution_and_itself(
    database: Database, doctor: User, institution: User
) -> None:
    for scope in (ADMIN, scope_of(institution), scope_of(doctor)):
        row = await db.get_doctor(database, UUID(doctor.id), scope)
        assert (str(row["id"]), row["contact_email"], row["specialty_name"]) == (
            *(doctor.id, doctor.email),
            "Medicina general",
        )


async def test_a_doctor_is_not_found_by_others(
    database: Database, doctor: User, other_institution: User, other_doctor: User
) -> None:
    for scope in (scope_of(other_institution), scope_of(other_doctor)):
        with pytest.raises(DoctorNotFound):
            await db.get_doctor(database, UUID(doctor.id), scope)
    with pytest.raises(DoctorNotFound):
        await db.get_doctor(database, uuid4(), ADMIN)


async def test_the_list_is_cut_at_one_more_than_its_limit_and_goes_on_behind_a_position(
    database: Database, api: Api
) -> None:
    institution = api.new_institution()
    made = [api.new_doctor(institution).id for _ in range(4)]
    scope = scope_of(institution)
    first = await db.list_doctors(database, scope, NO_FILTERS, [None, None], 2)
    assert [str(row["id"]) for row in first] == made[:0:-1]
    place = [first[1]["created_at"], first[1]["id"]]
    rest = await db.list_doctors(database, scope, NO_FILTERS, place, 2)
    assert [str(row["id"]) for row in rest] == made[1::-1]


async def test_a_new_doctor_claims_the_email_of_its_account(
    database: Database, owner: RealDictCursor, institution: User
) -> None:
    doctor_id = an_account(owner)
    await db.insert_doctor(database, row_of(doctor_id, institution))
    owner.execute("SELECT owner_status FROM users WHERE id = %s", [doctor_id])
    assert owner.fetchone() == {"owner_status": "active"}


async def test_a_new_doctor_that_breaks_a_constraint_is_a_named_error(
    database: Database, owner: RealDictCursor, institution: User, doctor: User
) -> None:
    taken = row_of(an_account(owner), institution)
    await db.insert_doctor(database, taken)
    same = taken["medical_license"].replace("-", " ").lower()
    with pytest.raises(LicenseTaken):
        await db.insert_doctor(database, row_of(an_account(owner), institution, medical_license=same))
    with pytest.raises(EmailTaken):
        await db.insert_doctor(database, row_of(an_account(owner, doctor.email.upper()), institution))
    for column in ("specialty_id", "institution_id"):
        with pytest.raises(UnknownReference) as raised:
            await db.insert_doctor(database, row_of(an_account(owner), institution, **{column: uuid4()}))
        assert [error.field for error in raised.value.errors] == [column]


async def test_any_subset_of_columns_is_updated(database: Database, api: Api, institution: User) -> None:
    doctor = api.new_doctor(institution, years_experience=3)
    doctor_id = UUID(doctor.id)
    before = await db.get_doctor(database, doctor_id, ADMIN)
    await db.update_doctor(database, doctor_id, ADMIN, {"first_name": "Eva", "years_experience": None})
    after = await db.get_doctor(database, doctor_id, ADMIN)
    changed = {"first_name": "Eva", "first_key": "eva", "years_experience": None, "updated_at": after["updated_at"]}
    assert after == before | changed and after["updated_at"] > before["updated_at"]
    await db.update_doctor(database, doctor_id, ADMIN, {})
    assert (await db.get_doctor(database, doctor_id, ADMIN))["updated_at"] > after["updated_at"]


async def test_an_update_that_breaks_a_constraint_is_a_named_error(
    database: Database, api: Api, institution: User, other_institution: User, doctor: User
) -> None:
    other = api.new_doctor(institution)
    api.new_patient(other, institution)
    licence = (await db.get_doctor(database, UUID(doctor.id), ADMIN))["medical_license"]
    for changes, error in (
        ({"medical_license": licence.lower()}, LicenseTaken),
        ({"specialty_id": uuid4()}, UnknownReference),
        ({"institution_id": UUID(other_institution.id)}, DoctorHasPatients),
    ):
        with pytest.raises(error):
            await db.update_doctor(database, UUID(other.id), ADMIN, changes)


async def test_a_doctor_out_of_scope_is_neither_updated_nor_deleted(
    database: Database, doctor: User, other_institution: User
) -> None:
    scope = scope_of(other_institution)
    with pytest.raises(DoctorNotFound):
        await db.update_doctor(database, UUID(doctor.id), scope, {"first_name": "Eva"})
    with pytest.raises(DoctorNotFound):
        await db.soft_delete_doctor(database, UUID(doctor.id), scope)
    with pytest.raises(DoctorNotFound):
        await db.soft_delete_doctor(database, UUID(doctor.id), scope_of(doctor))
    assert (await db.get_doctor(database, UUID(doctor.id), ADMIN))["first_name"] == "María José"


async def test_a_deleted_doctor_is_hidden_closed_and_kept(
    database: Database, api: Api, institution: User, owner: RealDictCursor
) -> None:
    doctor_id = UUID(api.new_doctor(institution).id)
    await db.soft_delete_doctor(database, doctor_id, scope_of(institution))
    for call in (
        db.get_doctor(database, doctor_id, ADMIN),
        db.update_doctor(database, doctor_id, ADMIN, {"first_name": "Eva"}),
        db.soft_delete_doctor(database, doctor_id, ADMIN),
        db.get_institution(database, doctor_id),
    ):
        with pytest.raises(DoctorNotFound):
            await call
    owner.execute(
        "SELECT owner_status, d.deleted_at FROM users u JOIN doctors d ON d.id = u.id WHERE u.id = %s", [doctor_id]
    )
    row = owner.fetchone()
    assert row["owner_status"] == "deleted" and row["deleted_at"]


async def test_the_dashboard_counts_living_patients_of_the_doctor(
    database: Database, api: Api, institution: User, owner: RealDictCursor
) -> None:
    doctor = api.new_doctor(institution)
    now, none = datetime.now(UTC), {"today_appointments": 0}
    nobody = {"total_patients": 0, "pending_reviews": 0, **none}
    assert await db.count_dashboard(database, UUID(doctor.id), now) == nobody
    patients = [api.new_patient(doctor).id for _ in range(3)]
    owner.execute("UPDATE patients SET validation_status = 'full_access' WHERE id = %s", [patients[0]])
    owner.execute("UPDATE patients SET deleted_at = now() WHERE id = %s", [patients[1]])
    two = {"total_patients": 2, "pending_reviews": 1, **none}
    assert await db.count_dashboard(database, UUID(doctor.id), now) == two


async def test_the_institution_of_a_doctor_is_read_with_its_address(
    database: Database, doctor: User, other_doctor: User, institution: User
) -> None:
    row = await db.get_institution(database, UUID(doctor.id))
    assert (str(row["id"]), row["type"], row["email"]) == (institution.id, "Clínica", institution.email)
    assert row["address"] == {
        **{"street_address": "Av. Juárez 10", "city": "Aguascalientes", "region_name": "Aguascalientes"},
        **{"country_name": "México", "postal_code": "20000"},
    }
    assert (await db.get_institution(database, UUID(other_doctor.id)))["address"] is None


async def test_listed_patients_are_recorded_and_counted(
    database: Database, api: Api, institution: User, owner: RealDictCursor
) -> None:
    doctor = api.new_doctor(institution)
    doctor_id = UUID(doctor.id)
    patients = [api.new_patient(doctor, last_name=name) for name in ("Álvarez", "alvarado", "Zúñiga")]
    rows, count = await db.list_patients(database, doctor_id, NO_PATIENT_FILTERS, [None] * 3, 50, event_of(doctor))
    assert [row["last_name"] for row in rows] == ["alvarado", "Álvarez", "Zúñiga"]
    assert [events_about(owner, patient.id) for patient in patients] == [1, 1, 1]
    assert count == 3

    places = [[row["last_name_key"], row["first_name_key"], row["id"]] for row in rows]
    rest, count = await db.list_patients(database, doctor_id, NO_PATIENT_FILTERS, places[0], 50, event_of(doctor))
    assert [row["last_name"] for row in rest] == ["Álvarez", "Zúñiga"]
    assert count == 3
    assert await db.list_patients(database, doctor_id, NO_PATIENT_FILTERS, places[2], 50, event_of(doctor)) == ([], 3)
    found = NO_PATIENT_FILTERS | {"q": "ZUNIGA"}
    rows, count = await db.list_patients(database, doctor_id, found, [None] * 3, 50, event_of(doctor))
    assert (len(rows), count) == (1, 1)
    nobody = NO_PATIENT_FILTERS | {"q": "nadie"}
    assert await db.list_patients(database, doctor_id, nobody, [None] * 3, 50, event_of(doctor)) == ([], 0)


async def test_nothing_found_is_nothing_recorded(
    database: Database, api: Api, doctor: User, other_doctor: User, owner: RealDictCursor
) -> None:
    patient = api.new_patient(doctor)
    event = event_of(other_doctor)
    assert await db.find_medical_record(database, UUID(other_doctor.id), UUID(patient.id), event) is None
    owner.execute("SELECT FROM audit_events WHERE actor_id = %s AND resource <> 'account'", [other_doctor.id])
    assert owner.rowcount == 0
    assert events_about(owner, patient.id) == 0


async def test_a_record_that_can_not_be_recorded_is_not_read(database: Database, api: Api, doctor: User) -> None:
    patient = api.new_patient(doctor)
    broken = event_of(doctor) | {"audit_outcome": "no outcome"}
    with pytest.raises(DatabaseUnavailable):
        await db.find_medical_record(database, UUID(doctor.id), UUID(patient.id), broken)


async def test_a_record_is_read_and_recorded_in_one_statement(
    database: Database, api: Api, doctor: User, owner: RealDictCursor, fill_record: Callable[[str], None]
) -> None:
    patient = api.new_patient(doctor)
    fill_record(patient.id)
    row = await db.find_medical_record(database, UUID(doctor.id), UUID(patient.id), event_of(doctor))
    assert row is not None
    assert {name: len(row[name]) for name in ("conditions", "medications", "allergies", "family_history")} == {
        **{"conditions": 2, "medications": 1, "allergies": 1, "family_history": 1}
    }
    assert [entry["code"] for entry in row["observations"]] == ["29463-7", "8480-6", "72166-2"]
    assert events_about(owner, patient.id) == 1


async def test_specialties_come_by_category_and_name(database: Database) -> None:
    rows = await db.list_specialties(database)
    assert set(rows[0]) == {"id", "name", "category"}
    assert GENERAL_PRACTICE in {str(row["id"]) for row in rows}
    assert len({row["name"] for row in rows}) == len(rows) > 20
    assert len(list(groupby(rows, lambda row: row["category"]))) == len({row["category"] for row in rows})
