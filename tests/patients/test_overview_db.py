"""The SQL of a patient as a whole, on the real server."""

from typing import Any
from uuid import UUID

import pytest
from patients_app import overview_db
from psycopg2.extras import RealDictCursor

from shared.postgres import Database
from tests.patients.conftest import Care, add_record, event_of, events_of, scope_of
from tests.support import Api, User

pytestmark = pytest.mark.anyio

READS = (
    *(overview_db.find_dashboard, overview_db.find_medical_record),
    *(overview_db.find_care_team, overview_db.find_profile),
)


@pytest.mark.parametrize("function", READS)
async def test_every_read_has_the_same_scope_and_is_recorded(
    database: Database, api: Api, care: Care, others: Care, owner: RealDictCursor, function: Any
) -> None:
    patient_id, resource = UUID(care.patient.id), function.__name__
    for user in (care.patient, care.doctor, care.institution, api.admin):
        before = len(events_of(owner, user, resource))
        assert await function(database, patient_id, scope_of(user), event_of(user, resource)) is not None
        assert events_of(owner, user, resource)[before:] == [[patient_id]]
    for user in (others.patient, others.doctor, others.institution):
        assert await function(database, patient_id, scope_of(user), event_of(user, resource)) is None
        assert events_of(owner, user, resource) == []


async def test_a_dashboard_shows_what_is_taken_now_and_what_lasts(
    database: Database, api: Api, care: Care, owner: RealDictCursor
) -> None:
    patient = api.new_patient(care.doctor, health_profile={"height_cm": 160})
    add_record(owner, patient.id)
    row = await overview_db.find_dashboard(database, UUID(patient.id), scope_of(patient), event_of(patient))
    assert row is not None
    assert row["medications"] == [{"name": "Metformina", "dosage": "850 mg", "frequency": "cada 12 h"}]
    assert row["conditions"] == [{"name": "Diabetes mellitus tipo 2"}]


async def test_a_medical_record_holds_everything_present_and_past(
    database: Database, api: Api, care: Care, owner: RealDictCursor
) -> None:
    patient = api.new_patient(care.doctor)
    add_record(owner, patient.id)
    row = await overview_db.find_medical_record(database, UUID(patient.id), scope_of(patient), event_of(patient))
    assert row is not None
    assert [entry["name"] for entry in row["conditions"]] == ["Anemia", "Diabetes mellitus tipo 2"]
    assert [(entry["name"], entry["status"]) for entry in row["medications"]] == [
        ("Metformina", "active"),
        ("Losartán", "stopped"),
    ]
    assert [entry["name"] for entry in row["allergies"]] == ["Penicilina"]
    assert [entry["condition_name"] for entry in row["family_history"]] == ["Asma"]
    assert [(entry["value"], entry["unit"]) for entry in row["observations"]] == [("former", ""), (81.2, "kg")]
    assert row["health_profile"]["height_cm"] is None


async def test_a_care_team_leaves_out_whom_the_patient_does_not_have_or_who_is_deleted(
    database: Database, api: Api, owner: RealDictCursor
) -> None:
    institution = api.new_institution()
    doctor = api.new_doctor(institution)

    async def team(patient: User) -> tuple[str | None, str | None]:
        row = await overview_db.find_care_team(database, UUID(patient.id), scope_of(patient), event_of(patient))
        assert row is not None
        return row["doctor"] and row["doctor"]["id"], row["institution"] and row["institution"]["id"]

    both = api.new_patient(doctor, institution)
    assert await team(both) == (doctor.id, institution.id)
    assert await team(api.new_patient(doctor)) == (doctor.id, None)
    assert await team(api.new_patient(institution=institution)) == (None, institution.id)
    owner.execute("UPDATE doctors SET deleted_at = now() WHERE id = %s", (doctor.id,))
    assert await team(both) == (None, institution.id)
    owner.execute("UPDATE medical_institutions SET deleted_at = now() WHERE id = %s", (institution.id,))
    assert await team(both) == (None, None)


async def test_a_profile_lists_contacts_with_the_primary_first_and_the_rest_by_age(
    database: Database, api: Api, care: Care, owner: RealDictCursor
) -> None:
    patient = api.new_patient(care.doctor, contact_phone="55 1000 0001")
    owner.execute(
        """
        INSERT INTO emails (entity_type, entity_id, email_address, created_at)
        VALUES ('patient', %(id)s, 'z@example.com', '2020-01-01'), ('patient', %(id)s, 'a@example.com', '2020-01-02');
        INSERT INTO phones (entity_type, entity_id, phone_number, created_at)
        VALUES ('patient', %(id)s, '55 0000 0000', '2020-01-01');
        INSERT INTO addresses (entity_type, entity_id, street_address, city, region_id, country_id, is_primary)
        VALUES ('patient', %(id)s, 'Calle 1', 'Aguascalientes', 1, 484, false),
               ('patient', %(id)s, 'Calle 2', 'Aguascalientes', NULL, NULL, true);
        """,
        {"id": patient.id},
    )
    row = await overview_db.find_profile(database, UUID(patient.id), scope_of(patient), event_of(patient))
    assert row is not None
    assert row["primary_email"] == patient.email
    assert [one["email_address"] for one in row["emails"]] == [patient.email, "z@example.com", "a@example.com"]
    assert [one["phone_number"] for one in row["phones"]] == ["55 1000 0001", "55 0000 0000"]
    assert [(one["street_address"], one["region_name"], one["country_name"]) for one in row["addresses"]] == [
        ("Calle 2", None, None),
        ("Calle 1", "Aguascalientes", "México"),
    ]
