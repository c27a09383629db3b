"""The SQL of a doctor's appointments: the list, and how many are today's."""

from datetime import date
from typing import Any
from uuid import UUID

from shared.appointments import COLUMNS
from shared.audit import audited
from shared.postgres import Executor, Row

# Where the doctor's institution is; where nobody knows, as most of Mexico.
_TIME_ZONE = """
    coalesce((SELECT r.time_zone
              FROM doctors own
              JOIN addresses s ON s.entity_id = own.institution_id AND s.is_primary
              JOIN regions r ON r.id = s.region_id
              WHERE own.id = %(doctor_id)s), 'America/Mexico_City')
"""

# The patients that the doctor has now: of another's it may not know, not even the name.
_OWN = """
    FROM appointments a
    JOIN doctors d ON d.id = a.doctor_id
    JOIN patients p ON p.id = a.patient_id AND p.doctor_id = a.doctor_id AND p.deleted_at IS NULL
    WHERE a.doctor_id = %(doctor_id)s
"""

# A day has 23 to 25 hours: it ends where the next one begins. Scalar subqueries, so that the index serves the bounds.
_OF_DAY = (
    " AND a.starts_at >= (SELECT day::timestamp AT TIME ZONE zone FROM chosen)"
    " AND a.starts_at < (SELECT (day + 1)::timestamp AT TIME ZONE zone FROM chosen)"
)

COUNT_TODAY = (
    "(WITH place AS (SELECT "
    + _TIME_ZONE
    + " AS zone), chosen AS (SELECT zone, (%(now)s::timestamptz AT TIME ZONE zone)::date AS day FROM place)"
    + " SELECT count(*) "
    + _OWN
    + " AND a.status <> 'cancelled'"
    + _OF_DAY
    + ") AS today_appointments"
)

_PAGE = """
      [AND a.status = %(status)s]
      [AND (a.starts_at, a.id) > (%(after_starts_at)s::timestamptz, %(after_id)s::uuid)]
    ORDER BY a.starts_at, a.id
    LIMIT %(limit)s + 1
"""

LIST_APPOINTMENTS = audited("SELECT " + COLUMNS + _OWN + _PAGE, page=True)

LIST_APPOINTMENTS_OF_DAY = audited(
    "WITH chosen AS (SELECT "
    + _TIME_ZONE
    + " AS zone, %(date)s::date AS day) SELECT "
    + COLUMNS
    + _OWN
    + _OF_DAY
    + _PAGE,
    page=True,
)


async def list_appointments(
    executor: Executor,
    doctor_id: UUID,
    day: date | None,
    status: str | None,
    after: list[Any],
    limit: int,
    event: dict[str, Any],
) -> list[Row]:
    """Up to `limit` + 1 appointments of a doctor by start, after `[starts_at, id]`; audited as `event`.

    `day` is one of the institution's time zone; None for all.
    """
    statement = LIST_APPOINTMENTS if day is None else LIST_APPOINTMENTS_OF_DAY
    place = {"after_starts_at": after[0], "after_id": after[1], "limit": limit}
    return await executor.fetch_all(
        statement, {"doctor_id": doctor_id, "date": day, "status": status, **place, **event}
    )
