"""What a doctor has ahead and behind: its appointments."""

from pydantic import Field

from shared import audit
from shared.appointments import AppointmentStatus
from shared.caller import Caller
from shared.dates import Day
from shared.pagination import Page, PageQuery
from shared.postgres import Row
from shared.resources import ClientResources

from . import appointments_db


class AppointmentQuery(PageQuery):
    """Which appointments."""

    date: Day | None = Field(default=None, description="The day that it starts on, in the institution's time zone.")
    status: AppointmentStatus | None = None


async def list_appointments(res: ClientResources, caller: Caller, query: AppointmentQuery) -> Page[Row]:
    """The calling doctor's appointments with its patients, by start; recorded in the audit trail."""
    after = res.cursors.read("appointments", query, 2)
    event = audit.parameters(res.service, caller, "read", "appointments")
    rows = await appointments_db.list_appointments(
        res.db, caller.user_id, query.date, query.status, after, query.limit, event
    )
    return res.cursors.cut("appointments", query, rows, ("starts_at", "id"))
