"""An institution, its doctor and their patient; and another such three, who may not know of them."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from psycopg2.extras import RealDictCursor

from shared import audit
from shared.caller import Caller
from tests.support import Api, User

HEALTH_PROFILE: dict[str, Any] = {
    "height_cm": 172.5,
    "weight_kg": 81.25,
    "blood_type_id": 7,
    "is_smoker": False,
    "smoking_years": 4,
    "smoking_status": "former",
    "quit_date": "2015-02-28",
    "secondhand_smoke_home": False,
    "consumes_alcohol": True,
    "alcohol_frequency": "monthly",
    "physical_activity_minutes_weekly": 150,
    "sleep_hours": 7.5,
    "diet_score": 11,
    "takes_bp_medication": True,
    "takes_lipid_medication": False,
    "has_diabetes": False,
    "notes": "Camina al trabajo.",
}


@dataclass(frozen=True)
class Care:
    """A patient with its doctor and its institution."""

    institution: User
    doctor: User
    patient: User

    @property
    def path(self) -> str:
        """The patient's path at its service."""
        return f"/api/v1/patients/{self.patient.id}"


def _care(api: Api) -> Care:
    institution = api.new_institution()
    doctor = api.new_doctor(institution)
    return Care(institution, doctor, api.new_patient(doctor, institution, health_profile=HEALTH_PROFILE))


@pytest.fixture(scope="module")
def care(api: Api) -> Care:
    """A patient of a doctor and of that doctor's institution; tests that change it make their own."""
    return _care(api)


@pytest.fixture(scope="module")
def others(api: Api) -> Care:
    """Another patient, doctor and institution."""
    return _care(api)


def add_record(owner: RealDictCursor, patient_id: str) -> None:
    """Give a patient one active and one stopped medication, a lasting and a past condition, and one of all else."""
    owner.execute(
        """
        INSERT INTO patient_medications (patient_id, medication_id, dosage, frequency, start_date, status)
        SELECT %(id)s, m.id, v.dosage, 'cada 12 h', DATE '2024-03-01', v.status
        FROM (VALUES ('Metformina', '850 mg', 'active'), ('Losartán', '50 mg', 'stopped')) v (name, dosage, status)
        JOIN medications m ON m.name = v.name;

        INSERT INTO patient_conditions (patient_id, condition_id, diagnosis_date, abatement_date, notes)
        SELECT %(id)s, m.id, DATE '2020-01-02', v.abatement_date::date, 'nota'
        FROM (VALUES ('Diabetes mellitus tipo 2', NULL), ('Anemia', '2021-06-30')) v (name, abatement_date)
        JOIN medical_conditions m ON m.name = v.name;

        INSERT INTO patient_allergies (patient_id, allergy_id, severity, reaction_description)
        SELECT %(id)s, id, 'moderate', 'Urticaria' FROM allergies WHERE name = 'Penicilina';

        INSERT INTO patient_family_history (patient_id, condition_id, relative_type, notes)
        SELECT %(id)s, id, 'mother', 'desde los 50' FROM medical_conditions WHERE name = 'Asma';

        INSERT INTO observations (patient_id, code, value, value_code, unit, effective_at, recorded_by_type)
        VALUES (%(id)s, '29463-7', 81.2, NULL, 'kg', '2025-05-01T10:00:00Z', 'service'),
               (%(id)s, '72166-2', NULL, 'former', '', '2025-06-01T10:00:00Z', 'service');
        """,
        {"id": patient_id},
    )


def scope_of(user: User) -> dict[str, Any]:
    """The scope of a caller, as SQL takes it."""
    return {"caller_type": user.user_type, "caller_id": UUID(user.id)}


def event_of(user: User, resource: str = "patient") -> dict[str, Any]:
    """The audit event of a look of a caller."""
    return audit.parameters("service-patients", Caller(user.user_type, UUID(user.id)), "read", resource)


def events_of(owner: RealDictCursor, user: User, resource: str) -> list[list[UUID]]:
    """The patients of each event that a user caused, in order."""
    owner.execute(
        "SELECT patient_ids FROM audit_events WHERE actor_id = %s AND resource = %s ORDER BY id", (user.id, resource)
    )
    return [[UUID(str(one)) for one in row["patient_ids"]] for row in owner.fetchall()]
