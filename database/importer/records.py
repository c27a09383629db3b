"""What is known of a patient's health: sorted out to the last of each, and inserted."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID

from psycopg2 import DataError, Error, IntegrityError
from psycopg2.extensions import cursor as Cursor  # noqa: N812 (it is a class)
from psycopg2.extras import Json, execute_values

from shared.plausibility import HEIGHT, SMOKING_STATUS, WEIGHT

from . import lifestyle, observations
from .files import Report, RowError, Source
from .items import ALLERGIES, Item, ItemIds, last_items
from .lifestyle import Answers
from .observations import Observation
from .spool import of
from .visits import Visit

PAGE = 10_000

REASONS = {
    "uq_medical_institutions_license": "another institution has its licence",
    "uq_doctors_medical_license": "another doctor has its licence",
    "ex_appointments_slot": "its doctor has another appointment at that time",
    **dict.fromkeys(
        ("fk_medical_institutions_account", "fk_doctors_account", "fk_patients_account"),
        "its Id is that of another kind of account",
    ),
}

INSERT_CONDITIONS = """
    INSERT INTO patient_conditions (patient_id, condition_id, diagnosis_date, abatement_date, created_at) VALUES %s
    ON CONFLICT (patient_id, condition_id) DO NOTHING RETURNING 1
"""

INSERT_MEDICATIONS = """
    INSERT INTO patient_medications (patient_id, medication_id, start_date, status, created_at) VALUES %s
    ON CONFLICT (patient_id, medication_id) DO NOTHING RETURNING 1
"""

INSERT_ALLERGIES = """
    INSERT INTO patient_allergies (patient_id, allergy_id, severity, reaction_description, created_at) VALUES %s
    ON CONFLICT (patient_id, allergy_id) DO NOTHING RETURNING 1
"""

INSERT_OBSERVATIONS = """
    INSERT INTO observations (id, patient_id, code, value, value_code, unit, effective_at, recorded_by_type) VALUES %s
    ON CONFLICT (id) DO NOTHING RETURNING 1
"""

INSERT_APPOINTMENTS = """
    INSERT INTO appointments (id, patient_id, doctor_id, starts_at, ends_at, reason, status) VALUES %s
    ON CONFLICT (id) DO NOTHING RETURNING 1
"""

INSERT_HEALTH_PROFILE = """
    INSERT INTO health_profiles (patient_id, height_cm, weight_kg, is_smoker, smoking_status, quit_date,
                                 secondhand_smoke_home, consumes_alcohol, physical_activity_minutes_weekly, sleep_hours,
                                 diet_score, takes_bp_medication, takes_lipid_medication, has_diabetes, stated_at)
    VALUES (%(patient_id)s, %(height_cm)s, %(weight_kg)s, %(is_smoker)s, %(smoking_status)s, %(quit_date)s,
            %(secondhand_smoke_home)s, %(consumes_alcohol)s, %(physical_activity_minutes_weekly)s, %(sleep_hours)s,
            %(diet_score)s, %(takes_bp_medication)s, %(takes_lipid_medication)s, %(has_diabetes)s, %(stated_at)s)
    ON CONFLICT (patient_id) DO NOTHING
"""


class Entry(NamedTuple):
    """A row that is to be inserted, and where it comes from."""

    source: Source
    values: Sequence[Any]


@dataclass
class Record:
    """All that the files say of one patient's health."""

    entries: dict[str, list[Entry]] = field(default_factory=dict)  # by file
    newest: dict[str, Observation] = field(default_factory=dict)  # by code
    has_diabetes: bool | None = None  # never False: that nobody wrote it down is no finding
    answers: Answers | None = None

    def add(self, source: Source, values: Sequence[Any]) -> None:
        """Note down an entry."""
        self.entries.setdefault(source.file, []).append(Entry(source, values))

    @property
    def rows(self) -> Iterator[Entry | Answers]:
        """Where all of it comes from."""
        yield from chain.from_iterable(self.entries.values())
        if self.answers:
            yield self.answers


