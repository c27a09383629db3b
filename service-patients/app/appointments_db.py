"""The SQL of a patient's appointments."""

from typing import Any
from uuid import UUID

from shared.appointments import COLUMNS
from shared.audit import audited
from shared.errors import PatientNotFound
from shared.postgres import Executor, NamedErrors, Row, named_errors

from .db import IN_SCOPE
from .errors import AppointmentNotFound, NoDoctor, NotItsDoctor, SlotTaken

_CONSTRAINTS: NamedErrors = {"ex_appointments_slot": SlotTaken}

_APPOINTMENT = "SELECT " + COLUMNS + " FROM appointments a JOIN doctors d ON d.id = a.doctor_id "

# A patient without appointments gives one row of nulls: so it is told from one that the caller may not know of.
LIST_APPOINTMENTS = audited(
    "SELECT p.id AS patient_id, to_jsonb(item) AS appointment, item.id, item.starts_at "
    "FROM patients p LEFT JOIN LATERAL ("
    + _APPOINTMENT
    + """
    WHERE a.patient_id = p.id
      [AND a.status = %(status)s]
      [AND a.starts_at >= %(from)s::timestamptz]
      [AND a.starts_at <= %(to)s::timestamptz]
      [AND (a.starts_at, a.id) > (%(after_starts_at)s::timestamptz, %(after_id)s::uuid)]
    ORDER BY a.starts_at, a.id
    LIMIT %(limit)s + 1
    ) item ON true
    WHERE p.id = %(patient_id)s AND """
    + IN_SCOPE
    + " ORDER BY item.starts_at, item.id"
)

FIND_APPOINTMENT = audited(
    _APPOINTMENT
    + " JOIN patients p ON p.id = a.patient_id WHERE a.id = %(id)s AND a.patient_id = %(patient_id)s AND "
    + IN_SCOPE
)

GET_APPOINTMENT = _APPOINTMENT + " JOIN patients p ON p.id = a.patient_id WHERE a.id = %(id)s"

GET_DOCTOR = "SELECT p.doctor_id FROM patients p WHERE p.id = %(patient_id)s AND " + IN_SCOPE

# Bookings of one doctor wait here for each other: at the exclusion constraint alone, two that overlap would wait each
# for the other's end. (NO KEY: rows that refer to the doctor are not held up.)
HOLD_DOCTOR = """
    SELECT id FROM doctors WHERE id = %(id)s AND deleted_at IS NULL AND professional_status = 'active'
    FOR NO KEY UPDATE
"""

HOLD_PATIENT_OF_DOCTOR = (
    "SELECT p.id FROM patients p WHERE p.id = %(patient_id)s AND p.doctor_id = %(doctor_id)s AND "
    + IN_SCOPE
    + " FOR SHARE"
)

INSERT_APPOINTMENT = """
    INSERT INTO appointments (id, patient_id, doctor_id, starts_at, ends_at, reason)
    VALUES (%(id)s, %(patient_id)s, %(doctor_id)s, %(starts_at)s, %(ends_at)s, %(reason)s)
"""

HOLD_STATUS = """
    SELECT status FROM appointments WHERE id = %(id)s AND patient_id = %(patient_id)s FOR NO KEY UPDATE
"""

UPDATE_STATUS = "UPDATE appointments SET status = %(status)s WHERE id = %(id)s"


async def list_appointments(
    executor: Executor,
    patient_id: UUID,
    scope: dict[str, Any],
    filters: dict[str, Any],
    after: list[Any],
    limit: int,
    event: dict[str, Any],
) -> list[Row]:
    """Up to `limit` + 1 `appointment`s, by start, after `[starts_at, id]`; for `scope.items_of`; audited."""
    place = {"after_starts_at": after[0], "after_id": after[1], "limit": limit, "patient_id": patient_id}
    return await executor.fetch_all(LIST_APPOINTMENTS, {**filters, **place, **scope, **event})


async def find_appointment(
    executor: Executor, patient_id: UUID, appointment_id: UUID, scope: dict[str, Any], event: dict[str, Any]
) -> Row | None:
    """An appointment of a patient within the caller's scope, audited as `event`."""
    parameters = {"id": appointment_id, "patient_id": patient_id, **scope, **event}
    return await executor.fetch_one(FIND_APPOINTMENT, parameters)


async def get_appointment(executor: Executor, appointment_id: UUID) -> Row:
    """An appointment, for the answer to its creation or change: that is what is audited. Raises AppointmentNotFound."""
    row = await executor.fetch_one(GET_APPOINTMENT, {"id": appointment_id})
    if row is None:
        raise AppointmentNotFound
    return row


async def get_doctor(executor: Executor, patient_id: UUID, scope: dict[str, Any]) -> UUID | None:
    """The doctor of a patient within the caller's scope. Raises PatientNotFound."""
    row = await executor.fetch_one(GET_DOCTOR, {"patient_id": patient_id, **scope})
    if row is None:
        raise PatientNotFound
    doctor_id: UUID | None = row["doctor_id"]
    return doctor_id


async def hold_slots(executor: Executor, patient_id: UUID, doctor_id: UUID, scope: dict[str, Any]) -> None:
    """Let nobody else book the doctor, nor take the patient away, until the transaction ends.

    The doctor first, as in every change of whom a patient belongs to. Raises NoDoctor when the doctor is not active,
    NotItsDoctor when the patient has another one since.
    """
    if await executor.fetch_one(HOLD_DOCTOR, {"id": doctor_id}) is None:
        raise NoDoctor
    pair = {"patient_id": patient_id, "doctor_id": doctor_id, **scope}
    if await executor.fetch_one(HOLD_PATIENT_OF_DOCTOR, pair) is None:
        raise NotItsDoctor


async def insert_appointment(executor: Executor, appointment: dict[str, Any]) -> None:
    """Make an appointment. Raises SlotTaken."""
    with named_errors(_CONSTRAINTS):
        await executor.execute(INSERT_APPOINTMENT, appointment)


async def hold_status(executor: Executor, patient_id: UUID, appointment_id: UUID) -> str:
    """The status of an appointment that nobody else changes until the transaction ends. Raises AppointmentNotFound."""
    row = await executor.fetch_one(HOLD_STATUS, {"id": appointment_id, "patient_id": patient_id})
    if row is None:
        raise AppointmentNotFound
    return str(row["status"])


async def update_status(executor: Executor, appointment_id: UUID, status: str) -> None:
    """Move an appointment that is held."""
    await executor.execute(UPDATE_STATUS, {"id": appointment_id, "status": status})
