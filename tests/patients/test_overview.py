"""What a patient's pages show: the dashboard, the clinical record, the care team and the profile."""

from datetime import UTC, date, datetime

from psycopg2.extras import RealDictCursor

from tests.patients.conftest import HEALTH_PROFILE, Care, add_record
from tests.support import Api, answer_of

PATIENTS = "/api/v1/patients"


def _age(born: date) -> int:
    today = datetime.now(UTC).date()
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def test_a_dashboard_has_every_field_and_makes_nothing_up(care: Care) -> None:
    dashboard = answer_of(care.patient.patients.get(f"{care.path}/dashboard"))
    # The scores have tests of their own; here: that they name their model, and are as high as their detail says.
    score, detail, risk = (
        dashboard.pop(name) for name in ("health_score", "health_score_detail", "cardiovascular_risk")
    )
    assert score == 79 and detail["mean"] == 79.0 and dashboard.pop("risk_level") == "moderate"
    assert risk["model"] == "AHA PREVENT 2023 base" and risk["missing"]
    assert dashboard == {
        "patient": {
            "first_name": "José",
            "last_name": answer_of(care.patient.patients.get(care.path))["last_name"],
            "date_of_birth": "1980-05-17",
            "is_smoker": False,
            "consumes_alcohol": True,
            "physical_activity_minutes_weekly": 150,
            "height_cm": 172.5,
            "weight_kg": 81.25,
        },
        "age": _age(date(1980, 5, 17)),
        "bmi": 27.3,
        "bmi_class": "overweight",
        "bmi_classification": "Sobrepeso",
        "medications": [],
        "conditions": [],
        **{"appointments": [], "recent_activity": []},
    }


def test_a_dashboard_is_in_the_language_of_the_request(care: Care) -> None:
    answer = care.patient.patients.get(f"{care.path}/dashboard", headers={"Accept-Language": "en"})
    assert answer_of(answer)["bmi_classification"] == "Overweight"


def test_a_dashboard_without_measures_or_of_a_child_has_no_class(api: Api, care: Care) -> None:
    unknown = api.new_patient(care.doctor)
    born = f"{datetime.now(UTC).year - 12}-01-01"
    child = api.new_patient(care.doctor, date_of_birth=born, health_profile={"height_cm": 150, "weight_kg": 45})
    names = ("bmi", "bmi_class", "bmi_classification")
    for patient, expected in ((unknown, (None, None, None)), (child, (20.0, None, None))):
        dashboard = answer_of(patient.patients.get(f"{PATIENTS}/{patient.id}/dashboard"))
        assert tuple(dashboard[name] for name in names) == expected


def test_a_dashboard_and_a_record_show_what_was_recorded(api: Api, care: Care, owner: RealDictCursor) -> None:
    patient = api.new_patient(care.doctor, health_profile=HEALTH_PROFILE)
    add_record(owner, patient.id)
    dashboard = answer_of(care.doctor.patients.get(f"{PATIENTS}/{patient.id}/dashboard"))
    assert dashboard["medications"] == [{"name": "Metformina", "dosage": "850 mg", "frequency": "cada 12 h"}]
    assert dashboard["conditions"] == [{"name": "Diabetes mellitus tipo 2"}]
    record = answer_of(care.doctor.patients.get(f"{PATIENTS}/{patient.id}/medical-record"))
    assert record["health_profile"] == HEALTH_PROFILE | {"blood_type": "O+"}
    fields = {name: set(record[name][0]) for name in record if name != "health_profile"}
    assert fields == {
        "conditions": {"id", "name", "diagnosis_date", "abatement_date", "notes"},
        "medications": {"id", "name", "dosage", "frequency", "start_date", "status"},
        "allergies": {"id", "name", "severity", "reaction_description"},
        "family_history": {"id", "condition_name", "relative_type", "notes"},
        "observations": {"id", "code", "name", "value", "unit", "effective_at", "recorded_by"},
    }
    assert {name: len(record[name]) for name in fields} == {
        **{"conditions": 2, "medications": 2, "allergies": 1, "family_history": 1, "observations": 2}
    }


