"""Whom a caller may know of, and what its touch leaves in the audit trail: the parameters of every statement."""

from typing import Any
from uuid import UUID

from shared import audit, idempotency
from shared.caller import Caller
from shared.errors import PatientNotFound
from shared.postgres import Executor, Row
from shared.resources import ClientResources


def scope_of(caller: Caller) -> dict[str, Any]:
    """The parameters by which the statements find only patients that the caller may know of."""
    return {"caller_type": caller.user_type, "caller_id": caller.user_id}


def reading(res: ClientResources, caller: Caller, resource: str) -> dict[str, Any]:
    """The event of a read, for a statement that is `audited`."""
    return audit.parameters(res.service, caller, "read", resource)


def writing(
    res: ClientResources, caller: Caller, action: str, patient_id: UUID, resource: str = "patient", **detail: Any
) -> dict[str, Any]:
    """The event of a change of a patient; `detail` holds ids, codes and names of fields, never what people wrote."""
    return audit.parameters(res.service, caller, action, resource, patient_ids=[patient_id], detail=detail)


async def answered_before(
    executor: Executor, res: ClientResources, caller: Caller, resource: str, patient_id: UUID | None = None
) -> Row | None:
    """What the creation under way was answered when it was sent before, recorded as a read; None for a new one.

    Without `patient_id`, the answer is the patient. Raises IdempotencyKeyReused.
    """
    answer = await idempotency.find(executor)
    if answer is not None:
        patient_ids = [patient_id or UUID(answer["id"])]
        await audit.record(executor, audit.parameters(res.service, caller, "read", resource, patient_ids=patient_ids))
    return answer


def found(row: Row | None) -> Row:
    """The row of a patient that the caller may know of. Raises PatientNotFound for none."""
    if row is None:
        raise PatientNotFound
    return row


def items_of(rows: list[Row]) -> list[Row]:
    """The items of a list within one patient: its statement gives one row without `id` for a patient that has none.

    Raises PatientNotFound for no row at all: no patient that the caller may know of.
    """
    if not rows:
        raise PatientNotFound
    return [row for row in rows if row["id"] is not None]
