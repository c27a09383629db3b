"""The accreditations of institutions: by which body, under which number, valid from when until when."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from shared import audit, idempotency
from shared.caller import Caller
from shared.dates import Day
from shared.pagination import Page, PageQuery
from shared.postgres import Row
from shared.resources import ClientResources
from shared.schemas import Body
from shared.text import CLEAN, Text

from . import accreditations_db, db

Number = Annotated[str, Field(min_length=1, max_length=100), CLEAN]


class NewAccreditation(Body):
    """An accreditation to add; it ends after it begins."""

    body: Text = Field(description="Who accredits.", examples=["Consejo de Salubridad General"])
    number: Number
    valid_from: Day
    valid_until: Day = Field(description="The last day.")


class Accreditation(BaseModel):
    """An accreditation; `status` as of today in UTC: `expiring` in its last 90 days, `expired` after the last one."""

    id: UUID
    body: str
    number: str
    valid_from: date
    valid_until: date
    status: Literal["valid", "expiring", "expired"]


async def add_accreditation(res: ClientResources, caller: Caller, institution_id: UUID, new: NewAccreditation) -> Row:
    """Add an accreditation to an institution. Raises InstitutionNotFound, AccreditationEndsBeforeItBegins."""
    async with res.db.transaction() as tx:
        await db.lock_institution(tx, institution_id)
        if (answer := await idempotency.find(tx)) is not None:
            return answer
        accreditation = await accreditations_db.insert_accreditation(tx, institution_id, new.model_dump())
        detail = {"institution_id": str(institution_id), "accreditation_id": str(accreditation["id"])}
        await audit.record(tx, audit.parameters(res.service, caller, "create", "accreditation", detail=detail))
        await idempotency.keep(tx, accreditation)
        return accreditation


async def get_accreditation(res: ClientResources, institution_id: UUID, accreditation_id: UUID) -> Row:
    """An accreditation of an institution. Raises InstitutionNotFound, AccreditationNotFound."""
    await db.get_institution(res.db, institution_id)
    return await accreditations_db.get_accreditation(res.db, institution_id, accreditation_id)


async def list_accreditations(res: ClientResources, institution_id: UUID, query: PageQuery) -> Page[Row]:
    """An institution's accreditations, the last added first. Raises InstitutionNotFound."""
    await db.get_institution(res.db, institution_id)
    resource = f"accreditations/{institution_id}"
    after = res.cursors.read(resource, query, 2)
    rows = await accreditations_db.list_accreditations(res.db, institution_id, after, query.limit)
    return res.cursors.cut(resource, query, rows, ("created_at", "id"))
