"""The SQL of doctors and of the patients they see."""

from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from psycopg2 import sql

from shared.audit import audited
from shared.context import for_language
from shared.errors import DatabaseUnavailable, EmailTaken, LicenseTaken, UnknownReference
from shared.listing import own
from shared.postgres import Executor, NamedErrors, Reader, Row, assignments, named_errors
from shared.prepared import Prepared
from shared.record import RECORD
from shared.search import finds, words

from .appointments_db import COUNT_TODAY
from .errors import DoctorHasPatients, DoctorNotFound

_CONSTRAINTS: NamedErrors = {
    # The account was made just now: a failover has lost it, or this primary has been replaced by another.
    "fk_doctors_account": DatabaseUnavailable,
    "uq_doctors_medical_license": LicenseTaken,
    "uq_users_email": EmailTaken,
    "fk_doctors_specialty": partial(UnknownReference, "specialty_id"),
    "fk_doctors_institution": partial(UnknownReference, "institution_id"),
    "fk_patients_doctor_in_institution": DoctorHasPatients,
}

_DOCTOR = """
    SELECT d.id, d.institution_id, d.first_name, d.last_name, d.medical_license, d.license_status, d.specialty_id,
           CASE WHEN %(language)s = 'en' THEN s.name_en ELSE s.name_es END AS specialty_name,
           d.years_experience, d.consultation_fee, d.deleted_at IS NULL AS is_active, d.professional_status,
           e.email_address AS contact_email, t.phone_number AS contact_phone, d.created_at, d.updated_at,
           i.name AS institution_name, search_key(d.last_name) AS last_key, search_key(d.first_name) AS first_key
    FROM doctors d
    JOIN medical_institutions i ON i.id = d.institution_id
    LEFT JOIN doctor_specialties s ON s.id = d.specialty_id
    LEFT JOIN emails e ON e.entity_id = d.id AND e.is_primary
    LEFT JOIN phones t ON t.entity_id = d.id AND t.is_primary
"""

GET_DOCTOR = Prepared(
    _DOCTOR
    + """
    WHERE d.id = %(id)s AND d.deleted_at IS NULL
      AND (%(caller_type)s = 'admin' OR d.id = %(caller_id)s OR d.institution_id = %(caller_id)s)
"""
)

_ALIVE = {True: "d.deleted_at IS NULL", False: "d.deleted_at IS NOT NULL AND %(caller_type)s = 'admin'"}

_LISTED = """
      [AND d.institution_id = %(caller_institution_id)s]
      [AND d.institution_id = (SELECT institution_id FROM doctors WHERE id = %(caller_doctor_id)s)]
      [AND d.specialty_id = %(specialty_id)s] [AND d.institution_id = %(institution_id)s]
      [AND d.professional_status = %(professional_status)s] [PLAN AND d.years_experience >= %(min_experience)s]
      [PLAN AND d.consultation_fee <= %(max_fee)s] """ + finds("d.search_text")

_NEWEST_FIRST = """
      [AND (d.created_at, d.id) < (%(after_created_at)s::timestamptz, %(after_id)s::uuid)]
    ORDER BY d.created_at DESC, d.id DESC
    LIMIT %(limit)s + 1
"""

_BY_NAME = """
      [AND (search_key(d.last_name), search_key(d.first_name), d.id)
           > (%(after_last_key)s, %(after_first_key)s, %(after_id)s::uuid)]
    ORDER BY search_key(d.last_name), search_key(d.first_name), d.id
    LIMIT %(limit)s + 1
"""

# The rows' columns that make a position in each order.
SORT_KEYS = {"created_at": ("created_at", "id"), "last_name": ("last_key", "first_key", "id")}

# By order, and of those who are active or not.
LIST_DOCTORS = {
    (sort, is_active): Prepared(_DOCTOR + " WHERE " + alive + _LISTED + rest)
    for sort, rest in {"created_at": _NEWEST_FIRST, "last_name": _BY_NAME}.items()
    for is_active, alive in _ALIVE.items()
}

INSERT_DOCTOR = """
    INSERT INTO doctors (id, institution_id, first_name, last_name, medical_license, specialty_id, years_experience,
                         consultation_fee)
    VALUES (%(id)s, %(institution_id)s, %(first_name)s, %(last_name)s, %(medical_license)s, %(specialty_id)s,
            %(years_experience)s, %(consultation_fee)s)
"""

UPDATE_DOCTOR = sql.SQL("""
    UPDATE doctors SET {} WHERE id = %(id)s AND deleted_at IS NULL
      AND (%(caller_type)s = 'admin' OR id = %(caller_id)s OR institution_id = %(caller_id)s)
""")

# Who changes a doctor or how to reach it waits for whoever else does.
HOLD_DOCTOR = """
    SELECT id FROM doctors WHERE id = %(id)s AND deleted_at IS NULL
      AND (%(caller_type)s = 'admin' OR id = %(caller_id)s OR institution_id = %(caller_id)s)
    FOR NO KEY UPDATE
"""

