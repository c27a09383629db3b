"""The audit trail, as admins read it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from shared import audit
from shared.caller import Caller
from shared.moments import From, To
from shared.pagination import Page, PageQuery
from shared.postgres import Row
from shared.text import Search

from . import db
from .resources import AuthResources


class Event(BaseModel):
    """Who did what, when, from where, on whose data, and how it ended."""

    id: int
    occurred_at: datetime
    service: str
    actor_type: str
    actor_id: UUID | None
    action: str
    resource: str
    patient_ids: list[UUID]
    outcome: str
    request_id: str
    client_address: str | None
    detail: dict[str, Any]


class EventQuery(PageQuery):
    """The filters of the trail; bounds are inclusive."""

    actor_id: UUID | None = None
    patient_id: UUID | None = None
    action: Search | None = None
    since: From | None = Field(default=None, alias="from")
    until: To | None = Field(default=None, alias="to")


async def list_events(res: AuthResources, caller: Caller, query: EventQuery) -> Page[Row]:
    """The events that match, newest first; reading them is an event itself."""
    after, filters = res.cursors.read("audit", query, 1), query.filters()
    bounds = {"from": filters.pop("since"), "to": filters.pop("until")}
    rows = await db.list_events(res.db, {**filters, **bounds}, after, query.limit)
    await audit.record(res.db, audit.parameters(res.service, caller, "read", "audit"))
    return res.cursors.cut("audit", query, rows, ("id",))
