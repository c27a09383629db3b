"""Encounters of the past as appointments that were kept: one doctor sees one patient at a time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from .files import Report, Row, RowError, Source

NAMESPACE = uuid5(NAMESPACE_URL, "https://predicthealth.dev/importer/appointments")
# Many encounters end when they start: that is no length, so they get the usual one. Stays of days are cut.
USUAL, LEAST, MOST = timedelta(minutes=30), timedelta(minutes=5), timedelta(minutes=480)
LONGEST_REASON = 500


@dataclass
class Visit:
    """An encounter of a patient with a doctor."""

    source: Source
    patient_id: UUID
    doctor_id: UUID
    starts_at: datetime
    ends_at: datetime
    reason: str | None

    @property
    def id(self) -> UUID:
        """Of its content: a second run, and a row that repeats another, are the same appointment."""
        return uuid5(NAMESPACE, f"{self.patient_id}|{self.doctor_id}|{self.starts_at.isoformat()}")

    @property
    def values(self) -> tuple[Any, ...]:
        """The columns of `records.INSERT_APPOINTMENTS`."""
        return (self.id, self.patient_id, self.doctor_id, self.starts_at, self.ends_at, self.reason, "completed")


def parse_visit(row: Row, doctor_id: UUID, births: Mapping[UUID, date]) -> Visit:
    """A row of encounters.csv. Raises RowError."""
    patient_id, starts_at = row.id("PATIENT"), row.moment("START")
    if patient_id not in births:
        raise RowError("its PATIENT is not loaded")
    if starts_at.date() < births[patient_id]:
        raise RowError("START lies before the patient's birth")
    stop = row.optional("end", lambda: row.find_moment("STOP"))
    length = stop - starts_at if stop else USUAL
    length = USUAL if length < LEAST else min(length, MOST)
    reason = row.optional("reason", lambda: row.find_text("DESCRIPTION", LONGEST_REASON))
    return Visit(row.source, patient_id, doctor_id, starts_at, starts_at + length, reason)


def kept_apart(visits: Iterable[Visit], report: Report) -> list[Visit]:
    """The visits of one doctor that become appointments, none of which overlap.

    Where two do, the earlier one ends when the later begins; if that leaves it no time, the later one is refused.
    Encounters to come and repeated rows are passed over.
    """
    now, known = datetime.now(UTC), set[UUID]()
    kept: list[Visit] = []
    for visit in sorted(visits, key=lambda visit: (visit.starts_at, visit.id)):
        earlier = kept[-1] if kept else None
        if visit.id in known or visit.starts_at > now:
            report[visit.source.file].passed_over += 1
            continue
        known.add(visit.id)
        if earlier and earlier.ends_at > visit.starts_at:
            if visit.starts_at - earlier.starts_at < LEAST:
                report.refuse(*visit.source, "its PROVIDER has another encounter at that time")
                continue
            earlier.ends_at = visit.starts_at
        kept.append(visit)
    return kept
