"""What the tests of the importer share: it runs as a command, and its effect is looked up with SQL."""

import csv
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
from psycopg2.extras import RealDictCursor

from dev import ROOT

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
