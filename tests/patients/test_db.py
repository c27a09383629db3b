"""Each SQL function of the patients' service on the real server."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from patients_app import db, errors
from psycopg2.extras import RealDictCursor

from shared import context
from shared.errors import DatabaseUnavailable, EmailTaken, PatientNotFound, UnknownReference
from shared.listing import own
from shared.postgres import Database
from shared.search import words
from tests.patients.conftest import HEALTH_PROFILE, Care, event_of, events_of, scope_of
from tests.support import Api, User, unique

pytestmark = pytest.mark.anyio

NO_FILTERS: dict[str, Any] = {
    "sort": "created_at",
    "q": None,
    "doctor_id": None,
    "institution_id": None,
    "validation_status": None,
    "is_active": True,
    "born_after": None,
    "born_before": None,
}
START = [None, None]


def _new_patient(**fields: Any) -> dict[str, Any]:
    return {
        "id": uuid4(),
        "doctor_id": None,
        "institution_id": None,
        "first_name": "Inés",
        "last_name": unique("Peña"),
        "date_of_birth": "1990-01-31",
        "sex_id": 1,
        "gender_id": 1,
        "emergency_contact_name": None,
        "emergency_contact_phone": None,
    } | fields


@pytest.fixture
def account(owner: RealDictCursor) -> UUID:
    """A patient's account whose patient has not appeared."""
    account_id = uuid4()
    owner.execute(
        "INSERT INTO users (id, email, user_type) VALUES (%s, %s, 'patient')", (account_id, f"{account_id}@example.com")
    )
    return account_id


async def test_a_patient_is_found_by_those_who_may_know_it_and_each_look_is_recorded(
    database: Database, api: Api, care: Care, owner: RealDictCursor
) -> None:
    patient_id = UUID(care.patient.id)
    for user in (care.patient, care.doctor, care.institution, api.admin):
        before = len(events_of(owner, user, "one"))
        row = await db.find_patient(database, patient_id, scope_of(user), event_of(user, "one"))
        assert row is not None and row["id"] == patient_id
        assert events_of(owner, user, "one")[before:] == [[patient_id]]


async def test_a_patient_is_nobody_to_others_and_no_look_is_recorded(
    database: Database, care: Care, others: Care, owner: RealDictCursor
) -> None:
    for user in (others.patient, others.doctor, others.institution):
        assert await db.find_patient(database, UUID(care.patient.id), scope_of(user), event_of(user, "none")) is None
        assert events_of(owner, user, "none") == []


async def test_nothing_is_read_when_it_cannot_be_recorded(database: Database, api: Api, care: Care) -> None:
    event = event_of(api.admin) | {"audit_outcome": "perhaps"}
    with pytest.raises(DatabaseUnavailable):
        await db.find_patient(database, UUID(care.patient.id), scope_of(api.admin), event)


async def test_get_patient_raises_for_nobody_and_for_a_deleted_one(
    database: Database, api: Api, care: Care, owner: RealDictCursor
) -> None:
    gone = UUID(api.new_patient(care.doctor).id)
    assert (await db.get_patient(database, gone))["id"] == gone
    owner.execute("UPDATE patients SET deleted_at = now() WHERE id = %s", (gone,))
    for patient_id in (gone, uuid4()):
        with pytest.raises(PatientNotFound):
            await db.get_patient(database, patient_id)


async def _list(
    database: Database, user: User, limit: int = 50, after: list[Any] = START, **filters: Any
) -> list[UUID]:
    rows = await db.list_patients(database, scope_of(user), NO_FILTERS | filters, after, limit, event_of(user, "list"))
    return [row["id"] for row in rows]


async def test_the_list_is_newest_first_one_row_longer_than_the_page_and_begins_after_a_position(
    database: Database, api: Api
) -> None:
    institution = api.new_institution()
    made = [UUID(api.new_patient(institution=institution).id) for _ in range(4)]
    assert await _list(database, institution) == made[::-1]
    assert await _list(database, institution, limit=2) == made[:0:-1]
    third = await db.get_patient(database, made[2])
    assert await _list(database, institution, after=[str(third["created_at"]), str(third["id"])]) == made[1::-1]


async def test_patients_of_one_moment_are_ordered_by_their_ids(
    database: Database, api: Api, owner: RealDictCursor
) -> None:
    institution = api.new_institution()
    made = [UUID(api.new_patient(institution=institution).id) for _ in range(3)]
    owner.execute("UPDATE patients SET created_at = '2026-01-01' WHERE institution_id = %s", (institution.id,))
    ordered = sorted(made, reverse=True)
    assert await _list(database, institution) == ordered
    assert await _list(database, institution, after=["2026-01-01T00:00:00Z", str(ordered[0])]) == ordered[1:]


