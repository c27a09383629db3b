"""What is known of a patient's health: parsed, sorted out to the newest of each, and inserted."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5

from psycopg2 import DataError, Error, IntegrityError, sql
from psycopg2.extensions import connection as Connection  # noqa: N812 (it is a class)
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.extras import Json, execute_values

from shared.plausibility import HEIGHT, SMOKING_STATUS, WEIGHT, is_plausible, limits

from . import lifestyle
from .files import Report, Row, RowError, parsed, read
from .lifestyle import Answers

LONGEST_ITEM = 300
OBSERVATION_NAMESPACE = uuid5(NAMESPACE_URL, "https://predicthealth.dev/importer/observations")
LOINC = re.compile(r"[0-9]{1,7}-[0-9]")
# LOINC defines this rate per 1.73 m² of body surface; Synthea writes its unit with and without it.
UNITS_IN_SHORT = {"33914-3": {"mL/min": "mL/min/{1.73_m2}"}, "98979-8": {"mL/min": "mL/min/{1.73_m2}"}}
DIABETES_CODES = {"44054006", "46635009", "73211009"}  # SNOMED CT: type 2, type 1, not specified

NO_DIABETES = "gestational|pregnan|history|screening|risk"
MEDICATION_STATUSES = {"active": "active", "stopped": "stopped", "completed": "stopped", "cancelled": "stopped"}
SMOKING_TERMS = {
    "never": r"never|non-smoker",
    "former": r"ex-smoker|former|stopped smoking",
    "current": r"smoker|smokes",
}
# Of one layout. The second is for what comes from elsewhere: a laboratory's own export.
OBSERVATION_FILES = ("observations.csv", "laboratory.csv")
PAGE = 10_000
ITEM_COLUMNS = {"START", "PATIENT", "DESCRIPTION"}
LONGEST_CODE = 50

REASONS = {
    "uq_medical_institutions_license": "another institution has its licence",
    "uq_doctors_medical_license": "another doctor has its licence",
    "ex_appointments_slot": "its doctor has another appointment at that time",
    **dict.fromkeys(
        ("fk_medical_institutions_account", "fk_doctors_account", "fk_patients_account"),
        "its Id is that of another kind of account",
    ),
}

SELECT_CODES = "SELECT code, unit FROM observation_codes"

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

Parsed = TypeVar("Parsed")


class Item(NamedTuple):
    """A row of conditions.csv, medications.csv or allergies.csv, whose name is not yet an id of the catalogue."""

    row: Row
    patient_id: UUID
    name: str
    code: str | None
    start: date
    is_current: bool
    values: tuple[Any, ...]  # the columns after the patient and the catalogue's id


class Observation(NamedTuple):
    """The columns of INSERT_OBSERVATIONS."""

    id: UUID
    patient_id: UUID
    code: str
    value: Decimal | None
    value_code: str | None
    unit: str
    effective_at: datetime
    recorded_by_type: str


class Entry(NamedTuple):
    """A row that is to be inserted, and where it comes from."""

    row: Row
    values: Sequence[Any]


@dataclass
class Record:
    """All that the files say of one patient's health."""

    entries: dict[str, list[Entry]] = field(default_factory=dict)  # by file
    newest: dict[str, Observation] = field(default_factory=dict)  # by code
    has_diabetes: bool | None = None  # never False: that nobody wrote it down is no finding
    answers: Answers | None = None

    def add(self, entry: Entry) -> None:
        """Note down an entry."""
        self.entries.setdefault(entry.row.file, []).append(entry)

    def add_observation(self, row: Row, observation: Observation) -> None:
        """Note down an observation; of several at one moment the last is the newest."""
        self.add(Entry(row, observation))
        newest = self.newest.get(observation.code)
        if newest is None or observation.effective_at >= newest.effective_at:
            self.newest[observation.code] = observation


