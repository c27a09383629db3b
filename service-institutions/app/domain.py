"""Institutions, who belongs to them and where they are: the models, the rules and the use cases."""

import re
from datetime import date, datetime
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from pydantic import AfterValidator, BaseModel, Field, HttpUrl, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from shared import audit, contacts, etag, idempotency
from shared.caller import Caller
from shared.pagination import Page, PageQuery
from shared.postgres import Executor, Row
from shared.record import RiskLevel, ValidationStatus
from shared.resources import ClientResources
from shared.schemas import ABSENT, Body, CatalogueId, ContactEmail, Update
from shared.search import HOW_FOUND
from shared.text import CLEAN, LicenseNumber, Password, Phone, PostalCode, Search, Text

from . import db
from .verification import VerificationStatus

ProfessionalStatus = Literal["active", "suspended", "retired"]

_HTTP_URL: TypeAdapter[HttpUrl] = TypeAdapter(HttpUrl)


def check_web_address(value: str) -> str:
    """Return `value` as it was given, or raise the error `url` for what is no http or https URL."""
    # HttpUrl alone forgives what a browser forgives (`http:host`, inner spaces); a link that others follow should not.
    if not re.match(r"https?://", value, re.IGNORECASE) or re.search(r"\s", value):
        raise PydanticCustomError("url", "is not a web address")
    try:
        _HTTP_URL.validate_python(value)
    except ValidationError as exc:
        raise PydanticCustomError("url", "is not a web address") from exc
    return value


Website = Annotated[
    str,
    Field(max_length=500, examples=["https://clinica.mx"]),
    CLEAN,
    AfterValidator(check_web_address),
]
CountryCode = Annotated[
    str,
    Field(pattern=r"^[A-Za-z]{2}$", description="ISO 3166-1 alpha-2."),
    CLEAN,
    AfterValidator(str.upper),
]


class NewAddress(Body):
    """An address to set. The region lies in the country; with the region alone, the country is the region's."""

    street_address: Text
    neighborhood: Text | None = None
    city: Text
    region_id: CatalogueId | None = None
    country_id: CatalogueId | None = None
    postal_code: PostalCode | None = None
    latitude: float | None = Field(default=None, ge=-90, le=90, description="Degrees north, WGS 84.")
    longitude: float | None = Field(default=None, ge=-180, le=180, description="Degrees east, WGS 84.")


class Address(BaseModel):
    """Where an institution is."""

    street_address: str
    neighborhood: str | None
    city: str
    region_id: int | None
    region_name: str | None
    country_id: int | None
    country_name: str | None
    postal_code: str | None
    latitude: float | None
    longitude: float | None


class Institution(BaseModel):
    """An institution."""

    id: UUID
    name: str
    institution_type_id: int
    institution_type_name: str
    website: str | None
    license_number: str
    is_active: bool
    is_verified: bool
    verification_status: VerificationStatus
    contact_email: str | None
    contact_phone: str | None
    address: Address | None
    created_at: datetime
    updated_at: datetime


class NewInstitution(Body):
    """An institution to create, with the password of its account."""

    name: Text
    institution_type_id: CatalogueId
    license_number: LicenseNumber
    website: Website | None = None
    contact_email: ContactEmail
    contact_phone: Phone | None = None
    address: NewAddress | None = None
    password: Password


class InstitutionUpdate(Update):
    """Any subset of an institution's fields; an address replaces the one before as a whole."""

    name: Text = ABSENT
    institution_type_id: CatalogueId = ABSENT
    license_number: LicenseNumber = ABSENT
    website: Website | None = None
    contact_phone: Phone | None = None
    address: NewAddress | None = None


class InstitutionQuery(PageQuery):
    """The filters of the institutions' list; `region` and `city` are whole names."""

    q: Search | None = Field(default=None, description="Words of a name, e-mail or licence, " + HOW_FOUND)
    sort: Literal["created_at", "name"] = Field(default="created_at", description="Newest first, or by name.")
    institution_type_id: CatalogueId | None = None
    country: CountryCode | None = None
    region: Search | None = Field(default=None, description="Name, without case and accents.")
    city: Search | None = Field(default=None, description="Name, without case and accents.")
    is_verified: bool | None = None
    verification_status: VerificationStatus | None = None