async def test_the_list_holds_the_callers_own_patients_and_is_recorded_with_them(
    database: Database, api: Api, owner: RealDictCursor
) -> None:
    institution = api.new_institution()
    doctor = api.new_doctor(institution)
    both, only_doctor, only_institution = (
        UUID(api.new_patient(*owners).id) for owners in ((doctor, institution), (doctor, None), (None, institution))
    )
    assert set(await _list(database, doctor)) == {both, only_doctor}
    assert set(await _list(database, institution)) == {both, only_institution}
    assert {both, only_doctor, only_institution} <= set(await _list(database, api.admin, limit=200))
    assert [set(ids) for ids in events_of(owner, doctor, "list")] == [{both, only_doctor}]


async def test_the_list_of_nobody_is_empty_and_nothing_is_recorded(
    database: Database, api: Api, owner: RealDictCursor
) -> None:
    institution = api.new_institution()
    assert await _list(database, institution) == []
    assert events_of(owner, institution, "list") == []


async def test_each_filter_of_the_list_and_their_bounds_are_inclusive(
    database: Database, api: Api, owner: RealDictCursor
) -> None:
    institution = api.new_institution()
    doctor = api.new_doctor(institution)
    old = UUID(api.new_patient(doctor, institution, date_of_birth="1950-06-01").id)
    young = UUID(api.new_patient(institution=institution, date_of_birth="2001-07-02").id)
    owner.execute("UPDATE patients SET validation_status = 'validated_by_doctor' WHERE id = %s", (young,))
    expected: list[tuple[dict[str, Any], list[UUID]]] = [
        ({"doctor_id": doctor.id}, [old]),
        ({"institution_id": institution.id}, [young, old]),
        ({"institution_id": str(uuid4())}, []),
        ({"validation_status": "validated_by_doctor"}, [young]),
        ({"born_after": "2001-07-02"}, [young]),
        ({"born_after": "2001-07-03"}, []),
        ({"born_before": "1950-06-01"}, [old]),
        ({"born_before": "1950-05-31"}, []),
        ({"born_after": "1950-06-01", "born_before": "2001-07-02"}, [young, old]),
    ]
    for filters, found in expected:
        assert await _list(database, institution, **filters) == found, filters


async def test_a_search_finds_names_and_emails_without_case_and_accents_and_takes_wildcards_literally(
    database: Database, api: Api
) -> None:
    institution = api.new_institution()
    word, mail = unique("Güemes"), unique("correo")
    made = UUID(
        api.new_patient(
            institution=institution,
            first_name="María José",
            last_name=word,
            contact_email={"email_address": f"{mail}@example.com"},
        ).id
    )
    plain = word.replace("Güemes", "GUEMES")
    for q in (plain, plain[:4], f"maria jose {plain}", "JOSÉ G", mail.upper(), "@example.com"):
        assert await _list(database, institution, q=q) == [made], q
    for q in ("Gü%", "G_", "Gü％", "G＿", "G%mes", "Güe_es", "Güem\\es", unique("nadie")):
        assert await _list(database, institution, q=q) == [], q


async def test_a_search_stays_within_scope_and_filters(database: Database, api: Api, care: Care, others: Care) -> None:
    email = others.patient.email
    assert await _list(database, care.institution, q=email) == []
    assert await _list(database, api.admin, q=email) == [UUID(others.patient.id)]
    assert await _list(database, api.admin, q=email, born_after="2020-01-01") == []


async def test_a_search_is_recorded_with_whom_it_found(database: Database, api: Api, owner: RealDictCursor) -> None:
    institution = api.new_institution()
    found = api.new_patient(institution=institution)
    api.new_patient(institution=institution)
    assert await _list(database, institution, q=unique("nadie")) == []
    assert await _list(database, institution, q=found.email) == [UUID(found.id)]
    assert events_of(owner, institution, "list") == [[UUID(found.id)]]


async def test_deleted_patients_are_listed_for_admins_who_ask_for_them(
    database: Database, api: Api, owner: RealDictCursor
) -> None:
    institution = api.new_institution()
    gone = UUID(api.new_patient(institution=institution).id)
    owner.execute("UPDATE patients SET deleted_at = now() WHERE id = %s", (gone,))
    assert await _list(database, institution) == []
    assert await _list(database, institution, is_active=False) == []
    assert await _list(database, api.admin, institution_id=institution.id) == []
    assert await _list(database, api.admin, institution_id=institution.id, is_active=False) == [gone]


