"""Adding and removing a patient's e-mails, phones and addresses; of each kind that has any, exactly one is primary.

They are ways to reach the patient: the e-mail of its account, the login, stays what it is.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from shared import audit, etag, idempotency
from shared.caller import Caller
from shared.postgres import Row
from shared.resources import ClientResources
from shared.schemas import Body, CatalogueId
from shared.text import Email, Phone, PostalCode, Text

from . import contacts_db, db
from .contacts_db import Kind
from .errors import LastEmail
from .scope import answered_before, scope_of, writing


class EmailContact(BaseModel):
    """An e-mail of the patient."""

    id: UUID
    email_address: str
    email_type: str
    is_primary: bool
    is_verified: bool


class PhoneContact(BaseModel):
    """A phone of the patient."""

    id: UUID
    phone_number: str
    phone_type: str
    is_primary: bool
    is_verified: bool


class AddressContact(BaseModel):
    """An address of the patient."""

    id: UUID
    street_address: str
    neighborhood: str | None
    city: str
    postal_code: str | None
    address_type: str
    is_primary: bool
    is_verified: bool
    region_id: int | None
    region_name: str | None
    country_id: int | None
    country_name: str | None


class NewContact(Body):
    """A contact to add. The first of its kind is primary whatever it says."""

    is_primary: bool = Field(default=False, description="True: in the place of the present primary one.")


class NewEmail(NewContact):
    """An e-mail to add."""

    email_address: Email
    email_type: Literal["personal", "work", "other"] = "personal"


class NewPhone(NewContact):
    """A phone to add."""

    phone_number: Phone
    phone_type: Literal["mobile", "home", "work", "other"] = "mobile"


class NewAddress(NewContact):
    """An address to add. The region lies in the country; with the region alone, the country is the region's."""

    street_address: Text
    neighborhood: Text | None = None
    city: Text
    region_id: CatalogueId | None = None
    country_id: CatalogueId | None = None
    postal_code: PostalCode | None = None
    address_type: Literal["home", "work", "other"] = "home"


_MODELS: Mapping[Kind, type[BaseModel]] = {
    contacts_db.EMAILS: EmailContact,
    contacts_db.PHONES: PhoneContact,
    contacts_db.ADDRESSES: AddressContact,
}


async def add_email(res: ClientResources, caller: Caller, patient_id: UUID, new: NewEmail) -> Row:
    """Add an e-mail. Raises PatientNotFound, AlreadyRecorded."""
    return await _add(res, caller, contacts_db.EMAILS, patient_id, new)


async def add_phone(res: ClientResources, caller: Caller, patient_id: UUID, new: NewPhone) -> Row:
    """Add a phone. Raises PatientNotFound, AlreadyRecorded."""
    return await _add(res, caller, contacts_db.PHONES, patient_id, new)


async def add_address(res: ClientResources, caller: Caller, patient_id: UUID, new: NewAddress) -> Row:
    """Add an address. Raises PatientNotFound, UnknownReference, RegionNotInCountry."""
    if new.region_id is not None and new.country_id is None:
        new = new.model_copy(update={"country_id": await contacts_db.country_of(res.db, new.region_id)})
    return await _add(res, caller, contacts_db.ADDRESSES, patient_id, new)


async def delete_email(res: ClientResources, caller: Caller, patient_id: UUID, contact_id: UUID) -> None:
    """Remove an e-mail; a primary one is followed by the oldest. Raises PatientNotFound, ContactNotFound, LastEmail."""
    await _delete(res, caller, contacts_db.EMAILS, patient_id, contact_id)


async def delete_phone(res: ClientResources, caller: Caller, patient_id: UUID, contact_id: UUID) -> None:
    """Remove a phone; a primary one is followed by the oldest. Raises PatientNotFound, ContactNotFound."""
    await _delete(res, caller, contacts_db.PHONES, patient_id, contact_id)


async def delete_address(res: ClientResources, caller: Caller, patient_id: UUID, contact_id: UUID) -> None:
    """Remove an address; a primary one is followed by the oldest. Raises PatientNotFound, ContactNotFound."""
    await _delete(res, caller, contacts_db.ADDRESSES, patient_id, contact_id)


async def _add(res: ClientResources, caller: Caller, kind: Kind, patient_id: UUID, new: NewContact) -> Row:
    fields: dict[str, Any] = new.model_dump(exclude={"is_primary"})
    async with res.db.transaction() as tx:
        await db.hold_patient(tx, patient_id, scope_of(caller))
        if (answer := await answered_before(tx, res, caller, kind.name, patient_id)) is not None:
            return answer
        if new.is_primary:
            await contacts_db.demote_primary(tx, kind, patient_id)
        contact = await contacts_db.insert_contact(tx, kind, patient_id, fields)
        await audit.record(tx, writing(res, caller, "create", patient_id, kind.name, id=str(contact["id"])))
        await idempotency.keep(tx, contact)
        return contact


async def _delete(res: ClientResources, caller: Caller, kind: Kind, patient_id: UUID, contact_id: UUID) -> None:
    async with res.db.transaction() as tx:
        await db.hold_patient(tx, patient_id, scope_of(caller))
        await etag.guard(_MODELS[kind], partial(contacts_db.get_contact, tx, kind, patient_id, contact_id))
        if await contacts_db.delete_contact(tx, kind, patient_id, contact_id):
            others = await contacts_db.promote_oldest(tx, kind, patient_id)
            if kind is contacts_db.EMAILS and not others:
                raise LastEmail
        await audit.record(tx, writing(res, caller, "delete", patient_id, kind.name, id=str(contact_id)))