class DoctorSummary(BaseModel):
    """A doctor as its institution lists it; `active_patients` counts its patients that are not deleted."""

    id: UUID
    first_name: str
    last_name: str
    medical_license: str
    years_experience: int | None
    consultation_fee: float | None
    is_active: bool
    professional_status: ProfessionalStatus
    specialty: str | None = Field(description="The specialty's name, again.")
    specialty_name: str | None
    contact_email: str | None
    contact_phone: str | None
    active_patients: int


class DoctorList(BaseModel):
    """An institution's doctors by last name."""

    doctors: list[DoctorSummary]
    next_cursor: str | None


class PatientSummary(BaseModel):
    """A patient as its institution lists it."""

    id: UUID
    first_name: str
    last_name: str
    date_of_birth: date
    contact_email: str | None
    contact_phone: str | None
    doctor_id: UUID | None
    doctor_name: str | None
    doctor_first_name: str | None
    doctor_last_name: str | None
    is_verified: bool
    validation_status: ValidationStatus
    health_score: int | None = Field(description="Life's Essential 8, 0-100; null without data.")
    risk_level: RiskLevel = Field(description="From the exact health score; `unknown` without one.")
    last_login: datetime | None
    last_activity: datetime = Field(description="The last login or the last change of the patient, whichever is later.")
    created_at: datetime


class PatientList(BaseModel):
    """An institution's patients, newest first."""

    patients: list[PatientSummary]
    next_cursor: str | None


class InstitutionType(BaseModel):
    """A type of institution."""

    id: int
    name: str


class InstitutionTypes(BaseModel):
    """Every type of institution."""

    items: list[InstitutionType]


class Country(BaseModel):
    """A country: ISO 3166-1 numeric `id`, alpha-2 `code`."""

    id: int
    name: str
    code: str


class Countries(BaseModel):
    """Every country, by name."""

    items: list[Country]


class Region(BaseModel):
    """A region: `code` is INEGI's key in Mexico and the postal abbreviation in the United States."""

    id: int
    name: str
    code: str
    country_id: int
    country: str = Field(description="ISO 3166-1 alpha-2.")


class Regions(BaseModel):
    """Regions, by country and name."""

    items: list[Region]


class Municipality(BaseModel):
    """A municipality; `id` is INEGI's key."""

    id: int
    name: str
    region_id: int


class Municipalities(BaseModel):
    """The municipalities of a region, by name."""

    items: list[Municipality]


async def list_institutions(res: ClientResources, query: InstitutionQuery) -> Page[Row]:
    """The institutions that match, newest first or by name."""
    keys = db.SORT_KEYS[query.sort]
    after = res.cursors.read("institutions", query, len(keys))
    rows = await db.list_institutions(res.reader_of(query), query.filters(), after, query.limit)
    return res.cursors.cut("institutions", query, rows, keys)


async def get_institution(res: ClientResources, institution_id: UUID) -> Row:
    """An institution. Raises InstitutionNotFound."""
    return await db.get_institution(res.db, institution_id)


async def create_institution(res: ClientResources, new: NewInstitution) -> Row:
    """Create an institution and its account: both appear at the commit, or neither.

    Raises UnknownReference, RegionNotInCountry, EmailTaken, LicenseTaken.
    """
    if (answer := await idempotency.find(res.db)) is not None:
        return answer
    institution_id = uuid4()
    # The account comes first and opens nothing until its institution exists; left alone, it is swept.
    await res.auth.create_user(new.contact_email.email_address, new.password, "institution", institution_id)
    columns = new.model_dump(exclude={"contact_email", "contact_phone", "address", "password"})
    async with res.db.transaction() as tx:
        await db.insert_institution(tx, {"id": institution_id, **columns})
        await contacts.insert_email(tx, "institution", institution_id, new.contact_email.email_address)
        await contacts.update_primary_phone(tx, "institution", institution_id, new.contact_phone)
        await db.update_address(tx, institution_id, _columns(new.address))
        institution = await db.get_institution(tx, institution_id)
        await idempotency.keep(tx, institution)
        return institution


