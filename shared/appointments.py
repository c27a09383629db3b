"""Appointments as doctors and patients read them: their model, their columns, and what ends those to come."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel

from . import audit
from .audit import audited
from .caller import Caller
from .postgres import Executor

AppointmentStatus = Literal["scheduled", "confirmed", "completed", "cancelled", "no_show"]

# Columns of a SELECT with an appointment `a`, its patient `p` and its doctor `d`.
COLUMNS = """
    a.id, a.patient_id, a.doctor_id, d.first_name || ' ' || d.last_name AS doctor_name,
    p.first_name || ' ' || p.last_name AS patient_name, a.starts_at, a.ends_at,
    round(extract(epoch FROM a.ends_at - a.starts_at) / 60)::integer AS duration_minutes, a.reason, a.status,
    a.created_at
"""

# Of the patient or doctor %(id)s, those to come that can't take place: one of both is deleted, or the patient has
# another doctor now. The slots are free again; whoever returns makes new appointments.
CANCEL_VOID = audited("""
    UPDATE appointments a SET status = 'cancelled'
    FROM patients p, doctors d
    WHERE p.id = a.patient_id AND d.id = a.doctor_id AND (a.patient_id = %(id)s OR a.doctor_id = %(id)s)
      AND a.status IN ('scheduled', 'confirmed') AND a.starts_at > now()
      AND (p.deleted_at IS NOT NULL OR d.deleted_at IS NOT NULL OR p.doctor_id IS DISTINCT FROM a.doctor_id)
    RETURNING a.patient_id
""")


class Appointment(BaseModel):
    """An appointment of a patient with a doctor; it ends where the next may begin."""

    id: UUID
    patient_id: UUID
    doctor_id: UUID
    doctor_name: str
    patient_name: str
    starts_at: datetime
    ends_at: datetime
    duration_minutes: int
    reason: str | None
    status: AppointmentStatus
    created_at: datetime


async def cancel_void(tx: Executor, service: str, caller: Caller, owner_id: UUID) -> None:
    """Cancel what a patient or doctor has ahead and can't keep, with the change that is the cause; audited."""
    event = audit.parameters(service, caller, "update", "appointment", detail={"to": "cancelled"})
    await tx.fetch_all(CANCEL_VOID, {"id": owner_id, **event})
