"""The SQL of institutions, of the doctors and patients that belong to them, and of the places they are in."""

from functools import partial
from typing import Any
from uuid import UUID

from psycopg2 import sql

from shared import contacts
from shared.audit import audited
from shared.context import for_language
from shared.errors import DatabaseUnavailable, EmailTaken, LicenseTaken, RegionNotInCountry, UnknownReference
from shared.postgres import Executor, NamedErrors, Reader, Row, assignments, named_errors
from shared.prepared import Prepared
from shared.search import finds, words

from .errors import InstitutionInUse, InstitutionNotFound

_CONSTRAINTS: NamedErrors = {
    # The account was made just now: a failover has lost it, or this primary has been replaced by another.
    "fk_medical_institutions_account": DatabaseUnavailable,
    "uq_medical_institutions_license": LicenseTaken,
    "uq_users_email": EmailTaken,
    "fk_medical_institutions_type": partial(UnknownReference, "institution_type_id"),
}

_ADDRESS_CONSTRAINTS: NamedErrors = {
    "fk_addresses_region": partial(UnknownReference, "address.region_id"),
    "fk_addresses_country": partial(UnknownReference, "address.country_id"),
    "fk_addresses_region_in_country": partial(RegionNotInCountry, "address.region_id"),
}

_PLACE = """
    LEFT JOIN addresses a ON a.entity_id = i.id AND a.is_primary
    LEFT JOIN regions r ON r.id = a.region_id
    LEFT JOIN countries c ON c.id = a.country_id
"""

_INSTITUTION = (
    """
    SELECT i.id, i.name, i.institution_type_id,
           CASE WHEN %(language)s = 'en' THEN y.name_en ELSE y.name_es END AS institution_type_name,
           i.website, i.license_number, i.deleted_at IS NULL AS is_active,
           i.verification_status = 'verified' AS is_verified, i.verification_status,
           e.email_address AS contact_email, t.phone_number AS contact_phone,
           CASE WHEN a.id IS NOT NULL THEN jsonb_build_object(
               'street_address', a.street_address, 'neighborhood', a.neighborhood, 'city', a.city,
               'region_id', a.region_id, 'region_name', r.name, 'country_id', a.country_id,
               'country_name', CASE WHEN %(language)s = 'en' THEN c.name_en ELSE c.name_es END,
               'postal_code', a.postal_code, 'latitude', a.latitude, 'longitude', a.longitude) END AS address,
           i.created_at, i.updated_at, search_key(i.name) AS name_key
    FROM medical_institutions i
    JOIN institution_types y ON y.id = i.institution_type_id
    LEFT JOIN emails e ON e.entity_id = i.id AND e.is_primary
    LEFT JOIN phones t ON t.entity_id = i.id AND t.is_primary
"""
    + _PLACE
)

GET_INSTITUTION = Prepared(_INSTITUTION + " WHERE i.deleted_at IS NULL AND i.id = %(id)s")

_LISTED = """
    i.deleted_at IS NULL
      [AND i.institution_type_id = %(institution_type_id)s] [PLAN AND c.code = %(country)s]
      [PLAN AND search_key(r.name) = search_key(%(region)s)] [PLAN AND search_key(a.city) = search_key(%(city)s)]
      [AND (i.verification_status = 'verified') = %(is_verified)s]
      [AND i.verification_status = %(verification_status)s] """ + finds("i.search_text")

_NEWEST_FIRST = """
      [AND (i.created_at, i.id) < (%(after_created_at)s::timestamptz, %(after_id)s::uuid)]
    ORDER BY i.created_at DESC, i.id DESC
    LIMIT %(limit)s + 1
"""

_BY_NAME = """
      [AND (search_key(i.name), i.id) > (%(after_name_key)s, %(after_id)s::uuid)]
    ORDER BY search_key(i.name), i.id
    LIMIT %(limit)s + 1
"""

# The rows' columns that make a position in each order.
SORT_KEYS = {"created_at": ("created_at", "id"), "name": ("name_key", "id")}

LIST_INSTITUTIONS = {
    "created_at": Prepared(_INSTITUTION + " WHERE " + _LISTED + _NEWEST_FIRST),
    "name": Prepared(_INSTITUTION + " WHERE " + _LISTED + _BY_NAME),
}

INSERT_INSTITUTION = """
    INSERT INTO medical_institutions (id, name, institution_type_id, license_number, website)
    VALUES (%(id)s, %(name)s, %(institution_type_id)s, %(license_number)s, %(website)s)
"""

