"""The SQL of patients themselves, and of the catalogues."""

from datetime import date
from functools import partial
from typing import Any
from uuid import UUID

from psycopg2 import sql

from shared.audit import audited
from shared.context import for_language
from shared.errors import DatabaseUnavailable, EmailTaken, PatientNotFound, UnknownReference
from shared.listing import WIDE_WINDOW, WINDOW, own, page
from shared.postgres import Executor, NamedErrors, Reader, Row, assignments, named_errors
from shared.prepared import Prepared
from shared.record import HEALTH_PROFILE
from shared.search import contains, finds, words

from .errors import AssociationRequired, DoctorNotInInstitution, EmergencyContactIncomplete

_CONSTRAINTS: NamedErrors = {
    # The account was made just now: a failover has lost it, or this primary has been replaced by another.
    "fk_patients_account": DatabaseUnavailable,
    "uq_users_email": EmailTaken,
    "ck_patients_association": AssociationRequired,
    "ck_patients_emergency_contact": EmergencyContactIncomplete,
    "fk_patients_doctor_in_institution": DoctorNotInInstitution,
    "fk_patients_sex": partial(UnknownReference, "sex_id"),
    "fk_patients_gender": partial(UnknownReference, "gender_id"),
    "fk_health_profiles_blood_type": partial(UnknownReference, "health_profile.blood_type_id"),
}

# Whom the caller may know of: everybody for an admin, itself for a patient, their own for a doctor and an institution.
# (Ids are unique over all roles, so that whose they are need not be asked.)
IN_SCOPE = """
    p.deleted_at IS NULL AND (%(caller_type)s = 'admin' OR %(caller_id)s IN (p.id, p.doctor_id, p.institution_id))
"""

# The columns of a patient, and where they are from.
_PATIENT = (
    """
    p.id, p.doctor_id, p.institution_id, p.first_name, p.last_name, p.date_of_birth, p.sex_id,
    p.gender_id, p.emergency_contact_name, p.emergency_contact_phone, e.email_address AS contact_email,
    t.phone_number AS contact_phone, p.deleted_at IS NULL AS is_active,
    p.validation_status = 'full_access' AS is_verified, p.validation_status, p.created_at, p.updated_at,
"""
    + HEALTH_PROFILE
    + """
    FROM patients p
    LEFT JOIN emails e ON e.entity_id = p.id AND e.is_primary
    LEFT JOIN phones t ON t.entity_id = p.id AND t.is_primary
"""
)

GET_PATIENT = Prepared("SELECT " + _PATIENT + " WHERE p.id = %(patient_id)s AND p.deleted_at IS NULL")

FIND_PATIENT = audited("SELECT " + _PATIENT + " WHERE p.id = %(patient_id)s AND " + IN_SCOPE, of="id")

_LISTED = """
      [AND p.doctor_id = %(caller_doctor_id)s] [AND p.institution_id = %(caller_institution_id)s]
      [AND p.doctor_id = %(doctor_id)s] [AND p.institution_id = %(institution_id)s]
      [AND p.validation_status = %(validation_status)s]
"""

_ALIVE = {True: "p.deleted_at IS NULL", False: "p.deleted_at IS NOT NULL AND %(caller_type)s = 'admin'"}

_MATCHING = finds("p.search_text") + (
    " [PLAN AND p.date_of_birth >= %(born_after)s] [PLAN AND p.date_of_birth <= %(born_before)s]"
)

_NAME = "p.last_name_key, p.first_name_key, p.id"

# Of each order the ORDER BY, what comes after a position in it, and how far it is walked; the columns of a position.
_ORDERS = {
    "created_at": (
        "p.created_at DESC, p.id DESC",
        "[AND (p.created_at, p.id) < (%(after_created_at)s::timestamptz, %(after_id)s::uuid)]",
        WINDOW,
    ),
    "last_name": (
        _NAME,
        f"[AND ({_NAME}) > (%(after_last_name_key)s, %(after_first_name_key)s, %(after_id)s::uuid)]",
        WIDE_WINDOW,
    ),
}
SORT_KEYS = {"created_at": ("created_at", "id"), "last_name": ("last_name_key", "first_name_key", "id")}

# By order, and of those who are active or not.
LIST_PATIENTS = {
    (sort, is_active): audited(
        "SELECT p.last_name_key, p.first_name_key, "
        + _PATIENT
        + " WHERE p.id IN "
        + page("patients", within=alive + _LISTED, matching=_MATCHING, position=position, order=order, window=window)
        + f" ORDER BY {order} LIMIT %(limit)s + 1",
        of="id",
        page=True,
    )
    for sort, (order, position, window) in _ORDERS.items()
    for is_active, alive in _ALIVE.items()
}

# Of two who create the same person at once, the second waits here until the first is done, and then finds it.
LOCK_IDENTITY = """
    SELECT pg_advisory_xact_lock(hashtextextended(
        concat_ws(E'\\n', search_key(%(last_name)s), search_key(%(first_name)s), %(date_of_birth)s::date), 0))
"""

