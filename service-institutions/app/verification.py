"""The verification of institutions: a workflow of administrators, with its history."""

from collections.abc import Mapping, Sequence
from typing import Literal
from uuid import UUID

from shared import audit
from shared.caller import Caller
from shared.history import check_move
from shared.pagination import Page, PageQuery
from shared.postgres import Row
from shared.resources import ClientResources
from shared.schemas import Body
from shared.text import Note

from . import db, verification_db

VerificationStatus = Literal["pending", "verified", "rejected"]

# `verified` → `rejected` is a revocation.
MOVES: Mapping[str, Sequence[str]] = {
    "pending": ("verified", "rejected"),
    "verified": ("rejected",),
    "rejected": ("pending",),
}


class Verification(Body):
    """A step of the workflow."""

    verification_status: VerificationStatus
    note: Note | None = None


async def verify_institution(res: ClientResources, caller: Caller, institution_id: UUID, step: Verification) -> Row:
    """Move an institution to another verification status. Raises InstitutionNotFound, InvalidTransition."""
    wanted = step.verification_status
    async with res.db.transaction() as tx:
        current = await verification_db.lock_status(tx, institution_id)
        check_move(MOVES, current, wanted)
        await verification_db.update_status(tx, institution_id, wanted)
        await verification_db.insert_step(tx, institution_id, current, wanted, caller, step.note)
        detail = {"institution_id": str(institution_id), "from_status": current, "to_status": wanted}
        await audit.record(tx, audit.parameters(res.service, caller, "update", "verification", detail=detail))
        return await db.get_institution(tx, institution_id)


async def list_verifications(res: ClientResources, institution_id: UUID, query: PageQuery) -> Page[Row]:
    """The history of an institution's verification, newest first. Raises InstitutionNotFound."""
    await db.get_institution(res.db, institution_id)
    resource = f"verifications/{institution_id}"
    (after_id,) = res.cursors.read(resource, query, 1)
    rows = await verification_db.list_steps(res.db, institution_id, after_id, query.limit)
    return res.cursors.cut(resource, query, rows, ("id",))
