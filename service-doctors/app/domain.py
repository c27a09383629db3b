"""Doctors and the patients they see: the models, the rules and the use cases."""

from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from pydantic import BaseModel, Field, WithJsonSchema

from shared import associations, audit, contacts, etag, idempotency
from shared.appointments import cancel_void
from shared.caller import Caller
from shared.errors import Forbidden, PatientNotFound
from shared.pagination import Page, PageQuery
from shared.postgres import Executor, Row
from shared.record import MedicalRecord, RiskLevel, ValidationStatus
from shared.resources import ClientResources
from shared.schemas import ABSENT, Body, ContactEmail, Update
from shared.search import HOW_FOUND
from shared.text import LicenseNumber, Name, Password, Phone, Search

from . import db
from .scope import scope_of
from .statuses import LicenseStatus, ProfessionalStatus

YearsExperience = Annotated[int, Field(ge=0, le=80, description="Whole years.")]
Fee = Annotated[
    Decimal,
    Field(ge=0, le=1_000_000, decimal_places=2),
    # Decimals stand for the cents; on the wire they are numbers.
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1_000_000, "multipleOf": 0.01}),
]


class Doctor(BaseModel):
    """A doctor."""

    id: UUID
    institution_id: UUID
    first_name: str
    last_name: str
    medical_license: str
    license_status: LicenseStatus
    specialty_id: UUID | None
    specialty_name: str | None
    years_experience: int | None
    consultation_fee: float | None
    is_active: bool
    professional_status: ProfessionalStatus
    contact_email: str | None
    contact_phone: str | None
    created_at: datetime
    updated_at: datetime


class NewDoctor(Body):
    """A doctor to create, with the password of its account."""

    institution_id: UUID
    first_name: Name
    last_name: Name
    medical_license: LicenseNumber
    specialty_id: UUID | None = None
    years_experience: YearsExperience | None = None
    consultation_fee: Fee | None = None
    contact_email: ContactEmail
    contact_phone: Phone | None = None
    password: Password


class DoctorUpdate(Update):
    """Any subset of a doctor's fields."""

    institution_id: UUID = ABSENT
    first_name: Name = ABSENT
    last_name: Name = ABSENT
    medical_license: LicenseNumber = ABSENT
    specialty_id: UUID | None = None
    years_experience: YearsExperience | None = None
    consultation_fee: Fee | None = None
    contact_phone: Phone | None = None


class DoctorQuery(PageQuery):
    """The filters of the doctors' list; bounds are inclusive."""

    q: Search | None = Field(default=None, description="Words of a name, e-mail or licence, " + HOW_FOUND)
    sort: Literal["created_at", "last_name"] = Field(default="created_at", description="Newest first, or by name.")
    specialty_id: UUID | None = None
    institution_id: UUID | None = None
    professional_status: ProfessionalStatus | None = None
    is_active: bool = Field(default=True, description="False: the deleted ones (admins only).")
    min_experience: int | None = Field(default=None, ge=0, le=80)
    max_fee: float | None = Field(default=None, ge=0, le=1_000_000, allow_inf_nan=False)


class Dashboard(BaseModel):
    """A doctor's figures. Today is that of its institution's time zone; cancelled appointments don't count."""

    total_patients: int
    today_appointments: int
    pending_reviews: int


class OwnProfile(BaseModel):
    """What a doctor sees of itself."""

    id: UUID
    first_name: str
    last_name: str
    email: str | None
    specialty_name: str | None
    specialty_id: UUID | None
    institution_name: str
    years_experience: int | None
    consultation_fee: float | None
    medical_license: str
    professional_status: ProfessionalStatus


class OwnProfileUpdate(Update):
    """What a doctor may change of itself."""

    specialty_id: UUID | None = None
    years_experience: YearsExperience | None = None
    consultation_fee: Fee | None = None


class Address(BaseModel):
    """Where an institution is."""

    street_address: str
    city: str
    region_name: str | None
    country_name: str | None
    postal_code: str | None


class Institution(BaseModel):
    """The institution that a doctor works at."""

    id: UUID
    name: str
    type: str
    license_number: str
    email: str | None
    phone: str | None
    website: str | None
    address: Address | None


