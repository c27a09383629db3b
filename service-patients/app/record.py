"""Editing the entries of a patient's record: conditions, medications, allergies and the family's history."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from shared import audit, etag, idempotency
from shared.caller import Caller
from shared.postgres import Executor, Row
from shared.record import Allergy, Condition, FamilyHistoryEntry, Medication
from shared.resources import ClientResources
from shared.schemas import ABSENT, Body, CatalogueId, Update
from shared.text import CLEAN, Note, Text

from . import db, domain, record_db, scores
from .domain import PastDay
from .errors import ItemNotNamed
from .record_db import ALLERGIES, CONDITIONS, FAMILY_HISTORY, MEDICATIONS, EntryId, Kind
from .scope import answered_before, scope_of, writing


def _on_one_line(value: str) -> str:
    return " ".join(value.split())


def _comparable(value: str) -> str:
    # Without a letter or digit, nothing would be left to compare.
    if not any(character.isalnum() for character in value):
        raise PydanticCustomError("string_pattern_mismatch", "has no letter or digit")
    return value


# No pattern in the schema: the ones of JSON Schema (ECMA-262) have no word for a letter of any script.
TermName = Annotated[
    str,
    Field(min_length=1, max_length=300),
    CLEAN,
    AfterValidator(_on_one_line),
    AfterValidator(_comparable),
]


def _example(**fields: Any) -> ConfigDict:
    # Those of all fields together would name the item twice.
    return ConfigDict(json_schema_extra={"examples": [fields], "minProperties": 1})


class ConditionFields(Body):
    """What is said about a condition."""

    diagnosis_date: PastDay | None = None
    abatement_date: PastDay | None = Field(default=None, description="Resolved since; null while it lasts.")
    notes: Note | None = None


class NewCondition(ConditionFields):
    """A condition of the catalogue by its id, or any by its name."""

    model_config = _example(
        condition_id=3, name=None, diagnosis_date="2024-05-17", abatement_date="2024-06-17", notes="Leve."
    )

    condition_id: CatalogueId | None = None
    name: TermName | None = None


class ConditionUpdate(ConditionFields, Update):
    """Any subset of a condition's fields."""

    model_config = _example(name="Asma", diagnosis_date="2024-05-17", abatement_date="2024-06-17", notes="Leve.")

    condition_id: CatalogueId = ABSENT
    name: TermName = ABSENT


class MedicationFields(Body):
    """How a medication is taken."""

    dosage: Text | None = None
    frequency: Text | None = None
    start_date: PastDay | None = None
    status: Literal["active", "stopped"] = "active"


class NewMedication(MedicationFields):
    """A medication of the catalogue by its id, or any by its name."""

    model_config = _example(
        medication_id=3, name=None, dosage="1 g", frequency="diario", start_date="2024-05-17", status="active"
    )

    medication_id: CatalogueId | None = None
    name: TermName | None = None


class MedicationUpdate(MedicationFields, Update):
    """Any subset of a medication's fields."""

    model_config = _example(
        name="Metformina", dosage="1 g", frequency="diario", start_date="2024-05-17", status="active"
    )

    medication_id: CatalogueId = ABSENT
    name: TermName = ABSENT


class AllergyFields(Body):
    """How an allergy shows."""

    severity: Literal["mild", "moderate", "severe"] | None = None
    reaction_description: Note | None = None


class NewAllergy(AllergyFields):
    """An allergy of the catalogue by its id, or any by its name."""

    model_config = _example(allergy_id=3, name=None, severity="mild", reaction_description="Urticaria")

    allergy_id: CatalogueId | None = None
    name: TermName | None = None


class AllergyUpdate(AllergyFields, Update):
    """Any subset of an allergy's fields."""

    model_config = _example(name="Penicilina", severity="mild", reaction_description="Urticaria")

    allergy_id: CatalogueId = ABSENT
    name: TermName = ABSENT


class FamilyHistoryFields(Body):
    """Which relative has a condition."""

    relative_type: Literal["mother", "father", "sibling", "child", "grandparent", "other"] | None = None
    notes: Note | None = None


class NewFamilyHistory(FamilyHistoryFields):
    """A relative's condition of the catalogue by its id, or any by its name."""

    model_config = _example(condition_id=3, name=None, relative_type="mother", notes="Desde los 50 años.")

    condition_id: CatalogueId | None = None
    name: TermName | None = None


