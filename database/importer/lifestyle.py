"""What a clinic asks at an admission: how a patient lives and what it takes. Nothing else in the files tells that."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from .files import Report, Row, RowError, Source, of_known_patient, parsed, read
from .spool import Spool

FILE = "lifestyle.csv"
COLUMNS = {"PATIENT", "DATE"}
WITHOUT_QUIT_DATE = ("never", "current")


@dataclass(frozen=True)
class Answers:
    """A row: the columns of the health profile that it fills, and since when they are known."""

    source: Source
    patient_id: UUID
    given_at: datetime
    profile: Mapping[str, Any]


def read_answers(directory: Path, births: Mapping[UUID, date], by_patient: Spool, report: Report) -> None:
    """Put the answers of the patients in `births` (with their dates) into the spool."""
    parse_row = of_known_patient(partial(parse_answers, births=births), births)
    for answers in parsed(read(directory, FILE, COLUMNS, report), parse_row, report):
        by_patient.put(answers.patient_id, answers)


def parse_answers(row: Row, births: Mapping[UUID, date]) -> Answers:
    """A row; an empty cell is unknown. Raises RowError."""
    patient_id, given_at = row.id("PATIENT"), row.moment("DATE")
    born = births[patient_id]
    if not born <= given_at.date() <= datetime.now(UTC).date():
        raise RowError("DATE lies in the future or before the patient's birth")
    profile = {column.lower(): parse(row, column) for column, parse in FIELDS.items()}
    quit_date = profile["quit_date"]
    if quit_date and not born <= quit_date <= given_at.date():
        raise RowError("QUIT_DATE lies after DATE or before the patient's birth")
    return Answers(
        row.source, patient_id, given_at, {field: value for field, value in profile.items() if value is not None}
    )


def refuse_contradiction(answers: Answers, smoking_status: str | None) -> None:
    """Raise RowError for the quit date of someone who, by the newest observation, never smoked or smokes now."""
    if "quit_date" in answers.profile and smoking_status in WITHOUT_QUIT_DATE:
        raise RowError("QUIT_DATE of a patient who never smoked or smokes")


def _answer(row: Row, column: str) -> bool | None:
    text = row.find_text(column)
    if text and text.lower() not in ("true", "false"):
        raise RowError(f"{column} is not true or false")
    return text.lower() == "true" if text else None


def _number(row: Row, column: str, most: int, decimals: int = 0) -> Any:
    number = row.find_number(column)
    if number is None:
        return None
    if not 0 <= number <= most or number != round(number, decimals):
        raise RowError(f"{column} lies outside 0-{most} or is too exact")
    return number


# The columns, which are those of the profile in capitals.
FIELDS: Mapping[str, Callable[[Row, str], Any]] = {
    "SLEEP_HOURS": partial(_number, most=24, decimals=1),
    "DIET_SCORE": partial(_number, most=16),
    "PHYSICAL_ACTIVITY_MINUTES_WEEKLY": partial(_number, most=10_080),
    "QUIT_DATE": Row.find_date,
    **dict.fromkeys(
        (
            *("SECONDHAND_SMOKE_HOME", "CONSUMES_ALCOHOL"),
            *("TAKES_BP_MEDICATION", "TAKES_LIPID_MEDICATION", "HAS_DIABETES"),
        ),
        _answer,
    ),
}