async def update_institution(res: ClientResources, institution_id: UUID, update: InstitutionUpdate) -> Row:
    """Change any of an institution's fields.

    Raises InstitutionNotFound, UnknownReference, RegionNotInCountry, LicenseTaken.
    """
    changes = update.changes()
    own = {column: value for column, value in changes.items() if column not in ("contact_phone", "address")}
    async with res.db.transaction() as tx:
        await etag.guard(Institution, partial(_held_institution, tx, institution_id))
        await db.update_institution(tx, institution_id, own)
        if "contact_phone" in changes:
            await contacts.update_primary_phone(tx, "institution", institution_id, update.contact_phone)
        if "address" in changes:
            await db.update_address(tx, institution_id, _columns(update.address))
        return await db.get_institution(tx, institution_id)


async def delete_institution(res: ClientResources, institution_id: UUID) -> None:
    """Hide an institution, close its account and end its sessions. Raises InstitutionNotFound, InstitutionInUse."""
    async with res.db.transaction() as tx:
        await db.lock_institution(tx, institution_id)
        await etag.guard(Institution, partial(db.get_institution, tx, institution_id))
        await db.soft_delete_institution(tx, institution_id)
        # Before the commit: if Redis is away nothing is deleted, and a login that races finds the account closed.
        await res.sessions.end_all(institution_id)


async def restore_institution(res: ClientResources, caller: Caller, institution_id: UUID) -> Row:
    """Bring a deleted institution back, its login included; any other stays as it is. Raises InstitutionNotFound."""
    async with res.db.transaction() as tx:
        if await db.restore_institution(tx, institution_id):
            detail = {"institution_id": str(institution_id)}
            await audit.record(tx, audit.parameters(res.service, caller, "restore", "institution", detail=detail))
        return await db.get_institution(tx, institution_id)


async def list_doctors(res: ClientResources, caller: Caller, query: PageQuery) -> dict[str, Any]:
    """The calling institution's doctors by name."""
    after = res.cursors.read("doctors", query, 3)
    rows = await db.list_doctors(res.reader_of(query), caller.user_id, after, query.limit)
    page = res.cursors.cut("doctors", query, rows, ("last_key", "first_key", "id"))
    doctors = [{**row, "specialty": row["specialty_name"]} for row in page.items]
    return {"doctors": doctors, "next_cursor": page.next_cursor}


async def list_patients(res: ClientResources, caller: Caller, query: PageQuery) -> dict[str, Any]:
    """The calling institution's patients, newest first; recorded in the audit trail."""
    after = res.cursors.read("patients", query, 2)
    event = audit.parameters(res.service, caller, "read", "patient_list")
    rows = await db.list_patients(res.db, caller.user_id, after, query.limit, event)
    page = res.cursors.cut("patients", query, rows, ("created_at", "id"))
    return {"patients": page.items, "next_cursor": page.next_cursor}


async def list_institution_types(res: ClientResources) -> dict[str, Any]:
    """Every type of institution."""
    return {"items": await db.list_institution_types(res.reader)}


async def list_countries(res: ClientResources) -> dict[str, Any]:
    """Every country."""
    return {"items": await db.list_countries(res.reader)}


async def list_regions(res: ClientResources, country: str | None) -> dict[str, Any]:
    """The regions of a country, or of all."""
    return {"items": await db.list_regions(res.reader, country)}


async def list_municipalities(res: ClientResources, region_id: int) -> dict[str, Any]:
    """The municipalities of a region."""
    return {"items": await db.list_municipalities(res.reader, region_id)}


async def _held_institution(tx: Executor, institution_id: UUID) -> Row:
    await db.lock_institution(tx, institution_id)
    return await db.get_institution(tx, institution_id)


def _columns(address: NewAddress | None) -> dict[str, Any] | None:
    return address.model_dump() if address else None
