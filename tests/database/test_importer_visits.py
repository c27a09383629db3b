"""Encounters as appointments: the pure rules, and what the sample's become."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from database.importer.files import Report, Row, RowError, Source
from database.importer.visits import Visit, kept_apart, parse_visit

from .conftest import Server
from .importing import SAMPLE, rows_of, run, select

PATIENT, DOCTOR = (UUID(int=number) for number in (1, 2))
BIRTHS = {PATIENT: date(2000, 1, 1)}
START = datetime(2020, 1, 1, 10, tzinfo=UTC)


def visit(line: int, minute: int, length: int = 30, patient: UUID = PATIENT) -> Visit:
    start = START + timedelta(minutes=minute)
    return Visit(Source("encounters.csv", line), patient, DOCTOR, start, start + timedelta(minutes=length), None)


def minute_of(moment: datetime) -> int:
    return round((moment - START).total_seconds() / 60)


def spans(visits: list[Visit], report: Report) -> list[tuple[int, int]]:
    """The minutes at which the appointments begin and end."""
    kept = kept_apart(visits, report)
    return [(minute_of(visit.starts_at), minute_of(visit.ends_at)) for visit in kept]


@pytest.mark.parametrize(
    ("stop", "minutes"),
    [
        ("", 30),
        ("2020-01-01T10:00:00Z", 30),
        ("2020-01-01T10:04:59Z", 30),
        ("2020-01-01T10:05:00Z", 5),
        ("2020-01-01T10:50:00Z", 50),
        ("2020-01-05T10:00:00Z", 480),
        ("2019-01-01T10:00:00Z", 30),
        ("later", 30),
    ],
)
def test_a_visit_lasts_from_5_to_480_minutes(stop: str, minutes: int) -> None:
    cells = {"PATIENT": str(PATIENT), "START": "2020-01-01T10:00:00Z", "STOP": stop, "DESCRIPTION": "Check-up"}
    row = Row("encounters.csv", 2, cells)
    parsed = parse_visit(row, DOCTOR, BIRTHS)
    assert (parsed.starts_at, parsed.ends_at - parsed.starts_at) == (START, timedelta(minutes=minutes))
    assert parsed.reason == "Check-up" and bool(row.remarks) == (stop == "later")


def test_a_visit_before_birth_or_of_nobody_is_refused() -> None:
    for patient, start in ((PATIENT, "1999-12-31"), (uuid4(), "2020-01-01")):
        with pytest.raises(RowError):
            parse_visit(Row("encounters.csv", 2, {"PATIENT": str(patient), "START": start}), DOCTOR, BIRTHS)


def test_of_two_that_overlap_the_earlier_ends_where_the_later_begins() -> None:
    report = Report()
    assert spans([visit(3, 20), visit(2, 0), visit(4, 50)], report) == [(0, 20), (20, 50), (50, 80)]
    assert report.refused == 0


def test_the_later_of_two_within_five_minutes_is_refused_by_its_line() -> None:
    report = Report()
    assert spans([visit(2, 0), visit(3, 4, patient=uuid4()), visit(4, 5)], report) == [(0, 5), (5, 35)]
    assert report.refusals == {("encounters.csv", "its PROVIDER has another encounter at that time"): [3]}


def test_repeated_rows_and_visits_to_come_are_passed_over() -> None:
    report = Report()
    ahead = minute_of(datetime.now(UTC) + timedelta(days=1))
    assert spans([visit(2, 0), visit(3, 0), visit(4, ahead)], report) == [(0, 30)]
    assert (report["encounters.csv"].passed_over, report.refused) == (2, 0)


def test_the_samples_past_encounters_are_completed_appointments_once(server: Server) -> None:
    url = server.migrated()
    done, again = run(url, SAMPLE), run(url, SAMPLE)
    now = datetime.now(UTC)
    rows = [row for row in rows_of("encounters.csv") if datetime.fromisoformat(row["START"]) <= now]
    # Of two rows that differ in their reason alone, the first.
    expected: dict[tuple[Any, ...], str] = {}
    for row in rows:
        expected.setdefault((row["PATIENT"], row["PROVIDER"], datetime.fromisoformat(row["START"])), row["DESCRIPTION"])
    found = select(url, "SELECT patient_id::text, doctor_id::text, starts_at, reason, status FROM appointments")
    assert {tuple(row.values())[:3]: row["reason"] for row in found} == expected and len(found) == len(expected)
    assert {row["status"] for row in found} == {"completed"}
    total = len(rows_of("encounters.csv"))
    assert done.tallies["encounters.csv"] == (total, len(found), 0, total - len(found), 0)
    assert again.tallies["encounters.csv"] == (total, 0, len(found), total - len(found), 0)


def test_a_visit_in_a_slot_that_is_taken_is_named(server: Server, tmp_path: Path) -> None:
    url = server.migrated()
    run(url, SAMPLE)
    row = rows_of("encounters.csv")[0]
    start = datetime.fromisoformat(row["START"]) + timedelta(minutes=1)
    header = "Id,START,STOP,PATIENT,ORGANIZATION,PROVIDER"
    line = f"{uuid4()},{start.isoformat()},,{row['PATIENT']},{row['ORGANIZATION']},{row['PROVIDER']}"
    (tmp_path / "encounters.csv").write_text(f"{header}\n{line}\n", encoding="utf-8")
    (tmp_path / "patients.csv").write_text("Id,FIRST,LAST,BIRTHDATE\n", encoding="utf-8")
    done = run(url, tmp_path)
    assert "encounters.csv:2: its doctor has another appointment at that time\n" in done.said
    assert done.tallies["encounters.csv"] == (1, 0, 0, 0, 1)
