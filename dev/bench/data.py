"""Patients by the million, the same ones in every run, loaded by COPY into a database that holds nothing else.

As a restore does, the load leaves secondary indexes and foreign keys for its end, where both are made anew over all
rows: these have then been checked as if they had come in one by one. What triggers would have added is in the rows.
"""

import random
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import accumulate

import bcrypt
import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 (it is a class)
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from dev.bench.names import MEN, SURNAMES, WOMEN

SEED = 20_261_124
PASSWORD = "correct horse battery"
# Who may call. Enough that no account has more than a few logins at once: those would wait for one another.
CALLING_DOCTORS = 20
CALLING_PATIENTS = 256
PATIENTS_PER_DOCTOR = 200
DOCTORS_PER_INSTITUTION = 10
CHUNK = 20_000
NULL = r"\N"

# In the order of their foreign keys.
COLUMNS = {
    "users": "id, email, password_hash, user_type, owner_status, is_verified, created_at, updated_at",
    "medical_institutions": "id, name, institution_type_id, license_number, verification_status, created_at",
    "doctors": "id, institution_id, first_name, last_name, medical_license, license_status, specialty_id, "
    "years_experience, consultation_fee, created_at",
    "patients": "id, doctor_id, institution_id, first_name, last_name, date_of_birth, sex_id, gender_id, "
    "validation_status, health_score, risk_level, score_model, scored_at, created_at, updated_at",
    "emails": "entity_type, entity_id, email_address, is_primary",
    "phones": "entity_type, entity_id, phone_number, is_primary",
    "addresses": "entity_type, entity_id, street_address, city, region_id, country_id, postal_code, is_primary",
    "health_profiles": "patient_id, height_cm, weight_kg, blood_type_id, is_smoker, smoking_status, consumes_alcohol, "
    "alcohol_frequency, physical_activity_minutes_weekly, sleep_hours, diet_score, stated_at",
    "patient_conditions": "patient_id, condition_id, diagnosis_date",
    "patient_medications": "patient_id, medication_id, dosage, frequency, start_date, status",
    "patient_allergies": "patient_id, allergy_id, severity",
    "patient_family_history": "patient_id, condition_id, relative_type",
    "observations": "patient_id, code, value, unit, effective_at, recorded_by_type, recorded_by_id",
    "appointments": "patient_id, doctor_id, starts_at, ends_at, reason",
}

SMOKING = ("never", "never", "never", "former", "current")
STATUSES = ("pending", "validated_by_doctor", "validated_by_institution", "full_access", "full_access")
SCORE_MODEL = "AHA Life's Essential 8 2022.1"
# What two visits measure: LOINC code, unit, lowest and highest value drawn.
VISITS = (
    (("29463-7", "kg", 48, 110), ("8480-6", "mm[Hg]", 100, 165), ("8462-4", "mm[Hg]", 60, 98)),
    (
        ("29463-7", "kg", 48, 110),
        ("8480-6", "mm[Hg]", 100, 165),
        ("8462-4", "mm[Hg]", 60, 98),
        ("2093-3", "mg/dL", 140, 280),
        ("2085-9", "mg/dL", 30, 90),
    ),
)


@dataclass(frozen=True)
class Account:
    """Somebody of the benchmark who calls."""

    id: str
    user_type: str
    email: str


@dataclass(frozen=True)
class Population:
    """What was loaded: who may call (their password is PASSWORD), how many rows, in how many seconds."""

    doctors: list[Account]
    patients: list[Account]
    rows: int
    seconds: float


class Rows:
    """Lines of COPY's text format, for each table."""

    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = {table: [] for table in COLUMNS}

    def add(self, table: str, *values: object) -> None:
        """Add a row of the table's COLUMNS; None is NULL."""
        self.lines[table].append("\t".join([NULL if value is None else str(value) for value in values]))

    def copy(self, cursor: Cursor) -> int:
        """Send them all; how many there were."""
        for table, lines in self.lines.items():
            if lines:
                content = StringIO("\n".join(lines) + "\n")
                cursor.copy_expert(f"COPY {table} ({COLUMNS[table]}) FROM STDIN", content)
        return sum(map(len, self.lines.values()))


