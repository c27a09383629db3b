"""Patients: the models, the rules and the use cases, from creation to restoring."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from shared import associations, audit, contacts, etag, idempotency
from shared.appointments import cancel_void
from shared.caller import Caller
from shared.dates import Day
from shared.errors import EmailTaken, Forbidden, PatientNotFound
from shared.pagination import Page, PageQuery
from shared.postgres import Executor, Row
from shared.record import HealthProfile, ValidationStatus
from shared.resources import ClientResources
from shared.schemas import ABSENT, Body, CatalogueId, ContactEmail, Update
from shared.search import HOW_FOUND
from shared.text import Name, Note, Password, Phone, Search

from . import db, indicators, scores, smoking
from .errors import AssociationRequired, BeforeBirth, BornAfterRecord, EmergencyContactIncomplete, PossibleDuplicate
from .scope import answered_before, reading, scope_of, writing


def today() -> date:
    """The day by which ages and bounds are reckoned: UTC's."""
    return datetime.now(UTC).date()


def _not_in_the_future(value: date) -> date:
    if value > today():
        sentences = {"es": "No puede estar en el futuro.", "en": "Cannot be in the future."}
        raise PydanticCustomError("in_the_future", "is in the future", sentences)
    return value


def _within_a_lifetime(value: date) -> date:
    if indicators.is_beyond_life(value, today()):
        years = indicators.LONGEST_LIFE_YEARS
        sentences = {"es": f"Fue hace más de {years} años.", "en": f"Was more than {years} years ago."}
        raise PydanticCustomError("too_long_ago", "is too long ago", sentences)
    return value


PastDay = Annotated[Day, AfterValidator(_not_in_the_future)]
DateOfBirth = Annotated[PastDay, AfterValidator(_within_a_lifetime)]


class NewHealthProfile(Body):
    """What is known at the creation of a patient; what is left out is null: unknown."""

    height_cm: float | None = Field(default=None, ge=30, le=272, description="Kept to 0.1 cm.")
    weight_kg: float | None = Field(default=None, ge=0.3, le=650, description="Kept to 0.01 kg.")
    blood_type_id: CatalogueId | None = None
    is_smoker: bool | None = None
    smoking_years: int | None = Field(default=None, ge=0, le=120)
    smoking_status: Literal["never", "former", "current", "nicotine_device"] | None = None
    quit_date: PastDay | None = None
    secondhand_smoke_home: bool | None = None
    consumes_alcohol: bool | None = None
    alcohol_frequency: Literal["never", "monthly", "weekly", "daily"] | None = None
    physical_activity_minutes_weekly: int | None = Field(default=None, ge=0, le=10_080)
    sleep_hours: float | None = Field(default=None, ge=0, le=24, description="A night, kept to 0.1 h.")
    diet_score: int | None = Field(default=None, ge=0, le=16, description="MEPA, 0-16.")
    takes_bp_medication: bool | None = None
    takes_lipid_medication: bool | None = None
    has_diabetes: bool | None = None
    notes: Note | None = None


class Patient(BaseModel):
    """A patient. `age` in whole years, today in UTC."""

    id: UUID
    doctor_id: UUID | None
    institution_id: UUID | None
    first_name: str
    last_name: str
    date_of_birth: date
    age: int
    sex_id: int | None
    gender_id: int | None
    emergency_contact_name: str | None
    emergency_contact_phone: str | None
    contact_email: str | None
    contact_phone: str | None
    is_active: bool
    is_verified: bool
    validation_status: ValidationStatus
    health_profile: HealthProfile | None
    created_at: datetime
    updated_at: datetime


class NewPatient(Body):
    """A patient to create, with the password of its account."""

    doctor_id: UUID | None = Field(default=None, description="A calling doctor's own id by default.")
    institution_id: UUID | None = Field(default=None, description="A calling institution's own id by default.")
    first_name: Name
    last_name: Name
    date_of_birth: DateOfBirth
    sex_id: CatalogueId | None = None
    gender_id: CatalogueId | None = None
    emergency_contact_name: Name | None = None
    emergency_contact_phone: Phone | None = None
    contact_email: ContactEmail
    contact_phone: Phone | None = None
    health_profile: NewHealthProfile | None = None
    password: Password


class PatientUpdate(Update):
    """Any subset of a patient's personal fields; whom it belongs to is for admins and its institution to change."""

    doctor_id: UUID | None = None
    institution_id: UUID | None = None
    first_name: Name = ABSENT
    last_name: Name = ABSENT
    date_of_birth: DateOfBirth = ABSENT
    sex_id: CatalogueId | None = None
    gender_id: CatalogueId | None = None
    emergency_contact_name: Name | None = None
    emergency_contact_phone: Phone | None = None
    contact_phone: Phone | None = None


