"""The SQL of institutions' verification."""

from uuid import UUID

from shared.caller import Caller
from shared.postgres import Executor, Row
from shared.prepared import Prepared

from .errors import InstitutionNotFound

LOCK_STATUS = """
    SELECT verification_status FROM medical_institutions WHERE id = %(id)s AND deleted_at IS NULL FOR NO KEY UPDATE
"""

UPDATE_STATUS = "UPDATE medical_institutions SET verification_status = %(status)s WHERE id = %(id)s"

INSERT_STEP = """
    INSERT INTO institution_verifications (institution_id, from_status, to_status, actor_type, actor_id, note)
    VALUES (%(institution_id)s, %(from_status)s, %(to_status)s, %(actor_type)s, %(actor_id)s, %(note)s)
"""

LIST_STEPS = Prepared("""
    SELECT id, from_status, to_status, actor_type, actor_id, note, created_at
    FROM institution_verifications
    WHERE institution_id = %(institution_id)s [AND id < %(after_id)s]
    ORDER BY id DESC
    LIMIT %(limit)s + 1
""")


async def lock_status(executor: Executor, institution_id: UUID) -> str:
    """The verification status, held until the transaction ends: of two steps at once one is the first.

    Raises InstitutionNotFound.
    """
    row = await executor.fetch_one(LOCK_STATUS, {"id": institution_id})
    if row is None:
        raise InstitutionNotFound
    return str(row["verification_status"])


async def update_status(executor: Executor, institution_id: UUID, status: str) -> None:
    """Set the status of an institution that is locked."""
    await executor.execute(UPDATE_STATUS, {"id": institution_id, "status": status})


async def insert_step(
    executor: Executor, institution_id: UUID, current: str, wanted: str, caller: Caller, note: str | None
) -> None:
    """Add a step to the history."""
    step = {"institution_id": institution_id, "from_status": current, "to_status": wanted, "note": note}
    await executor.execute(INSERT_STEP, {**step, "actor_type": caller.user_type, "actor_id": caller.user_id})


async def list_steps(executor: Executor, institution_id: UUID, after_id: int | None, limit: int) -> list[Row]:
    """Up to `limit` + 1 steps, newest first, after the position `after_id`."""
    parameters = {"institution_id": institution_id, "after_id": after_id, "limit": limit}
    return await executor.fetch_all(LIST_STEPS, parameters)
