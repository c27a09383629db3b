"""Where institutions are and whom they care for, counted; kept for `STATISTICS_MAX_AGE_SECONDS`."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from shared.cache import counted
from shared.resources import ClientResources

from . import figures_db


class RegionFigures(BaseModel):
    """A region; institutions count where their primary address is, people where their institution is."""

    country: str = Field(description="ISO 3166-1 alpha-2.")
    country_name: str
    region_id: int
    region: str
    institutions: int
    verified_institutions: int
    doctors: int
    patients: int


class Geography(BaseModel):
    """Every region, also an empty one, by country and name."""

    as_of: datetime = Field(description="When it was counted: at most some seconds ago.")
    items: list[RegionFigures]


class ValidationFigures(BaseModel):
    """Patients by validation status."""

    pending: int
    validated_by_doctor: int
    validated_by_institution: int
    full_access: int


class RiskFigures(BaseModel):
    """Patients by risk level; without a score it is unknown."""

    low: int
    moderate: int
    high: int
    unknown: int


class SexFigures(BaseModel):
    """Patients by sex (FHIR administrative-gender); one that was not told is unknown."""

    female: int
    male: int
    other: int
    unknown: int


class AgeFigures(BaseModel):
    """Patients by age in whole years, today in UTC."""

    from_0_to_17: int = Field(alias="0-17")
    from_18_to_39: int = Field(alias="18-39")
    from_40_to_64: int = Field(alias="40-64")
    from_65: int = Field(alias="65+")


class ConditionFigures(BaseModel):
    """How many patients have a condition that lasts."""

    id: int
    name: str
    patients: int


class Statistics(BaseModel):
    """An institution's doctors and patients, without the deleted ones."""

    as_of: datetime = Field(description="When it was counted: at most some seconds ago.")
    patients: int
    doctors: int
    by_validation_status: ValidationFigures
    by_risk_level: RiskFigures
    by_age_band: AgeFigures
    by_sex: SexFigures
    top_conditions: list[ConditionFigures] = Field(description="The 10 that most patients have, most frequent first.")


async def get_geography(res: ClientResources, country: str | None) -> dict[str, Any]:
    """Every region, or those of a country, with what is in it."""

    async def count() -> dict[str, Any]:
        return {"items": await figures_db.count_regions(res.reader, country)}

    return await counted(res, f"geography/{country}", count)


async def get_statistics(res: ClientResources, institution_id: UUID) -> dict[str, Any]:
    """An institution's figures. Raises InstitutionNotFound."""
    return await counted(
        res, f"statistics/{institution_id}", lambda: figures_db.count_institution(res.reader, institution_id)
    )