class PatientQuery(PageQuery):
    """The filters of the patients' list; bounds are inclusive."""

    q: Search | None = Field(default=None, description="Words of a name or e-mail, " + HOW_FOUND)
    sort: Literal["created_at", "last_name"] = Field(default="created_at", description="Newest first, or by name.")
    doctor_id: UUID | None = None
    institution_id: UUID | None = None
    validation_status: ValidationStatus | None = None
    is_active: bool = Field(default=True, description="False: the deleted ones (admins only).")
    born_after: Day | None = None
    born_before: Day | None = None


async def list_patients(res: ClientResources, caller: Caller, query: PatientQuery) -> Page[Row]:
    """The patients that the caller may know: all for an admin, else its own; recorded in the audit trail."""
    keys = db.SORT_KEYS[query.sort]
    after = res.cursors.read("patients", query, len(keys))
    event = audit.parameters(res.service, caller, "read", "patient_list")
    rows = await db.list_patients(res.db, scope_of(caller), query.filters(), after, query.limit, event)
    return res.cursors.cut("patients", query, [with_age(row) for row in rows], keys)


async def get_patient(res: ClientResources, caller: Caller, patient_id: UUID) -> Row:
    """A patient that the caller may know; recorded in the audit trail. Raises PatientNotFound."""
    return with_age(found(await db.find_patient(res.db, patient_id, scope_of(caller), reading(res, caller, "patient"))))


async def create_patient(
    res: ClientResources, caller: Caller, new: NewPatient, *, allow_duplicate: bool = False
) -> Row:
    """Create a patient, its health profile, contacts and account: all appear at the commit, or nothing.

    Raises Forbidden (a doctor's patient is its own, an institution's belongs to it), AssociationRequired,
    DoctorNotInInstitution, EmergencyContactIncomplete, BeforeBirth, SmokingContradiction, UnknownReference, EmailTaken,
    PossibleDuplicate (unless allowed).
    """
    owners = owners_of(caller, new.doctor_id, new.institution_id)
    if (answer := await answered_before(res.db, res, caller, "patient")) is not None:
        return answer
    refuse_incomplete_contact(new.emergency_contact_name, new.emergency_contact_phone)
    profile = new_health_profile(new)
    patient_id, email = uuid4(), new.contact_email.email_address
    await _hold_owners(res.db, owners)  # what is plainly wrong is said before an account is made
    # The account comes first and opens nothing until its patient exists; left alone, it is swept.
    await res.auth.create_user(email, new.password, "patient", patient_id)
    columns = new.model_dump(exclude={"contact_email", "contact_phone", "health_profile", "password"}) | owners
    async with res.db.transaction() as tx:
        await _hold_owners(tx, owners)
        namesakes = [] if allow_duplicate else await _namesakes(tx, res, caller, new)
        if not namesakes:
            await db.insert_patient(tx, {"id": patient_id, **columns})
            await db.insert_health_profile(tx, patient_id, profile)
            await contacts.insert_email(tx, "patient", patient_id, email)
            await contacts.update_primary_phone(tx, "patient", patient_id, new.contact_phone)
            await scores.refresh(tx, patient_id)
            await audit.record(tx, writing(res, caller, "create", patient_id))
            patient = with_age(await db.get_patient(tx, patient_id))
            await idempotency.keep(tx, patient)
            return patient
    # After the commit, which keeps the record of whom the caller has been told of.
    raise PossibleDuplicate(namesakes)


async def update_patient(res: ClientResources, caller: Caller, patient_id: UUID, update: PatientUpdate) -> Row:
    """Change any of a patient's personal fields and, as an admin or its institution, whom it belongs to.

    Raises PatientNotFound, Forbidden, AssociationRequired, DoctorNotInInstitution, EmergencyContactIncomplete,
    UnknownReference, BornAfterRecord.
    """
    changes = update.changes()
    owners: dict[str, UUID | None] = {
        name: changes[name] for name in ("doctor_id", "institution_id") if name in changes
    }
    if owners and caller.user_type not in ("admin", "institution"):
        raise Forbidden
    own = {column: value for column, value in changes.items() if column != "contact_phone"}
    async with res.db.transaction() as tx:
        await _hold_owners(tx, owners)
        await etag.guard(Patient, partial(_held_patient, tx, caller, patient_id))
        if "date_of_birth" in changes:
            await _refuse_born_after_record(tx, caller, patient_id, changes["date_of_birth"])
        await db.update_patient(tx, patient_id, scope_of(caller), own)
        if "contact_phone" in changes:
            await contacts.update_primary_phone(tx, "patient", patient_id, changes["contact_phone"])
        if "date_of_birth" in changes:
            await scores.refresh(tx, patient_id)
        await audit.record(tx, writing(res, caller, "update", patient_id))
        if "doctor_id" in changes:
            await cancel_void(tx, res.service, caller, patient_id)
        return with_age(await db.get_patient(tx, patient_id))


