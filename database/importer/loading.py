"""The order of an import, and what is one transaction: the institutions; the doctors; each patient with the record.

So a run that is killed leaves nothing half there, and the next one goes on where it ended.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from psycopg2 import DataError, IntegrityError
from psycopg2.extensions import connection as Connection  # noqa: N812 (it is a class)
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from tqdm import tqdm

from shared import audit, context
from shared.caller import Caller

from .entities import Catalogues, Entity, insert_entity, load_catalogues, parse_doctor, parse_institution, parse_patient
from .files import Report, Row, RowError, parsed, read
from .lifestyle import FILE as LIFESTYLE
from .records import Record, Records, insert_entries, insert_health_profile, read_records, reason_of
from .visits import Visit, entries_of, parse_visit

Ties = dict[UUID, tuple[UUID | None, UUID | None]]

IMPORTER = Caller("service", UUID(int=0))

# Any number that nothing else locks; the lock ends with the connection.
TRY_LOCK = "SELECT pg_try_advisory_lock(7223002)"
LOCK = "SELECT pg_advisory_lock(7223002)"
SELECT_INSTITUTIONS = "SELECT id FROM medical_institutions"
SELECT_DOCTORS = "SELECT id FROM doctors"
SELECT_BIRTHS = "SELECT id, date_of_birth FROM patients"
# Whom a new patient may be given to.
SELECT_OPEN_INSTITUTIONS = "SELECT id FROM medical_institutions WHERE deleted_at IS NULL"
SELECT_OPEN_DOCTORS = (
    "SELECT id, institution_id FROM doctors WHERE deleted_at IS NULL AND professional_status = 'active'"
)


class Tie(NamedTuple):
    """Who looks after a patient, by a care team or an encounter."""

    row: Row
    patient_id: UUID
    start: datetime
    doctor_id: UUID | None
    institution_id: UUID


def load(connection: Connection, directory: Path, report: Report) -> list[UUID]:
    """Load what is missing of a directory; the ids of its patients that are in the database.

    Raises psycopg2.OperationalError when the database goes away; what was committed stays.
    """
    context.enter(context.RequestContext(request_id=f"import-{uuid4()}"))
    wait_for_others(connection)
    with connection, connection.cursor() as cursor:
        catalogues = load_catalogues(cursor)
    load_institutions(connection, directory, catalogues, report)
    load_doctors(connection, directory, catalogues, report)
    return load_patients(connection, directory, catalogues, report)


def wait_for_others(connection: Connection) -> None:
    """Wait until no other import runs: two would wait for each other's rows, and might do so for ever."""
    if not select(connection, TRY_LOCK)[0][0]:
        print("Another import is running: waiting for its end ...", flush=True)
        select(connection, LOCK)


def load_institutions(connection: Connection, directory: Path, catalogues: Catalogues, report: Report) -> None:
    """Load the organisations."""
    known = {found[0] for found in select(connection, SELECT_INSTITUTIONS)}
    rows = read(directory, "organizations.csv", {"ID", "NAME"}, report)
    load_entities(connection, parsed(rows, lambda row: parse_institution(row, catalogues), report), known, report)


def load_doctors(connection: Connection, directory: Path, catalogues: Catalogues, report: Report) -> None:
    """Load the providers."""
    known = {found[0] for found in select(connection, SELECT_DOCTORS)}
    institutions = {found[0] for found in select(connection, SELECT_OPEN_INSTITUTIONS)}
    rows = read(directory, "providers.csv", {"ID", "ORGANIZATION", "NAME"}, report)
    doctors = parsed(rows, lambda row: parse_doctor(row, catalogues, institutions), report)
    load_entities(connection, doctors, known, report)


def load_entities(connection: Connection, entities: Iterable[Entity], known: set[UUID], report: Report) -> None:
    """Load institutions or doctors, except the `known`, in one transaction: so many commits would take seconds."""
    with connection, connection.cursor() as cursor:
        for entity in entities:
            if entity.id in known:
                report.count(entity.row.file, added=False)
                continue
            cursor.execute("SAVEPOINT entity")
            try:
                report.count(entity.row.file, insert_entity(cursor, entity))
                known.add(entity.id)
            except (IntegrityError, DataError) as error:
                cursor.execute("ROLLBACK TO SAVEPOINT entity")
                report.refuse(entity.row.file, entity.row.line, reason_of(error))
            cursor.execute("RELEASE SAVEPOINT entity")


