"""The fields of sections 2 to 5 of the contract, as the OpenAPI document of each service tells them: name, type, null.

Fields may be added; none is renamed, dropped or of another type.
"""

import importlib
from typing import Any

import pytest

PAIR = (
    "access_token refresh_token token_type expires_in:integer refresh_expires_in:integer session_id:uuid user_id:uuid "
    "reference_id:uuid user_type email"
)
ACCOUNT = "id:uuid email user_type reference_id:uuid is_active:boolean is_verified:boolean"
DOCTOR = (
    "id:uuid institution_id:uuid first_name last_name medical_license license_status specialty_id:uuid? "
    "specialty_name? years_experience:integer? consultation_fee:number? is_active:boolean professional_status "
    "contact_email? contact_phone? created_at:date-time updated_at:date-time"
)
OWN_PROFILE = (
    "id:uuid first_name last_name email? specialty_name? specialty_id:uuid? institution_name years_experience:integer? "
    "consultation_fee:number? medical_license professional_status"
)
SUMMARY = (
    "id:uuid first_name last_name date_of_birth:date contact_email? contact_phone? last_login:date-time? "
    "validation_status health_score:integer? risk_level"
)
INSTITUTION = (
    "id:uuid name institution_type_id:integer institution_type_name website? license_number is_active:boolean "
    "is_verified:boolean verification_status contact_email? contact_phone? address:{}? created_at:date-time "
    "updated_at:date-time"
)
INSTITUTION_ADDRESS = (
    "street_address neighborhood? city region_id:integer? region_name? country_id:integer? country_name? postal_code? "
    "latitude:number? longitude:number?"
)
INSTITUTIONS_DOCTOR = (
    "id:uuid first_name last_name medical_license years_experience:integer? consultation_fee:number? is_active:boolean "
    "professional_status specialty? specialty_name? contact_email? contact_phone? active_patients:integer"
)
INSTITUTIONS_PATIENT = (
    "id:uuid first_name last_name date_of_birth:date contact_email? contact_phone? doctor_id:uuid? doctor_name? "
    "doctor_first_name? doctor_last_name? is_verified:boolean validation_status health_score:integer? risk_level "
    "last_login:date-time? last_activity:date-time created_at:date-time"
)
REGION_FIGURES = (
    "country country_name region_id:integer region institutions:integer verified_institutions:integer doctors:integer "
    "patients:integer"
)
PATIENT = (
    "id:uuid doctor_id:uuid? institution_id:uuid? first_name last_name date_of_birth:date age:integer sex_id:integer? "
    "gender_id:integer? emergency_contact_name? emergency_contact_phone? contact_email? contact_phone? "
    "is_active:boolean is_verified:boolean validation_status health_profile:{}? created_at:date-time "
    "updated_at:date-time"
)
HEALTH_PROFILE = (
    "height_cm:number? weight_kg:number? blood_type_id:integer? blood_type? is_smoker:boolean? smoking_years:integer? "
    "smoking_status? quit_date:date? secondhand_smoke_home:boolean? consumes_alcohol:boolean? alcohol_frequency? "
    "physical_activity_minutes_weekly:integer? sleep_hours:number? diet_score:integer? takes_bp_medication:boolean? "
    "takes_lipid_medication:boolean? has_diabetes:boolean? notes?"
)
RECORD = "health_profile:{}? conditions:[] medications:[] allergies:[] family_history:[] observations:[]"
OBSERVATION = "id:uuid code name value:number|string unit effective_at:date-time recorded_by:{}"
APPOINTMENT = (
    "id:uuid patient_id:uuid doctor_id:uuid doctor_name patient_name starts_at:date-time ends_at:date-time "
    "duration_minutes:integer reason? status created_at:date-time"
)
DASHBOARD = (
    "patient:{} health_score:integer? health_score_detail:{} cardiovascular_risk:{} age:integer bmi:number? "
    "bmi_classification? bmi_class? risk_level medications:[] conditions:[] appointments:[] recent_activity:[]"
)
# A place in an answer: the operation, then the way to the object; `[]` are the items of a list.
PLACES: dict[str, dict[str, str]] = {
    "auth": {
        "POST /auth/login": PAIR,
        "POST /auth/token": PAIR,
        "POST /auth/refresh": PAIR,
        "POST /users/create": ACCOUNT,
        "POST /auth/logout": "success:boolean message",
        "POST /auth/logout-all": "success:boolean revoked_sessions:integer",
        "GET /auth/sessions items []": (
            "session_id:uuid device:{} created_at:date-time last_seen_at:date-time expires_at:date-time "
            "is_current:boolean"
        ),
        "GET /auth/sessions items [] device": "ip? user_agent? browser? os? device_type? fingerprint",
    },
    "doctors": {
        "POST /auth/login": PAIR,
        "GET /api/v1/doctors/me/dashboard": (
            "total_patients:integer today_appointments:integer pending_reviews:integer"
        ),
        "GET /api/v1/doctors/me/profile": OWN_PROFILE,
        "PUT /api/v1/doctors/me/profile": OWN_PROFILE,
        "GET /api/v1/doctors/me/institution": "id:uuid name type license_number email? phone? website? address:{}?",
        "GET /api/v1/doctors/me/institution address": "street_address city region_name? country_name? postal_code?",
        "GET /api/v1/doctors/me/patients": "patient_count:integer patients:[] next_cursor?",
        "GET /api/v1/doctors/me/patients patients []": SUMMARY,
        "GET /api/v1/doctors/me/patients/{patient_id}/medical-record": f"patient_info:{{}} {RECORD}",
        "GET /api/v1/doctors/me/patients/{patient_id}/medical-record patient_info": SUMMARY,
        "GET /api/v1/doctors/me/patients/{patient_id}/medical-record observations []": OBSERVATION,
        "GET /api/v1/doctors/me/appointments": "items:[] next_cursor?",
        "GET /api/v1/doctors/me/appointments items []": APPOINTMENT,
        "GET /api/v1/doctors": "items:[] next_cursor?",
        "GET /api/v1/doctors items []": DOCTOR,
        "POST /api/v1/doctors": DOCTOR,
        "GET /api/v1/doctors/{doctor_id}": DOCTOR,
        "PUT /api/v1/doctors/{doctor_id}": DOCTOR,
        "POST /api/v1/doctors/{doctor_id}/restore": DOCTOR,
        "GET /api/v1/doctors/statistics": (
            "total:integer by_specialty:[] by_status:{} average_fee:number? average_experience:number?"
        ),
        "GET /api/v1/doctors/statistics by_specialty []": "specialty_id:uuid? specialty_name? count:integer",
        "GET /api/v1/specialties items []": "id:uuid name category",
    },
    "institutions": {
        "POST /auth/login": PAIR,
        "GET /api/v1/institutions": "items:[] next_cursor?",
        "GET /api/v1/institutions items []": INSTITUTION,
        "POST /api/v1/institutions": INSTITUTION,
        "GET /api/v1/institutions/{institution_id}": INSTITUTION,
        "GET /api/v1/institutions/{institution_id} address": INSTITUTION_ADDRESS,
        "PUT /api/v1/institutions/{institution_id}": INSTITUTION,
        "POST /api/v1/institutions/{institution_id}/restore": INSTITUTION,
        "POST /api/v1/institutions/{institution_id}/verification": INSTITUTION,
        "GET /api/v1/institutions/doctors": "doctors:[] next_cursor?",
        "GET /api/v1/institutions/doctors doctors []": INSTITUTIONS_DOCTOR,
        "GET /api/v1/institutions/patients": "patients:[] next_cursor?",
        "GET /api/v1/institutions/patients patients []": INSTITUTIONS_PATIENT,
        "GET /api/v1/institutions/{institution_id}/accreditations items []": (
            "id:uuid body number valid_from:date valid_until:date status"
        ),
        "GET /api/v1/institutions/geography items []": REGION_FIGURES,
        "GET /api/v1/institution-types items []": "id:integer name",
        "GET /api/v1/countries items []": "id:integer name",
        "GET /api/v1/regions items []": "id:integer name",
    },
    "patients": {
        "POST /auth/login": PAIR,
        "GET /api/v1/patients": "items:[] next_cursor?",
        "GET /api/v1/patients items []": PATIENT,
        "POST /api/v1/patients": PATIENT,
        "GET /api/v1/patients/{patient_id}": PATIENT,
        "GET /api/v1/patients/{patient_id} health_profile": HEALTH_PROFILE,
        "PUT /api/v1/patients/{patient_id}": PATIENT,
        "POST /api/v1/patients/{patient_id}/restore": PATIENT,
        "POST /api/v1/patients/{patient_id}/validation": PATIENT,
        "GET /api/v1/patients/{patient_id}/dashboard": DASHBOARD,
        "GET /api/v1/patients/{patient_id}/dashboard patient": (
            "first_name last_name date_of_birth:date is_smoker:boolean? consumes_alcohol:boolean? "
            "physical_activity_minutes_weekly:integer? height_cm:number? weight_kg:number?"
        ),
        "GET /api/v1/patients/{patient_id}/dashboard medications []": "name dosage? frequency?",
        "GET /api/v1/patients/{patient_id}/dashboard conditions []": "name",
        "GET /api/v1/patients/{patient_id}/dashboard appointments []": APPOINTMENT,
        "GET /api/v1/patients/{patient_id}/dashboard recent_activity []": "kind description occurred_at:date-time",
        "GET /api/v1/patients/{patient_id}/dashboard cardiovascular_risk": (
            "model ten_year:{} thirty_year:{}? missing:[] not_applicable:[]"
        ),
        "GET /api/v1/patients/{patient_id}/dashboard cardiovascular_risk ten_year": (
            "total_cvd:number? ascvd:number? heart_failure:number?"
        ),
        "GET /api/v1/patients/{patient_id}/medical-record": RECORD,
        "GET /api/v1/patients/{patient_id}/medical-record health_profile": HEALTH_PROFILE,
        "GET /api/v1/patients/{patient_id}/medical-record conditions []": "id:integer name diagnosis_date:date? notes?",
        "GET /api/v1/patients/{patient_id}/medical-record medications []": (
            "id:integer name dosage? frequency? start_date:date?"
        ),
        "GET /api/v1/patients/{patient_id}/medical-record allergies []": (
            "id:integer name severity? reaction_description?"
        ),
        "GET /api/v1/patients/{patient_id}/medical-record family_history []": (
            "id:uuid condition_name relative_type? notes?"
        ),
        "GET /api/v1/patients/{patient_id}/medical-record observations []": OBSERVATION,
        "GET /api/v1/patients/{patient_id}/care-team": "doctor:{}? institution:{}?",
        "GET /api/v1/patients/{patient_id}/care-team doctor": (
            "id:uuid first_name last_name years_experience:integer? specialty? email? phone?"
        ),
        "GET /api/v1/patients/{patient_id}/care-team institution": (
            "id:uuid name type website? email? phone? address:{}?"
        ),
        "GET /api/v1/patients/{patient_id}/care-team institution address": "street city region? country? postal_code?",
        "GET /api/v1/patients/{patient_id}/profile": "personal_info:{} emails:[] phones:[] addresses:[]",
        "GET /api/v1/patients/{patient_id}/profile personal_info": (
            "first_name last_name date_of_birth:date primary_email?"
        ),
        "GET /api/v1/patients/{patient_id}/profile emails []": (
            "id:uuid email_address email_type is_primary:boolean is_verified:boolean"
        ),
        "GET /api/v1/patients/{patient_id}/profile phones []": (
            "id:uuid phone_number phone_type is_primary:boolean is_verified:boolean"
        ),
        "GET /api/v1/patients/{patient_id}/profile addresses []": (
            "id:uuid street_address neighborhood? city postal_code? address_type is_primary:boolean "
            "is_verified:boolean region_id:integer? region_name? country_id:integer? country_name?"
        ),
        "PUT /api/v1/patients/{patient_id}/health-profile": HEALTH_PROFILE,
        "GET /api/v1/patients/{patient_id}/observations items []": OBSERVATION,
        "GET /api/v1/patients/{patient_id}/observations items [] recorded_by": "actor_type actor_id:uuid?",
        "GET /api/v1/patients/{patient_id}/validation items []": (
            "from_status to_status actor_type actor_id:uuid note? created_at:date-time"
        ),
        "GET /api/v1/patients/{patient_id}/appointments items []": APPOINTMENT,
        "POST /api/v1/patients/{patient_id}/appointments": APPOINTMENT,
        "PATCH /api/v1/patients/{patient_id}/appointments/{appointment_id}": APPOINTMENT,
        "GET /api/v1/patients/{patient_id}/access-log items []": (
            "actor_type actor_id:uuid? actor_name? action resource occurred_at:date-time request_id"
        ),
        "GET /api/v1/blood-types items []": "id:integer name",
        "GET /api/v1/sexes items []": "id:integer name",
        "GET /api/v1/genders items []": "id:integer name",
        "GET /api/v1/medical-conditions items []": "id:integer name",
        "GET /api/v1/medications items []": "id:integer name",
        "GET /api/v1/allergies items []": "id:integer name",
    },
}
# The bodies, with the optional fields marked.
BODIES: dict[str, dict[str, str]] = {
    "auth": {
        "POST /auth/login": "email password",
        "POST /auth/refresh": "refresh_token",
        "POST /auth/activate": "token new_password",
        "POST /auth/change-password": "current_password new_password",
        "POST /users/create": "email password user_type reference_id",
        "PATCH /users/{user_id}": "is_active",
    },
    "doctors": {
        "POST /api/v1/doctors": (
            "institution_id first_name last_name medical_license specialty_id? years_experience? consultation_fee? "
            "contact_email contact_phone? password"
        ),
        "PUT /api/v1/doctors/me/profile": "specialty_id? years_experience? consultation_fee?",
        "PUT /api/v1/doctors/{doctor_id}": (
            "institution_id? first_name? last_name? medical_license? specialty_id? years_experience? consultation_fee? "
            "contact_phone?"
        ),
    },
    "institutions": {
        "POST /api/v1/institutions": (
            "name institution_type_id license_number website? contact_email contact_phone? address? password"
        ),
        "PUT /api/v1/institutions/{institution_id}": (
            "name? institution_type_id? license_number? website? contact_phone? address?"
        ),
        "POST /api/v1/institutions/{institution_id}/verification": "verification_status note?",
        "POST /api/v1/institutions/{institution_id}/accreditations": "body number valid_from valid_until",
    },
    "patients": {
        "POST /api/v1/patients": (
            "doctor_id? institution_id? first_name last_name date_of_birth sex_id? gender_id? emergency_contact_name? "
            "emergency_contact_phone? contact_email contact_phone? health_profile? password"
        ),
        "PUT /api/v1/patients/{patient_id}": (
            "doctor_id? institution_id? first_name? last_name? date_of_birth? sex_id? gender_id? "
            "emergency_contact_name? emergency_contact_phone? contact_phone?"
        ),
        "PUT /api/v1/patients/{patient_id}/health-profile": " ".join(
            field.partition(":")[0].rstrip("?") + "?" for field in HEALTH_PROFILE.split() if field != "blood_type?"
        ),
        "POST /api/v1/patients/{patient_id}/emails": "email_address email_type? is_primary?",
        "POST /api/v1/patients/{patient_id}/phones": "phone_number phone_type? is_primary?",
        "POST /api/v1/patients/{patient_id}/addresses": (
            "street_address city neighborhood? region_id? country_id? postal_code? address_type? is_primary?"
        ),
        "POST /api/v1/patients/{patient_id}/conditions": "condition_id? name? diagnosis_date? notes?",
        "POST /api/v1/patients/{patient_id}/medications": "medication_id? name? dosage? frequency? start_date?",
        "POST /api/v1/patients/{patient_id}/allergies": "allergy_id? name? severity? reaction_description?",
        "POST /api/v1/patients/{patient_id}/family-history": "condition_id? name? relative_type? notes?",
        "POST /api/v1/patients/{patient_id}/validation": "status note?",
        "POST /api/v1/patients/{patient_id}/appointments": "starts_at duration_minutes? reason? doctor_id?",
        "PATCH /api/v1/patients/{patient_id}/appointments/{appointment_id}": "status",
    },
}
QUERIES: dict[str, dict[str, str]] = {
    "auth": {"GET /users": "user_type is_active q limit cursor"},
    "doctors": {
        "GET /api/v1/doctors/me/patients": "q validation_status limit cursor",
        "GET /api/v1/doctors/me/appointments": "date status limit cursor",
        "GET /api/v1/doctors": (
            "q specialty_id institution_id professional_status is_active min_experience max_fee limit cursor sort"
        ),
    },
    "institutions": {
        "GET /api/v1/institutions": (
            "q institution_type_id country region city is_verified verification_status limit cursor"
        ),
        "GET /api/v1/institutions/geography": "country",
        "GET /api/v1/regions": "country",
    },
    "patients": {
        "GET /api/v1/patients": (
            "q doctor_id institution_id validation_status is_active born_after born_before limit cursor sort"
        ),
        "POST /api/v1/patients": "allow_duplicate",
        "GET /api/v1/patients/{patient_id}/observations": "code from to limit cursor",
        "GET /api/v1/patients/{patient_id}/observations/trends": "code bucket from to",
        **{f"GET /api/v1/{terms}": "q" for terms in ("medical-conditions", "medications", "allergies")},
    },
}


