"""What the tests of the importer share: it runs as a command, and its effect is looked up with SQL."""

import csv
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import psycopg2
from psycopg2.extras import RealDictCursor

from dev import ROOT
from dev.processes import wait_until

SAMPLE = ROOT / "database" / "samples" / "synthea60"
TABLES = (
    *("users", "emails", "phones", "addresses", "medical_institutions", "doctors", "patients", "health_profiles"),
    *("medical_conditions", "medications", "allergies", "patient_conditions", "patient_medications"),
    *("patient_allergies", "observations", "appointments", "audit_events"),
)
# A file, then its rows, new, known, passed over, not loaded.
LINE_OF_TABLE = re.compile(r"^  (\w+\.csv) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+)$", re.M)


class Run(NamedTuple):
    """What an import said."""

    status: int
    said: str
    error: str

    @property
    def tallies(self) -> dict[str, tuple[int, ...]]:
        """The numbers of each file: rows, new, known, passed over, not loaded."""
        return {file: tuple(map(int, numbers)) for file, *numbers in LINE_OF_TABLE.findall(self.said)}


def command(*arguments: object) -> list[str]:
    """The command line of the importer."""
    return [sys.executable, "-m", "database.importer", *map(str, arguments)]


def run(url: str, *arguments: object, **environment: str) -> Run:
    """Run the importer to its end."""
    env = {"DATABASE_URL": url, **environment}
    words = command(*arguments)
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=120)
    return Run(done.returncode, done.stdout, done.stderr)


@contextmanager
def waiting_for(url: str, patient_id: str, directory: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A run that waits for a patient, because somebody holds the id of its account; it is killed at the end."""
    waits = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'importer' AND wait_event_type = 'Lock'"
    holder = psycopg2.connect(url)
    with holder.cursor() as cursor:
        cursor.execute("INSERT INTO users (id, email, user_type) VALUES (%s, 'x@y', 'patient')", (patient_id,))
    env = {"DATABASE_URL": url, **environment}
    process = subprocess.Popen(command(directory), cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
    try:
        assert wait_until(lambda: select(url, waits), 60)
        yield process
    finally:
        process.kill()
        process.wait()
        holder.close()
    assert wait_until(lambda: not select(url, waits), 30)


def rows_of(file: str, directory: Path = SAMPLE) -> list[dict[str, str]]:
    """The rows of a file of the sample."""
    with (directory / file).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def select(url: str, statement: str, *values: object) -> list[Any]:
    """All rows of a statement, as dictionaries."""
    connection = psycopg2.connect(url, cursor_factory=RealDictCursor)
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        found = cursor.fetchall()
    connection.close()
    return list(found)


def fingerprint(url: str) -> dict[str, str]:
    """Each table's rows in short: equal if nothing has changed, not even a date."""
    statement = "SELECT count(*) || md5(string_agg(t::text, '' ORDER BY t::text)) AS short FROM {} AS t"
    return {table: select(url, statement.format(table))[0]["short"] for table in TABLES}


def counts(url: str) -> dict[str, int]:
    """How many rows each table has."""
    return {table: select(url, f"SELECT count(*) AS number FROM {table}")[0]["number"] for table in TABLES}


def append(file: Path, *lines: str) -> None:
    """Add rows to a file."""
    with file.open("a", encoding="utf-8") as opened:
        opened.writelines(f"{line}\n" for line in lines)


def multiply(target: Path, times: int) -> Path:
    """Make a directory that has each patient of the sample so many times, with its rows, under ids of its own."""
    target.mkdir()
    for file in SAMPLE.glob("*.csv"):
        rows = rows_of(file.name)
        column = "Id" if file.name == "patients.csv" else "PATIENT"
        with (target / file.name).open("w", encoding="utf-8", newline="") as lines:
            writer = csv.DictWriter(lines, rows[0])
            writer.writeheader()
            if column not in rows[0]:
                writer.writerows(rows)
                continue
            for number in range(times):
                writer.writerows({**row, column: str(uuid5(UUID(row[column]), str(number)))} for row in rows)
    return target