async def delete_patient(res: ClientResources, caller: Caller, patient_id: UUID) -> None:
    """Hide a patient, cancel what it has ahead, close its account, end its sessions. Raises PatientNotFound."""
    async with res.db.transaction() as tx:
        await etag.guard(Patient, partial(_held_patient, tx, caller, patient_id))
        await db.soft_delete_patient(tx, patient_id, scope_of(caller))
        await audit.record(tx, writing(res, caller, "delete", patient_id))
        await cancel_void(tx, res.service, caller, patient_id)
        # Before the commit: if Redis is away nothing is deleted, and a login that races finds the account closed.
        await res.sessions.end_all(patient_id)


async def restore_patient(res: ClientResources, caller: Caller, patient_id: UUID) -> Row:
    """Bring a deleted patient back, its login included; any other stays as it is.

    Raises PatientNotFound, InstitutionDeleted.
    """
    async with res.db.transaction() as tx:
        if (institution_id := await db.get_institution_id(tx, patient_id)) is not None:
            await associations.hold_returning(tx, institution_id)
        restored = await db.restore_patient(tx, patient_id)
        await audit.record(tx, writing(res, caller, "restore" if restored else "read", patient_id))
        return with_age(await db.get_patient(tx, patient_id))


def owners_of(caller: Caller, doctor_id: UUID | None, institution_id: UUID | None) -> dict[str, UUID | None]:
    """Whom a new patient belongs to: the calling doctor or institution is one of them.

    Raises Forbidden for another's id in the caller's place, AssociationRequired for nobody at all.
    """
    owners = {"doctor_id": doctor_id, "institution_id": institution_id}
    place = f"{caller.user_type}_id"
    if place in owners:
        if owners[place] not in (None, caller.user_id):
            raise Forbidden
        owners[place] = caller.user_id
    if not any(owners.values()):
        raise AssociationRequired
    return owners


def refuse_incomplete_contact(name: str | None, phone: str | None) -> None:
    """Raise EmergencyContactIncomplete for a name without a phone or a phone without a name."""
    if (name is None) != (phone is None):
        raise EmergencyContactIncomplete


def new_health_profile(new: NewPatient) -> dict[str, Any]:
    """The columns of a new patient's health profile. Raises BeforeBirth, SmokingContradiction."""
    profile = (new.health_profile or NewHealthProfile()).model_dump()
    smoking.refuse_contradictions(profile, "health_profile.")
    refuse_before_birth(new.date_of_birth, profile, "health_profile.")
    return profile


def refuse_before_birth(date_of_birth: date, fields: Mapping[str, Any], path: str = "") -> None:
    """Raise BeforeBirth for the first date among the fields that lies before the birth; `path` is where they are."""
    for name, value in fields.items():
        if isinstance(value, date) and value < date_of_birth:
            raise BeforeBirth(path + name)


async def _namesakes(tx: Executor, res: ClientResources, caller: Caller, new: NewPatient) -> list[UUID]:
    person = new.model_dump(include={"first_name", "last_name", "date_of_birth"})
    found = await db.find_namesakes(tx, person, scope_of(caller), reading(res, caller, "possible_duplicate"))
    # The very same creation, sent twice at once: the e-mail is what can't be had twice, allowed or not.
    if found and await db.is_email_taken(tx, new.contact_email.email_address):
        raise EmailTaken
    return found


async def _held_patient(tx: Executor, caller: Caller, patient_id: UUID) -> Row:
    await db.hold_patient(tx, patient_id, scope_of(caller))
    return with_age(await db.get_patient(tx, patient_id))


async def _refuse_born_after_record(tx: Executor, caller: Caller, patient_id: UUID, date_of_birth: date) -> None:
    patient = await db.hold_patient(tx, patient_id, scope_of(caller))
    # An earlier birth is after nothing that the one before it was not.
    if date_of_birth > patient["date_of_birth"]:
        earliest = await db.find_earliest_day(tx, patient_id)
        if earliest is not None and earliest < date_of_birth:
            raise BornAfterRecord


async def _hold_owners(tx: Executor, owners: dict[str, UUID | None]) -> None:
    if (institution_id := owners.get("institution_id")) is not None:
        await associations.hold_institution(tx, institution_id)
    if (doctor_id := owners.get("doctor_id")) is not None:
        await associations.hold_doctor(tx, doctor_id)


def with_age(patient: Row) -> Row:
    """A patient's row with its `age` today."""
    return {**patient, "age": indicators.age(patient["date_of_birth"], today())}


def found(row: Row | None) -> Row:
    """A row that was asked for. Raises PatientNotFound where there is none."""
    if row is None:
        raise PatientNotFound
    return row
