"""The SQL of the entries of a patient's record. Their four tables differ in their names and columns only."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from psycopg2 import sql

from shared.errors import UnknownReference
from shared.postgres import Executor, NamedErrors, Row, assignments, named_errors

from .errors import AbatementBeforeDiagnosis, AlreadyRecorded, EntryNotFound

EntryId = int | UUID


@dataclass(frozen=True)
class Kind:
    """A kind of entries: its name in the audit trail, its table, and the catalogue that its column `item` refers to.

    `key` identifies an entry among those of its patient; `select` shows one as the record does.
    """

    name: str
    table: str
    catalogue: str
    item: str
    key: str
    select: str


CONDITIONS = Kind(
    "condition",
    "patient_conditions",
    "medical_conditions",
    "condition_id",
    "condition_id",
    """
    SELECT c.condition_id AS id, m.name, c.diagnosis_date, c.abatement_date, c.notes
    FROM patient_conditions c JOIN medical_conditions m ON m.id = c.condition_id
    WHERE c.patient_id = %(patient_id)s AND c.condition_id = %(entry_id)s
    """,
)
MEDICATIONS = Kind(
    "medication",
    "patient_medications",
    "medications",
    "medication_id",
    "medication_id",
    """
    SELECT t.medication_id AS id, m.name, t.dosage, t.frequency, t.start_date, t.status
    FROM patient_medications t JOIN medications m ON m.id = t.medication_id
    WHERE t.patient_id = %(patient_id)s AND t.medication_id = %(entry_id)s
    """,
)
ALLERGIES = Kind(
    "allergy",
    "patient_allergies",
    "allergies",
    "allergy_id",
    "allergy_id",
    """
    SELECT a.allergy_id AS id, m.name, a.severity, a.reaction_description
    FROM patient_allergies a JOIN allergies m ON m.id = a.allergy_id
    WHERE a.patient_id = %(patient_id)s AND a.allergy_id = %(entry_id)s
    """,
)
FAMILY_HISTORY = Kind(
    "family_history",
    "patient_family_history",
    "medical_conditions",
    "condition_id",
    "id",
    """
    SELECT f.id, m.name AS condition_name, f.relative_type, f.notes
    FROM patient_family_history f JOIN medical_conditions m ON m.id = f.condition_id
    WHERE f.patient_id = %(patient_id)s AND f.id = %(entry_id)s
    """,
)

_CONSTRAINTS: NamedErrors = {
    **dict.fromkeys(("pk_patient_conditions", "pk_patient_medications", "pk_patient_allergies"), AlreadyRecorded),
    "uq_patient_family_history_entry": AlreadyRecorded,
    "fk_patient_conditions_condition": partial(UnknownReference, "condition_id"),
    "fk_patient_medications_medication": partial(UnknownReference, "medication_id"),
    "fk_patient_allergies_allergy": partial(UnknownReference, "allergy_id"),
    "fk_patient_family_history_condition": partial(UnknownReference, "condition_id"),
    "ck_patient_conditions_abatement": AbatementBeforeDiagnosis,
}

FIND_ITEM = sql.SQL("SELECT id FROM {} WHERE search_key(name) = search_key(%(name)s)")

INSERT_ITEM = sql.SQL("""
    INSERT INTO {} (name) VALUES (%(name)s) ON CONFLICT (search_key(name)) DO NOTHING RETURNING id
""")

INSERT_ENTRY = sql.SQL("""
    INSERT INTO {table} (patient_id, {columns}) VALUES (%(patient_id)s, {values}) RETURNING {key} AS id
""")

UPDATE_ENTRY = sql.SQL("""
    UPDATE {table} SET {assignments} WHERE patient_id = %(patient_id)s AND {key} = %(entry_id)s RETURNING {key} AS id
""")

DELETE_ENTRY = sql.SQL("DELETE FROM {table} WHERE patient_id = %(patient_id)s AND {key} = %(entry_id)s")


async def get_entry(executor: Executor, kind: Kind, patient_id: UUID, entry_id: EntryId) -> Row:
    """An entry of a patient's record, for the answer to its creation or change. Raises EntryNotFound."""
    return _found(await executor.fetch_one(kind.select, {"patient_id": patient_id, "entry_id": entry_id}))


async def item_named(executor: Executor, kind: Kind, name: str) -> int:
    """The id of the catalogue's item of that name, case and accents aside; a new name joins the catalogue."""
    catalogue = sql.Identifier(kind.catalogue)
    # Whoever adds the same name at once waits for the first one's commit, adds nothing and then finds it.
    for statement in (FIND_ITEM, INSERT_ITEM, FIND_ITEM):
        if (row := await executor.fetch_one(statement.format(catalogue), {"name": name})) is not None:
            return int(row["id"])
    raise AssertionError("unreachable")


async def insert_entry(executor: Executor, kind: Kind, patient_id: UUID, fields: Mapping[str, Any]) -> EntryId:
    """Add an entry; its id. Raises AlreadyRecorded, UnknownReference, AbatementBeforeDiagnosis."""
    statement = INSERT_ENTRY.format(
        table=sql.Identifier(kind.table),
        columns=sql.SQL(", ").join(map(sql.Identifier, fields)),
        values=sql.SQL(", ").join(map(sql.Placeholder, fields)),
        key=sql.Identifier(kind.key),
    )
    with named_errors(_CONSTRAINTS):
        return _id(await executor.fetch_one(statement, {**fields, "patient_id": patient_id}))


async def update_entry(
    executor: Executor, kind: Kind, patient_id: UUID, entry_id: EntryId, changes: Mapping[str, Any]
) -> EntryId:
    """Change an entry; its id, which is another one if its item is.

    Raises EntryNotFound, AlreadyRecorded, UnknownReference, AbatementBeforeDiagnosis.
    """
    statement = UPDATE_ENTRY.format(
        table=sql.Identifier(kind.table), assignments=assignments(changes), key=sql.Identifier(kind.key)
    )
    with named_errors(_CONSTRAINTS):
        return _id(await executor.fetch_one(statement, {**changes, "patient_id": patient_id, "entry_id": entry_id}))


async def delete_entry(executor: Executor, kind: Kind, patient_id: UUID, entry_id: EntryId) -> None:
    """Remove an entry. Raises EntryNotFound."""
    statement = DELETE_ENTRY.format(table=sql.Identifier(kind.table), key=sql.Identifier(kind.key))
    if not await executor.execute(statement, {"patient_id": patient_id, "entry_id": entry_id}):
        raise EntryNotFound


def _found(row: Row | None) -> Row:
    if row is None:
        raise EntryNotFound
    return row


def _id(row: Row | None) -> EntryId:
    entry_id: EntryId = _found(row)["id"]
    return entry_id
