"""One audit row per touch of health data, in the same statement or transaction as the touch. No row, no data."""

from typing import Any
from uuid import UUID

from psycopg2.extras import Json

from . import context
from .caller import Caller
from .postgres import Executor
from .prepared import Prepared

_COLUMNS = "service, actor_type, actor_id, action, resource, patient_ids, outcome, request_id, client_address, detail"
_VALUES = "%(audit_service)s, %(audit_actor_type)s, %(audit_actor_id)s, %(audit_action)s, %(audit_resource)s, "
_REST = "%(audit_outcome)s, %(audit_request_id)s, %(audit_client_address)s, %(audit_detail)s"

INSERT_EVENT = Prepared(
    "INSERT INTO audit_events (" + _COLUMNS + ") VALUES (" + _VALUES + "%(audit_patient_ids)s, " + _REST + ")"
)


def audited(select: str, *, of: str = "patient_id", page: bool = False) -> Prepared:
    """`select`, recording in the same statement whose data it returned: the patients' ids, in its column `of`.

    Nothing found is nothing touched: then no event is written. A `page` has read one row more than its `%(limit)s`, to
    know whether more follow: nobody gets to see that one, so the event leaves it out.
    """
    seen = "(SELECT * FROM touched LIMIT %(limit)s) seen" if page else "touched"
    return Prepared(
        "WITH touched AS MATERIALIZED (" + select + "), "
        "recorded AS (INSERT INTO audit_events (" + _COLUMNS + ") "
        "SELECT " + _VALUES + "array_agg(DISTINCT " + of + "), " + _REST + " FROM " + seen + " HAVING count(*) > 0) "
        "SELECT * FROM touched"
    )


def parameters(
    service: str,
    caller: Caller,
    action: str,
    resource: str,
    *,
    patient_ids: list[UUID] | None = None,
    outcome: str = "success",
    detail: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The parameters of an event: who (the caller), what (`read`, `login`, …), on which resource, and of whom.

    `patient_ids` names nobody twice.
    """
    request = context.current()
    return {
        "audit_service": service,
        "audit_actor_type": caller.user_type,
        "audit_actor_id": caller.account_id,
        "audit_action": action,
        "audit_resource": resource,
        "audit_patient_ids": patient_ids or [],
        "audit_outcome": outcome,
        "audit_request_id": request.request_id,
        "audit_client_address": request.client_address,
        "audit_detail": Json(detail or {}),
    }


async def record(executor: Executor, event: dict[str, Any]) -> None:
    """Write the event that `parameters` describes; in a transaction, together with what it tells of."""
    await executor.execute(INSERT_EVENT, event)
