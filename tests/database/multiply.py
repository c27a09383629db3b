"""A directory of any number of patients: the sample's, again and again under new ids. The same number, the same files.

python -m tests.database.multiply PATIENTS DIRECTORY
"""

import csv
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid5

from dev import ROOT

SAMPLE = ROOT / "database" / "samples" / "synthea60"
# Whom the copies of a patient share; all other files have rows of patients.
SHARED = ("organizations.csv", "providers.csv")
# So far apart are the encounters of two copies: their doctor has one patient at a time.
STEP = timedelta(minutes=11)


def multiply(patients: int, directory: Path) -> None:
    """Write the sample's files with so many patients to a directory, which is made."""
    directory.mkdir(parents=True, exist_ok=True)
    with (SAMPLE / "patients.csv").open(encoding="utf-8", newline="") as lines:
        ids = [row["Id"] for row in csv.DictReader(lines)]
    for path in SAMPLE.glob("*.csv"):
        if path.name in SHARED:
            (directory / path.name).write_bytes(path.read_bytes())
            continue
        with (
            path.open(encoding="utf-8", newline="") as lines,
            (directory / path.name).open("w", encoding="utf-8", newline="") as out,
        ):
            header, *rows = csv.reader(lines)
            writer = csv.writer(out)
            writer.writerow(header)
            column = header.index("Id" if path.name == "patients.csv" else "PATIENT")
            start = header.index("START") if path.name == "encounters.csv" else None
            for row, copy in ((row, copy) for copy in range(-(-patients // len(ids))) for row in rows):
                if copy * len(ids) + ids.index(row[column]) < patients:
                    writer.writerow(list(copied(row, column, start, copy)))


def copied(row: list[str], column: int, start: int | None, copy: int) -> Iterator[str]:
    """The cells of a row's copy: the first one is the row itself."""
    for number, cell in enumerate(row):
        if copy and number == column:
            yield str(uuid5(UUID(cell), str(copy)))
        elif number == start:
            yield (datetime.fromisoformat(cell) - copy * STEP).isoformat()
        else:
            yield cell


if __name__ == "__main__":
    multiply(int(sys.argv[1]), Path(sys.argv[2]))
