"""A patient's appointments with its doctor: made, moved through their states, listed."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated
from uuid import UUID, uuid4

from pydantic import Field

from shared import audit, etag, idempotency
from shared.appointments import Appointment, AppointmentStatus
from shared.caller import Caller
from shared.history import check_move
from shared.moments import From, Moment, To
from shared.pagination import Page, PageQuery
from shared.postgres import Row
from shared.resources import ClientResources
from shared.schemas import Body
from shared.text import CLEAN

from . import appointments_db, db
from .errors import AppointmentInThePast, AppointmentNotFound, EndRejected, NoDoctor, NotItsDoctor
from .scope import answered_before, items_of, reading, scope_of, writing

USUAL_MINUTES, LEAST_MINUTES, MOST_MINUTES = 30, 5, 480

# An appointment need not have been confirmed to be called off, or to be missed; to be completed it must.
_MOVES: Mapping[str, tuple[AppointmentStatus, ...]] = {
    "scheduled": ("confirmed", "cancelled", "no_show"),
    "confirmed": ("completed", "cancelled", "no_show"),
    "completed": (),
    "cancelled": (),
    "no_show": (),
}

Reason = Annotated[str, Field(min_length=1, max_length=500), CLEAN]


class NewAppointment(Body):
    """An appointment to make, with the patient's own doctor; its end follows from the duration, or the reverse."""

    starts_at: Moment = Field(description="Not in the past, except for its doctor and admins.")
    ends_at: Moment | None = None
    duration_minutes: int | None = Field(
        default=None, ge=LEAST_MINUTES, le=MOST_MINUTES, description=f"In minutes, {USUAL_MINUTES} by default."
    )
    reason: Reason | None = None
    doctor_id: UUID | None = Field(default=None, description="The patient's own doctor, who is the default.")


class AppointmentUpdate(Body):
    """Where an appointment goes: from `scheduled` to `confirmed`, `cancelled` or `no_show`, from there also on."""

    status: AppointmentStatus


class AppointmentQuery(PageQuery):
    """Which appointments, by when they start; the bounds are inclusive."""

    status: AppointmentStatus | None = None
    from_: From | None = Field(default=None, alias="from", description="A moment, or a date: its first one in UTC.")
    to: To | None = Field(default=None, description="A moment, or a date: its last one in UTC.")


async def list_appointments(
    res: ClientResources, caller: Caller, patient_id: UUID, query: AppointmentQuery
) -> Page[Row]:
    """A patient's appointments by start; recorded in the audit trail. Raises PatientNotFound, InvalidCursor."""
    resource = f"appointments/{patient_id}"
    after = res.cursors.read(resource, query, 2)
    filters = {"status": query.status, "from": query.from_, "to": query.to}
    event = reading(res, caller, "appointments")
    rows = await appointments_db.list_appointments(
        res.db, patient_id, scope_of(caller), filters, after, query.limit, event
    )
    page = res.cursors.cut(resource, query, items_of(rows), ("starts_at", "id"))
    page.items = [row["appointment"] for row in page.items]
    return page


async def get_appointment(res: ClientResources, caller: Caller, patient_id: UUID, appointment_id: UUID) -> Row:
    """One appointment; recorded in the audit trail. Raises AppointmentNotFound."""
    event = reading(res, caller, "appointments")
    row = await appointments_db.find_appointment(res.db, patient_id, appointment_id, scope_of(caller), event)
    if row is None:
        raise AppointmentNotFound
    return row


async def make_appointment(res: ClientResources, caller: Caller, patient_id: UUID, new: NewAppointment) -> Row:
    """Make an appointment of a patient with its doctor.

    Raises EndRejected, AppointmentInThePast, PatientNotFound, NoDoctor, NotItsDoctor, SlotTaken.
    """
    ends_at = end_of(new)
    in_the_past = new.starts_at < datetime.now(UTC) and caller.user_type not in ("doctor", "admin")
    appointment_id, scope = uuid4(), scope_of(caller)
    async with res.db.transaction() as tx:
        doctor_id = await appointments_db.get_doctor(tx, patient_id, scope)
        if (answer := await answered_before(tx, res, caller, "appointment", patient_id)) is not None:
            return answer
        if in_the_past:  # told after the answer of before: the appointment was not past then
            raise AppointmentInThePast
        if doctor_id is None:
            raise NoDoctor
        if new.doctor_id not in (None, doctor_id):
            raise NotItsDoctor
        await appointments_db.hold_slots(tx, patient_id, doctor_id, scope)
        columns = {"id": appointment_id, "patient_id": patient_id, "doctor_id": doctor_id, "reason": new.reason}
        await appointments_db.insert_appointment(tx, {**columns, "starts_at": new.starts_at, "ends_at": ends_at})
        event = writing(res, caller, "create", patient_id, "appointment", appointment_id=str(appointment_id))
        await audit.record(tx, event)
        appointment = await appointments_db.get_appointment(tx, appointment_id)
        await idempotency.keep(tx, appointment)
        return appointment


async def move_appointment(
    res: ClientResources, caller: Caller, patient_id: UUID, appointment_id: UUID, update: AppointmentUpdate
) -> Row:
    """Move an appointment to another status. Raises PatientNotFound, AppointmentNotFound, InvalidTransition."""
    async with res.db.transaction() as tx:
        await db.hold_patient(tx, patient_id, scope_of(caller))
        status = await appointments_db.hold_status(tx, patient_id, appointment_id)
        await etag.guard(Appointment, partial(appointments_db.get_appointment, tx, appointment_id))
        check_move(_MOVES, status, update.status)
        await appointments_db.update_status(tx, appointment_id, update.status)
        move = {"appointment_id": str(appointment_id), "from": status, "to": update.status}
        await audit.record(tx, writing(res, caller, "update", patient_id, "appointment", **move))
        return await appointments_db.get_appointment(tx, appointment_id)


def end_of(new: NewAppointment) -> datetime:
    """When a new appointment ends. Raises EndRejected for an end too near, too far, or other than the duration says."""
    if new.ends_at is None:
        return new.starts_at + timedelta(minutes=new.duration_minutes or USUAL_MINUTES)
    minutes, rest = divmod(new.ends_at - new.starts_at, timedelta(minutes=1))
    if rest or not LEAST_MINUTES <= minutes <= MOST_MINUTES or new.duration_minutes not in (None, minutes):
        raise EndRejected
    return new.ends_at