SOFT_DELETE_DOCTOR = """
    UPDATE doctors SET deleted_at = now() WHERE id = %(id)s AND deleted_at IS NULL
      AND (%(caller_type)s = 'admin' OR institution_id = %(caller_id)s)
"""

GET_INSTITUTION_ID = "SELECT institution_id FROM doctors WHERE id = %(id)s"

RESTORE_DOCTOR = "UPDATE doctors SET deleted_at = NULL WHERE id = %(id)s AND deleted_at IS NOT NULL"

COUNT_DASHBOARD = Prepared(
    "SELECT count(*) AS total_patients, count(*) FILTER (WHERE validation_status = 'pending') AS pending_reviews, "
    + COUNT_TODAY
    + " FROM patients WHERE doctor_id = %(doctor_id)s AND deleted_at IS NULL"
)

GET_INSTITUTION = Prepared("""
    SELECT i.id, i.name, CASE WHEN %(language)s = 'en' THEN y.name_en ELSE y.name_es END AS type, i.license_number,
           e.email_address AS email, t.phone_number AS phone, i.website,
           (SELECT to_jsonb(address) FROM (
               SELECT a.street_address, a.city, r.name AS region_name,
                      CASE WHEN %(language)s = 'en' THEN c.name_en ELSE c.name_es END AS country_name, a.postal_code
               FROM addresses a LEFT JOIN regions r ON r.id = a.region_id LEFT JOIN countries c ON c.id = a.country_id
               WHERE a.entity_id = i.id AND a.is_primary) address) AS address
    FROM doctors d
    JOIN medical_institutions i ON i.id = d.institution_id
    JOIN institution_types y ON y.id = i.institution_type_id
    LEFT JOIN emails e ON e.entity_id = i.id AND e.is_primary
    LEFT JOIN phones t ON t.entity_id = i.id AND t.is_primary
    WHERE d.id = %(doctor_id)s AND d.deleted_at IS NULL
""")

# Whose record a doctor sees: the columns of its patient list.
_PATIENT = """
    p.id, p.first_name, p.last_name, p.date_of_birth, e.email_address AS contact_email, t.phone_number AS contact_phone,
    u.last_login_at AS last_login, p.validation_status, p.health_score, p.risk_level
"""

_PATIENTS_OF_DOCTOR = """
    FROM patients p
    JOIN users u ON u.id = p.id
    LEFT JOIN emails e ON e.entity_id = p.id AND e.is_primary
    LEFT JOIN phones t ON t.entity_id = p.id AND t.is_primary
    WHERE p.doctor_id = %(doctor_id)s AND p.deleted_at IS NULL
"""

# An expression that no index is of: its own patients are read sooner than a word is looked up among everybody's.
_PATIENT_FILTERS = "[AND p.validation_status = %(validation_status)s] " + finds("(p.search_text || '')")

_COUNT_PATIENTS = (
    "SELECT count(*) AS patient_count FROM patients p WHERE p.doctor_id = %(doctor_id)s AND p.deleted_at IS NULL "
    + _PATIENT_FILTERS
)
COUNT_PATIENTS = Prepared(_COUNT_PATIENTS)

LIST_PATIENTS = audited(
    "SELECT p.last_name_key, p.first_name_key, "
    + "("
    + _COUNT_PATIENTS
    + ") AS patient_count, "
    + _PATIENT
    + _PATIENTS_OF_DOCTOR
    + _PATIENT_FILTERS
    + """
      [AND (p.last_name_key, p.first_name_key, p.id) > (%(after_last)s, %(after_first)s, %(after_id)s::uuid)]
    ORDER BY p.last_name_key, p.first_name_key, p.id
    LIMIT %(limit)s + 1
""",
    of="id",
    page=True,
)

FIND_MEDICAL_RECORD = audited(
    "SELECT " + _PATIENT + ", " + RECORD + _PATIENTS_OF_DOCTOR + " AND p.id = %(patient_id)s", of="id"
)

LIST_SPECIALTIES = """
    SELECT id, CASE WHEN %(language)s = 'en' THEN name_en ELSE name_es END AS name,
           CASE WHEN %(language)s = 'en' THEN category_en ELSE category_es END AS category
    FROM doctor_specialties ORDER BY 3, 2
"""


async def get_doctor(executor: Executor, doctor_id: UUID, scope: dict[str, Any]) -> Row:
    """A doctor within the caller's scope. Raises DoctorNotFound."""
    row = await executor.fetch_one(GET_DOCTOR, {"id": doctor_id, **scope, **for_language()})
    if row is None:
        raise DoctorNotFound
    return row


