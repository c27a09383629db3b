"""The SQL of the validation workflow: where a patient stands, its steps so far, and a new one."""

from typing import Any
from uuid import UUID

from shared.audit import audited
from shared.errors import PatientNotFound
from shared.postgres import Executor, Row

from .db import IN_SCOPE

# A deleted or retired doctor makes no steps any more: the patient is then as one without. (A suspended one comes back.)
HOLD_STATUS = (
    """
    SELECT p.validation_status AS status, p.institution_id IS NOT NULL AS has_institution,
           EXISTS (SELECT FROM doctors d WHERE d.id = p.doctor_id AND d.deleted_at IS NULL
                   AND d.professional_status <> 'retired') AS has_doctor
    FROM patients p WHERE p.id = %(patient_id)s AND """
    + IN_SCOPE
    + " FOR NO KEY UPDATE"
)

UPDATE_STATUS = "UPDATE patients SET validation_status = %(to_status)s WHERE id = %(patient_id)s"

INSERT_STEP = """
    INSERT INTO patient_validations (patient_id, from_status, to_status, actor_type, actor_id, note)
    VALUES (%(patient_id)s, %(from_status)s, %(to_status)s, %(actor_type)s, %(actor_id)s, %(note)s)
"""

LIST_STEPS = audited(
    """
    SELECT p.id AS patient_id, item.* FROM patients p LEFT JOIN LATERAL (
        SELECT v.id, v.from_status, v.to_status, v.actor_type, v.actor_id, v.note, v.created_at
        FROM patient_validations v
        WHERE v.patient_id = p.id [AND v.id < %(after_id)s]
        ORDER BY v.id DESC
        LIMIT %(limit)s + 1) item ON true
    WHERE p.id = %(patient_id)s AND """
    + IN_SCOPE
    + " ORDER BY item.id DESC"
)


async def hold_status(executor: Executor, patient_id: UUID, scope: dict[str, Any]) -> Row:
    """`status`, `has_doctor`, `has_institution` of a patient, which nobody else changes until the transaction ends.

    Raises PatientNotFound.
    """
    row = await executor.fetch_one(HOLD_STATUS, {"patient_id": patient_id, **scope})
    if row is None:
        raise PatientNotFound
    return row


async def insert_step(executor: Executor, step: dict[str, Any]) -> None:
    """Move a patient that is held, and write the step into its history."""
    await executor.execute(UPDATE_STATUS, step)
    await executor.execute(INSERT_STEP, step)


async def list_steps(
    executor: Executor, patient_id: UUID, scope: dict[str, Any], after_id: int | None, limit: int, event: dict[str, Any]
) -> list[Row]:
    """Up to `limit` + 1 steps, newest first, after one; for `scope.items_of`; audited as `event`."""
    place = {"patient_id": patient_id, "after_id": after_id, "limit": limit}
    return await executor.fetch_all(LIST_STEPS, {**place, **scope, **event})