class Draw:
    """Everything that is drawn by lot, from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._weights = {
            len(names): list(accumulate(1 / rank for rank in range(1, len(names) + 1)))
            for names in (WOMEN, MEN, SURNAMES)
        }

    def uuid(self) -> str:
        """A version 4 UUID."""
        digits = f"{self.random.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def name(self, names: Sequence[str]) -> str:
        """One of a list of names."""
        return self.random.choices(names, cum_weights=self._weights[len(names)])[0]

    def moment(self, now: datetime, days: int) -> datetime:
        """A moment within the last `days`."""
        return now - timedelta(seconds=self.random.random() * days * 86_400)


def load(database_url: str, patients: int, report: Callable[[str], None]) -> Population:
    """Load so many patients with their doctors, institutions and records, and bring the statistics up to date."""
    started = time.monotonic()
    draw, now = Draw(SEED), datetime.now(UTC).replace(microsecond=0)
    password_hash = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt()).decode()
    connection = psycopg2.connect(database_url)
    try:
        # Foreign keys and triggers stay quiet in this session; `_indexes_and_keys_last` sees to the keys.
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica; SET maintenance_work_mem = '256MB'")
            cursor.execute("SET synchronous_commit = off")
        connection.commit()
        with _indexes_and_keys_last(connection, report), ThreadPoolExecutor(1) as copier:
            staff, doctors = _staff(draw, now, patients, password_hash)
            count, appointments, callers = _copy(connection, staff), [0] * len(doctors), []
            sent = None
            for first in range(0, patients, CHUNK):
                last = min(first + CHUNK, patients)
                rows, accounts = _patients(draw, now, range(first, last), doctors, appointments, password_hash)
                callers += accounts
                count += sent.result() if sent else 0
                sent = copier.submit(_copy, connection, rows)  # while the next ones are drawn
                if last % (10 * CHUNK) == 0:
                    report(f"  {last:,} patients drawn after {time.monotonic() - started:.0f} s")
            count += sent.result() if sent else 0
        connection.commit()
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE)")
            cursor.execute("CHECKPOINT")
    finally:
        connection.close()
    calling = [Account(doctors[index][0], "doctor", doctors[index][2]) for index in _calling(len(doctors))]
    return Population(calling, callers, count, time.monotonic() - started)


def _copy(connection: Connection, rows: Rows) -> int:
    with connection.cursor() as cursor:
        count = rows.copy(cursor)
    connection.commit()
    return count


# A doctor: id, institution, e-mail.
Doctor = tuple[str, str, str]


def _calling(doctors: int) -> list[int]:
    """Which of so many doctors may call: spread over those with many patients and those with few.

    So their number of patients is the same whatever the benchmark's size, and so is the work of a request.
    """
    return sorted({(2 * part + 1) * doctors // (2 * CALLING_DOCTORS) for part in range(CALLING_DOCTORS)})


def _staff(draw: Draw, now: datetime, patients: int, password_hash: str) -> tuple[Rows, list[Doctor]]:
    """The institutions and doctors."""
    rows, doctors = Rows(), []
    number = max(patients // PATIENTS_PER_DOCTOR, 5)
    calling = set(_calling(number))
    institutions = [draw.uuid() for _ in range(max(number // DOCTORS_PER_INSTITUTION, 2))]
    for index, institution in enumerate(institutions):
        created = draw.moment(now, 1_500)
        name, region = f"Clínica {draw.name(SURNAMES)} {index + 1}", draw.random.randint(1, 32)
        _account(rows, institution, "institution", f"clinica.{index}@example.com", None, created)
        rows.add("medical_institutions", institution, name, 1 + index % 4, f"INS-{index:06}", "verified", created)
        rows.add("addresses", "institution", institution, f"Av. Juárez {index + 1}", name, region, 484, "06000", "t")
    for index in range(number):
        doctor, institution, created = draw.uuid(), institutions[index % len(institutions)], draw.moment(now, 1_400)
        first, last, email = _person(draw, "doctor", index)
        _account(rows, doctor, "doctor", email, password_hash if index in calling else None, created)
        person = (doctor, institution, first, last, f"MED-{index:07}", "verified")
        specialty = ("18f3c060-0598-51e1-b7d6-fc7e3e2d7484", "712c6ee7-d3f2-508b-af1b-b92b570c7ce7")[index % 2]
        rows.add("doctors", *person, specialty, draw.random.randint(1, 40), draw.random.randint(4, 20) * 100, created)
        doctors.append((doctor, institution, email))
    return rows, doctors


def _account(
    rows: Rows, entity: str, kind: str, email: str, password_hash: str | None, created: datetime, phone: bool = True
) -> None:
    rows.add("users", entity, email, password_hash, kind, "active", "t", created, created)
    rows.add("emails", kind, entity, email, "t")
    if phone:
        rows.add("phones", kind, entity, f"+52 55 {int(entity[:7], 16) % 100_000_000:08}", "t")


def _person(draw: Draw, kind: str, index: int, names: Sequence[str] = WOMEN) -> tuple[str, str, str]:
    """First name, two surnames, and an e-mail that nobody else has."""
    first, last = draw.name(names), f"{draw.name(SURNAMES)} {draw.name(SURNAMES)}"
    return first, last, f"{_ascii(first)}.{_ascii(last)}.{kind[0]}{index}@example.com"


_ascii_of: dict[str, str] = {}


def _ascii(text: str) -> str:
    if text not in _ascii_of:
        plain = unicodedata.normalize("NFD", text.lower().replace(" ", "."))
        _ascii_of[text] = plain.encode("ascii", "ignore").decode()
    return _ascii_of[text]


def _patients(
    draw: Draw,
    now: datetime,
    numbers: range,
    doctors: Sequence[Doctor],
    appointments: list[int],
    password_hash: str,
) -> tuple[Rows, list[Account]]:
    """The patients of a range with their records, and those of them who may call.

    `appointments` counts those that each doctor has.
    """
    rows, callers, lot = Rows(), [], draw.random
    today = now.replace(hour=0, minute=0, second=0)
    for number in numbers:
        patient, woman = draw.uuid(), lot.random() < 0.52
        # Every doctor has some; the first of the list have more.
        place = int(lot.random() ** 1.3 * len(doctors))
        doctor, institution, _ = doctors[place]
        first, last, email = _person(draw, "patient", number, WOMEN if woman else MEN)
        created = draw.moment(now, 1_000)
        born = (now - timedelta(days=lot.randint(20 * 365, 85 * 365))).date()
        score = lot.randint(25, 98) if lot.random() < 0.9 else None
        risk = "unknown" if score is None else "low" if score >= 80 else "moderate" if score >= 50 else "high"
        alone, calls = lot.random(), number < CALLING_PATIENTS
        _account(rows, patient, "patient", email, password_hash if calls else None, created, phone=lot.random() < 0.7)
        rows.add(
            "patients",
            *(patient, doctor if alone > 0.05 else None, institution if alone < 0.9 else None, first, last, born),
            *(1 if woman else 2, 1 if woman else 2, lot.choice(STATUSES)),
            *(score, risk, None if score is None else SCORE_MODEL, None if score is None else created),
            *(created, created),
        )
        _record(draw, rows, patient, doctor, created, now)
        if alone > 0.05 and lot.random() < 0.15:
            # Slots of half an hour, one after the other: no doctor is in two places. The first 16 are today's.
            slot, appointments[place] = appointments[place], appointments[place] + 1
            starts = today + timedelta(days=slot // 16, hours=14, minutes=slot % 16 * 30)
            rows.add("appointments", patient, doctor, starts, starts + timedelta(minutes=30), "Control")
        if calls:
            callers.append(Account(patient, "patient", email))
    return rows, callers


_STATED = (
    "height_cm", "weight_kg", "blood_type_id", "is_smoker", "smoking_status", "consumes_alcohol", "alcohol_frequency",
    "physical_activity_minutes_weekly", "sleep_hours", "diet_score",
)  # fmt: skip


def _record(draw: Draw, rows: Rows, patient: str, doctor: str, created: datetime, now: datetime) -> None:
    lot = draw.random
    smoking, drinks, day = lot.choice(SMOKING), lot.random() < 0.5, created.date()
    stated = ", ".join([f'"{field}": "{created}"' for field in _STATED])
    rows.add(
        "health_profiles",
        *(patient, lot.randint(145, 195), lot.randint(45, 120), lot.randint(1, 8)),
        *("t" if smoking == "current" else "f", smoking, "t" if drinks else "f", "weekly" if drinks else "never"),
        *(lot.randint(0, 40) * 10, lot.randint(4, 10), lot.randint(0, 16), f"{{{stated}}}"),
    )
    for condition in lot.sample(range(1, 31), lot.choice((0, 1, 1, 2, 3))):
        rows.add("patient_conditions", patient, condition, day)
    for medication in lot.sample(range(1, 28), lot.choice((0, 1, 1, 2, 3))):
        status = "active" if lot.random() < 0.8 else "stopped"
        rows.add("patient_medications", patient, medication, "1 tableta", "cada 12 horas", day, status)
    if lot.random() < 0.2:
        rows.add("patient_allergies", patient, lot.randint(1, 18), "moderate")
    if lot.random() < 0.3:
        rows.add("patient_family_history", patient, lot.randint(1, 30), "mother")
    for visit in VISITS:
        moment = draw.moment(now, 900).replace(microsecond=0)
        for code, unit, low, high in visit:
            rows.add("observations", patient, code, lot.randint(low, high), unit, moment, "doctor", doctor)


_INDEXES = """
    SELECT indexname, indexdef FROM pg_indexes
    WHERE schemaname = 'public' AND tablename = ANY (%(tables)s)
      AND NOT EXISTS (SELECT FROM pg_constraint WHERE conname = indexname)
"""
_KEYS = """
    SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I, ADD CONSTRAINT %%2$I %%s',
                  conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint
    WHERE contype = 'f' AND conrelid = ANY (SELECT unnest(%(tables)s::text[])::regclass)
"""


@contextmanager
def _indexes_and_keys_last(connection: Connection, report: Callable[[str], None]) -> Iterator[None]:
    """Load the block's rows without secondary indexes; then make these, and each foreign key anew, over all rows."""
    tables = {"tables": list(COLUMNS)}
    with connection.cursor() as cursor:
        cursor.execute(_INDEXES, tables)
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
    connection.commit()
    yield
    report("  making indexes and checking foreign keys ...")
    with connection.cursor() as cursor:
        for _, definition in indexes:
            cursor.execute(definition)
        cursor.execute(_KEYS, tables)
        for (statement,) in cursor.fetchall():
            cursor.execute(statement)
    connection.commit()
