"""The doctors' rules, without a server; and what of their use cases can't be provoked over HTTP, with one."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from doctors_app import domain
from psycopg2.extras import RealDictCursor
from pydantic import SecretStr, ValidationError

from dev.fleet import Fleet
from shared import errors
from shared.caller import Caller
from shared.resources import ClientResources
from shared.settings import ClientSettings, Settings
from tests.support import PASSWORD, Api, User, doctor_body, unique

pytestmark = pytest.mark.anyio
ADMIN = Caller("admin", uuid4())


def body(**fields: Any) -> dict[str, Any]:
    return doctor_body(str(uuid4())) | fields


def fields_refused(model: type[Any], fields: dict[str, Any]) -> list[str]:
    with pytest.raises(ValidationError) as raised:
        model.model_validate(fields)
    return [".".join(str(part) for part in error["loc"]) for error in raised.value.errors()]


def test_a_new_doctor_needs_a_name_a_licence_an_institution_an_email_and_a_password() -> None:
    assert set(fields_refused(domain.NewDoctor, {})) == {
        *("institution_id", "first_name", "last_name", "medical_license", "contact_email", "password")
    }
    doctor = domain.NewDoctor.model_validate(body())
    assert (doctor.specialty_id, doctor.years_experience, doctor.consultation_fee, doctor.contact_phone) == (None,) * 4


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"institution_id": "1"}, "institution_id"),
        ({"first_name": "  "}, "first_name"),
        ({"last_name": "x" * 101}, "last_name"),
        ({"last_name": "nul\x00"}, "last_name"),
        ({"first_name": "\ud800"}, "first_name"),
        ({"medical_license": "--"}, "medical_license"),
        ({"medical_license": "- - -"}, "medical_license"),
        ({"medical_license": "x" * 51}, "medical_license"),
        ({"specialty_id": 3}, "specialty_id"),
        ({"years_experience": -1}, "years_experience"),
        ({"years_experience": 81}, "years_experience"),
        ({"years_experience": 10**30}, "years_experience"),
        ({"years_experience": 2.5}, "years_experience"),
        ({"consultation_fee": -0.01}, "consultation_fee"),
        ({"consultation_fee": 1_000_000.01}, "consultation_fee"),
        ({"consultation_fee": 10.005}, "consultation_fee"),
        ({"consultation_fee": float("nan")}, "consultation_fee"),
        ({"consultation_fee": float("inf")}, "consultation_fee"),
        ({"contact_email": {"email_address": "no address"}}, "contact_email.email_address"),
        ({"contact_email": "ana@example.com"}, "contact_email"),
        ({"contact_email": {"email_address": "ana@example.com", "is_verified": True}}, "contact_email.is_verified"),
        ({"contact_phone": "call me"}, "contact_phone"),
        ({"professional_status": "active"}, "professional_status"),
        ({"license_status": "verified"}, "license_status"),
        ({"is_active": True}, "is_active"),
        ({"id": str(uuid4())}, "id"),
    ],
)
def test_an_invalid_or_unknown_field_of_a_new_doctor_is_refused(change: dict[str, Any], field: str) -> None:
    assert fields_refused(domain.NewDoctor, body(**change)) == [field]


@pytest.mark.parametrize(
    "change",
    [
        {"years_experience": 0},
        {"years_experience": 80},
        {"consultation_fee": 0},
        {"consultation_fee": 1_000_000},
        {"consultation_fee": 850.5},
        {"contact_phone": "+52 (55) 1234-5678"},
        {"medical_license": "A-1"},
    ],
)
def test_the_bounds_of_a_new_doctor_belong_to_it(change: dict[str, Any]) -> None:
    domain.NewDoctor.model_validate(body(**change))


def test_names_are_trimmed_and_composed_and_fees_exact() -> None:
    doctor = domain.NewDoctor.model_validate(body(first_name="  Jose\u0301 ", consultation_fee=850.1))
    assert doctor.first_name == "José"
    assert doctor.consultation_fee == Decimal("850.1")


@pytest.mark.parametrize("model", [domain.DoctorUpdate, domain.OwnProfileUpdate])
def test_an_update_without_a_field_is_empty(model: type[domain.Update]) -> None:
    with pytest.raises(errors.EmptyUpdate):
        model.model_validate({}).changes()


def test_an_update_holds_what_was_sent_nulls_included() -> None:
    update = domain.DoctorUpdate.model_validate({"first_name": "Eva", "specialty_id": None, "contact_phone": None})
    assert update.changes() == {"first_name": "Eva", "specialty_id": None, "contact_phone": None}


@pytest.mark.parametrize("field", ["institution_id", "first_name", "last_name", "medical_license"])
def test_what_a_doctor_must_have_can_not_be_cleared(field: str) -> None:
    assert fields_refused(domain.DoctorUpdate, {field: None}) == [field]


@pytest.mark.parametrize("field", ["contact_email", "password", "professional_status", "is_active", "id", "email"])
def test_what_only_the_creation_takes_is_no_update(field: str) -> None:
    assert fields_refused(domain.DoctorUpdate, {field: "x"}) == [field]


@pytest.mark.parametrize("field", ["first_name", "last_name", "medical_license", "institution_id", "contact_phone"])
def test_a_doctor_changes_little_of_itself(field: str) -> None:
    assert fields_refused(domain.OwnProfileUpdate, {field: "x"}) == [field]


# With the servers


@pytest.fixture(scope="module")
def institution(api: Api) -> User:
    return api.new_institution()


@pytest.fixture
def client_settings(settings: Settings, fleet: Fleet) -> ClientSettings:
    return ClientSettings(**vars(settings), auth_service_url=fleet.urls["auth"])


@pytest.fixture
async def resources(client_settings: ClientSettings) -> AsyncIterator[ClientResources]:
    opened = ClientResources.open("service-doctors", client_settings)
    yield opened
    await opened.close()


def new_doctor(institution: User, **fields: Any) -> domain.NewDoctor:
    phone = {"contact_phone": "+52 55 1234 5678"}
    return domain.NewDoctor.model_validate(doctor_body(institution.id) | phone | fields)


def traces(owner: RealDictCursor, doctor: domain.NewDoctor) -> list[str]:
    """Where anything of a doctor that was not created can be seen."""
    email, found = doctor.contact_email.email_address, []
    owner.execute("SELECT FROM doctors WHERE medical_license = %s", [doctor.medical_license])
    found += ["doctor"] * owner.rowcount
    owner.execute("SELECT FROM emails WHERE email_address = %s", [email])
    found += ["email"] * owner.rowcount
    owner.execute("SELECT FROM phones p JOIN users u ON u.id = p.entity_id WHERE u.email = %s", [email])
    found += ["phone"] * owner.rowcount
    owner.execute("SELECT FROM users WHERE email = %s AND owner_status <> 'missing'", [email])
    return found + ["account"] * owner.rowcount


async def test_all_of_a_new_doctor_appears(
    resources: ClientResources, institution: User, owner: RealDictCursor
) -> None:
    new = new_doctor(institution)
    await domain.create_doctor(resources, ADMIN, new)
    assert traces(owner, new) == ["doctor", "email", "phone", "account"]


async def test_with_the_auth_service_away_nothing_appears(
    client_settings: ClientSettings, institution: User, owner: RealDictCursor, resources: ClientResources
) -> None:
    away = client_settings.model_copy(update={"auth_service_url": "http://127.0.0.1:1"})
    without_auth = ClientResources.open("service-doctors", away)
    new = new_doctor(institution)
    with pytest.raises(errors.AuthUnavailable):
        await domain.create_doctor(without_auth, ADMIN, new)
    await without_auth.close()
    assert traces(owner, new) == []
    assert await domain.create_doctor(resources, ADMIN, new)


@pytest.mark.parametrize(
    "step",
    [
        "db.insert_doctor",
        "contacts.insert_email",
        "contacts.update_primary_phone",
        "db.get_doctor",
    ],
)
async def test_whatever_step_a_creation_dies_at_nothing_appears_and_nothing_stays_taken(
    step: str,
    resources: ClientResources,
    institution: User,
    owner: RealDictCursor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new = new_doctor(institution)
    module, name = step.split(".")

    async def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(getattr(domain, module), name, die)
        with pytest.raises(KeyboardInterrupt):
            await domain.create_doctor(resources, ADMIN, new)
    assert traces(owner, new) == []
    owner.execute("SELECT FROM users WHERE email = %s", [new.contact_email.email_address])
    assert owner.rowcount == 1, "the account was there first, and is swept later"
    assert await domain.create_doctor(resources, ADMIN, new)
    assert traces(owner, new) == ["doctor", "email", "phone", "account"]


async def test_with_redis_away_nothing_is_deleted(client_settings: ClientSettings, api: Api, institution: User) -> None:
    doctor = api.new_doctor(institution)
    away = client_settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:1/0")})
    without_redis = ClientResources.open("service-doctors", away)
    with pytest.raises(errors.RedisUnavailable):
        await domain.delete_doctor(without_redis, ADMIN, UUID(doctor.id))
    await without_redis.close()
    assert doctor.doctors.get("/api/v1/doctors/me/profile").status_code == 200
    assert api.log_in("doctors", doctor.email, PASSWORD).id == doctor.id


@pytest.mark.parametrize("wrong", ["specialty_id", "institution_id"])
async def test_an_unknown_reference_creates_nothing(
    wrong: str, resources: ClientResources, institution: User, owner: RealDictCursor
) -> None:
    new = new_doctor(institution, **{wrong: str(uuid4())})
    with pytest.raises(errors.UnknownReference):
        await domain.create_doctor(resources, ADMIN, new)
    assert traces(owner, new) == []


async def test_an_institution_creates_no_doctor_of_another(
    resources: ClientResources, institution: User, owner: RealDictCursor
) -> None:
    new = new_doctor(institution, first_name=unique("Eva"))
    with pytest.raises(errors.Forbidden):
        await domain.create_doctor(resources, Caller("institution", uuid4()), new)
    owner.execute("SELECT FROM users WHERE email = %s", [new.contact_email.email_address])
    assert owner.rowcount == 0
