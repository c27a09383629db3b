"""What a patient's fields and record refer to: short lists in the language of the request, and the clinical terms."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from shared.resources import ClientResources
from shared.text import Search

from . import db

TermTable = Literal["medical_conditions", "medications", "allergies"]


class Entry(BaseModel):
    """A row of a short catalogue."""

    id: int
    name: str


class Entries(BaseModel):
    """Every row of a short catalogue."""

    items: list[Entry]


class Sex(Entry):
    """A sex; `code` is that of FHIR's administrative-gender."""

    code: str


class Sexes(BaseModel):
    """Every sex."""

    items: list[Sex]


class Term(Entry):
    """A clinical term; `code` is SNOMED CT's (of medications RxNorm's), where known."""

    code: str | None


class Terms(BaseModel):
    """Clinical terms by name."""

    items: list[Term]


class TermQuery(BaseModel):
    """Which terms."""

    q: Search | None = Field(default=None, description="Part of a name, without case and accents.")


async def list_blood_types(res: ClientResources) -> dict[str, Any]:
    """Every blood type."""
    return {"items": await db.list_blood_types(res.reader)}


async def list_sexes(res: ClientResources) -> dict[str, Any]:
    """Every sex."""
    return {"items": await db.list_sexes(res.reader)}


async def list_genders(res: ClientResources) -> dict[str, Any]:
    """Every gender."""
    return {"items": await db.list_genders(res.reader)}


async def list_terms(res: ClientResources, table: TermTable, query: TermQuery) -> dict[str, Any]:
    """The terms of a catalogue that match."""
    return {"items": await db.list_terms(res.reader, table, query.q)}
