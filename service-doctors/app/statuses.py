"""A doctor's professional status and the status of its licence: who moves them where, with their history."""

from collections.abc import Mapping, Sequence
from typing import Literal
from uuid import UUID

from pydantic import Field

from shared import audit
from shared.caller import Caller
from shared.history import StatusChange, check_move
from shared.pagination import Page, PageQuery
from shared.postgres import Row
from shared.resources import ClientResources
from shared.schemas import Body
from shared.text import Note

from . import db, statuses_db
from .scope import scope_of

ProfessionalStatus = Literal["active", "suspended", "retired"]
LicenseStatus = Literal["pending", "verified", "expired", "revoked"]
StatusField = Literal["professional_status", "license_status"]

# Status → those that may follow, of each field.
MOVES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "professional_status": {"active": ("suspended", "retired"), "suspended": ("active", "retired"), "retired": ()},
    "license_status": {
        "pending": ("verified", "revoked"),
        "verified": ("expired", "revoked"),
        "expired": ("verified", "revoked"),
        "revoked": ("pending",),
    },
}


class ProfessionalStep(Body):
    """A change of the professional status."""

    professional_status: ProfessionalStatus
    note: Note | None = None


class LicenseStep(Body):
    """A change of the licence's status."""

    license_status: LicenseStatus
    note: Note | None = None


class DoctorStatusChange(StatusChange):
    """A change of one of a doctor's statuses."""

    field: StatusField = Field(description="Which status.")


async def change_professional_status(
    res: ClientResources, caller: Caller, doctor_id: UUID, step: ProfessionalStep
) -> Row:
    """Suspend, retire or bring back a doctor; its sessions end with its activity.

    Raises DoctorNotFound, InvalidTransition.
    """
    return await _change(res, caller, doctor_id, "professional_status", step.professional_status, step.note)


async def change_license_status(res: ClientResources, caller: Caller, doctor_id: UUID, step: LicenseStep) -> Row:
    """Say what a doctor's licence is worth. Raises DoctorNotFound, InvalidTransition."""
    return await _change(res, caller, doctor_id, "license_status", step.license_status, step.note)


async def list_changes(res: ClientResources, caller: Caller, doctor_id: UUID, query: PageQuery) -> Page[Row]:
    """The history of a doctor's statuses, newest first. Raises DoctorNotFound."""
    await db.get_doctor(res.db, doctor_id, scope_of(caller))
    resource = f"status-changes/{doctor_id}"
    (after_id,) = res.cursors.read(resource, query, 1)
    rows = await statuses_db.list_changes(res.db, doctor_id, after_id, query.limit)
    return res.cursors.cut(resource, query, rows, ("id",))


async def _change(
    res: ClientResources, caller: Caller, doctor_id: UUID, field: StatusField, wanted: str, note: str | None
) -> Row:
    async with res.db.transaction() as tx:
        current = (await statuses_db.lock_statuses(tx, doctor_id, scope_of(caller)))[field]
        check_move(MOVES[field], current, wanted)
        await db.update_doctor(tx, doctor_id, scope_of(caller), {field: wanted})
        await statuses_db.insert_change(tx, doctor_id, field, current, wanted, caller, note)
        detail = {"doctor_id": str(doctor_id), "from_status": current, "to_status": wanted}
        await audit.record(tx, audit.parameters(res.service, caller, "update", field, detail=detail))
        if field == "professional_status" and wanted != "active":
            # Before the commit: if Redis is away nothing changes, and a login that races finds the account closed.
            await res.sessions.end_all(doctor_id)
        return await db.get_doctor(tx, doctor_id, scope_of(caller))
