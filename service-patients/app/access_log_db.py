"""The SQL of a patient's access log."""

from typing import Any
from uuid import UUID

from shared.audit import audited
from shared.errors import PatientNotFound
from shared.postgres import Executor, Row

# One row without an event for a patient whose log (or the rest of it) is empty: that is not a patient not found.
LIST_ACCESSES = audited("""
    SELECT p.id AS patient_id, l.event_id, l.actor_type, l.actor_id, l.action, l.resource, l.occurred_at, l.request_id,
           coalesce(a.first_name || ' ' || a.last_name, d.first_name || ' ' || d.last_name, i.name) AS actor_name
    FROM patients p
    LEFT JOIN LATERAL list_accesses(
        p.id, %(after_occurred_at)s::timestamptz, %(after_event_id)s::bigint, %(limit)s + 1) l ON true
    LEFT JOIN patients a ON a.id = l.actor_id
    LEFT JOIN doctors d ON d.id = l.actor_id
    LEFT JOIN medical_institutions i ON i.id = l.actor_id
    WHERE p.id = %(patient_id)s AND p.deleted_at IS NULL AND (%(caller_type)s = 'admin' OR p.id = %(caller_id)s)
    ORDER BY l.occurred_at DESC, l.event_id DESC
""")


async def list_accesses(
    executor: Executor, patient_id: UUID, scope: dict[str, Any], after: list[Any], limit: int, event: dict[str, Any]
) -> list[Row]:
    """Up to `limit` + 1 events of a patient, newest first, after `[occurred_at, event_id]`; audited as `event`.

    For the patient itself and for admins. Raises PatientNotFound.
    """
    place = {"after_occurred_at": after[0], "after_event_id": after[1], "limit": limit}
    rows = await executor.fetch_all(LIST_ACCESSES, {"patient_id": patient_id, **scope, **place, **event})
    if not rows:
        raise PatientNotFound
    return [row for row in rows if row["event_id"] is not None]
