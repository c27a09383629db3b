"""What doctors and patients belong to: found, and held until the transaction ends, so that it can't vanish."""

from uuid import UUID

from .errors import InstitutionDeleted, UnknownReference
from .postgres import Executor

LOCK_INSTITUTION = """
    SELECT id FROM medical_institutions WHERE id = %(id)s AND deleted_at IS NULL FOR SHARE
"""

LOCK_DOCTOR = """
    SELECT id FROM doctors WHERE id = %(id)s AND deleted_at IS NULL FOR SHARE
"""


async def hold_institution(executor: Executor, institution_id: UUID) -> None:
    """Raise UnknownReference when there is no such institution; else it stays until the transaction ends."""
    if await executor.fetch_one(LOCK_INSTITUTION, {"id": institution_id}) is None:
        raise UnknownReference("institution_id")


async def hold_returning(executor: Executor, institution_id: UUID) -> None:
    """Raise InstitutionDeleted when whoever returns would belong to a deleted institution; else hold that one."""
    if await executor.fetch_one(LOCK_INSTITUTION, {"id": institution_id}) is None:
        raise InstitutionDeleted


async def hold_doctor(executor: Executor, doctor_id: UUID) -> None:
    """Raise UnknownReference when there is no such doctor; else it stays until the transaction ends."""
    if await executor.fetch_one(LOCK_DOCTOR, {"id": doctor_id}) is None:
        raise UnknownReference("doctor_id")
