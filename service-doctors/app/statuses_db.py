"""The SQL of doctors' statuses and their history."""

from typing import Any
from uuid import UUID

from shared.caller import Caller
from shared.postgres import Executor, Row
from shared.prepared import Prepared

from .errors import DoctorNotFound

LOCK_STATUSES = """
    SELECT professional_status, license_status FROM doctors
    WHERE id = %(id)s AND deleted_at IS NULL AND (%(caller_type)s = 'admin' OR institution_id = %(caller_id)s)
    FOR NO KEY UPDATE
"""

INSERT_CHANGE = """
    INSERT INTO doctor_status_changes (doctor_id, field, from_status, to_status, actor_type, actor_id, note)
    VALUES (%(doctor_id)s, %(field)s, %(from_status)s, %(to_status)s, %(actor_type)s, %(actor_id)s, %(note)s)
"""

LIST_CHANGES = Prepared("""
    SELECT id, field, from_status, to_status, actor_type, actor_id, note, created_at
    FROM doctor_status_changes
    WHERE doctor_id = %(doctor_id)s [AND id < %(after_id)s]
    ORDER BY id DESC
    LIMIT %(limit)s + 1
""")


async def lock_statuses(executor: Executor, doctor_id: UUID, scope: dict[str, Any]) -> Row:
    """The two statuses of a doctor of the calling institution, or any for an admin, held until the transaction ends.

    Raises DoctorNotFound.
    """
    row = await executor.fetch_one(LOCK_STATUSES, {"id": doctor_id, **scope})
    if row is None:
        raise DoctorNotFound
    return row


async def insert_change(
    executor: Executor, doctor_id: UUID, field: str, current: str, wanted: str, caller: Caller, note: str | None
) -> None:
    """Add a change to the history."""
    change = {"doctor_id": doctor_id, "field": field, "from_status": current, "to_status": wanted, "note": note}
    await executor.execute(INSERT_CHANGE, {**change, "actor_type": caller.user_type, "actor_id": caller.user_id})


async def list_changes(executor: Executor, doctor_id: UUID, after_id: int | None, limit: int) -> list[Row]:
    """Up to `limit` + 1 changes, newest first, after the position `after_id`."""
    return await executor.fetch_all(LIST_CHANGES, {"doctor_id": doctor_id, "after_id": after_id, "limit": limit})