class PatientSummary(BaseModel):
    """A patient as its doctor lists it."""

    id: UUID
    first_name: str
    last_name: str
    date_of_birth: date
    contact_email: str | None
    contact_phone: str | None
    last_login: datetime | None
    validation_status: ValidationStatus
    health_score: int | None = Field(description="Life's Essential 8, 0-100; null without data.")
    risk_level: RiskLevel = Field(description="From the exact health score; `unknown` without one.")


class PatientQuery(PageQuery):
    """The filters of a doctor's patients."""

    q: Search | None = Field(default=None, description="Words of a name or e-mail, " + HOW_FOUND)
    validation_status: ValidationStatus | None = None


class PatientList(BaseModel):
    """A doctor's patients by last name; `patient_count` counts all that match, on every page."""

    patient_count: int
    patients: list[PatientSummary]
    next_cursor: str | None


class PatientRecord(MedicalRecord):
    """The record of a patient, and whose it is."""

    patient_info: PatientSummary


class Specialty(BaseModel):
    """A medical specialty."""

    id: UUID
    name: str
    category: str


class Specialties(BaseModel):
    """Every specialty, by category."""

    items: list[Specialty]


async def list_doctors(res: ClientResources, caller: Caller, query: DoctorQuery) -> Page[Row]:
    """The doctors that the caller may know: all for an admin, else those of its institution."""
    keys = db.SORT_KEYS[query.sort]
    after = res.cursors.read("doctors", query, len(keys))
    rows = await db.list_doctors(res.reader_of(query), scope_of(caller), query.filters(), after, query.limit)
    return res.cursors.cut("doctors", query, rows, keys)


async def get_doctor(res: ClientResources, caller: Caller, doctor_id: UUID) -> Row:
    """A doctor: any for an admin, its own for an institution, itself for a doctor. Raises DoctorNotFound."""
    return await db.get_doctor(res.db, doctor_id, scope_of(caller))


async def create_doctor(res: ClientResources, caller: Caller, new: NewDoctor) -> Row:
    """Create a doctor and its account: both appear at the commit, or neither.

    Raises Forbidden (an institution creates its own doctors only), UnknownReference, EmailTaken, LicenseTaken.
    """
    _refuse_other_institution(caller, new.institution_id)
    if (answer := await idempotency.find(res.db)) is not None:
        return answer
    doctor_id = uuid4()
    await associations.hold_institution(res.db, new.institution_id)  # a plain mistake is told before an account is made
    # The account comes first and opens nothing until its doctor exists; left alone, it is swept.
    await res.auth.create_user(new.contact_email.email_address, new.password, "doctor", doctor_id)
    columns = new.model_dump(exclude={"contact_email", "contact_phone", "password"})
    async with res.db.transaction() as tx:
        await associations.hold_institution(tx, new.institution_id)
        await db.insert_doctor(tx, {"id": doctor_id, **columns})
        await contacts.insert_email(tx, "doctor", doctor_id, new.contact_email.email_address)
        await contacts.update_primary_phone(tx, "doctor", doctor_id, new.contact_phone)
        doctor = await db.get_doctor(tx, doctor_id, scope_of(caller))
        await idempotency.keep(tx, doctor)
        return doctor


async def update_doctor(res: ClientResources, caller: Caller, doctor_id: UUID, update: DoctorUpdate) -> Row:
    """Change any of a doctor's fields.

    Raises DoctorNotFound, Forbidden, UnknownReference, LicenseTaken, DoctorHasPatients.
    """
    changes = update.changes()
    async with res.db.transaction() as tx:
        if "institution_id" in changes:
            _refuse_other_institution(caller, changes["institution_id"])
            await associations.hold_institution(tx, changes["institution_id"])
        own = {column: value for column, value in changes.items() if column != "contact_phone"}
        await etag.guard(Doctor, partial(_held_doctor, tx, caller, doctor_id))
        await db.update_doctor(tx, doctor_id, scope_of(caller), own)
        if "contact_phone" in changes:
            await contacts.update_primary_phone(tx, "doctor", doctor_id, changes["contact_phone"])
        return await db.get_doctor(tx, doctor_id, scope_of(caller))