def record_of(things: Sequence[object], ids: ItemIds, report: Report) -> Record:
    """Sort out what the files say of one patient; the rest is passed over."""
    record = Record()
    items, visits = of(Item, things), of(Visit, things)
    for (file, item_id), item in last_items(items, ids).items():
        # An allergy that has ended is no allergy; the record has no place for past ones.
        if item.is_current or file != ALLERGIES:
            record.add(item.source, (item.patient_id, item_id, *item.values, item.written_down))
        if item.is_diabetes:
            record.has_diabetes = True
    observed = of(Observation, things)
    measured: dict[UUID, Observation] = {}
    for observation in observed:
        measured.setdefault(observation.id, observation)
    for observation in measured.values():
        record.add(observation.source, observation.values)
    for visit in visits:
        record.add(visit.source, visit.values)
    # Of several at one moment the last is the newest.
    record.newest = {found.code: found for found in sorted(measured.values(), key=lambda found: found.effective_at)}
    rows: Sequence[Item | Observation | Visit] = (*items, *observed, *visits)
    for file, number in Counter(row.source.file for row in rows).items():
        report[file].passed_over += number - len(record.entries.get(file, ()))
    add_answers(record, of(Answers, things), report)
    return record


def add_answers(record: Record, given: Sequence[Answers], report: Report) -> None:
    """Add the last answers to a record that has its observations."""
    smoking = record.newest.get(SMOKING_STATUS)
    for answers in given:
        try:
            lifestyle.refuse_contradiction(answers, smoking and smoking.value_code)
        except RowError as error:
            report.refuse(*answers.source, str(error))
            continue
        if record.answers:
            report[lifestyle.FILE].passed_over += 1
        if record.answers is None or answers.given_at >= record.answers.given_at:
            record.answers = answers


def insert_health_profile(cursor: Cursor, patient_id: UUID, record: Record) -> None:
    """Insert the profile of a new patient: its answers and its newest observations; all else is unknown, not false."""
    answers = record.answers
    given = answers.profile if answers else {}
    height, weight, smoking = (record.newest.get(code) for code in (HEIGHT, WEIGHT, SMOKING_STATUS))
    # Since when, too: what is measured after it is newer, whenever it was imported.
    source = {"height_cm": height, "weight_kg": weight, "is_smoker": smoking, "smoking_status": smoking}
    stated_at = {field: found.effective_at for field, found in source.items() if found}
    if answers:
        stated_at |= dict.fromkeys(given, answers.given_at)
    profile = {
        **dict.fromkeys(column.lower() for column in lifestyle.FIELDS),
        **given,
        "patient_id": patient_id,
        "height_cm": height and height.value,
        "weight_kg": weight and weight.value,
        "is_smoker": smoking and smoking.value_code == "current",
        "smoking_status": smoking and smoking.value_code,
        # A diagnosis counts before an answer.
        "has_diabetes": record.has_diabetes or given.get("has_diabetes"),
        "stated_at": Json({field: moment.isoformat() for field, moment in stated_at.items()}),
    }
    cursor.execute(INSERT_HEALTH_PROFILE, profile)


def insert_entries(cursor: Cursor, record: Record, report: Report) -> dict[str, int]:
    """Insert what is missing of a record; how many rows of each file that was."""
    added = {}
    for file, statement in INSERTS.items():
        entries = record.entries.get(file, [])
        number = insert_rows(cursor, statement, entries, report) if entries else 0
        if number:
            added[file.removesuffix(".csv")] = number
    return added


def insert_rows(cursor: Cursor, statement: str, entries: Sequence[Entry], report: Report) -> int:
    """Insert rows that are not there yet, all at once; if the database refuses one, that one is reported."""
    file = entries[0].source.file
    cursor.execute("SAVEPOINT entries")
    try:
        values = [entry.values for entry in entries]
        inserted = len(execute_values(cursor, statement, values, page_size=PAGE, fetch=True))
    except (IntegrityError, DataError) as error:
        cursor.execute("ROLLBACK TO SAVEPOINT entries")
        if len(entries) > 1:
            return sum(insert_rows(cursor, statement, [entry], report) for entry in entries)
        report.refuse(*entries[0].source, reason_of(error))
        return 0
    report[file].new += inserted
    report[file].known += len(entries) - inserted
    return inserted


def reason_of(error: Error) -> str:
    """Why the database refused a row. Never its message: that quotes the values."""
    rule = error.diag.constraint_name
    return REASONS.get(
        rule or "", f"it breaks the rule {rule}" if rule else "the database can't hold one of its values"
    )


INSERTS = {
    "conditions.csv": INSERT_CONDITIONS,
    "medications.csv": INSERT_MEDICATIONS,
    "allergies.csv": INSERT_ALLERGIES,
    **dict.fromkeys(observations.FILES, INSERT_OBSERVATIONS),
    "encounters.csv": INSERT_APPOINTMENTS,
}
