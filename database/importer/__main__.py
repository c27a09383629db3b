"""The command line: `python -m database.importer DIR`, with `DATABASE_URL` in the environment."""

import argparse
import os
import sqlite3
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 (it is a class)
from psycopg2.extras import register_uuid

from database.address import database_url

from .demo import make_logins, print_logins
from .files import Report, ranges
from .loading import load

SAMPLE = Path(__file__).parent.parent / "samples" / "synthea60"
ENTITY_FILES = ("organizations.csv", "providers.csv", "patients.csv")
# So many lines of a file get a line each for the same reason; further ones are listed by number.
SHOWN_LINES = 10

COUNT_TABLES = """
    SELECT (SELECT count(*) FROM medical_institutions) AS medical_institutions,
           (SELECT count(*) FROM doctors) AS doctors,
           (SELECT count(*) FROM patients) AS patients,
           (SELECT count(*) FROM health_profiles) AS health_profiles,
           (SELECT count(*) FROM patient_conditions) AS patient_conditions,
           (SELECT count(*) FROM patient_medications) AS patient_medications,
           (SELECT count(*) FROM patient_allergies) AS patient_allergies,
           (SELECT count(*) FROM observations) AS observations,
           (SELECT count(*) FROM appointments) AS appointments
"""


def main() -> int:
    """Load a directory and say what became of it; 1 if nothing could be loaded, 2 for a wrong command."""
    parser = argparse.ArgumentParser(prog="importer", description="Load CSV files in Synthea's layout.")
    parser.add_argument("directory", nargs="?", type=Path, help="where the files are; with --demo the sample's")
    parser.add_argument("--demo", action="store_true", help="give three accounts a password and print their logins")
    parser.add_argument(
        "--passwords", type=Path, default=Path("demo.env"), metavar="FILE", help="where --demo keeps the passwords"
    )
    arguments = parser.parse_args()
    directory = arguments.directory or (SAMPLE if arguments.demo else None)
    if directory is None:
        parser.error("which directory?")
    try:
        return run(directory, arguments.passwords if arguments.demo else None, os.environ)
    except psycopg2.errors.UndefinedTable:
        return fail("the database has no tables yet: run the migrations first")
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        # Never the driver's own text: it may quote the URL, or values.
        state = f" (SQLSTATE {error.pgcode})" if error.pgcode else ""
        return fail(f"the database of DATABASE_URL can't be reached or gave up{state}; run this again: it goes on")
    except sqlite3.OperationalError:
        return fail("temporary files can't be written (SQLITE_TMPDIR says where); run this again: it goes on")
    except OSError as error:
        return fail(f"{error.filename or 'output'}: {(error.strerror or 'error').lower()}")
    except KeyboardInterrupt:
        print("\nimporter: stopped; run it again to go on", file=sys.stderr)
        return 130


def run(directory: Path, passwords: Path | None, environ: Mapping[str, str]) -> int:
    """Load a directory; with a file for `passwords`, make the logins of the demonstration as well."""
    try:
        url = database_url(environ)
    except ValueError as exc:
        return fail(str(exc), 2)
    if not any((directory / file).is_file() for file in ENTITY_FILES):
        return fail(f"{directory} has none of {', '.join(ENTITY_FILES)}")
    started = time.monotonic()
    report = Report()
    register_uuid()  # type: ignore[no-untyped-call]
    connection = psycopg2.connect(url, application_name="importer")
    try:
        patient_ids = load(connection, directory, report)
        print_report(report, directory, time.monotonic() - started)
        print_counts(connection)
        if passwords is not None:
            print_demo(connection, patient_ids, passwords, environ)
    finally:
        connection.close()
    if not report.loaded:
        return fail("nothing could be loaded")
    return 0


def print_report(report: Report, directory: Path, seconds: float) -> None:
    """Print what became of each file, then each row that could not be loaded, then the totals."""
    for note in report.notes:
        print(note)
    print_lines(report.remarks)
    print_lines(report.refusals)
    print(f"\n{directory}, in {seconds:.1f} s:\n")
    print(f"  {'':20}{'rows':>8}{'new':>8}{'known':>8}{'passed over':>13}{'not loaded':>12}")
    for file, tally in report.tallies.items():
        numbers = f"{tally.rows:8}{tally.new:8}{tally.known:8}{tally.passed_over:13}{tally.refused:12}"
        print(f"  {file:20}{numbers}")
    new = sum(tally.new for tally in report.tallies.values())
    print(f"\n  {new} new; {report.refused} rows can't be loaded.")
    print(
        "  Passed over: repeated rows, earlier ones of the same item, allergies that have ended, encounters to come or"
    )
    print("  without a doctor; and care teams, which only tell who looks after whom.")


def print_lines(lines_of: Mapping[tuple[str, str], list[int]]) -> None:
    """Print what is to be said of which lines."""
    for (file, reason), lines in lines_of.items():
        lines.sort()
        for line in lines[:SHOWN_LINES]:
            print(f"{file}:{line}: {reason}")
        if lines[SHOWN_LINES:]:
            print(f"{file}: {reason}: so do {len(lines) - SHOWN_LINES} more, lines {ranges(lines[SHOWN_LINES:])}")


def print_counts(connection: Connection) -> None:
    """Print how many rows the tables have now."""
    print("\nIn the database:\n")
    with connection, connection.cursor() as cursor:
        cursor.execute(COUNT_TABLES)
        for column, count in zip(cursor.description or (), cursor.fetchone() or (), strict=True):
            print(f"  {column.name:20}{count:8}")


def print_demo(connection: Connection, patient_ids: list[UUID], passwords: Path, environ: Mapping[str, str]) -> None:
    """Print the three logins."""
    logins = make_logins(connection, patient_ids, passwords)
    if not logins:
        print("\nNo logins: no living patient of these files has a doctor.")
        return
    print(f"\nThree logins to try (their passwords stay in {passwords}); paste the lines into a shell:")
    print_logins(logins, environ)


def fail(message: str, status: int = 1) -> int:
    """Say in one line why there is no more; the exit status."""
    print(f"importer: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    raise SystemExit(main())