@dataclass(frozen=True)
class Kind:
    """A file whose rows refer to an item of a catalogue; a patient has each item once, as it was last written down."""

    file: str
    catalogue: str
    parse: Callable[[Row], Item]


Records = dict[UUID, Record]


def read_records(connection: Connection, directory: Path, births: Mapping[UUID, date], report: Report) -> Records:
    """Read the files of the records of the patients in `births` (with their dates); no transaction lasts so long."""
    records: Records = defaultdict(Record)
    for kind in KINDS:
        items = parsed(read(directory, kind.file, ITEM_COLUMNS, report), of_known_patient(kind.parse, births), report)
        add_items(connection, kind, list(items), records, report)
    with connection, connection.cursor() as cursor:
        cursor.execute(SELECT_CODES)
        units: dict[str, str] = dict(cursor.fetchall())
    seen: set[UUID] = set()
    for file in OBSERVATION_FILES:
        rows = read(directory, file, {"DATE", "PATIENT", "CODE", "VALUE"}, report)
        parse_row = of_known_patient(lambda row: (row, parse_observation(row, units, births)), births)
        for row, observation in parsed(rows, parse_row, report):
            if observation.id in seen:
                report[row.file].passed_over += 1
            else:
                seen.add(observation.id)
                records[observation.patient_id].add_observation(row, observation)
    add_answers(directory, births, records, report)
    return records


def add_answers(directory: Path, births: Mapping[UUID, date], records: Records, report: Report) -> None:
    """Add the last row of each patient in lifestyle.csv to the records, which have the observations by now."""

    def parse(row: Row) -> Answers:
        answers = lifestyle.parse_answers(row, births)
        smoking = records[answers.patient_id].newest.get(SMOKING_STATUS)
        lifestyle.refuse_contradiction(answers, smoking and smoking.value_code)
        return answers

    rows = read(directory, lifestyle.FILE, lifestyle.COLUMNS, report)
    for answers in parsed(rows, of_known_patient(parse, births), report):
        record = records[answers.patient_id]
        if record.answers:
            report[lifestyle.FILE].passed_over += 1
        if record.answers is None or answers.given_at >= record.answers.given_at:
            record.answers = answers


def of_known_patient(parse_row: Callable[[Row], Parsed], births: Mapping[UUID, date]) -> Callable[[Row], Parsed]:
    """`parse_row` for rows of the patients in `births`; the others are refused."""

    def parse(row: Row) -> Parsed:
        if row.id("PATIENT") not in births:
            raise RowError("its PATIENT is not loaded")
        return parse_row(row)

    return parse


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
    return Item(row, row.id("PATIENT"), name, code, row.date("START"), is_current, values)


def parse_observation(row: Row, units: Mapping[str, str], births: Mapping[UUID, date]) -> Observation:
    """A measurement in the unit of the catalogue, or a smoking status. Raises RowError."""
    patient_id, code, effective_at = row.id("PATIENT"), row.text("CODE", LONGEST_CODE), row.moment("DATE")
    if code not in units:
        # Only what looks like a code is named: anything else may be a person's data in the wrong column.
        raise RowError(f"CODE{f' {code}' if LOINC.fullmatch(code) else ''} is not in the catalogue")
    if effective_at > datetime.now(UTC) or effective_at.date() < births[patient_id]:
        raise RowError("DATE lies in the future or before the patient's birth")
    value, status = None, None
    if code == SMOKING_STATUS:
        status = smoking_status(row.text("VALUE"))
    else:
        value = measured(row, code, units[code])
    # Of its content: a second run, and a row that repeats another, are the same observation.
    name = f"{patient_id}|{code}|{effective_at.isoformat()}|{status or value}"
    observation_id = uuid5(OBSERVATION_NAMESPACE, name)
    return Observation(observation_id, patient_id, code, value, status, units[code], effective_at, "service")