UPDATE_INSTITUTION = sql.SQL("UPDATE medical_institutions SET {} WHERE id = %(id)s AND deleted_at IS NULL")

# Whoever adds a doctor or a patient holds this row FOR SHARE until it commits (shared/associations.py): after this
# statement nobody is in between, so that the next one (with its own snapshot) sees all that were added.
LOCK_INSTITUTION = """
    SELECT id FROM medical_institutions WHERE id = %(id)s AND deleted_at IS NULL FOR UPDATE
"""

SOFT_DELETE_INSTITUTION = """
    UPDATE medical_institutions SET deleted_at = now() WHERE id = %(id)s
      AND NOT EXISTS (SELECT FROM doctors WHERE institution_id = %(id)s AND deleted_at IS NULL)
      AND NOT EXISTS (SELECT FROM patients WHERE institution_id = %(id)s AND deleted_at IS NULL)
"""

RESTORE_INSTITUTION = """
    UPDATE medical_institutions SET deleted_at = NULL WHERE id = %(id)s AND deleted_at IS NOT NULL
"""

LIST_DOCTORS = Prepared("""
    SELECT d.id, d.first_name, d.last_name, d.medical_license, d.years_experience, d.consultation_fee,
           d.deleted_at IS NULL AS is_active, d.professional_status,
           CASE WHEN %(language)s = 'en' THEN s.name_en ELSE s.name_es END AS specialty_name,
           e.email_address AS contact_email, t.phone_number AS contact_phone,
           (SELECT count(*) FROM patients p WHERE p.doctor_id = d.id AND p.deleted_at IS NULL) AS active_patients,
           search_key(d.last_name) AS last_key, search_key(d.first_name) AS first_key
    FROM doctors d
    LEFT JOIN doctor_specialties s ON s.id = d.specialty_id
    LEFT JOIN emails e ON e.entity_id = d.id AND e.is_primary
    LEFT JOIN phones t ON t.entity_id = d.id AND t.is_primary
    WHERE d.institution_id = %(institution_id)s AND d.deleted_at IS NULL
      [AND (search_key(d.last_name), search_key(d.first_name), d.id)
           > (%(after_last)s, %(after_first)s, %(after_id)s::uuid)]
    ORDER BY search_key(d.last_name), search_key(d.first_name), d.id
    LIMIT %(limit)s + 1
""")

# A doctor who was deleted treats nobody any more: its columns are null.
LIST_PATIENTS = audited(
    """
    SELECT p.id, p.first_name, p.last_name, p.date_of_birth, e.email_address AS contact_email,
           t.phone_number AS contact_phone, d.id AS doctor_id, d.first_name || ' ' || d.last_name AS doctor_name,
           d.first_name AS doctor_first_name, d.last_name AS doctor_last_name,
           p.validation_status = 'full_access' AS is_verified, p.validation_status, u.last_login_at AS last_login,
           greatest(u.last_login_at, p.updated_at) AS last_activity, p.created_at, p.health_score, p.risk_level
    FROM patients p
    JOIN users u ON u.id = p.id
    LEFT JOIN doctors d ON d.id = p.doctor_id AND d.deleted_at IS NULL
    LEFT JOIN emails e ON e.entity_id = p.id AND e.is_primary
    LEFT JOIN phones t ON t.entity_id = p.id AND t.is_primary
    WHERE p.institution_id = %(institution_id)s AND p.deleted_at IS NULL
      [AND (p.created_at, p.id) < (%(after_created_at)s::timestamptz, %(after_id)s::uuid)]
    ORDER BY p.created_at DESC, p.id DESC
    LIMIT %(limit)s + 1
""",
    of="id",
    page=True,
)

LIST_INSTITUTION_TYPES = """
    SELECT id, CASE WHEN %(language)s = 'en' THEN name_en ELSE name_es END AS name FROM institution_types ORDER BY id
"""

LIST_COUNTRIES = """
    SELECT id, code, name
    FROM (SELECT id, code, CASE WHEN %(language)s = 'en' THEN name_en ELSE name_es END AS name FROM countries) country
    ORDER BY search_key(name), id
"""

LIST_REGIONS = """
    SELECT r.id, r.name, r.code, r.country_id, c.code AS country
    FROM regions r JOIN countries c ON c.id = r.country_id
    WHERE %(country)s IS NULL OR c.code = %(country)s
    ORDER BY c.code, search_key(r.name), r.id
"""

LIST_MUNICIPALITIES = """
    SELECT id, name, region_id FROM municipalities WHERE region_id = %(region_id)s ORDER BY search_key(name), id
"""


