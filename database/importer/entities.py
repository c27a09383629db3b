"""Institutions, doctors and patients: from a row to an account, an entity and its contacts."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from psycopg2.extensions import cursor as Cursor  # noqa: N812 (it is a class)

from shared.contacts import INSERT_ADDRESS, INSERT_EMAIL, INSERT_PHONE

from .files import Row, RowError, Source

LONGEST_NAME = 100
LONGEST_LICENSE = 50
PHONE = re.compile(r"\+?[0-9 ()./x-]{5,29}")
UNITED_STATES = 840  # where Synthea's people live; a state of another country, by its name, overrides it
OLDEST_YEARS = 130
# The first part of an organisation's SOURCE_ID → institution_types.id; 2 (clinic) for any other.
INSTITUTION_TYPES = {"hospital": 1, "primary_care": 3, "urgent_care": 6, "longterm": 7}
CLINIC = 2
SEXES = {"F": "female", "M": "male", "O": "other", "U": "unknown", "FEMALE": "female", "MALE": "male"}

SELECT_REGIONS = "SELECT id, country_id, code, name FROM regions"
SELECT_SPECIALTIES = "SELECT id, name_en FROM doctor_specialties"
SELECT_SEXES = "SELECT id, code FROM sexes"

# The account of an orphan (its owner never appeared) may be there: then it gets its owner.
INSERT_ACCOUNT = """
    INSERT INTO users (id, email, user_type) VALUES (%(id)s, %(email)s, %(account_type)s) ON CONFLICT (id) DO NOTHING
"""

INSERT_INSTITUTION = """
    INSERT INTO medical_institutions (id, name, institution_type_id, license_number)
    VALUES (%(id)s, %(name)s, %(institution_type_id)s, %(license_number)s)
    ON CONFLICT (id) DO NOTHING RETURNING id
"""

INSERT_DOCTOR = """
    INSERT INTO doctors (id, institution_id, first_name, last_name, medical_license, specialty_id)
    VALUES (%(id)s, %(institution_id)s, %(first_name)s, %(last_name)s, %(medical_license)s, %(specialty_id)s)
    ON CONFLICT (id) DO NOTHING RETURNING id
"""

INSERT_PATIENT = """
    INSERT INTO patients (id, doctor_id, institution_id, first_name, last_name, date_of_birth, deceased_date, sex_id)
    VALUES (%(id)s, %(doctor_id)s, %(institution_id)s, %(first_name)s, %(last_name)s, %(date_of_birth)s,
            %(deceased_date)s, %(sex_id)s)
    ON CONFLICT (id) DO NOTHING RETURNING id
"""

INSERT_ENTITY = {"institution": INSERT_INSTITUTION, "doctor": INSERT_DOCTOR, "patient": INSERT_PATIENT}


@dataclass(frozen=True)
class Entity:
    """What becomes an account with its institution, doctor or patient. `columns` are those of its own table."""

    source: Source
    account_type: str
    id: UUID
    email: str
    columns: Mapping[str, Any]
    phone: str | None = None
    address: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Catalogues:
    """The ids that rows refer to by code or name; names in lower case."""

    regions: dict[str, tuple[int, int]]  # the name, or in the United States the code → (region, country)
    specialties: dict[str, UUID]
    sexes: dict[str, int]


def load_catalogues(cursor: Cursor) -> Catalogues:
    """Read the catalogues that entities refer to."""
    regions = {}
    cursor.execute(SELECT_REGIONS)
    for region_id, country_id, code, name in cursor:
        regions[name.lower()] = (region_id, country_id)
        if country_id == UNITED_STATES:
            regions[code.lower()] = (region_id, country_id)
    cursor.execute(SELECT_SPECIALTIES)
    specialties = {name.lower(): specialty_id for specialty_id, name in cursor}
    cursor.execute(SELECT_SEXES)
    return Catalogues(regions, specialties, {code: sex_id for sex_id, code in cursor})


def parse_institution(row: Row, catalogues: Catalogues) -> Entity:
    """An organisation. Raises RowError."""
    entity_id, name = row.id("ID"), row.text("NAME")
    source = row.find_text("SOURCE_ID", LONGEST_LICENSE)
    columns = {
        "name": name,
        "institution_type_id": INSTITUTION_TYPES.get((source or "").rpartition("-")[0], CLINIC),
        "license_number": source or str(entity_id),
    }
    email = email_for(entity_id, name, "institutions")
    return Entity(row.source, "institution", entity_id, email, columns, phone_of(row), address_of(row, catalogues))


def parse_doctor(row: Row, catalogues: Catalogues, institutions: set[UUID]) -> Entity:
    """A provider of one of the loaded `institutions`. Raises RowError."""
    entity_id, institution_id, name = row.id("ID"), row.id("ORGANIZATION"), row.text("NAME")
    if institution_id not in institutions:
        raise RowError("its ORGANIZATION is not loaded")
    first_name, _, last_name = name.rpartition(" ")
    if not first_name:
        raise RowError("NAME is not a first and a last name")
    if max(len(first_name), len(last_name)) > LONGEST_NAME:
        raise RowError(f"NAME has more than {LONGEST_NAME} characters in a part")
    columns = {
        "institution_id": institution_id,
        "first_name": first_name.strip(),
        "last_name": last_name,
        "medical_license": row.find_text("NPI", LONGEST_LICENSE) or str(entity_id),
        "specialty_id": row.optional("specialty", lambda: specialty_of(row, catalogues)),
    }
    return Entity(row.source, "doctor", entity_id, email_for(entity_id, name, "doctors"), columns, phone_of(row))


def parse_patient(row: Row, catalogues: Catalogues) -> Entity:
    """A patient, still without doctor and institution: other files tell them. Raises RowError."""
    entity_id = row.id("ID")
    first_name, last_name = row.text("FIRST", LONGEST_NAME), row.text("LAST", LONGEST_NAME)
    born, died, today = row.date("BIRTHDATE"), row.find_date("DEATHDATE"), datetime.now(UTC).date()
    if not date(today.year - OLDEST_YEARS, 1, 1) <= born <= today:
        raise RowError(f"BIRTHDATE lies in the future or more than {OLDEST_YEARS} years back")
    if died and not born <= died <= today:
        raise RowError("DEATHDATE lies in the future or before BIRTHDATE")
    columns = {
        **{"first_name": first_name, "last_name": last_name, "date_of_birth": born, "deceased_date": died},
        "sex_id": row.optional("sex", lambda: sex_of(row, catalogues)),
    }
    email = email_for(entity_id, f"{first_name} {last_name}", "patients")
    return Entity(row.source, "patient", entity_id, email, columns, phone_of(row), address_of(row, catalogues))


def specialty_of(row: Row, catalogues: Catalogues) -> UUID | None:
    """The specialty of a provider, by its English name."""
    name = row.find_text("SPECIALITY")
    if name and name.lower() not in catalogues.specialties:
        raise RowError("SPECIALITY is not in the catalogue")
    return catalogues.specialties[name.lower()] if name else None


def sex_of(row: Row, catalogues: Catalogues) -> int | None:
    """The administrative sex: Synthea's column is called GENDER."""
    code = row.find_text("GENDER")
    if code and code.upper() not in SEXES:
        raise RowError("GENDER is not F, M, O or U")
    return catalogues.sexes[SEXES[code.upper()]] if code else None


