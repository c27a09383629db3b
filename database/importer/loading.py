"""The order of an import, and what is one transaction: the institutions; the doctors; each patient with the record.

All files are read before the first patient is loaded: of several rows the last counts, wherever it stands. A run that
is killed leaves nothing half there, and the next one goes on where it ended.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
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
from .items import ItemIds, read_items
from .lifestyle import FILE as LIFESTYLE
from .lifestyle import read_answers
from .observations import read_observations
from .records import Record, insert_entries, insert_health_profile, reason_of, record_of
from .spool import Spool, of
from .visits import Visit, kept_apart, parse_visit

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
                report.count(entity.source.file, added=False)
                continue
            cursor.execute("SAVEPOINT entity")
            try:
                report.count(entity.source.file, insert_entity(cursor, entity))
                known.add(entity.id)
            except (IntegrityError, DataError) as error:
                cursor.execute("ROLLBACK TO SAVEPOINT entity")
                report.refuse(*entity.source, reason_of(error))
            cursor.execute("RELEASE SAVEPOINT entity")


def load_patients(connection: Connection, directory: Path, catalogues: Catalogues, report: Report) -> list[UUID]:
    """Load the patients, each with its record; the ids of those of the directory that are in the database."""
    births: dict[UUID, date] = dict(select(connection, SELECT_BIRTHS))
    known = set(births)
    loaded = []
    with closing(Spool()) as by_patient:
        read_patients(directory, catalogues, births, by_patient, report)
        with closing(Spool()) as by_doctor:
            tied = read_ties(connection, directory, births, by_patient, by_doctor, report)
            for _, visits in by_doctor.groups():
                for visit in kept_apart(of(Visit, visits), report):
                    by_patient.put(visit.patient_id, visit)
        # Without a tie a new patient can't be loaded, nor can its rows.
        births = {patient_id: born for patient_id, born in births.items() if patient_id in known or patient_id in tied}
        ids = read_items(connection, directory, births, by_patient, report)
        read_observations(connection, directory, births, by_patient, report)
        read_answers(directory, births, by_patient, report)
        for patient_id, things in bar(by_patient):
            if load_patient(connection, patient_id, things, patient_id not in known, ids, report):
                loaded.append(patient_id)
    return loaded


def bar(by_patient: Spool) -> Iterable[tuple[UUID, list[object]]]:
    """The patients, with a progress bar if a person is watching."""
    description = "patients and their records"
    return tqdm(by_patient.groups(), desc=description, total=len(by_patient), unit="", disable=None)


def read_patients(
    directory: Path, catalogues: Catalogues, births: dict[UUID, date], by_patient: Spool, report: Report
) -> None:
    """Put the patients of the directory into the spool; those whom `births` lacks are added to it."""
    rows = read(directory, "patients.csv", {"ID", "FIRST", "LAST", "BIRTHDATE"}, report)
    seen = set[UUID]()
    for entity in parsed(rows, partial(parse_patient, catalogues=catalogues), report):
        if entity.id in seen:
            report[entity.source.file].passed_over += 1
            continue
        seen.add(entity.id)
        births.setdefault(entity.id, entity.columns["date_of_birth"])
        by_patient.put(entity.id, entity)


def load_patient(
    connection: Connection, patient_id: UUID, things: Sequence[object], is_new: bool, ids: ItemIds, report: Report
) -> bool:
    """Load what the files have of one patient; whether it is one of the directory's and in the database."""
    # None if the directory has rows of it, but not itself: then the database has it.
    patient = next(iter(of(Entity, things)), None)
    ties = sorted(of(Tie, things), key=lambda tie: tie.start)
    if patient and is_new and not ties:
        report.refuse(*patient.source, "no care team or encounter ties it to a loaded provider or organisation")
        return False
    record = record_of(things, ids, report)
    try:
        with connection, connection.cursor() as cursor:
            is_new = bool(patient and is_new and insert_entity(cursor, given_to(patient, ties[-1])))
            insert_record(cursor, patient_id, record, is_new=is_new, report=report)
    except (IntegrityError, DataError) as error:
        if not patient:
            raise
        report.refuse(*patient.source, reason_of(error))
        for row in record.rows:
            report.refuse(*row.source, "its PATIENT is not loaded")
        return False
    if patient:
        report.count(patient.source.file, is_new)
    return patient is not None


def given_to(patient: Entity, tie: Tie) -> Entity:
    """A patient, with whom looks after it."""
    columns = {**patient.columns, "doctor_id": tie.doctor_id, "institution_id": tie.institution_id}
    return replace(patient, columns=columns)


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


def read_ties(
    connection: Connection,
    directory: Path,
    births: Mapping[UUID, date],
    by_patient: Spool,
    by_doctor: Spool,
    report: Report,
) -> set[UUID]:
    """Put the ties of the patients in `births` into the spool, and the encounters with a doctor, which are visits, too.

    The ids of the patients that have a tie.
    """
    doctors: dict[UUID, UUID] = dict(select(connection, SELECT_OPEN_DOCTORS))
    institutions = {found[0] for found in select(connection, SELECT_OPEN_INSTITUTIONS)}
    tied = set[UUID]()
    for file, column in (("careteams.csv", "PROVIDERS"), ("encounters.csv", "PROVIDER")):
        parse_row = partial(parse_tie, column=column, doctors=doctors, institutions=institutions)
        for row in read(directory, file, {"START", "PATIENT", column}, report):
            for tie in parsed([row], parse_row, report):
                if tie.patient_id in births:
                    by_patient.put(tie.patient_id, tie)
                    tied.add(tie.patient_id)
                if file == "encounters.csv" and tie.doctor_id:
                    as_visit = partial(parse_visit, doctor_id=tie.doctor_id, births=births)
                    for visit in parsed([row], as_visit, report):
                        by_doctor.put(visit.doctor_id, visit)
                else:
                    report[file].passed_over += 1
    return tied


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
    return Tie(row.id("PATIENT"), row.moment("START"), doctor_id, institution_id)


def select(connection: Connection, statement: str) -> list[tuple[Any, ...]]:
    """All rows of a statement."""
    with connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()