def test_an_empty_record_is_empty_lists(api: Api, care: Care) -> None:
    patient = api.new_patient(care.doctor)
    record = answer_of(patient.patients.get(f"{PATIENTS}/{patient.id}/medical-record"))
    lists = ("conditions", "medications", "allergies", "family_history", "observations")
    assert {name: record[name] for name in lists} == {name: [] for name in lists}
    assert set(record) == {"health_profile", *lists}


def test_a_care_team_names_doctor_and_institution_and_where_they_are(api: Api) -> None:
    address = {"street_address": "Av. Juárez 1", "city": "Aguascalientes", "region_id": 1, "postal_code": "20000"}
    institution = api.new_institution(
        website="https://clinica.example.com", contact_phone="44 9000 0000", address=address
    )
    specialty = api.admin.doctors.get("/api/v1/specialties").json()["items"][0]
    doctor = api.new_doctor(
        institution, specialty_id=specialty["id"], years_experience=12, contact_phone="44 9000 0001"
    )
    patient = api.new_patient(doctor, institution)
    team = answer_of(patient.patients.get(f"{PATIENTS}/{patient.id}/care-team"))
    assert team["doctor"].pop("last_name").startswith("López") and team["institution"].pop("name").startswith("Clínica")
    assert team == {
        "doctor": {
            "id": doctor.id,
            "first_name": "Ana",
            "years_experience": 12,
            "specialty": specialty["name"],
            "email": doctor.email,
            "phone": "44 9000 0001",
        },
        "institution": {
            "id": institution.id,
            "type": "Clínica",
            "website": "https://clinica.example.com",
            "email": institution.email,
            "phone": "44 9000 0000",
            "address": {
                "street": "Av. Juárez 1",
                "city": "Aguascalientes",
                "region": "Aguascalientes",
                "country": "México",
                "postal_code": "20000",
            },
        },
    }


def test_a_care_team_without_somebody_says_null(api: Api, care: Care) -> None:
    patient = api.new_patient(care.doctor)
    team = answer_of(patient.patients.get(f"{PATIENTS}/{patient.id}/care-team"))
    assert team["institution"] is None and team["doctor"]["id"] == care.doctor.id
    patient = api.new_patient(institution=care.institution)
    team = answer_of(patient.patients.get(f"{PATIENTS}/{patient.id}/care-team"))
    assert team["doctor"] is None and team["institution"]["address"] is None


def test_a_profile_has_every_field(api: Api, care: Care, owner: RealDictCursor) -> None:
    patient = api.new_patient(care.doctor, contact_phone="55 1000 0001")
    owner.execute(
        "INSERT INTO addresses (entity_type, entity_id, street_address, city, region_id, country_id, is_primary) "
        "VALUES ('patient', %s, 'Calle 1', 'Aguascalientes', 1, 484, true)",
        (patient.id,),
    )
    profile = answer_of(patient.patients.get(f"{PATIENTS}/{patient.id}/profile"))
    assert set(profile) == {"personal_info", "emails", "phones", "addresses"}
    assert set(profile["personal_info"]) == {"first_name", "last_name", "date_of_birth", "primary_email"}
    assert profile["personal_info"]["primary_email"] == patient.email
    shared = {"is_primary": True, "is_verified": False}
    assert [entry.pop("id") and entry for entry in profile["emails"]] == [
        {"email_address": patient.email, "email_type": "personal", **shared}
    ]
    assert [entry.pop("id") and entry for entry in profile["phones"]] == [
        {"phone_number": "55 1000 0001", "phone_type": "mobile", **shared}
    ]
    assert [entry.pop("id") and entry for entry in profile["addresses"]] == [
        {
            **{"street_address": "Calle 1", "neighborhood": None, "city": "Aguascalientes", "postal_code": None},
            **{"address_type": "home", "region_id": 1, "region_name": "Aguascalientes"},
            **{"country_id": 484, "country_name": "México", **shared},
        }
    ]