IS_EMAIL_TAKEN = "SELECT id FROM users WHERE lower(email) = lower(%(email)s) AND owner_status <> 'missing'"

FIND_NAMESAKES = audited(
    """
    SELECT p.id FROM patients p
    WHERE p.last_name_key = search_key(%(last_name)s) AND p.first_name_key = search_key(%(first_name)s)
      AND p.date_of_birth = %(date_of_birth)s AND """
    + IN_SCOPE
    + " ORDER BY p.created_at, p.id",
    of="id",
)

INSERT_PATIENT = """
    INSERT INTO patients (id, doctor_id, institution_id, first_name, last_name, date_of_birth, sex_id, gender_id,
                          emergency_contact_name, emergency_contact_phone)
    VALUES (%(id)s, %(doctor_id)s, %(institution_id)s, %(first_name)s, %(last_name)s, %(date_of_birth)s, %(sex_id)s,
            %(gender_id)s, %(emergency_contact_name)s, %(emergency_contact_phone)s)
"""

INSERT_HEALTH_PROFILE = """
    INSERT INTO health_profiles (patient_id, height_cm, weight_kg, blood_type_id, is_smoker, smoking_years,
                                 smoking_status, quit_date, secondhand_smoke_home, consumes_alcohol, alcohol_frequency,
                                 physical_activity_minutes_weekly, sleep_hours, diet_score, takes_bp_medication,
                                 takes_lipid_medication, has_diabetes, notes)
    VALUES (%(patient_id)s, %(height_cm)s, %(weight_kg)s, %(blood_type_id)s, %(is_smoker)s, %(smoking_years)s,
            %(smoking_status)s, %(quit_date)s, %(secondhand_smoke_home)s, %(consumes_alcohol)s, %(alcohol_frequency)s,
            %(physical_activity_minutes_weekly)s, %(sleep_hours)s, %(diet_score)s, %(takes_bp_medication)s,
            %(takes_lipid_medication)s, %(has_diabetes)s, %(notes)s)
"""

UPDATE_PATIENT = sql.SQL("UPDATE patients p SET {} WHERE p.id = %(id)s AND " + IN_SCOPE)

# Who changes a part of a patient waits for whoever changes another: what holds for the whole can then be relied on.
HOLD_PATIENT = Prepared(
    "SELECT p.id, p.date_of_birth FROM patients p WHERE p.id = %(patient_id)s AND " + IN_SCOPE + "FOR NO KEY UPDATE"
)

FIND_EARLIEST_DAY = """
    SELECT least(
        p.deceased_date,
        (SELECT quit_date FROM health_profiles WHERE patient_id = p.id),
        (SELECT min(least(diagnosis_date, abatement_date)) FROM patient_conditions WHERE patient_id = p.id),
        (SELECT min(start_date) FROM patient_medications WHERE patient_id = p.id),
        (SELECT (min(effective_at) AT TIME ZONE 'UTC')::date FROM observations WHERE patient_id = p.id)
    ) AS day FROM patients p WHERE p.id = %(patient_id)s
"""

SOFT_DELETE_PATIENT = """
    UPDATE patients SET deleted_at = now() WHERE id = %(id)s AND deleted_at IS NULL
      AND (%(caller_type)s = 'admin' OR institution_id = %(caller_id)s)
"""

GET_INSTITUTION_ID = "SELECT institution_id FROM patients WHERE id = %(id)s"

RESTORE_PATIENT = "UPDATE patients SET deleted_at = NULL WHERE id = %(id)s AND deleted_at IS NOT NULL"

LIST_BLOOD_TYPES = "SELECT id, name FROM blood_types ORDER BY id"

LIST_SEXES = """
    SELECT id, code, CASE WHEN %(language)s = 'en' THEN name_en ELSE name_es END AS name FROM sexes ORDER BY id
"""

LIST_GENDERS = """
    SELECT id, CASE WHEN %(language)s = 'en' THEN name_en ELSE name_es END AS name FROM genders ORDER BY id
"""

LIST_TERMS = sql.SQL("""
    SELECT id, name, code FROM {} WHERE %(q)s IS NULL OR search_key(name) LIKE search_key(%(q)s)
    ORDER BY search_key(name)
""")


async def get_patient(executor: Executor, patient_id: UUID) -> Row:
    """A patient, for the answer to its creation or change: that is what is audited. Raises PatientNotFound."""
    row = await executor.fetch_one(GET_PATIENT, {"patient_id": patient_id})
    if row is None:
        raise PatientNotFound
    return row


async def find_patient(
    executor: Executor, patient_id: UUID, scope: dict[str, Any], event: dict[str, Any]
) -> Row | None:
    """A patient within the caller's scope, audited as `event`."""
    return await executor.fetch_one(FIND_PATIENT, {"patient_id": patient_id, **scope, **event})


