"""The validation of patients: its doctor's step, its institution's, an administrator's; skipped where there is none."""

from collections.abc import Mapping
from uuid import UUID

from pydantic import Field

from shared import audit
from shared.caller import Caller
from shared.errors import Forbidden, InvalidTransition
from shared.pagination import Page, PageQuery
from shared.postgres import Row
from shared.record import ValidationStatus
from shared.resources import ClientResources
from shared.schemas import Body
from shared.text import Note

from . import db, domain, validation_db
from .errors import NoteRequired
from .scope import items_of, reading, scope_of, writing

# In the order of the workflow: each status, and whose step leads there.
_ACTORS: Mapping[ValidationStatus, str] = {
    "pending": "admin",
    "validated_by_doctor": "doctor",
    "validated_by_institution": "institution",
    "full_access": "admin",
}


class NewStep(Body):
    """A step of the workflow."""

    status: ValidationStatus
    note: Note | None = Field(default=None, description="Needed by a step back to `pending`.")


async def validate_patient(res: ClientResources, caller: Caller, patient_id: UUID, new: NewStep) -> Row:
    """Make a step with a patient; the patient after it.

    Raises NoteRequired, PatientNotFound, Forbidden (another's step), InvalidTransition (not the next step).
    """
    if caller.is_admin and new.status == "pending" and new.note is None:
        raise NoteRequired
    async with res.db.transaction() as tx:
        held = await validation_db.hold_status(tx, patient_id, scope_of(caller))
        check_step(caller.user_type, new.status, held["status"], held["has_doctor"], held["has_institution"])
        actor = {"actor_type": caller.user_type, "actor_id": caller.user_id}
        step = {"patient_id": patient_id, "from_status": held["status"], "to_status": new.status, "note": new.note}
        await validation_db.insert_step(tx, {**step, **actor})
        event = writing(res, caller, "update", patient_id, "validation", **{"from": held["status"], "to": new.status})
        await audit.record(tx, event)
        return domain.with_age(await db.get_patient(tx, patient_id))


async def list_steps(res: ClientResources, caller: Caller, patient_id: UUID, query: PageQuery) -> Page[Row]:
    """The steps so far, newest first; recorded in the audit trail. Raises PatientNotFound, InvalidCursor."""
    resource = f"validation/{patient_id}"
    (after_id,) = res.cursors.read(resource, query, 1)
    event = reading(res, caller, "validation")
    rows = await validation_db.list_steps(res.db, patient_id, scope_of(caller), after_id, query.limit, event)
    return res.cursors.cut(resource, query, items_of(rows), ("id",))


def next_status(status: ValidationStatus, has_doctor: bool, has_institution: bool) -> ValidationStatus:
    """The one that follows; after the last, `pending` alone, where an administrator may always send a patient back."""
    skipped = {"validated_by_doctor": not has_doctor, "validated_by_institution": not has_institution}
    order = list(_ACTORS)
    return next((later for later in order[order.index(status) + 1 :] if not skipped.get(later)), "pending")


def check_step(
    user_type: str, wanted: ValidationStatus, status: ValidationStatus, has_doctor: bool, has_institution: bool
) -> None:
    """Raise Forbidden when the step is another's to make, InvalidTransition when it is not its turn."""
    if user_type != _ACTORS[wanted]:
        raise Forbidden
    following = next_status(status, has_doctor, has_institution)
    if wanted == status or wanted not in (following, "pending"):
        raise InvalidTransition(status, [following])