async def test_the_list_of_each_role_walks_an_index_in_its_order(api: Api, care: Care, owner: RealDictCursor) -> None:
    indexes = {
        "ix_patients_created": (api.admin, "created_at"),
        "ix_patients_doctor_created": (care.doctor, "created_at"),
        "ix_patients_institution_created": (care.institution, "created_at"),
        "ix_patients_name_text": (api.admin, "last_name"),
        "ix_patients_doctor_name_key": (care.doctor, "last_name"),
        "ix_patients_institution_name_key": (care.institution, "last_name"),
    }
    for index, (user, sort) in indexes.items():
        place = {"after_created_at": "2026-01-01", "after_last_name_key": "m", "after_first_name_key": "m"}
        place |= {"after_id": str(uuid4()), "limit": 50}
        parameters = NO_FILTERS | words(None) | scope_of(user) | own(scope_of(user)) | place | event_of(user)
        # On the tests' few rows any plan is cheap: without the others the planner shows whether this index can serve.
        owner.execute("BEGIN; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        owner.execute("SET LOCAL enable_sort = off; DROP INDEX " + ", ".join(indexes.keys() - {index}))
        owner.execute("EXPLAIN " + db.LIST_PATIENTS[sort, True].given(parameters), parameters)
        plan = "\n".join(row["QUERY PLAN"] for row in owner.fetchall()).partition("CTE recorded")[0]
        owner.execute("ROLLBACK")
        assert f"using {index} on patients p" in plan, plan


def test_a_word_is_looked_for_in_the_index_of_names_alone(api: Api, owner: RealDictCursor) -> None:
    scope = scope_of(api.admin)
    parameters = {**NO_FILTERS, **words("lopez"), **scope, **own(scope), **event_of(api.admin), "limit": 50}
    parameters |= dict.fromkeys(("after_last_name_key", "after_first_name_key", "after_id"))
    owner.execute(
        "BEGIN; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off"
    )
    owner.execute("EXPLAIN " + db.LIST_PATIENTS["last_name", True].given(parameters), parameters)
    plan = "\n".join(row["QUERY PLAN"] for row in owner.fetchall())
    owner.execute("ROLLBACK")
    assert "Index Only Scan using ix_patients_name_text" in plan, plan


async def test_a_patient_and_its_profile_are_inserted_as_given(
    database: Database, care: Care, owner: RealDictCursor, account: UUID
) -> None:
    new = _new_patient(
        id=account,
        doctor_id=UUID(care.doctor.id),
        emergency_contact_name="Luz",
        emergency_contact_phone="55 1111 2222",
    )
    await db.insert_patient(database, new)
    await db.insert_health_profile(database, account, HEALTH_PROFILE)
    row = await db.get_patient(database, account)
    assert {**new, "date_of_birth": row["date_of_birth"]}.items() <= row.items()
    assert str(row["date_of_birth"]) == new["date_of_birth"]
    assert row["health_profile"] == HEALTH_PROFILE | {"blood_type": "O+"}
    owner.execute("SELECT owner_status FROM users WHERE id = %s", (account,))
    assert owner.fetchone()["owner_status"] == "active"


async def test_each_constraint_on_a_new_patient_has_a_name(
    database: Database, care: Care, others: Care, account: UUID
) -> None:
    doctor, institution = UUID(care.doctor.id), UUID(others.institution.id)
    expected: list[tuple[dict[str, Any], type[Exception]]] = [
        ({}, errors.AssociationRequired),
        ({"doctor_id": doctor, "institution_id": institution}, errors.DoctorNotInInstitution),
        ({"doctor_id": doctor, "sex_id": 99}, UnknownReference),
        ({"doctor_id": doctor, "gender_id": 99}, UnknownReference),
        ({"doctor_id": doctor, "emergency_contact_name": "Luz"}, errors.EmergencyContactIncomplete),
        ({"doctor_id": doctor, "emergency_contact_phone": "55 1111 2222"}, errors.EmergencyContactIncomplete),
    ]
    for fields, error in expected:
        with pytest.raises(error) as caught:
            await db.insert_patient(database, _new_patient(id=account, **fields))
        assert caught.value.status == 422 and caught.value.errors  # type: ignore[attr-defined]


async def test_an_unknown_blood_type_is_named_by_its_path(database: Database, care: Care, account: UUID) -> None:
    await db.insert_patient(database, _new_patient(id=account, doctor_id=UUID(care.doctor.id)))
    with pytest.raises(UnknownReference) as caught:
        await db.insert_health_profile(database, account, HEALTH_PROFILE | {"blood_type_id": 99})
    assert [error.field for error in caught.value.errors] == ["health_profile.blood_type_id"]


async def test_the_email_is_claimed_when_the_patient_appears(
    database: Database, care: Care, owner: RealDictCursor, account: UUID
) -> None:
    owner.execute("UPDATE users SET email = upper(%s) WHERE id = %s", (care.patient.email, account))
    with pytest.raises(EmailTaken):
        await db.insert_patient(database, _new_patient(id=account, doctor_id=UUID(care.doctor.id)))


async def test_an_update_changes_what_it_names_and_tells_when(database: Database, api: Api, care: Care) -> None:
    patient_id = UUID(api.new_patient(care.doctor).id)
    before = await db.get_patient(database, patient_id)
    await db.update_patient(database, patient_id, scope_of(care.doctor), {"first_name": "Eva", "sex_id": 2})
    after = await db.get_patient(database, patient_id)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"first_name", "sex_id", "updated_at"}
    assert (after["first_name"], after["sex_id"]) == ("Eva", 2) and after["updated_at"] > before["updated_at"]
    await db.update_patient(database, patient_id, scope_of(care.doctor), {})
    assert (await db.get_patient(database, patient_id))["updated_at"] > after["updated_at"]