async def delete_doctor(res: ClientResources, caller: Caller, doctor_id: UUID) -> None:
    """Hide a doctor, cancel what it has ahead, close its account, end its sessions. Raises DoctorNotFound."""
    async with res.db.transaction() as tx:
        await etag.guard(Doctor, partial(_held_doctor, tx, caller, doctor_id))
        await db.soft_delete_doctor(tx, doctor_id, scope_of(caller))
        await cancel_void(tx, res.service, caller, doctor_id)
        # Before the commit: if Redis is away nothing is deleted, and a login that races finds the account closed.
        await res.sessions.end_all(doctor_id)


async def restore_doctor(res: ClientResources, caller: Caller, doctor_id: UUID) -> Row:
    """Bring a deleted doctor back, its login included; any other stays as it is.

    Raises DoctorNotFound, InstitutionDeleted.
    """
    async with res.db.transaction() as tx:
        await associations.hold_returning(tx, await db.get_institution_id(tx, doctor_id))
        if await db.restore_doctor(tx, doctor_id):
            detail = {"doctor_id": str(doctor_id)}
            await audit.record(tx, audit.parameters(res.service, caller, "restore", "doctor", detail=detail))
        return await db.get_doctor(tx, doctor_id, scope_of(caller))


async def get_dashboard(res: ClientResources, caller: Caller) -> Row:
    """The figures of the calling doctor."""
    return await db.count_dashboard(res.db, caller.user_id, datetime.now(UTC))


async def get_own_profile(res: ClientResources, caller: Caller) -> Row:
    """What the calling doctor sees of itself."""
    return _own_profile(await db.get_doctor(res.db, caller.user_id, scope_of(caller)))


async def update_own_profile(res: ClientResources, caller: Caller, update: OwnProfileUpdate) -> Row:
    """Change what a doctor may change of itself. Raises UnknownReference."""
    changes = update.changes()
    async with res.db.transaction() as tx:
        await etag.guard(OwnProfile, partial(_held_own_profile, tx, caller))
        await db.update_doctor(tx, caller.user_id, scope_of(caller), changes)
        return _own_profile(await db.get_doctor(tx, caller.user_id, scope_of(caller)))


async def get_institution(res: ClientResources, caller: Caller) -> Row:
    """The institution that the calling doctor works at."""
    return await db.get_institution(res.db, caller.user_id)


async def list_patients(res: ClientResources, caller: Caller, query: PatientQuery) -> dict[str, Any]:
    """The calling doctor's patients by name; recorded in the audit trail."""
    after, filters = res.cursors.read("patients", query, 3), query.filters()
    event = audit.parameters(res.service, caller, "read", "patient_list")
    rows, count = await db.list_patients(res.db, caller.user_id, filters, after, query.limit, event)
    page = res.cursors.cut("patients", query, rows, ("last_name_key", "first_name_key", "id"))
    return {"patient_count": count, "patients": page.items, "next_cursor": page.next_cursor}


async def get_medical_record(res: ClientResources, caller: Caller, patient_id: UUID) -> Row:
    """The record of one of the calling doctor's patients; recorded in the audit trail. Raises PatientNotFound."""
    event = audit.parameters(res.service, caller, "read", "medical_record")
    row = await db.find_medical_record(res.db, caller.user_id, patient_id, event)
    if row is None:
        raise PatientNotFound
    return {**row, "patient_info": row}


async def list_specialties(res: ClientResources) -> dict[str, Any]:
    """Every specialty."""
    return {"items": await db.list_specialties(res.reader)}


def _refuse_other_institution(caller: Caller, institution_id: UUID) -> None:
    if not caller.is_admin and institution_id != caller.user_id:
        raise Forbidden


async def _held_doctor(tx: Executor, caller: Caller, doctor_id: UUID) -> Row:
    await db.hold_doctor(tx, doctor_id, scope_of(caller))
    return await db.get_doctor(tx, doctor_id, scope_of(caller))


async def _held_own_profile(tx: Executor, caller: Caller) -> Row:
    return _own_profile(await _held_doctor(tx, caller, caller.user_id))


def _own_profile(doctor: Row) -> Row:
    return {**doctor, "email": doctor["contact_email"]}
