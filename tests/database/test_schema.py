"""The business rules that the schema itself holds, each by the name that the services know it by."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg2
import pytest

from shared.search import contains

Cursor = psycopg2.extensions.cursor

CLINIC, OTHER_CLINIC = UUID(int=1), UUID(int=2)
DOCTOR, OTHER_DOCTOR = UUID(int=3), UUID(int=4)
PATIENT, OTHER_PATIENT = UUID(int=5), UUID(int=6)
# Accounts whose owner has not appeared yet.
NEW_CLINIC, NEW_DOCTOR, NEW_PATIENT = UUID(int=7), UUID(int=8), UUID(int=9)
IDS = {
    **{"clinic": CLINIC, "other_clinic": OTHER_CLINIC, "doctor": DOCTOR, "other_doctor": OTHER_DOCTOR},
    **{"patient": PATIENT, "other_patient": OTHER_PATIENT},
    **{"new_clinic": NEW_CLINIC, "new_doctor": NEW_DOCTOR, "new_patient": NEW_PATIENT, "nobody": UUID(int=99)},
}

# Two clinics with a doctor each, one patient of each doctor; three accounts without an owner.
WORLD = """
    INSERT INTO users (id, email, user_type) VALUES
        (%(clinic)s, 'clinic@example.com', 'institution'),
        (%(other_clinic)s, 'other-clinic@example.com', 'institution'),
        (%(doctor)s, 'doctor@example.com', 'doctor'), (%(other_doctor)s, 'other-doctor@example.com', 'doctor'),
        (%(patient)s, 'patient@example.com', 'patient'), (%(other_patient)s, 'other-patient@example.com', 'patient'),
        (%(new_clinic)s, 'new-clinic@example.com', 'institution'), (%(new_doctor)s, 'new-doctor@example.com', 'doctor'),
        (%(new_patient)s, 'new-patient@example.com', 'patient');
    INSERT INTO medical_institutions (id, name, institution_type_id, license_number) VALUES
        (%(clinic)s, 'Clínica', 2, 'INS-001'), (%(other_clinic)s, 'Otra clínica', 2, 'INS-002');
    INSERT INTO doctors (id, institution_id, first_name, last_name, medical_license) VALUES
        (%(doctor)s, %(clinic)s, 'Ana', 'López', 'MED-001'),
        (%(other_doctor)s, %(other_clinic)s, 'Eva', 'Ruiz', 'MED-002');
    INSERT INTO patients (id, doctor_id, institution_id, first_name, last_name, date_of_birth) VALUES
        (%(patient)s, %(doctor)s, %(clinic)s, 'José', 'Núñez', '1980-05-17'),
        (%(other_patient)s, %(other_doctor)s, NULL, 'Luz', 'Paz', '1990-01-31');
    INSERT INTO health_profiles (patient_id) VALUES (%(patient)s);
    INSERT INTO emails (entity_type, entity_id, email_address, is_primary)
        VALUES ('patient', %(patient)s, 'patient@example.com', true);
    INSERT INTO phones (entity_type, entity_id, phone_number, is_primary)
        VALUES ('patient', %(patient)s, '55 1234', true);
    INSERT INTO addresses (entity_type, entity_id, street_address, city, is_primary)
        VALUES ('patient', %(patient)s, 'Calle 1', 'Puebla', true);
    INSERT INTO medical_conditions (id, name) VALUES (9001, 'Difteria súbita');
    INSERT INTO medications (id, name) VALUES (9001, 'Pócima');
    INSERT INTO allergies (id, name) VALUES (9001, 'Pólvora');
    INSERT INTO patient_conditions (patient_id, condition_id, diagnosis_date) VALUES (%(patient)s, 9001, '2020-01-01');
    INSERT INTO patient_medications (patient_id, medication_id) VALUES (%(patient)s, 9001);
    INSERT INTO patient_allergies (patient_id, allergy_id) VALUES (%(patient)s, 9001);
    INSERT INTO patient_family_history (patient_id, condition_id) VALUES (%(patient)s, 9001);
    INSERT INTO observations (patient_id, code, value, unit, effective_at, recorded_by_type)
        VALUES (%(patient)s, '8302-2', 170, 'cm', now(), 'patient');
    INSERT INTO audit_events (service, actor_type, action, resource, patient_ids, outcome, request_id)
        VALUES ('patients', 'doctor', 'read', 'patient', ARRAY[%(patient)s], 'success', 'r');
