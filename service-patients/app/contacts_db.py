"""The SQL of a patient's e-mails, phones and addresses: three tables that keep the same rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from psycopg2 import sql

from shared.context import for_language
from shared.errors import RegionNotInCountry, UnknownReference
from shared.postgres import Executor, NamedErrors, Row, named_errors

from .errors import AlreadyRecorded, ContactNotFound


@dataclass(frozen=True)
class Kind:
    """A kind of contacts: its name in the audit trail, its table, and the statement that shows one."""

    name: str
    table: str
    select: str


EMAILS = Kind(
    "email",
    "emails",
    "SELECT id, email_address, email_type, is_primary, is_verified "
    "FROM emails WHERE id = %(id)s AND entity_id = %(patient_id)s",
)
PHONES = Kind(
    "phone",
    "phones",
    "SELECT id, phone_number, phone_type, is_primary, is_verified "
    "FROM phones WHERE id = %(id)s AND entity_id = %(patient_id)s",
)
ADDRESSES = Kind(
    "address",
    "addresses",
    """
    SELECT a.id, a.street_address, a.neighborhood, a.city, a.postal_code, a.address_type, a.is_primary, a.is_verified,
           a.region_id, r.name AS region_name, a.country_id,
           CASE WHEN %(language)s = 'en' THEN c.name_en ELSE c.name_es END AS country_name
    FROM addresses a
    LEFT JOIN regions r ON r.id = a.region_id
    LEFT JOIN countries c ON c.id = a.country_id
    WHERE a.id = %(id)s AND a.entity_id = %(patient_id)s
    """,
)

_CONSTRAINTS: NamedErrors = {
    "uq_emails_address": AlreadyRecorded,
    "uq_phones_number": AlreadyRecorded,
    "fk_addresses_region": partial(UnknownReference, "region_id"),
    "fk_addresses_country": partial(UnknownReference, "country_id"),
    "fk_addresses_region_in_country": RegionNotInCountry,
}

GET_COUNTRY_OF_REGION = "SELECT country_id FROM regions WHERE id = %(region_id)s"

DEMOTE_PRIMARY = sql.SQL("UPDATE {} SET is_primary = false WHERE entity_id = %(patient_id)s AND is_primary")

INSERT_CONTACT = sql.SQL("""
    INSERT INTO {table} (entity_type, entity_id, is_primary, {columns})
    SELECT 'patient', %(patient_id)s, NOT EXISTS (SELECT FROM {table} WHERE entity_id = %(patient_id)s AND is_primary),
           {values}
    RETURNING id
""")

DELETE_CONTACT = sql.SQL("""
    DELETE FROM {} WHERE id = %(contact_id)s AND entity_id = %(patient_id)s RETURNING is_primary
""")

PROMOTE_OLDEST = sql.SQL("""
    UPDATE {0} SET is_primary = true
    WHERE id = (SELECT id FROM {0} WHERE entity_id = %(patient_id)s ORDER BY created_at, id LIMIT 1)
""")


async def country_of(executor: Executor, region_id: int) -> int | None:
    """The country that a region lies in, None for no region that there is."""
    row = await executor.fetch_one(GET_COUNTRY_OF_REGION, {"region_id": region_id})
    return None if row is None else int(row["country_id"])


async def demote_primary(executor: Executor, kind: Kind, patient_id: UUID) -> None:
    """Leave a patient's contacts of this kind without a primary: the next one inserted becomes it."""
    statement = DEMOTE_PRIMARY.format(sql.Identifier(kind.table))
    await executor.execute(statement, {"patient_id": patient_id})


async def insert_contact(executor: Executor, kind: Kind, patient_id: UUID, fields: Mapping[str, Any]) -> Row:
    """Add a contact, the primary one where there is none; the contact as the profile shows it.

    Raises AlreadyRecorded, UnknownReference, RegionNotInCountry.
    """
    statement = INSERT_CONTACT.format(
        table=sql.Identifier(kind.table),
        columns=sql.SQL(", ").join(map(sql.Identifier, fields)),
        values=sql.SQL(", ").join(map(sql.Placeholder, fields)),
    )
    with named_errors(_CONSTRAINTS):
        row = _found(await executor.fetch_one(statement, {**fields, "patient_id": patient_id}))
    return await get_contact(executor, kind, patient_id, row["id"])


async def get_contact(executor: Executor, kind: Kind, patient_id: UUID, contact_id: UUID) -> Row:
    """A contact as the profile shows it. Raises ContactNotFound."""
    parameters = {"id": contact_id, "patient_id": patient_id, **for_language()}
    return _found(await executor.fetch_one(kind.select, parameters))


async def delete_contact(executor: Executor, kind: Kind, patient_id: UUID, contact_id: UUID) -> bool:
    """Remove a contact; whether it was the primary one. Raises ContactNotFound."""
    statement = DELETE_CONTACT.format(sql.Identifier(kind.table))
    row = _found(await executor.fetch_one(statement, {"patient_id": patient_id, "contact_id": contact_id}))
    return bool(row["is_primary"])


async def promote_oldest(executor: Executor, kind: Kind, patient_id: UUID) -> bool:
    """Make the oldest contact of this kind the primary one, where there is none; whether there is any."""
    statement = PROMOTE_OLDEST.format(sql.Identifier(kind.table))
    return bool(await executor.execute(statement, {"patient_id": patient_id}))


def _found(row: Row | None) -> Row:
    if row is None:
        raise ContactNotFound
    return row
