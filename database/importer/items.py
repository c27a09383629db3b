"""Conditions, medications and allergies: items of a catalogue that a patient has."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from psycopg2 import sql
from psycopg2.extensions import connection as Connection  # noqa: N812 (it is a class)
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from .files import Report, Row, RowError, Source, of_known_patient, parsed, read
from .spool import Spool

LONGEST_ITEM = 300
LONGEST_CODE = 50
COLUMNS = {"START", "PATIENT", "DESCRIPTION"}
DIABETES_CODES = {"44054006", "46635009", "73211009"}  # SNOMED CT: type 2, type 1, not specified
NO_DIABETES = "gestational|pregnan|history|screening|risk"
MEDICATION_STATUSES = {"active": "active", "stopped": "stopped", "completed": "stopped", "cancelled": "stopped"}

# Only what is missing: a name that differs in case or accents is the same item.
INSERT_ITEMS = sql.SQL("""
    INSERT INTO {catalogue} (name, code)
    SELECT DISTINCT ON (search_key(given.name)) given.name, given.code
    FROM unnest(%(names)s::text[], %(codes)s::text[]) AS given (name, code)
    WHERE NOT EXISTS (SELECT FROM {catalogue} AS item WHERE search_key(item.name) = search_key(given.name))
    ORDER BY search_key(given.name), given.name
    ON CONFLICT (search_key(name)) DO NOTHING
""")

SELECT_ITEMS = sql.SQL("""
    SELECT given.name, item.id
    FROM unnest(%(names)s::text[]) AS given (name)
    JOIN {catalogue} AS item ON search_key(item.name) = search_key(given.name)
""")


class Item(NamedTuple):
    """A row of conditions.csv, medications.csv or allergies.csv, whose name is not yet an id of the catalogue."""

    source: Source
    patient_id: UUID
    name: str
    code: str | None
    start: date
    is_current: bool
    values: tuple[Any, ...]  # the columns after the patient and the catalogue's id

    @property
    def is_diabetes(self) -> bool:
        """Whether it means that the patient has diabetes now; not before it, nor in pregnancy only."""
        name = self.name.lower()
        is_named = "diabetes mellitus" in name and not re.search(NO_DIABETES, name)
        return self.source.file == CONDITIONS and self.is_current and (self.code in DIABETES_CODES or is_named)

    @property
    def written_down(self) -> datetime:
        """When the entry was made: its first day, so that what happened lately to a patient is not the import."""
        return min(datetime.combine(self.start, time.min, UTC), datetime.now(UTC))


@dataclass(frozen=True)
class Kind:
    """A file whose rows refer to an item of a catalogue; a patient has each item once, as it was last written down."""

    file: str
    catalogue: str
    parse: Callable[[Row], Item]


# The ids of names, by file.
ItemIds = Mapping[str, Mapping[str, int]]


def read_items(
    connection: Connection, directory: Path, births: Mapping[UUID, date], by_patient: Spool, report: Report
) -> ItemIds:
    """Put the items of the patients in `births` into the spool, and their names into the catalogues."""
    ids = {}
    for kind in KINDS:
        codes: dict[str, str | None] = {}
        rows = read(directory, kind.file, COLUMNS, report)
        for item in parsed(rows, of_known_patient(kind.parse, births), report):
            codes[item.name] = item.code
            by_patient.put(item.patient_id, item)
        with connection, connection.cursor() as cursor:
            ids[kind.file] = item_ids(cursor, kind.catalogue, codes)
    return ids


def parse_condition(row: Row) -> Item:
    """A diagnosis. Raises RowError."""
    start, stop = row.date("START"), row.find_date("STOP")
    if stop and stop < start:
        raise RowError("STOP lies before START")
    is_current = stop is None or stop > datetime.now(UTC).date()
    return item_of(row, is_current, (start, stop))


def parse_medication(row: Row) -> Item:
    """A prescription; Synthea's own files tell its status by STOP alone. Raises RowError."""
    stop = row.find_date("STOP")
    ended = stop is not None and stop <= datetime.now(UTC).date()
    status = (row.find_text("STATUS") or ("stopped" if ended else "active")).lower()
    if status not in MEDICATION_STATUSES:
        raise RowError("STATUS is not a status of a medication")
    status = MEDICATION_STATUSES[status]
    return item_of(row, status == "active", (row.date("START"), status))


def parse_allergy(row: Row) -> Item:
    """An allergy, with its first reaction. Raises RowError."""
    severity = (row.find_text("SEVERITY1") or "").lower()
    reaction = row.optional("reaction", lambda: row.find_text("DESCRIPTION1"))
    return item_of(
        row, row.find_date("STOP") is None, (severity if severity in ("mild", "moderate", "severe") else None, reaction)
    )


def item_of(row: Row, is_current: bool, values: tuple[Any, ...]) -> Item:
    """The Item of a row."""
    name, code = row.text("DESCRIPTION", LONGEST_ITEM), row.find_text("CODE", LONGEST_CODE)
    return Item(row.source, row.id("PATIENT"), name, code, row.date("START"), is_current, values)


def last_items(items: Iterable[Item], ids: ItemIds) -> dict[tuple[str, int], Item]:
    """The last row of each item of a patient, by its file and the item's id."""
    last: dict[tuple[str, int], Item] = {}
    for item in items:
        key = (item.source.file, ids[item.source.file][item.name])
        other = last.get(key)
        if other is None or (item.start, item.is_current) >= (other.start, other.is_current):
            last[key] = item
    return last


def item_ids(cursor: Cursor, catalogue: str, codes: Mapping[str, str | None]) -> dict[str, int]:
    """The ids of names in a catalogue, which gets those that it lacks."""
    if not codes:
        return {}
    given = {"names": list(codes), "codes": list(codes.values())}
    for template in (INSERT_ITEMS, SELECT_ITEMS):
        statement = template.format(catalogue=sql.Identifier(catalogue))
        cursor.execute(statement, given)
    return dict(cursor.fetchall())


CONDITIONS, ALLERGIES = "conditions.csv", "allergies.csv"
KINDS = (
    Kind(CONDITIONS, "medical_conditions", parse_condition),
    Kind("medications.csv", "medications", parse_medication),
    Kind(ALLERGIES, "allergies", parse_allergy),
)