async def test_an_update_out_of_scope_changes_nobody(database: Database, care: Care, others: Care) -> None:
    for user in (others.patient, others.doctor, others.institution):
        with pytest.raises(PatientNotFound):
            await db.update_patient(database, UUID(care.patient.id), scope_of(user), {"first_name": "X"})
    assert (await db.get_patient(database, UUID(care.patient.id)))["first_name"] == "José"


async def test_an_update_cannot_break_the_rules_of_a_patient(
    database: Database, api: Api, care: Care, others: Care
) -> None:
    patient_id = UUID(api.new_patient(care.doctor, care.institution).id)
    expected: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"doctor_id": None, "institution_id": None}, errors.AssociationRequired),
        ({"institution_id": UUID(others.institution.id)}, errors.DoctorNotInInstitution),
        ({"doctor_id": UUID(others.doctor.id)}, errors.DoctorNotInInstitution),
        ({"emergency_contact_name": "Luz"}, errors.EmergencyContactIncomplete),
        ({"sex_id": 99}, UnknownReference),
        ({"gender_id": 99}, UnknownReference),
    ]
    for changes, error in expected:
        with pytest.raises(error):
            await db.update_patient(database, patient_id, scope_of(api.admin), changes)


async def test_a_patient_is_deleted_by_its_institution_or_an_admin_only(
    database: Database, api: Api, care: Care, others: Care, owner: RealDictCursor
) -> None:
    for deleter in (care.institution, api.admin):
        patient = api.new_patient(care.doctor, care.institution)
        for user in (patient, care.doctor, others.institution):
            with pytest.raises(PatientNotFound):
                await db.soft_delete_patient(database, UUID(patient.id), scope_of(user))
        await db.soft_delete_patient(database, UUID(patient.id), scope_of(deleter))
        owner.execute("SELECT owner_status FROM users WHERE id = %s", (patient.id,))
        assert owner.fetchone()["owner_status"] == "deleted"
        with pytest.raises(PatientNotFound):
            await db.soft_delete_patient(database, UUID(patient.id), scope_of(deleter))


@pytest.mark.parametrize(
    ("language", "sex", "gender"), [("es", ("Femenino", "female"), "Mujer"), ("en", ("Female", "female"), "Woman")]
)
async def test_short_catalogues_are_in_the_language_of_the_request(
    database: Database, language: str, sex: tuple[str, str], gender: str
) -> None:
    context.enter(context.RequestContext(language=language))
    sexes, genders = await db.list_sexes(database), await db.list_genders(database)
    assert sexes[0] == {"id": 1, "name": sex[0], "code": sex[1]}
    assert genders[0] == {"id": 1, "name": gender}
    names = [row["name"] for row in await db.list_blood_types(database)]
    assert names == ["A+", "A-", "B+", "B-", "AB+", "AB-", "O+", "O-"]


@pytest.mark.parametrize(
    ("table", "q", "name"),
    [
        ("medical_conditions", "HIPERTENSION", "Hipertensión arterial"),
        ("medications", "losartan", "Losartán"),
        ("allergies", "acido", "Ácido acetilsalicílico"),
    ],
)
async def test_terms_are_found_without_case_and_accents(database: Database, table: str, q: str, name: str) -> None:
    assert name in [row["name"] for row in await db.list_terms(database, table, q)]
    everything = await db.list_terms(database, table, None)
    assert len(everything) > len(await db.list_terms(database, table, q)) > 0
    for wildcard in "%_％＿":  # another test may have left a term with one, so that the list need not be empty
        assert name not in [row["name"] for row in await db.list_terms(database, table, wildcard)], wildcard