async def list_doctors(
    reader: Reader, scope: dict[str, Any], filters: dict[str, Any], after: list[Any], limit: int
) -> list[Row]:
    """Up to `limit` + 1 doctors in the scope, in the order `filters["sort"]`, after a position (its SORT_KEYS)."""
    sort, wanted = filters["sort"], words(filters["q"])
    place = {f"after_{key}": value for key, value in zip(SORT_KEYS[sort], after, strict=True)}
    return await reader.fetch_all(
        LIST_DOCTORS[sort, filters["is_active"]],
        {**filters, **wanted, **own(scope), **scope, **place, "limit": limit, **for_language()},
    )


async def insert_doctor(executor: Executor, doctor: dict[str, Any]) -> None:
    """Create a doctor. Raises LicenseTaken, EmailTaken, UnknownReference."""
    with named_errors(_CONSTRAINTS):
        await executor.execute(INSERT_DOCTOR, doctor)


async def update_doctor(executor: Executor, doctor_id: UUID, scope: dict[str, Any], changes: dict[str, Any]) -> None:
    """Change a doctor within the caller's scope.

    Raises DoctorNotFound, LicenseTaken, UnknownReference, DoctorHasPatients.
    """
    # With nothing of its own to change (a phone only), the row is touched all the same: it tells when.
    statement = UPDATE_DOCTOR.format(assignments(changes) if changes else sql.SQL("updated_at = now()"))
    with named_errors(_CONSTRAINTS):
        if not await executor.execute(statement, {**changes, "id": doctor_id, **scope}):
            raise DoctorNotFound


async def hold_doctor(executor: Executor, doctor_id: UUID, scope: dict[str, Any]) -> None:
    """Keep a doctor within the caller's scope as it is until the transaction ends. Raises DoctorNotFound."""
    if await executor.fetch_one(HOLD_DOCTOR, {"id": doctor_id, **scope}) is None:
        raise DoctorNotFound


async def soft_delete_doctor(executor: Executor, doctor_id: UUID, scope: dict[str, Any]) -> None:
    """Hide a doctor within the caller's scope. Raises DoctorNotFound."""
    if not await executor.execute(SOFT_DELETE_DOCTOR, {"id": doctor_id, **scope}):
        raise DoctorNotFound


async def get_institution_id(executor: Executor, doctor_id: UUID) -> UUID:
    """The institution of a doctor, a deleted one too. Raises DoctorNotFound."""
    row = await executor.fetch_one(GET_INSTITUTION_ID, {"id": doctor_id})
    if row is None:
        raise DoctorNotFound
    return UUID(str(row["institution_id"]))


async def restore_doctor(executor: Executor, doctor_id: UUID) -> bool:
    """Bring a deleted doctor back; False when there is none."""
    return bool(await executor.execute(RESTORE_DOCTOR, {"id": doctor_id}))


async def count_dashboard(executor: Executor, doctor_id: UUID, now: datetime) -> Row:
    """`total_patients`, `pending_reviews`, `today_appointments` of a doctor; today is `now` where it works."""
    row = await executor.fetch_one(COUNT_DASHBOARD, {"doctor_id": doctor_id, "now": now})
    assert row is not None  # an aggregate always gives one
    return row


async def get_institution(executor: Executor, doctor_id: UUID) -> Row:
    """The institution of a doctor. Raises DoctorNotFound."""
    row = await executor.fetch_one(GET_INSTITUTION, {"doctor_id": doctor_id, **for_language()})
    if row is None:
        raise DoctorNotFound
    return row


async def list_patients(
    executor: Executor, doctor_id: UUID, filters: dict[str, Any], after: list[Any], limit: int, event: dict[str, Any]
) -> tuple[list[Row], int]:
    """Up to `limit` + 1 patients of a doctor by name, after a position `[last, first, id]`, and how many match in all.

    Audited as `event`.
    """
    place = {"after_last": after[0], "after_first": after[1], "after_id": after[2], "limit": limit}
    parameters = {**filters, **words(filters["q"]), **place, "doctor_id": doctor_id, **event}
    rows = await executor.fetch_all(LIST_PATIENTS, parameters)
    # Each row tells the number. Where none follows the position, there may be some before it.
    counted = rows[0] if rows else await executor.fetch_one(COUNT_PATIENTS, parameters)
    return rows, int(counted["patient_count"]) if counted else 0


async def find_medical_record(
    executor: Executor, doctor_id: UUID, patient_id: UUID, event: dict[str, Any]
) -> Row | None:
    """The record of one of the doctor's patients, audited as `event`; None for anybody else's."""
    parameters = {"doctor_id": doctor_id, "patient_id": patient_id, **for_language(), **event}
    return await executor.fetch_one(FIND_MEDICAL_RECORD, parameters)


async def list_specialties(reader: Reader) -> list[Row]:
    """Every specialty, by category and name."""
    return await reader.fetch_all(LIST_SPECIALTIES, for_language())
