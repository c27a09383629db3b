"""Each statement of the institutions' service on the real server."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from institutions_app import db
from institutions_app.errors import InstitutionInUse, InstitutionNotFound
from psycopg2.extras import RealDictCursor

from shared import associations, audit, contacts
from shared.caller import Caller
from shared.errors import DatabaseUnavailable, EmailTaken, LicenseTaken, RegionNotInCountry, UnknownReference
from shared.postgres import Database
from tests.support import unique

pytestmark = pytest.mark.anyio

MEXICO, UNITED_STATES, JALISCO = 484, 840, 14
FIRST, FIRST_BY_NAME = [None, None], [None, None, None]
NO_FILTERS = dict.fromkeys(
    ["q", "institution_type_id", "country", "region", "city", "is_verified", "verification_status"]
) | {"sort": "created_at"}
ADDRESS = {
    "street_address": "Av. Juárez 1",
    "neighborhood": "Centro",
    "city": "Guadalajara",
    "region_id": JALISCO,
    "country_id": None,
    "postal_code": "44100",
    "latitude": 20.6767,
    "longitude": -103.3475,
}


def new_account(owner: RealDictCursor, user_type: str, email: str | None = None) -> UUID:
    """An account, as the auth service leaves it for the entity to come."""
    account_id = uuid4()
    owner.execute(
        "INSERT INTO users (id, email, user_type) VALUES (%s, %s, %s)",
        (account_id, email or f"{unique('cuenta')}@example.com", user_type),
    )
    return account_id


async def new_institution(database: Database, owner: RealDictCursor, **fields: Any) -> UUID:
    institution_id = new_account(owner, "institution")
    columns = {"name": unique("Clínica"), "institution_type_id": 2, "license_number": unique("INS"), "website": None}
    await db.insert_institution(database, {"id": institution_id, **columns, **fields})
    return institution_id


def new_doctor(owner: RealDictCursor, institution_id: UUID, first_name: str = "Ana", last_name: str = "López") -> UUID:
    doctor_id = new_account(owner, "doctor")
    owner.execute(
        "INSERT INTO doctors (id, institution_id, first_name, last_name, medical_license) VALUES (%s, %s, %s, %s, %s)",
        (doctor_id, institution_id, first_name, last_name, unique("MED")),
    )
    return doctor_id


def new_patient(owner: RealDictCursor, institution_id: UUID | None, doctor_id: UUID | None = None) -> UUID:
    patient_id = new_account(owner, "patient")
    owner.execute(
        "INSERT INTO patients (id, institution_id, doctor_id, first_name, last_name, date_of_birth)"
        " VALUES (%s, %s, %s, 'José', 'Núñez', '1980-05-17')",
        (patient_id, institution_id, doctor_id),
    )
    return patient_id


def delete(owner: RealDictCursor, table: str, entity_id: UUID) -> None:
    owner.execute(f"UPDATE {table} SET deleted_at = now() WHERE id = %s", (entity_id,))


def event(institution_id: UUID, **fields: Any) -> dict[str, Any]:
    caller = Caller("institution", institution_id)
    return audit.parameters("service-institutions", caller, "read", "patient_list", **fields)


async def ids_of(database: Database, **filters: Any) -> list[UUID]:
    rows = await db.list_institutions(database, NO_FILTERS | filters, FIRST, 50)
    return [row["id"] for row in rows]


async def test_an_institution_reads_back_with_its_type_contacts_and_address(
    database: Database, owner: RealDictCursor
) -> None:
    institution_id = await new_institution(database, owner, name="Sanatorio Ñandú", website="https://ñandú.mx")
    await contacts.insert_email(database, "institution", institution_id, "hola@example.com")
    await contacts.update_primary_phone(database, "institution", institution_id, "33 1234 5678")
    await db.update_address(database, institution_id, ADDRESS)
    row = await db.get_institution(database, institution_id)
    assert row["institution_type_name"] == "Clínica"
    assert (row["website"], row["is_active"], row["is_verified"]) == ("https://ñandú.mx", True, False)
    assert row["verification_status"] == "pending"
    assert (row["contact_email"], row["contact_phone"]) == ("hola@example.com", "33 1234 5678")
    expected = ADDRESS | {"region_name": "Jalisco", "country_id": MEXICO, "country_name": "México"}
    assert row["address"] == expected  # the country is the region's


async def test_an_unknown_institution_is_not_found(database: Database) -> None:
    with pytest.raises(InstitutionNotFound):
        await db.get_institution(database, uuid4())


async def test_a_licence_is_unique_without_case_spaces_and_hyphens(database: Database, owner: RealDictCursor) -> None:
    licence = unique("ins")
    await new_institution(database, owner, license_number=licence)
    with pytest.raises(LicenseTaken):
        await new_institution(database, owner, license_number=licence.upper().replace("-", " "))


async def test_an_email_is_claimed_when_the_institution_appears(database: Database, owner: RealDictCursor) -> None:
    email = f"{unique('clinica')}@example.com"
    first, second = new_account(owner, "institution", email), new_account(owner, "institution", email.upper())
    columns = {"name": "Sur", "institution_type_id": 1, "website": None}
    await db.insert_institution(database, {"id": first, "license_number": unique("INS"), **columns})
    with pytest.raises(EmailTaken):
        await db.insert_institution(database, {"id": second, "license_number": unique("INS"), **columns})


async def test_an_unknown_type_is_named(database: Database, owner: RealDictCursor) -> None:
    with pytest.raises(UnknownReference) as caught:
        await new_institution(database, owner, institution_type_id=999)
    assert caught.value.errors[0].field == "institution_type_id"


@pytest.mark.parametrize(
    ("places", "error", "field"),
    [
        ({"region_id": 99_999}, UnknownReference, "address.region_id"),
        ({"region_id": None, "country_id": 99_999}, UnknownReference, "address.country_id"),
        ({"country_id": 99_999}, UnknownReference, "address.country_id"),
        ({"country_id": UNITED_STATES}, RegionNotInCountry, "address.region_id"),
    ],
)
async def test_an_address_lies_in_places_that_exist_and_belong_together(
    database: Database, owner: RealDictCursor, places: dict[str, Any], error: type[Exception], field: str
) -> None:
    institution_id = await new_institution(database, owner)
    with pytest.raises(error) as caught:
        await db.update_address(database, institution_id, ADDRESS | places)
    assert getattr(caught.value, "errors")[0].field == field  # noqa: B009 (two classes)


async def test_an_address_takes_the_place_of_the_one_before_and_none_clears_it(
    database: Database, owner: RealDictCursor
) -> None:
    institution_id = await new_institution(database, owner)
    await db.update_address(database, institution_id, ADDRESS)
    await db.update_address(database, institution_id, ADDRESS | {"city": "Zapopan", "neighborhood": None})
    address = (await db.get_institution(database, institution_id))["address"]
    assert (address["city"], address["neighborhood"]) == ("Zapopan", None)
    await db.update_address(database, institution_id, None)
    assert (await db.get_institution(database, institution_id))["address"] is None


async def test_an_update_changes_what_it_names_and_tells_when(database: Database, owner: RealDictCursor) -> None:
    institution_id = await new_institution(database, owner, website="https://antes.mx")
    before = await db.get_institution(database, institution_id)
    await db.update_institution(database, institution_id, {"name": "Norte"})
    after = await db.get_institution(database, institution_id)
    assert after == before | {"name": "Norte", "name_key": "norte", "updated_at": after["updated_at"]}
    assert after["updated_at"] > before["updated_at"]


async def test_an_update_of_contacts_alone_touches_the_institution_too(
    database: Database, owner: RealDictCursor
) -> None:
    institution_id = await new_institution(database, owner)
    before = await db.get_institution(database, institution_id)
    await db.update_institution(database, institution_id, {})
    assert (await db.get_institution(database, institution_id))["updated_at"] > before["updated_at"]


async def test_an_update_names_a_taken_licence_an_unknown_type_and_a_missing_institution(
    database: Database, owner: RealDictCursor
) -> None:
    licence = unique("INS")
    await new_institution(database, owner, license_number=licence)
    institution_id = await new_institution(database, owner)
    with pytest.raises(LicenseTaken):
        await db.update_institution(database, institution_id, {"license_number": licence.lower()})
    with pytest.raises(UnknownReference):
        await db.update_institution(database, institution_id, {"institution_type_id": 999})
    delete(owner, "medical_institutions", institution_id)
    with pytest.raises(InstitutionNotFound):
        await db.update_institution(database, institution_id, {"name": "Norte"})


async def test_each_filter_narrows_the_list(database: Database, owner: RealDictCursor) -> None:
    word = unique("Ángel")
    here = await new_institution(database, owner, name=f"{word} aquí", institution_type_id=1)
    there = await new_institution(database, owner, name=f"{word} allá", institution_type_id=2)
    await db.update_address(database, here, ADDRESS)
    abroad = {"region_id": None, "country_id": UNITED_STATES, "city": "Mérida"}
    await db.update_address(database, there, ADDRESS | abroad)
    owner.execute("UPDATE medical_institutions SET verification_status = 'verified' WHERE id = %s", (here,))
    assert await ids_of(database, q=word.replace("Á", "a")) == [there, here]  # newest first
    assert await ids_of(database, q=word, institution_type_id=1) == [here]
    assert await ids_of(database, q=word, country="MX") == [here]
    assert await ids_of(database, q=word, country="US") == [there]
    assert await ids_of(database, q=word, region="JALISCO") == [here]
    assert await ids_of(database, q=word, region="Jalis") == []
    assert await ids_of(database, q=word, city="merida") == [there]
    assert await ids_of(database, q=word, is_verified=True) == [here]
    assert await ids_of(database, q=word, is_verified=False) == [there]
    assert await ids_of(database, q=word, verification_status="verified") == [here]
    assert await ids_of(database, q=word, verification_status="rejected") == []


async def test_a_search_finds_licences_and_emails_and_takes_wildcards_literally(
    database: Database, owner: RealDictCursor
) -> None:
    licence = unique("LIC%")
    institution_id = await new_institution(database, owner, license_number=licence)
    address = f"{unique('Correo')}@example.com"
    await contacts.insert_email(database, "institution", institution_id, address)
    assert await ids_of(database, q=licence.lower()) == [institution_id]
    assert await ids_of(database, q=address.upper()) == [institution_id]
    assert await ids_of(database, q=licence.replace("%", "_")) == []


async def test_a_page_begins_after_its_position_and_reads_one_row_more(
    database: Database, owner: RealDictCursor
) -> None:
    word = unique("Página")
    made = [await new_institution(database, owner, name=f"{word} {number}") for number in range(4)]
    filters = NO_FILTERS | {"q": word}
    first = await db.list_institutions(database, filters, FIRST, 2)
    assert [row["id"] for row in first] == made[:0:-1]
    after = [str(first[1]["created_at"]), str(first[1]["id"])]
    second = await db.list_institutions(database, filters, after, 2)
    assert [row["id"] for row in second] == [made[1], made[0]]


async def test_rows_of_the_same_instant_are_each_listed_once(database: Database, owner: RealDictCursor) -> None:
    word = unique("Instante")
    made = [await new_institution(database, owner, name=f"{word} {number}") for number in range(3)]
    owner.execute("UPDATE medical_institutions SET created_at = '2020-02-02' WHERE id = ANY(%s::uuid[])", (made,))
    seen, after = [], FIRST
    for _ in made:
        row = (await db.list_institutions(database, NO_FILTERS | {"q": word}, after, 1))[0]
        seen.append(row["id"])
        after = [str(row["created_at"]), str(row["id"])]
    assert seen == sorted(made, reverse=True)


async def test_a_deleted_institution_is_neither_found_nor_listed(database: Database, owner: RealDictCursor) -> None:
    word = unique("Cerrada")
    institution_id = await new_institution(database, owner, name=word)
    async with database.transaction() as tx:
        await db.lock_institution(tx, institution_id)
        await db.soft_delete_institution(tx, institution_id)
    assert await ids_of(database, q=word) == []
    for read in (db.get_institution, db.lock_institution):
        with pytest.raises(InstitutionNotFound):
            await read(database, institution_id)


@pytest.mark.parametrize("kind", ["doctor", "suspended doctor", "patient"])
async def test_an_institution_in_use_stays_until_its_people_are_gone(
    database: Database, owner: RealDictCursor, kind: str
) -> None:
    institution_id = await new_institution(database, owner)
    table = "patients" if kind == "patient" else "doctors"
    person = (new_patient if kind == "patient" else new_doctor)(owner, institution_id)
    if kind == "suspended doctor":
        owner.execute("UPDATE doctors SET professional_status = 'suspended' WHERE id = %s", (person,))
    with pytest.raises(InstitutionInUse):
        await db.soft_delete_institution(database, institution_id)
    delete(owner, table, person)
    await db.soft_delete_institution(database, institution_id)


async def until_somebody_waits_for_an_institution(owner: RealDictCursor) -> None:
    waiting = "wait_event_type = 'Lock' AND datname = current_database() AND query LIKE '%medical_institutions%'"
    found = False
    async with asyncio.timeout(5):
        while not found:
            owner.execute("SELECT count(*) AS count FROM pg_stat_activity WHERE " + waiting)
            found = owner.fetchall()[0]["count"] > 0
            await asyncio.sleep(0)  # lets the one who is to wait get there


async def test_a_deletion_waits_for_a_doctor_who_is_being_added_and_then_sees_it(
    database: Database, owner: RealDictCursor
) -> None:
    institution_id = await new_institution(database, owner)
    doctor_id = new_account(owner, "doctor")

    async def delete_institution() -> None:
        async with database.transaction() as tx:
            await db.lock_institution(tx, institution_id)
            await db.soft_delete_institution(tx, institution_id)

    async with database.transaction() as tx:
        await associations.hold_institution(tx, institution_id)
        deletion = asyncio.create_task(delete_institution())
        await until_somebody_waits_for_an_institution(owner)
        await tx.execute(
            "INSERT INTO doctors (id, institution_id, first_name, last_name, medical_license)"
            " VALUES (%(id)s, %(institution_id)s, 'Ana', 'López', %(license)s)",
            {"id": doctor_id, "institution_id": institution_id, "license": unique("MED")},
        )
    with pytest.raises(InstitutionInUse):
        await deletion


async def test_who_is_added_while_the_institution_is_being_deleted_finds_none(
    database: Database, owner: RealDictCursor
) -> None:
    institution_id = await new_institution(database, owner)
    async with database.transaction() as tx:
        await db.lock_institution(tx, institution_id)
        addition = asyncio.create_task(associations.hold_institution(database, institution_id))
        await until_somebody_waits_for_an_institution(owner)
        await db.soft_delete_institution(tx, institution_id)
    with pytest.raises(UnknownReference):
        await addition


async def test_doctors_are_listed_by_name_without_accents_each_once(database: Database, owner: RealDictCursor) -> None:
    institution_id, other = await new_institution(database, owner), await new_institution(database, owner)
    names = [("Zoe", "Álvarez"), ("Eva", "alvarez"), ("Luis", "Zúñiga"), ("Ana", "Núñez"), ("Ana", "Nunez")]
    made = {new_doctor(owner, institution_id, *name): name for name in names}
    gone = new_doctor(owner, institution_id)
    delete(owner, "doctors", gone)
    new_doctor(owner, other)
    seen, after = [], FIRST_BY_NAME
    for _ in names:
        row = (await db.list_doctors(database, institution_id, after, 1))[0]
        seen.append(made[row["id"]])
        after = [row["last_key"], row["first_key"], str(row["id"])]
    assert await db.list_doctors(database, institution_id, after, 1) == []
    assert seen[:2] == [("Eva", "alvarez"), ("Zoe", "Álvarez")]
    assert set(seen[2:4]) == {("Ana", "Núñez"), ("Ana", "Nunez")}
    assert seen[4:] == [("Luis", "Zúñiga")]


async def test_active_patients_of_a_doctor_are_those_not_deleted(database: Database, owner: RealDictCursor) -> None:
    institution_id = await new_institution(database, owner)
    doctor_id = new_doctor(owner, institution_id)
    gone, _, _ = (new_patient(owner, place, doctor_id) for place in (institution_id, institution_id, None))
    delete(owner, "patients", gone)
    (row,) = await db.list_doctors(database, institution_id, FIRST_BY_NAME, 50)
    assert row["active_patients"] == 2


async def test_patients_are_listed_newest_first_with_their_doctor(database: Database, owner: RealDictCursor) -> None:
    institution_id = await new_institution(database, owner)
    doctor_id = new_doctor(owner, institution_id)
    with_doctor, without = new_patient(owner, institution_id, doctor_id), new_patient(owner, institution_id)
    delete(owner, "patients", new_patient(owner, institution_id))
    new_patient(owner, None, doctor_id)  # the doctor's own, not the institution's
    rows = await db.list_patients(database, institution_id, FIRST, 50, event(institution_id))
    assert [row["id"] for row in rows] == [without, with_doctor]
    assert (rows[1]["doctor_id"], rows[1]["doctor_name"]) == (doctor_id, "Ana López")
    assert (rows[1]["doctor_first_name"], rows[1]["doctor_last_name"]) == ("Ana", "López")
    assert (rows[0]["doctor_id"], rows[0]["doctor_name"]) == (None, None)
    after = [str(rows[0]["created_at"]), str(rows[0]["id"])]
    assert [r["id"] for r in await db.list_patients(database, institution_id, after, 50, event(institution_id))] == [
        with_doctor
    ]


async def test_a_deleted_doctor_is_no_patients_doctor_any_more(database: Database, owner: RealDictCursor) -> None:
    institution_id = await new_institution(database, owner)
    doctor_id = new_doctor(owner, institution_id)
    new_patient(owner, institution_id, doctor_id)
    delete(owner, "doctors", doctor_id)
    (row,) = await db.list_patients(database, institution_id, FIRST, 50, event(institution_id))
    assert (row["doctor_id"], row["doctor_name"], row["doctor_first_name"]) == (None, None, None)


async def test_the_last_activity_is_the_later_of_login_and_change(database: Database, owner: RealDictCursor) -> None:
    institution_id = await new_institution(database, owner)
    patient_id = new_patient(owner, institution_id)

    async def read() -> dict[str, Any]:
        return (await db.list_patients(database, institution_id, FIRST, 50, event(institution_id)))[0]

    never = await read()
    assert never["last_login"] is None and never["last_activity"] == never["created_at"]
    owner.execute("UPDATE users SET last_login_at = now() + interval '1 hour' WHERE id = %s", (patient_id,))
    logged_in = await read()
    assert logged_in["last_activity"] == logged_in["last_login"] > never["last_activity"]
    owner.execute("UPDATE users SET last_login_at = '2020-02-02' WHERE id = %s", (patient_id,))
    owner.execute("UPDATE patients SET validation_status = 'full_access' WHERE id = %s", (patient_id,))
    changed = await read()
    assert changed["is_verified"] and not never["is_verified"]
    assert never["last_activity"] < changed["last_activity"] != changed["last_login"]


async def test_the_list_of_patients_is_recorded_with_whose_data_it_showed(
    database: Database, owner: RealDictCursor
) -> None:
    institution_id = await new_institution(database, owner)
    await db.list_patients(database, institution_id, FIRST, 50, event(institution_id))
    shown = {new_patient(owner, institution_id) for _ in range(2)}
    await db.list_patients(database, institution_id, FIRST, 50, event(institution_id))
    owner.execute("SELECT * FROM audit_events WHERE actor_id = %s", (institution_id,))
    (recorded,) = owner.fetchall()  # an empty list touched nobody's data
    assert set(recorded["patient_ids"]) == shown
    assert (recorded["service"], recorded["action"]) == ("service-institutions", "read")
    assert (recorded["resource"], recorded["outcome"]) == ("patient_list", "success")


async def test_a_page_of_patients_records_those_that_it_shows_and_no_more(
    database: Database, owner: RealDictCursor
) -> None:
    institution_id = await new_institution(database, owner)
    _, newest = new_patient(owner, institution_id), new_patient(owner, institution_id)
    assert len(await db.list_patients(database, institution_id, FIRST, 1, event(institution_id))) == 2
    owner.execute("SELECT patient_ids FROM audit_events WHERE actor_id = %s", (institution_id,))
    assert [row["patient_ids"] for row in owner.fetchall()] == [[newest]]


async def test_patients_are_not_shown_when_it_cannot_be_recorded(database: Database, owner: RealDictCursor) -> None:
    institution_id = await new_institution(database, owner)
    new_patient(owner, institution_id)
    with pytest.raises(DatabaseUnavailable):
        await db.list_patients(database, institution_id, FIRST, 50, event(institution_id, outcome="unheard of"))


async def test_catalogues_are_complete_and_in_order(database: Database) -> None:
    types = await db.list_institution_types(database)
    assert {"id": 1, "name": "Hospital"} in types and {"id": 2, "name": "Clínica"} in types
    countries = await db.list_countries(database)
    assert {"id": MEXICO, "code": "MX", "name": "México"} in countries
    assert [row["code"] for row in countries[:2]] == ["AR", "BZ"]
    mexican = await db.list_regions(database, "MX")
    assert len(mexican) == 32
    names = [row["name"] for row in mexican]
    assert names.index("Michoacán de Ocampo") < names.index("Morelos") < names.index("Nayarit")
    everywhere = await db.list_regions(database, None)
    assert {row["country"] for row in everywhere} >= {"MX", "US"}
    municipalities = await db.list_municipalities(database, JALISCO)
    assert {"id": 14039, "name": "Guadalajara", "region_id": JALISCO} in municipalities
    assert len(municipalities) == 125
    assert await db.list_municipalities(database, 99_999) == []
