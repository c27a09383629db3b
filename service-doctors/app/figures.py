"""Doctors, counted; kept for `STATISTICS_MAX_AGE_SECONDS`."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from shared.cache import counted
from shared.caller import Caller
from shared.resources import ClientResources

from . import figures_db


class SpecialtyFigures(BaseModel):
    """How many doctors have a specialty; null for those without one."""

    specialty_id: UUID | None
    specialty_name: str | None
    count: int


class StatusFigures(BaseModel):
    """Doctors by professional status."""

    active: int
    suspended: int
    retired: int


class Statistics(BaseModel):
    """Doctors in numbers, without the deleted ones; an average is null where no doctor has told its figure."""

    as_of: datetime = Field(description="When it was counted: at most some seconds ago.")
    total: int
    by_specialty: list[SpecialtyFigures] = Field(description="Most doctors first.")
    by_status: StatusFigures
    average_fee: float | None = Field(description="Two decimals.")
    average_experience: float | None = Field(description="Years, two decimals.")


async def get_statistics(res: ClientResources, caller: Caller) -> dict[str, Any]:
    """The figures of all doctors for an admin, of its own for an institution."""
    institution_id = None if caller.is_admin else caller.user_id
    return await counted(
        res, f"statistics/{institution_id}", lambda: figures_db.count_doctors(res.reader, institution_id)
    )
