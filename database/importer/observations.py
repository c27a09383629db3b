"""What was measured of a patient, in the units of the catalogue, and whether it smokes."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

from psycopg2.extensions import connection as Connection  # noqa: N812 (it is a class)

from shared.plausibility import SMOKING_STATUS, is_plausible, limits

from .files import Report, Row, RowError, Source, of_known_patient, parsed, read
from .spool import Spool

# Of one layout. The second is for what comes from elsewhere: a laboratory's own export.
FILES = ("observations.csv", "laboratory.csv")
COLUMNS = {"DATE", "PATIENT", "CODE", "VALUE"}
LONGEST_CODE = 50
NAMESPACE = uuid5(NAMESPACE_URL, "https://predicthealth.dev/importer/observations")
LOINC = re.compile(r"[0-9]{1,7}-[0-9]")
# LOINC defines this rate per 1.73 m² of body surface; Synthea writes its unit with and without it.
UNITS_IN_SHORT = {"33914-3": {"mL/min": "mL/min/{1.73_m2}"}, "98979-8": {"mL/min": "mL/min/{1.73_m2}"}}
SMOKING_TERMS = {
    "never": r"never|non-smoker",
    "former": r"ex-smoker|former|stopped smoking",
    "current": r"smoker|smokes",
}

SELECT_CODES = "SELECT code, unit FROM observation_codes"


class Observation(NamedTuple):
    """A measurement, or a smoking status."""

    source: Source
    id: UUID
    patient_id: UUID
    code: str
    value: Decimal | None
    value_code: str | None
    unit: str
    effective_at: datetime

    @property
    def values(self) -> tuple[Any, ...]:
        """The columns of `records.INSERT_OBSERVATIONS`."""
        return (*self[1:], "service")


def read_observations(
    connection: Connection, directory: Path, births: Mapping[UUID, date], by_patient: Spool, report: Report
) -> None:
    """Put the observations of the patients in `births` (with their dates) into the spool."""
    with connection, connection.cursor() as cursor:
        cursor.execute(SELECT_CODES)
        units: dict[str, str] = dict(cursor.fetchall())
    parse_row = of_known_patient(partial(parse_observation, units=units, births=births), births)
    for file in FILES:
        for observation in parsed(read(directory, file, COLUMNS, report), parse_row, report):
            by_patient.put(observation.patient_id, observation)


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
    observation_id = uuid5(NAMESPACE, name)
    return Observation(row.source, observation_id, patient_id, code, value, status, units[code], effective_at)


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