async def get_institution(executor: Executor, institution_id: UUID) -> Row:
    """An institution. Raises InstitutionNotFound."""
    row = await executor.fetch_one(GET_INSTITUTION, {"id": institution_id, **for_language()})
    if row is None:
        raise InstitutionNotFound
    return row


async def list_institutions(reader: Reader, filters: dict[str, Any], after: list[Any], limit: int) -> list[Row]:
    """Up to `limit` + 1 institutions in the order `filters["sort"]`, after the position (its SORT_KEYS)."""
    sort, wanted = filters["sort"], words(filters["q"])
    place = {f"after_{key}": value for key, value in zip(SORT_KEYS[sort], after, strict=True)}
    parameters = {**filters, **wanted, **place, "limit": limit, **for_language()}
    return await reader.fetch_all(LIST_INSTITUTIONS[sort], parameters)


async def insert_institution(executor: Executor, institution: dict[str, Any]) -> None:
    """Create an institution. Raises LicenseTaken, EmailTaken, UnknownReference."""
    with named_errors(_CONSTRAINTS):
        await executor.execute(INSERT_INSTITUTION, institution)


async def update_institution(executor: Executor, institution_id: UUID, changes: dict[str, Any]) -> None:
    """Change an institution. Raises InstitutionNotFound, LicenseTaken, UnknownReference."""
    # With nothing of its own to change (an address only), the row is touched all the same: it tells when.
    statement = UPDATE_INSTITUTION.format(assignments(changes) if changes else sql.SQL("updated_at = now()"))
    with named_errors(_CONSTRAINTS):
        if not await executor.execute(statement, {**changes, "id": institution_id}):
            raise InstitutionNotFound


async def update_address(executor: Executor, institution_id: UUID, address: dict[str, Any] | None) -> None:
    """Set an institution's address in place of the one before. Raises UnknownReference, RegionNotInCountry."""
    with named_errors(_ADDRESS_CONSTRAINTS):
        await contacts.update_primary_address(executor, "institution", institution_id, address)


async def lock_institution(executor: Executor, institution_id: UUID) -> None:
    """Keep doctors and patients from being added until the transaction ends. Raises InstitutionNotFound."""
    if await executor.fetch_one(LOCK_INSTITUTION, {"id": institution_id}) is None:
        raise InstitutionNotFound


async def soft_delete_institution(executor: Executor, institution_id: UUID) -> None:
    """Hide an institution that is locked. Raises InstitutionInUse while doctors or patients belong to it."""
    if not await executor.execute(SOFT_DELETE_INSTITUTION, {"id": institution_id}):
        raise InstitutionInUse


async def restore_institution(executor: Executor, institution_id: UUID) -> bool:
    """Bring a deleted institution back; False when there is none."""
    return bool(await executor.execute(RESTORE_INSTITUTION, {"id": institution_id}))


async def list_doctors(reader: Reader, institution_id: UUID, after: list[Any], limit: int) -> list[Row]:
    """Up to `limit` + 1 doctors of an institution by name, after the position `[last, first, id]`."""
    place = {"after_last": after[0], "after_first": after[1], "after_id": after[2], "limit": limit}
    return await reader.fetch_all(LIST_DOCTORS, {"institution_id": institution_id, **place, **for_language()})


async def list_patients(
    executor: Executor, institution_id: UUID, after: list[Any], limit: int, event: dict[str, Any]
) -> list[Row]:
    """Up to `limit` + 1 patients of an institution, newest first, after `[created_at, id]`; audited as `event`."""
    place = {"after_created_at": after[0], "after_id": after[1], "limit": limit}
    return await executor.fetch_all(LIST_PATIENTS, {"institution_id": institution_id, **place, **event})


async def list_institution_types(reader: Reader) -> list[Row]:
    """Every type of institution."""
    return await reader.fetch_all(LIST_INSTITUTION_TYPES, for_language())


async def list_countries(reader: Reader) -> list[Row]:
    """Every country, by name."""
    return await reader.fetch_all(LIST_COUNTRIES, for_language())


async def list_regions(reader: Reader, country: str | None) -> list[Row]:
    """The regions of a country (ISO 3166-1 alpha-2), or all, by name."""
    return await reader.fetch_all(LIST_REGIONS, {"country": country})


async def list_municipalities(reader: Reader, region_id: int) -> list[Row]:
    """The municipalities of a region, by name."""
    return await reader.fetch_all(LIST_MUNICIPALITIES, {"region_id": region_id})