async def list_patients(
    executor: Executor,
    scope: dict[str, Any],
    filters: dict[str, Any],
    after: list[Any],
    limit: int,
    event: dict[str, Any],
) -> list[Row]:
    """Up to `limit` + 1 patients in the caller's scope, in the order `filters["sort"]`, after a position (SORT_KEYS).

    Audited as `event`.
    """
    sort, wanted = filters["sort"], words(filters["q"])
    place = {f"after_{key}": value for key, value in zip(SORT_KEYS[sort], after, strict=True)}
    parameters = {**filters, **wanted, **own(scope), **scope, **place, "limit": limit, **event}
    return await executor.fetch_all(LIST_PATIENTS[sort, filters["is_active"]], parameters)


async def find_namesakes(
    executor: Executor, person: dict[str, Any], scope: dict[str, Any], event: dict[str, Any]
) -> list[UUID]:
    """The patients in the caller's scope with `first_name`, `last_name` and `date_of_birth` of `person`.

    Whoever else asks for the same person waits until the transaction ends. Audited as `event`.
    """
    await executor.execute(LOCK_IDENTITY, person)
    rows = await executor.fetch_all(FIND_NAMESAKES, {**person, **scope, **event})
    return [row["id"] for row in rows]


async def is_email_taken(executor: Executor, email: str) -> bool:
    """Whether somebody's account has this e-mail."""
    return await executor.fetch_one(IS_EMAIL_TAKEN, {"email": email}) is not None


async def insert_patient(executor: Executor, patient: dict[str, Any]) -> None:
    """Create a patient. Raises EmailTaken, UnknownReference, DoctorNotInInstitution."""
    with named_errors(_CONSTRAINTS):
        await executor.execute(INSERT_PATIENT, patient)


async def insert_health_profile(executor: Executor, patient_id: UUID, profile: dict[str, Any]) -> None:
    """Give a new patient its health profile: every column of it, None where unknown. Raises UnknownReference."""
    with named_errors(_CONSTRAINTS):
        await executor.execute(INSERT_HEALTH_PROFILE, {"patient_id": patient_id, **profile})


async def update_patient(executor: Executor, patient_id: UUID, scope: dict[str, Any], changes: dict[str, Any]) -> None:
    """Change a patient within the caller's scope.

    Raises PatientNotFound, UnknownReference, AssociationRequired, DoctorNotInInstitution, EmergencyContactIncomplete.
    """
    # With nothing of its own to change (a phone only), the row is touched all the same: it tells when.
    statement = UPDATE_PATIENT.format(assignments(changes) if changes else sql.SQL("updated_at = now()"))
    with named_errors(_CONSTRAINTS):
        if not await executor.execute(statement, {**changes, "id": patient_id, **scope}):
            raise PatientNotFound


async def hold_patient(executor: Executor, patient_id: UUID, scope: dict[str, Any]) -> Row:
    """A patient within the caller's scope, which nobody else changes until the transaction ends.

    Raises PatientNotFound.
    """
    row = await executor.fetch_one(HOLD_PATIENT, {"patient_id": patient_id, **scope})
    if row is None:
        raise PatientNotFound
    return row


async def find_earliest_day(executor: Executor, patient_id: UUID) -> date | None:
    """The earliest day in the record of a patient, none of which may lie before its birth; None without any."""
    row = await executor.fetch_one(FIND_EARLIEST_DAY, {"patient_id": patient_id})
    day: date | None = row["day"] if row else None
    return day


async def soft_delete_patient(executor: Executor, patient_id: UUID, scope: dict[str, Any]) -> None:
    """Hide a patient of the calling institution, or any for an admin. Raises PatientNotFound."""
    if not await executor.execute(SOFT_DELETE_PATIENT, {"id": patient_id, **scope}):
        raise PatientNotFound


async def get_institution_id(executor: Executor, patient_id: UUID) -> UUID | None:
    """The institution of a patient, a deleted one too. Raises PatientNotFound."""
    row = await executor.fetch_one(GET_INSTITUTION_ID, {"id": patient_id})
    if row is None:
        raise PatientNotFound
    institution_id: UUID | None = row["institution_id"]
    return institution_id


async def restore_patient(executor: Executor, patient_id: UUID) -> bool:
    """Bring a deleted patient back; False when there is none."""
    return bool(await executor.execute(RESTORE_PATIENT, {"id": patient_id}))


async def list_blood_types(reader: Reader) -> list[Row]:
    """Every blood type."""
    return await reader.fetch_all(LIST_BLOOD_TYPES)


async def list_sexes(reader: Reader) -> list[Row]:
    """Every sex, with its code of FHIR's administrative-gender."""
    return await reader.fetch_all(LIST_SEXES, for_language())


async def list_genders(reader: Reader) -> list[Row]:
    """Every gender."""
    return await reader.fetch_all(LIST_GENDERS, for_language())


async def list_terms(reader: Reader, table: str, q: str | None) -> list[Row]:
    """The rows of `medical_conditions`, `medications` or `allergies` whose name contains `q`, by name."""
    statement = LIST_TERMS.format(sql.Identifier(table))
    return await reader.fetch_all(statement, {"q": contains(q)})
