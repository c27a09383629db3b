"""Who saw or changed a patient's data, as the patient itself reads it."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from shared.caller import Caller
from shared.context import current
from shared.pagination import Page, PageQuery
from shared.postgres import Row
from shared.resources import ClientResources

from . import access_log_db
from .scope import reading, scope_of

# What actors without a name of their own are called, in Spanish and English.
_LABELS = {
    "admin": ("Administración de PredictHealth", "PredictHealth administration"),
    "service": ("Sistema PredictHealth", "PredictHealth system"),
    "anonymous": ("Persona sin identificar", "Unidentified person"),
}


class Access(BaseModel):
    """One touch of a patient's data."""

    actor_type: str
    actor_id: UUID | None
    actor_name: str | None = Field(description="The person's or institution's name; of admins and the system a label.")
    action: str = Field(description="`read`, `create`, `update`, `delete`, …", examples=["read"])
    resource: str = Field(description="What of the data.", examples=["medical_record"])
    occurred_at: datetime
    request_id: str


async def list_accesses(res: ClientResources, caller: Caller, patient_id: UUID, query: PageQuery) -> Page[Row]:
    """Who saw or changed a patient's data, newest first; this look is recorded, too. Raises PatientNotFound."""
    place = f"access-log/{patient_id}"
    after = res.cursors.read(place, query, 2)
    event = reading(res, caller, "access_log")
    rows = await access_log_db.list_accesses(res.db, patient_id, scope_of(caller), after, query.limit, event)
    return res.cursors.cut(place, query, [_named(row) for row in rows], ("occurred_at", "event_id"))


def _named(row: Row) -> Row:
    label = _LABELS.get(row["actor_type"], (None, None))[current().language == "en"]
    return {**row, "actor_name": row["actor_name"] or label}