def measured(row: Row, code: str, unit: str) -> Decimal:
    """The number of an observation, to two decimals: what follows is the generator's arithmetic."""
    given = row.find_text("UNITS") or unit
    if UNITS_IN_SHORT.get(code, {}).get(given, given) != unit:
        raise RowError(f"UNITS is not {unit}, the unit of {code}")
    number = row.number("VALUE")
    if not is_plausible(code, number):
        low, high = limits(code)
        raise RowError(f"VALUE lies outside {low}-{high} {unit}")
    return round(number, 2)


def smoking_status(text: str) -> str:
    """`never`, `former` or `current`, by the English terms that SNOMED CT and Synthea have used for it."""
    words = text.lower()
    if "unknown" not in words:
        for status, pattern in SMOKING_TERMS.items():
            if re.search(pattern, words):
                return status
    raise RowError("VALUE is not a smoking status: never, former or current")


def is_diabetes(item: Item) -> bool:
    """Whether an item means that the patient has diabetes; not before it, in pregnancy only, or in the past."""
    name = item.name.lower()
    return item.code in DIABETES_CODES or ("diabetes mellitus" in name and not re.search(NO_DIABETES, name))


def add_items(connection: Connection, kind: Kind, items: Sequence[Item], records: Records, report: Report) -> None:
    """Add the last row of each patient and item to the records, and the items to their catalogue."""
    with connection, connection.cursor() as cursor:
        ids = item_ids(cursor, kind.catalogue, {item.name: item.code for item in items})
    newest: dict[tuple[UUID, int], Item] = {}
    for item in items:
        key = (item.patient_id, ids[item.name])
        other = newest.get(key)
        if other is None or (item.start, item.is_current) >= (other.start, other.is_current):
            newest[key] = item
    loaded = 0
    for (patient_id, item_id), item in newest.items():
        record = records[patient_id]
        if kind.catalogue == "medical_conditions" and item.is_current and is_diabetes(item):
            record.has_diabetes = True
        # An allergy that has ended is no allergy; the record has no place for past ones.
        if item.is_current or kind.catalogue != "allergies":
            record.add(Entry(item.row, (patient_id, item_id, *item.values, written_down(item))))
            loaded += 1
    report[kind.file].passed_over += len(items) - loaded


def written_down(item: Item) -> datetime:
    """When an entry was made: its first day, so that what happened lately to a patient is not the import."""
    return min(datetime.combine(item.start, time.min, UTC), datetime.now(UTC))


def item_ids(cursor: Cursor, catalogue: str, codes: Mapping[str, str | None]) -> dict[str, int]:
    """The ids of names in a catalogue, which gets those that it lacks."""
    if not codes:
        return {}
    given = {"names": list(codes), "codes": list(codes.values())}
    for template in (INSERT_ITEMS, SELECT_ITEMS):
        statement = template.format(catalogue=sql.Identifier(catalogue))
        cursor.execute(statement, given)
    return dict(cursor.fetchall())


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
    file = entries[0].row.file
    cursor.execute("SAVEPOINT entries")
    try:
        values = [entry.values for entry in entries]
        inserted = len(execute_values(cursor, statement, values, page_size=PAGE, fetch=True))
    except (IntegrityError, DataError) as error:
        cursor.execute("ROLLBACK TO SAVEPOINT entries")
        if len(entries) > 1:
            return sum(insert_rows(cursor, statement, [entry], report) for entry in entries)
        report.refuse(file, entries[0].row.line, reason_of(error))
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


KINDS = (
    Kind("conditions.csv", "medical_conditions", parse_condition),
    Kind("medications.csv", "medications", parse_medication),
    Kind("allergies.csv", "allergies", parse_allergy),
)
INSERTS = {
    "conditions.csv": INSERT_CONDITIONS,
    "medications.csv": INSERT_MEDICATIONS,
    "allergies.csv": INSERT_ALLERGIES,
    **dict.fromkeys(OBSERVATION_FILES, INSERT_OBSERVATIONS),
    "encounters.csv": INSERT_APPOINTMENTS,
}