class Document:
    """The OpenAPI document of a service."""

    def __init__(self, service: str) -> None:
        self._document: dict[str, Any] = importlib.import_module(f"{service}_app.main").app.openapi()

    def operation(self, name: str) -> dict[str, Any]:
        """What is said of `METHOD /path`."""
        method, path = name.split()
        found: dict[str, Any] = self._document["paths"][path][method.lower()]
        return found

    def answer(self, place: str) -> dict[str, Any]:
        """The schema at a place of PLACES."""
        method, path, *way = place.split()
        responses = self.operation(f"{method} {path}")["responses"]
        success = next(code for code in responses if code.startswith("2"))
        schema = self.plain(responses[success]["content"]["application/json"]["schema"])
        for step in way:
            schema = self.plain(schema["items"] if step == "[]" else schema["properties"][step])
        return schema

    def body(self, name: str) -> dict[str, Any]:
        """The schema of a request body."""
        return self.plain(self.operation(name)["requestBody"]["content"]["application/json"]["schema"])

    def plain(self, schema: dict[str, Any]) -> dict[str, Any]:
        """A schema without its reference and its null."""
        if "$ref" in schema:
            return self.plain(self._document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
        options = [option for option in schema.get("anyOf", []) if option.get("type") != "null"]
        return self.plain(options[0]) if len(options) == 1 else schema

    def written(self, name: str, schema: dict[str, Any]) -> str:
        """A field as the tables above write it."""
        null = "?" if {"type": "null"} in schema.get("anyOf", []) else ""
        found = self.plain(schema)
        if "anyOf" in found:
            return f"{name}:{'|'.join(sorted(option['type'] for option in found['anyOf']))}{null}"
        kind = {"object": "{}", "array": "[]"}.get(found["type"], found.get("format", found["type"]))
        return f"{name}{null}" if kind == "string" else f"{name}:{kind}{null}"


@pytest.fixture(scope="module", params=PLACES)
def service(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def document(service: str) -> Document:
    return Document(service)


def test_every_answer_has_the_fields_of_the_contract(service: str, document: Document) -> None:
    for place, fields in PLACES[service].items():
        schema = document.answer(place)
        found = {document.written(name, field) for name, field in schema["properties"].items()}
        assert set(fields.split()) - found == set(), (place, found)
        # What may be null is there all the same.
        names = {field.partition(":")[0].rstrip("?") for field in fields.split()}
        assert names <= set(schema["required"]), place


def test_every_body_takes_the_fields_of_the_contract(service: str, document: Document) -> None:
    for name, fields in BODIES[service].items():
        schema = document.body(name)
        needed = set(schema.get("required", []))
        found = {field if field in needed else f"{field}?" for field in schema["properties"]}
        assert set(fields.split()) - found == set(), (name, found)
        assert needed <= set(fields.split()), f"{name} asks for more than the contract"
        assert schema["additionalProperties"] is False, f"{name} takes unknown fields"


def test_every_list_takes_the_filters_of_the_contract(service: str, document: Document) -> None:
    for name, parameters in QUERIES[service].items():
        found = {given["name"] for given in document.operation(name)["parameters"] if given["in"] == "query"}
        assert set(parameters.split()) - found == set(), name