class FamilyHistoryUpdate(FamilyHistoryFields, Update):
    """Any subset of the fields of a relative's condition."""

    model_config = _example(name="Asma", relative_type="mother", notes="Desde los 50 años.")

    condition_id: CatalogueId = ABSENT
    name: TermName = ABSENT


_MODELS: Mapping[Kind, type[BaseModel]] = {
    CONDITIONS: Condition,
    MEDICATIONS: Medication,
    ALLERGIES: Allergy,
    FAMILY_HISTORY: FamilyHistoryEntry,
}


async def add_entry(res: ClientResources, caller: Caller, kind: Kind, patient_id: UUID, new: Body) -> Row:
    """Add an entry to a patient's record; the entry as the record shows it.

    Raises ItemNotNamed, PatientNotFound, BeforeBirth, UnknownReference, AbatementBeforeDiagnosis, AlreadyRecorded.
    """
    fields = new.model_dump()
    if (fields[kind.item] is None) == (fields["name"] is None):
        raise ItemNotNamed(kind.item)
    async with res.db.transaction() as tx:
        patient = await db.hold_patient(tx, patient_id, scope_of(caller))
        if (answer := await answered_before(tx, res, caller, kind.name, patient_id)) is not None:
            return answer
        domain.refuse_before_birth(patient["date_of_birth"], fields)
        columns = await _columns(tx, kind, fields)
        entry_id = await record_db.insert_entry(tx, kind, patient_id, columns)
        await _changed(tx, res, caller, "create", kind, patient_id, id=entry_id, item=columns[kind.item])
        entry = await record_db.get_entry(tx, kind, patient_id, entry_id)
        await idempotency.keep(tx, entry)
        return entry


async def update_entry(
    res: ClientResources, caller: Caller, kind: Kind, patient_id: UUID, entry_id: EntryId, update: Update
) -> Row:
    """Change any of an entry's fields, its item included; the entry after it.

    Raises EmptyUpdate, ItemNotNamed, PatientNotFound, EntryNotFound, BeforeBirth, UnknownReference,
    AbatementBeforeDiagnosis, AlreadyRecorded.
    """
    changes = update.changes()
    if kind.item in changes and "name" in changes:
        raise ItemNotNamed(kind.item)
    async with res.db.transaction() as tx:
        patient = await db.hold_patient(tx, patient_id, scope_of(caller))
        domain.refuse_before_birth(patient["date_of_birth"], changes)
        await etag.guard(_MODELS[kind], partial(record_db.get_entry, tx, kind, patient_id, entry_id))
        columns = await _columns(tx, kind, changes)
        new_id = await record_db.update_entry(tx, kind, patient_id, entry_id, columns)
        item = {"item": columns[kind.item]} if kind.item in columns else {}
        await _changed(tx, res, caller, "update", kind, patient_id, id=entry_id, fields=sorted(columns), **item)
        return await record_db.get_entry(tx, kind, patient_id, new_id)


async def delete_entry(res: ClientResources, caller: Caller, kind: Kind, patient_id: UUID, entry_id: EntryId) -> None:
    """Remove an entry that does not belong in the record. Raises PatientNotFound, EntryNotFound."""
    async with res.db.transaction() as tx:
        await db.hold_patient(tx, patient_id, scope_of(caller))
        await etag.guard(_MODELS[kind], partial(record_db.get_entry, tx, kind, patient_id, entry_id))
        await record_db.delete_entry(tx, kind, patient_id, entry_id)
        await _changed(tx, res, caller, "delete", kind, patient_id, id=entry_id)


async def _columns(tx: Executor, kind: Kind, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as columns: an item's name gives way to its id."""
    columns = {field: value for field, value in fields.items() if field != "name"}
    if fields.get("name") is not None:
        columns[kind.item] = await record_db.item_named(tx, kind, fields["name"])
    return columns


async def _changed(
    tx: Executor, res: ClientResources, caller: Caller, action: str, kind: Kind, patient_id: UUID, **detail: Any
) -> None:
    detail["id"] = str(detail["id"]) if isinstance(detail["id"], UUID) else detail["id"]
    if kind is CONDITIONS:
        await scores.refresh(tx, patient_id)
    await audit.record(tx, writing(res, caller, action, patient_id, kind.name, **detail))
