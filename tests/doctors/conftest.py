"""The places and people of the doctors' tests: two institutions, a doctor in each, and a full record."""

from collections.abc import Callable

import pytest
from psycopg2.extras import RealDictCursor

from tests.support import Api, User

GENERAL_PRACTICE = "18f3c060-0598-51e1-b7d6-fc7e3e2d7484"


@pytest.fixture(scope="package")
def institution(api: Api) -> User:
    return api.new_institution(
        website="https://clinica.example.com/",
        contact_phone="+52 55 8765 4321",
        address={
            **{"street_address": "Av. Juárez 10", "neighborhood": "Centro", "city": "Aguascalientes"},
            **{"region_id": 1, "country_id": 484, "postal_code": "20000"},
        },
    )


@pytest.fixture(scope="package")
def other_institution(api: Api) -> User:
    return api.new_institution()


@pytest.fixture(scope="package")
def doctor(api: Api, institution: User) -> User:
    return api.new_doctor(
        institution,
        first_name="María José",
        specialty_id=GENERAL_PRACTICE,
        years_experience=12,
        consultation_fee=850.5,
        contact_phone="+52 55 1234 5678",
    )


@pytest.fixture(scope="package")
def other_doctor(api: Api, other_institution: User) -> User:
    return api.new_doctor(other_institution)


@pytest.fixture
def fill_record(owner: RealDictCursor) -> Callable[[str], None]:
    """Gives a patient one entry of each kind, two of some."""

    def fill(patient_id: str) -> None:
        names = {"condition": "Diabetes mellitus tipo 2", "medication": "Metformina", "allergy": "Penicilina"}
        parameters = {"id": patient_id, **names}
        for statement in _RECORD:
            owner.execute(statement, parameters)

    return fill


_RECORD = (
    """INSERT INTO patient_conditions (patient_id, condition_id, diagnosis_date, notes)
       SELECT %(id)s, id, '2019-03-01', 'Controlada' FROM medical_conditions WHERE name = %(condition)s""",
    """INSERT INTO patient_conditions (patient_id, condition_id)
       SELECT %(id)s, id FROM medical_conditions WHERE name = 'Dislipidemia'""",
    """INSERT INTO patient_medications (patient_id, medication_id, dosage, frequency, start_date)
       SELECT %(id)s, id, '850 mg', 'Cada 12 horas', '2019-03-02' FROM medications WHERE name = %(medication)s""",
    """INSERT INTO patient_allergies (patient_id, allergy_id, severity, reaction_description)
       SELECT %(id)s, id, 'severe', 'Urticaria' FROM allergies WHERE name = %(allergy)s""",
    """INSERT INTO patient_family_history (patient_id, condition_id, relative_type, notes)
       SELECT %(id)s, id, 'mother', NULL FROM medical_conditions WHERE name = %(condition)s""",
    """INSERT INTO observations (patient_id, code, value, unit, effective_at, recorded_by_type, recorded_by_id)
       VALUES (%(id)s, '8480-6', 128.5, 'mm[Hg]', '2024-05-01T10:00:00Z', 'patient', %(id)s),
              (%(id)s, '29463-7', 71, 'kg', '2024-06-01T10:00:00Z', 'service', NULL)""",
    """INSERT INTO observations (patient_id, code, value_code, unit, effective_at, recorded_by_type)
       VALUES (%(id)s, '72166-2', 'former', '', '2023-01-01T00:00:00Z', 'admin')""",
)