"""

APPOINTMENT = (
    "INSERT INTO appointments (patient_id, doctor_id, starts_at, ends_at, reason, status) "
    "SELECT %(patient)s, %(doctor)s, now(), now() + interval "
)
ACCREDITATION = (
    "INSERT INTO accreditations (institution_id, body, number, valid_from, valid_until) VALUES (%(clinic)s, "
)
INSTITUTION = "INSERT INTO medical_institutions (id, name, institution_type_id, license_number) VALUES "
NEW_DOCTOR_ROW = "INSERT INTO doctors (id, institution_id, first_name, last_name, medical_license) VALUES "
NEW_PATIENT_ROW = (
    "INSERT INTO patients (id, doctor_id, institution_id, first_name, last_name, date_of_birth, deceased_date) VALUES "
)
EMAIL = "INSERT INTO emails (entity_type, entity_id, email_address, is_primary) VALUES "
PHONE = "INSERT INTO phones (entity_type, entity_id, phone_number, is_primary) VALUES "
ADDRESS = (
    "INSERT INTO addresses (entity_type, entity_id, street_address, city, region_id, country_id, is_primary) VALUES "
)
OBSERVATION = (
    "INSERT INTO observations (patient_id, code, value, value_code, unit, effective_at, recorded_by_type) VALUES "
)

# The rule → statements that break it.
BREACHES: dict[str, list[str]] = {
    "ck_users_email": [
        "UPDATE users SET email = ' doctor@example.com' WHERE id = %(doctor)s",
        "UPDATE users SET email = ''",
    ],
    "ck_users_user_type": ["INSERT INTO users (id, email, user_type) VALUES (%(nobody)s, 'a@example.com', 'service')"],
    "ck_users_owner_status": ["UPDATE users SET owner_status = 'gone'"],
    "uq_users_email": ["UPDATE users SET email = 'Patient@Example.com' WHERE id = %(doctor)s"],
    "ck_medical_institutions_name": ["UPDATE medical_institutions SET name = ''"],
    "ck_medical_institutions_license": ["UPDATE medical_institutions SET license_number = ' - '"],
    "ck_medical_institutions_verification_status": ["UPDATE medical_institutions SET verification_status = 'maybe'"],
    "uq_medical_institutions_license": [INSTITUTION + "(%(new_clinic)s, 'X', 2, 'ins 00-1')"],
    "fk_medical_institutions_type": [INSTITUTION + "(%(new_clinic)s, 'X', 99, 'INS-009')"],
    "fk_medical_institutions_account": [
        INSTITUTION + "(%(nobody)s, 'without account', 2, 'INS-009')",
        INSTITUTION + "(%(new_doctor)s, 'with an account of another kind', 2, 'INS-009')",
    ],
    "ck_doctors_first_name": ["UPDATE doctors SET first_name = ''"],
    "ck_doctors_last_name": ["UPDATE doctors SET last_name = repeat('x', 101)"],
    "ck_doctors_medical_license": ["UPDATE doctors SET medical_license = '--'"],
    "ck_doctors_license_status": ["UPDATE doctors SET license_status = 'lost'"],
    "ck_doctors_years_experience": [f"UPDATE doctors SET years_experience = {years}" for years in (-1, 81)],
    "ck_doctors_consultation_fee": [f"UPDATE doctors SET consultation_fee = {fee}" for fee in ("-0.01", "1000000.01")],
    "ck_doctors_professional_status": ["UPDATE doctors SET professional_status = 'away'"],
    "uq_doctors_medical_license": [NEW_DOCTOR_ROW + "(%(new_doctor)s, %(clinic)s, 'X', 'Y', 'med 001')"],
    "fk_doctors_institution": [NEW_DOCTOR_ROW + "(%(new_doctor)s, %(nobody)s, 'X', 'Y', 'MED-009')"],
    "fk_doctors_specialty": ["UPDATE doctors SET specialty_id = %(nobody)s"],
    "fk_doctors_account": [
        NEW_DOCTOR_ROW + "(%(nobody)s, %(clinic)s, 'X', 'Y', 'MED-009')",
        NEW_DOCTOR_ROW + "(%(new_patient)s, %(clinic)s, 'X', 'Y', 'MED-009')",
    ],
    "ck_patients_first_name": ["UPDATE patients SET first_name = ''"],
    "ck_patients_last_name": ["UPDATE patients SET last_name = ''"],
    "ck_patients_date_of_birth": ["UPDATE patients SET date_of_birth = '1879-12-31'"],
    "ck_patients_deceased_date": ["UPDATE patients SET deceased_date = '1980-05-16' WHERE id = %(patient)s"],
    "ck_patients_validation_status": ["UPDATE patients SET validation_status = 'valid'"],
    "ck_appointments_duration": [APPOINTMENT + f"'{minutes} minutes', NULL, 'scheduled'" for minutes in (4, 481)],
    "ck_appointments_reason": [APPOINTMENT + "'30 minutes', '', 'scheduled'"],
    "ck_appointments_status": [APPOINTMENT + "'30 minutes', NULL, 'booked'"],
    "ck_accreditations_body": [ACCREDITATION + "'', 'A-1', '2026-01-01', '2027-01-01')"],
    "ck_accreditations_number": [ACCREDITATION + "'CSG', '', '2026-01-01', '2027-01-01')"],
    "ck_accreditations_validity": [ACCREDITATION + "'CSG', 'A-1', '2026-01-01', '2026-01-01')"],
    "ck_idempotency_keys_key": [
        "INSERT INTO idempotency_keys (caller_id, key, fingerprint, answer) VALUES (%(doctor)s, '', '', '{}')"
    ],
    "ck_doctor_status_changes_field": [
        "INSERT INTO doctor_status_changes (doctor_id, field, from_status, to_status, actor_type, actor_id) "
        "VALUES (%(doctor)s, 'fee', 'a', 'b', 'admin', %(nobody)s)"
    ],
    "ck_patients_health_score": [
        f"UPDATE patients SET health_score = {score}, risk_level = 'low'" for score in (-1, 101)
    ],
    "ck_patients_risk_level": ["UPDATE patients SET health_score = 50, risk_level = 'medium'"],
    "ck_patients_score_known": [
        "UPDATE patients SET health_score = 50",
        "UPDATE patients SET risk_level = 'low'",
    ],
    "ck_patients_association": [NEW_PATIENT_ROW + "(%(new_patient)s, NULL, NULL, 'X', 'Y', '2000-01-01', NULL)"],
    "fk_patients_doctor_in_institution": [
        NEW_PATIENT_ROW + "(%(new_patient)s, %(doctor)s, %(other_clinic)s, 'X', 'Y', '2000-01-01', NULL)",
        "UPDATE doctors SET institution_id = %(other_clinic)s WHERE id = %(doctor)s",
    ],
    "ck_patients_emergency_contact": [
        "UPDATE patients SET emergency_contact_name = 'X'",
        "UPDATE patients SET emergency_contact_phone = '55 5555'",
    ],
    "fk_patients_doctor": ["UPDATE patients SET doctor_id = %(nobody)s, institution_id = NULL"],
    "fk_patients_institution": ["UPDATE patients SET doctor_id = NULL, institution_id = %(nobody)s"],
    "fk_patients_sex": ["UPDATE patients SET sex_id = 99"],
    "fk_patients_gender": ["UPDATE patients SET gender_id = 99"],
    "fk_patients_account": [
        NEW_PATIENT_ROW + "(%(nobody)s, %(doctor)s, NULL, 'X', 'Y', '2000-01-01', NULL)",
        NEW_PATIENT_ROW + "(%(new_doctor)s, %(doctor)s, NULL, 'X', 'Y', '2000-01-01', NULL)",
    ],
    "ck_emails_email_address": ["UPDATE emails SET email_address = 'x'"],
    "ck_emails_email_type": ["UPDATE emails SET email_type = 'secret'"],
    "uq_emails_primary": [EMAIL + "('patient', %(patient)s, 'second@example.com', true)"],
    "uq_emails_address": [EMAIL + "('patient', %(patient)s, 'PATIENT@example.com', false)"],
    "fk_emails_account": [
        EMAIL + "('patient', %(nobody)s, 'x@example.com', true)",
        EMAIL + "('doctor', %(other_patient)s, 'x@example.com', true)",
    ],
    "ck_phones_phone_number": ["UPDATE phones SET phone_number = '1'"],
    "ck_phones_phone_type": ["UPDATE phones SET phone_type = 'fax'"],
    "uq_phones_primary": [PHONE + "('patient', %(patient)s, '55 9999', true)"],
    "uq_phones_number": [PHONE + "('patient', %(patient)s, '55 1234', false)"],
    "fk_phones_account": [PHONE + "('patient', %(nobody)s, '55 9999', true)"],
    "ck_addresses_street": ["UPDATE addresses SET street_address = ''"],
    "ck_addresses_city": ["UPDATE addresses SET city = ''"],
    "ck_addresses_latitude": ["UPDATE addresses SET latitude = 90.1"],
    "ck_addresses_longitude": ["UPDATE addresses SET longitude = -180.1"],
    "ck_addresses_address_type": ["UPDATE addresses SET address_type = 'boat'"],
    "uq_addresses_primary": [ADDRESS + "('patient', %(patient)s, 'Calle 2', 'Puebla', NULL, NULL, true)"],
    "fk_addresses_account": [ADDRESS + "('patient', %(nobody)s, 'Calle 2', 'Puebla', NULL, NULL, true)"],
    "fk_addresses_region_in_country": [ADDRESS + "('patient', %(patient)s, 'Calle 2', 'Boston', 21, 840, false)"],
    "pk_health_profiles": ["INSERT INTO health_profiles (patient_id) VALUES (%(patient)s)"],
    "fk_health_profiles_patient": ["INSERT INTO health_profiles (patient_id) VALUES (%(doctor)s)"],
    "fk_health_profiles_blood_type": ["UPDATE health_profiles SET blood_type_id = 99"],
    **{
        f"ck_health_profiles_{rule}": [f"UPDATE health_profiles SET {column} = {value}" for value in values]
        for rule, column, values in (
            ("height_cm", "height_cm", ("29.9", "272.1")),
            ("weight_kg", "weight_kg", ("0.29", "650.01")),
            ("smoking_years", "smoking_years", ("-1", "121")),
            ("smoking_status", "smoking_status", ("'sometimes'",)),
            ("alcohol_frequency", "alcohol_frequency", ("'hourly'",)),
            ("activity", "physical_activity_minutes_weekly", ("-1", "10081")),
            ("sleep_hours", "sleep_hours", ("-0.1", "24.1")),
            ("diet_score", "diet_score", ("-1", "17")),
            ("notes", "notes", ("repeat('x', 2001)",)),
        )
    },
    "pk_patient_conditions": ["INSERT INTO patient_conditions (patient_id, condition_id) VALUES (%(patient)s, 9001)"],
    "ck_patient_conditions_abatement": ["UPDATE patient_conditions SET abatement_date = '2019-12-31'"],
    "pk_patient_medications": [
        "INSERT INTO patient_medications (patient_id, medication_id) VALUES (%(patient)s, 9001)"
    ],
    "ck_patient_medications_status": ["UPDATE patient_medications SET status = 'paused'"],
    "pk_patient_allergies": ["INSERT INTO patient_allergies (patient_id, allergy_id) VALUES (%(patient)s, 9001)"],
    "ck_patient_allergies_severity": ["UPDATE patient_allergies SET severity = 'awful'"],
    # Also when the relative is not known.
    "uq_patient_family_history_entry": [
        "INSERT INTO patient_family_history (patient_id, condition_id) VALUES (%(patient)s, 9001)"
    ],
    "ck_patient_family_history_relative_type": ["UPDATE patient_family_history SET relative_type = 'neighbour'"],
    "ck_observations_value": [
        OBSERVATION + "(%(patient)s, '8302-2', NULL, NULL, 'cm', now(), 'patient')",
        OBSERVATION + "(%(patient)s, '8302-2', 170, 'tall', 'cm', now(), 'patient')",
    ],
    "ck_observations_finite": [
        f"UPDATE observations SET value = '{value}'" for value in ("NaN", "Infinity", "-Infinity")
    ],
    "ck_observations_recorded_by_type": ["UPDATE observations SET recorded_by_type = 'passer-by'"],
    "fk_observations_code": ["UPDATE observations SET code = '0-0'"],
    "fk_observations_patient": [OBSERVATION + "(%(doctor)s, '8302-2', 170, NULL, 'cm', now(), 'patient')"],
    "ck_medical_conditions_name": ["INSERT INTO medical_conditions (name) VALUES ('')"],
    "uq_medical_conditions_name": ["INSERT INTO medical_conditions (name) VALUES ('DIFTERIA SUBITA')"],
    "ck_medications_name": ["INSERT INTO medications (name) VALUES (repeat('x', 301))"],
    "uq_medications_name": ["INSERT INTO medications (name) VALUES ('pocima')"],
    "ck_allergies_name": ["INSERT INTO allergies (name) VALUES ('')"],
    "uq_allergies_name": ["INSERT INTO allergies (name) VALUES ('polvora')"],
    "ck_countries_code": ["INSERT INTO countries VALUES (1, 'mx', 'x', 'x')"],
    "ck_audit_events_outcome": [
        "INSERT INTO audit_events (service, actor_type, action, resource, outcome, request_id) "
        "VALUES ('patients', 'doctor', 'read', 'patient', 'perhaps', 'r')"
    ],
}


@pytest.fixture
def world(cursor: Cursor) -> Iterator[Cursor]:
    """A cursor in a database with the WORLD."""
    cursor.execute(WORLD, IDS)
    yield cursor


def value_of(cursor: Cursor, statement: str) -> Any:
    """The one value that a statement selects."""
    cursor.execute(statement, IDS)
    row = cursor.fetchone()
    assert row
    return row[0]


@pytest.mark.parametrize(("rule", "statement"), [(rule, each) for rule, all_ in BREACHES.items() for each in all_])
def test_the_rule_holds_under_its_name(world: Cursor, rule: str, statement: str) -> None:
    with pytest.raises(psycopg2.IntegrityError) as refused:
        world.execute(statement, IDS)
    assert refused.value.diag.constraint_name == rule


def test_every_check_and_every_unique_index_of_ours_has_a_breach_above(cursor: Cursor) -> None:
    cursor.execute("SELECT conname FROM pg_constraint WHERE contype = 'c' AND conname LIKE 'ck\\_%'")
    checks = {name for (name,) in cursor.fetchall()}
    # A place in a chain is given by the trigger: no statement through it can breach uq_audit_events_position.
    cursor.execute(
        "SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
        "WHERE indisunique AND relname LIKE 'uq\\_%' AND relname <> 'uq_audit_events_position' AND NOT EXISTS "
        "(SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype = 'u')"
    )
    assert (checks | {name for (name,) in cursor.fetchall()}) - BREACHES.keys() == set()


def test_an_account_without_owner_does_not_hold_its_email(world: Cursor) -> None:
    world.execute("UPDATE users SET email = 'NEW-patient@example.com' WHERE id = %(doctor)s", IDS)
    with pytest.raises(psycopg2.errors.UniqueViolation) as refused:
        world.execute(NEW_PATIENT_ROW + "(%(new_patient)s, %(doctor)s, NULL, 'X', 'Y', '2000-01-01', NULL)", IDS)
    assert refused.value.diag.constraint_name == "uq_users_email"


def test_an_account_with_an_owner_cannot_be_deleted(world: Cursor) -> None:
    with pytest.raises(psycopg2.errors.ForeignKeyViolation):
        world.execute("DELETE FROM users WHERE id = %(other_patient)s", IDS)


def test_a_primary_contact_beside_further_ones_is_allowed(world: Cursor) -> None:
    world.execute(EMAIL + "('patient', %(patient)s, 'second@example.com', false)", IDS)
    world.execute(EMAIL + "('doctor', %(doctor)s, 'second@example.com', true)", IDS)


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_events SET outcome = 'failure'", "DELETE FROM audit_events", "TRUNCATE audit_events"]
)
def test_the_audit_trail_cannot_be_changed(world: Cursor, statement: str) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="append-only"):
        world.execute(statement)


@pytest.mark.parametrize(
    ("statement", "owner", "status"),
    [
        ("SELECT 1", "new_patient", "missing"),
        ("SELECT 1", "patient", "active"),
        ("UPDATE patients SET deleted_at = now()", "patient", "deleted"),
        ("UPDATE medical_institutions SET deleted_at = now()", "clinic", "deleted"),
        ("UPDATE doctors SET professional_status = 'suspended'", "doctor", "unavailable"),
        ("UPDATE doctors SET professional_status = 'retired', deleted_at = now()", "doctor", "deleted"),
        ("UPDATE doctors SET deleted_at = now(); UPDATE doctors SET deleted_at = NULL", "doctor", "active"),
    ],
)
def test_the_account_knows_the_state_of_its_owner(world: Cursor, statement: str, owner: str, status: str) -> None:
    world.execute(statement)
    assert value_of(world, f"SELECT owner_status FROM users WHERE id = %({owner})s") == status


@pytest.mark.parametrize(
    "table",
    ["users", "medical_institutions", "doctors", "patients", "emails", "phones", "addresses", "health_profiles"]
    + ["patient_conditions", "patient_medications", "patient_allergies", "patient_family_history"],
)
def test_a_change_is_dated(cursor: Cursor, table: str) -> None:
    # Both times are those of the transaction: what the trigger did shows only if the row says something older.
    columns = {"users": "email = email"}.get(table, "created_at = created_at")
    cursor.execute(WORLD, IDS)
    cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER set_updated_at")
    cursor.execute(f"UPDATE {table} SET updated_at = '2000-01-01'")
    cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER set_updated_at")
    cursor.execute(f"UPDATE {table} SET {columns}")
    assert value_of(cursor, f"SELECT count(*) FROM {table} WHERE updated_at < now()") == 0


def test_a_login_is_no_change_of_the_account(world: Cursor) -> None:
    world.execute("ALTER TABLE users DISABLE TRIGGER set_updated_at")
    world.execute("UPDATE users SET updated_at = '2000-01-01'")
    world.execute("ALTER TABLE users ENABLE TRIGGER set_updated_at")
    world.execute("UPDATE users SET last_login_at = now()")
    assert value_of(world, "SELECT count(*) FROM users WHERE updated_at > '2000-01-01'") == 0


@pytest.mark.parametrize(("given", "key"), [("José NÚÑEZ", "jose nunez"), ("Muñoz Ü", "munoz u"), ("", "")])
def test_names_compare_without_case_and_accents(cursor: Cursor, given: str, key: str) -> None:
    cursor.execute("SELECT search_key(%s)", (given,))
    assert cursor.fetchone() == (key,)


def test_no_character_of_a_search_becomes_a_wildcard(cursor: Cursor) -> None:
    cursor.execute(
        "SELECT chr(n), search_key(chr(n)) FROM generate_series(1, 65535) AS n "
        r"WHERE n NOT BETWEEN 55296 AND 57343 AND search_key(chr(n)) ~ '[%_\\]'"
    )
    found = dict(cursor.fetchall())
    assert found.keys() >= set("%％_＿\\＼")
    assert {character: contains(character) for character in found} == {c: f"%\\{key}%" for c, key in found.items()}


@pytest.mark.parametrize(("given", "key"), [("med-00 1", "MED001"), ("A–1", "A–1"), (" - ", "")])
def test_licences_compare_without_case_spaces_and_hyphens(cursor: Cursor, given: str, key: str) -> None:
    cursor.execute("SELECT license_key(%s)", (given,))
    assert cursor.fetchone() == (key,)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("SELECT", "jose nunez patient@example.com"),
        ("UPDATE patients SET search_text = 'x'", "jose nunez patient@example.com"),
        ("UPDATE patients SET last_name = 'Ñandú'", "jose nandu patient@example.com"),
        ("UPDATE emails SET email_address = 'É@example.com'", "jose nunez e@example.com"),
        ("UPDATE emails SET is_primary = false", "jose nunez"),
        ("DELETE FROM emails", "jose nunez"),
        (EMAIL + "('patient', %(patient)s, 'further@example.com', false)", "jose nunez patient@example.com"),
    ],
)
def test_the_text_that_is_searched_follows_names_and_primary_email(world: Cursor, change: str, text: str) -> None:
    world.execute("UPDATE patients SET first_name = 'José', last_name = 'Núñez' WHERE id = %(patient)s", IDS)
    world.execute(change, IDS)
    world.execute("SELECT search_text FROM patients WHERE id = %(patient)s", IDS)
    assert world.fetchone() == (text,)


def test_doctors_and_institutions_are_searched_by_licence_and_email_too(world: Cursor) -> None:
    world.execute(EMAIL + "('doctor', %(doctor)s, 'd@example.com', true)", IDS)
    world.execute(EMAIL + "('institution', %(clinic)s, 'i@example.com', true)", IDS)
    world.execute("SELECT search_text FROM doctors WHERE id = %(doctor)s", IDS)
    assert world.fetchone()[0].endswith(" d@example.com")
    world.execute("SELECT search_text FROM medical_institutions WHERE id = %(clinic)s", IDS)
    assert world.fetchone() == ("clinica ins-001 i@example.com",)