def load_patients(connection: Connection, directory: Path, catalogues: Catalogues, report: Report) -> list[UUID]:
    """Load the patients, each with its record; the ids of those of the directory that are in the database."""
    births: dict[UUID, date] = dict(select(connection, SELECT_BIRTHS))
    known = set(births)
    # Who is known stays with whom it has now: what the files say of that doesn't matter.
    encounters: list[Tie] = []
    ties: Ties = {**dict.fromkeys(known, (None, None)), **read_ties(connection, directory, encounters, report)}
    patients: dict[UUID, Entity] = {}
    rows = read(directory, "patients.csv", {"ID", "FIRST", "LAST", "BIRTHDATE"}, report)
    for entity in parsed(rows, lambda row: parse_patient(row, catalogues, ties), report):
        if entity.id in patients:
            report[entity.row.file].passed_over += 1
        patients.setdefault(entity.id, entity)
    births |= {entity.id: entity.columns["date_of_birth"] for entity in patients.values() if entity.id not in known}
    records = read_records(connection, directory, births, report)
    for patient_id, entries in entries_of(visits_of(encounters, births, report), report).items():
        records[patient_id].entries["encounters.csv"] = entries
    loaded = [load_patient(connection, entity, entity.id not in known, records, report) for entity in bar(patients)]
    for patient_id, record in records.items():
        # Of patients that the directory itself doesn't have.
        with connection, connection.cursor() as cursor:
            insert_record(cursor, patient_id, record, is_new=False, report=report)
    return [patient_id for patient_id in loaded if patient_id]


def bar(patients: Mapping[UUID, Entity]) -> Iterable[Entity]:
    """The patients, with a progress bar if a person is watching."""
    return tqdm(patients.values(), desc="patients and their records", unit="", disable=None)


def load_patient(
    connection: Connection, patient: Entity, is_new: bool, records: Records, report: Report
) -> UUID | None:
    """Load one patient and take its record out of `records`; its id, or None when it can't be loaded."""
    record = records.pop(patient.id, Record())
    try:
        with connection, connection.cursor() as cursor:
            is_new = is_new and insert_entity(cursor, patient)
            insert_record(cursor, patient.id, record, is_new=is_new, report=report)
    except (IntegrityError, DataError) as error:
        report.refuse(patient.row.file, patient.row.line, reason_of(error))
        for entry in (entry for entries in record.entries.values() for entry in entries):
            report.refuse(entry.row.file, entry.row.line, "its PATIENT is not loaded")
        if record.answers:
            report.refuse(LIFESTYLE, record.answers.row.line, "its PATIENT is not loaded")
        return None
    report.count(patient.row.file, is_new)
    return patient.id


def insert_record(cursor: Cursor, patient_id: UUID, record: Record, *, is_new: bool, report: Report) -> None:
    """Insert what is missing of a record; if anything is, the audit trail says so."""
    if is_new:
        insert_health_profile(cursor, patient_id, record)
    if record.answers:
        report.count(LIFESTYLE, added=is_new)
    added = insert_entries(cursor, record, report)
    if is_new or added:
        event = audit.parameters("importer", IMPORTER, "create", "import", patient_ids=[patient_id], detail=added)
        cursor.execute(audit.INSERT_EVENT, event)


def read_ties(connection: Connection, directory: Path, encounters: list[Tie], report: Report) -> Ties:
    """The doctor and the institution of each patient's last care team or encounter.

    Fills `encounters` with those that had a doctor: they are appointments, too.
    """
    doctors: dict[UUID, UUID] = dict(select(connection, SELECT_OPEN_DOCTORS))
    institutions = {found[0] for found in select(connection, SELECT_OPEN_INSTITUTIONS)}
    last: dict[UUID, Tie] = {}
    for file, column in (("careteams.csv", "PROVIDERS"), ("encounters.csv", "PROVIDER")):
        rows = read(directory, file, {"START", "PATIENT", column}, report)
        parse_row = partial(parse_tie, column=column, doctors=doctors, institutions=institutions)
        for tie in parsed(rows, parse_row, report):
            if file == "encounters.csv" and tie.doctor_id:
                encounters.append(tie)
            else:
                report[file].passed_over += 1
            other = last.get(tie.patient_id)
            if other is None or tie.start >= other.start:
                last[tie.patient_id] = tie
    return {tie.patient_id: (tie.doctor_id, tie.institution_id) for tie in last.values()}


def parse_tie(row: Row, *, column: str, doctors: Mapping[UUID, UUID], institutions: set[UUID]) -> Tie:
    """A row of careteams.csv or encounters.csv. Raises RowError."""
    try:
        providers = [UUID(text) for text in re.split(r"[;,\s]+", row.find_text(column) or "") if text]
    except ValueError as error:
        raise RowError(f"{column} is not a UUID") from error
    doctor_id = next((provider for provider in providers if provider in doctors), None)
    # A doctor's patient is that doctor's institution's, whatever the row says.
    institution_id = doctors[doctor_id] if doctor_id else row.find_id("ORGANIZATION")
    if institution_id not in institutions:
        raise RowError("neither its provider nor its organisation is loaded")
    return Tie(row, row.id("PATIENT"), row.moment("START"), doctor_id, institution_id)


def visits_of(encounters: Iterable[Tie], births: Mapping[UUID, date], report: Report) -> Iterator[Visit]:
    """The encounters of the patients in `births`; the others are refused."""
    for row, _, _, doctor_id, _ in encounters:
        if doctor_id:
            yield from parsed([row], partial(parse_visit, doctor_id=doctor_id, births=births), report)


def select(connection: Connection, statement: str) -> list[tuple[Any, ...]]:
    """All rows of a statement."""
    with connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()