def phone_of(row: Row) -> str | None:
    """The phone number, or None with a remark."""

    def phone() -> str | None:
        number = row.find_text("PHONE")
        if number and not PHONE.fullmatch(number):
            raise RowError("PHONE is not a phone number")
        return number

    return row.optional("phone", phone)


def address_of(row: Row, catalogues: Catalogues) -> Mapping[str, Any] | None:
    """The columns of the address, or None with a remark; a state that the catalogue lacks leaves the country alone."""

    def address() -> Mapping[str, Any] | None:
        street, city = row.find_text("ADDRESS"), row.find_text("CITY")
        if not (street and city):
            return None
        state = (row.find_text("STATE") or "").lower()
        region_id, country_id = catalogues.regions.get(state, (None, UNITED_STATES))
        latitude, longitude = row.find_number("LAT"), row.find_number("LON")
        if (latitude and abs(latitude) > 90) or (longitude and abs(longitude) > 180):
            raise RowError("LAT or LON is not a place")
        postal_code = row.find_text("ZIP")
        if postal_code and re.fullmatch(r"[0-9]{9}", postal_code):
            postal_code = f"{postal_code[:5]}-{postal_code[5:]}"
        return {
            **{"street_address": street, "neighborhood": None, "city": city, "region_id": region_id},
            **{"country_id": country_id, "postal_code": postal_code, "latitude": latitude, "longitude": longitude},
        }

    return row.optional("address", address)


def email_for(entity_id: UUID, name: str, kind: str) -> str:
    """A made-up address that nobody can receive mail at: the files have none, and every account needs one."""
    plain = unicodedata.normalize("NFKD", name.lower()).encode("ascii", "ignore").decode()
    local_part = re.sub(r"[^a-z0-9]+", ".", plain)[:50].strip(".")
    return f"{local_part}.{entity_id.hex[:8]}@{kind}.example.com".lstrip(".")


def insert_entity(cursor: Cursor, entity: Entity) -> bool:
    """Insert an entity with its account and contacts; False when it was there before, then nothing changes.

    Raises psycopg2.IntegrityError: another entity has its licence, or its id is another kind of account's.
    """
    owner = {"id": entity.id, "email": entity.email, "account_type": entity.account_type}
    cursor.execute(INSERT_ACCOUNT, owner)
    cursor.execute(INSERT_ENTITY[entity.account_type], {"id": entity.id, **entity.columns})
    if cursor.fetchone() is None:
        return False
    private = entity.account_type == "patient"
    contact = {"entity_type": entity.account_type, "entity_id": entity.id}
    email_type = "personal" if private else "work"
    cursor.execute(INSERT_EMAIL, {**contact, "email_address": entity.email, "email_type": email_type})
    if entity.phone:
        phone_type = "mobile" if private else "work"
        cursor.execute(INSERT_PHONE, {**contact, "phone_number": entity.phone, "phone_type": phone_type})
    if entity.address:
        address_type = "home" if private else "work"
        cursor.execute(INSERT_ADDRESS, {**contact, **entity.address, "address_type": address_type})
    return True
