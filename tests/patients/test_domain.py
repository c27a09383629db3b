"""The rules of patients that need no server: whom one belongs to, and what a body may hold."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from patients_app import domain, errors
from pydantic import ValidationError

from shared.caller import Caller
from shared.errors import EmptyUpdate, Forbidden
from tests.patients.conftest import HEALTH_PROFILE
from tests.support import patient_body

ME, OTHER, PLACE = (UUID(int=number) for number in (1, 2, 3))


def _today() -> date:
    return datetime.now(UTC).date()


def _findings(model: type[Any], **fields: Any) -> dict[str, str]:
    """The fields that a model refuses, with the type of each finding."""
    try:
        model(**fields)
    except ValidationError as exc:
        return {".".join(str(part) for part in error["loc"]): error["type"] for error in exc.errors()}
    return {}


def _patient(**fields: Any) -> dict[str, str]:
    return _findings(domain.NewPatient, **patient_body(**fields))


def test_a_doctor_makes_its_own_patients_also_when_it_does_not_say_so() -> None:
    doctor = Caller("doctor", ME)
    assert domain.owners_of(doctor, None, None) == {"doctor_id": ME, "institution_id": None}
    assert domain.owners_of(doctor, ME, PLACE) == {"doctor_id": ME, "institution_id": PLACE}
    with pytest.raises(Forbidden):
        domain.owners_of(doctor, OTHER, None)


def test_an_institution_makes_patients_of_itself_with_whichever_doctor() -> None:
    institution = Caller("institution", ME)
    assert domain.owners_of(institution, None, None) == {"doctor_id": None, "institution_id": ME}
    assert domain.owners_of(institution, OTHER, ME) == {"doctor_id": OTHER, "institution_id": ME}
    with pytest.raises(Forbidden):
        domain.owners_of(institution, None, OTHER)


def test_an_admin_says_whom_a_patient_belongs_to_and_nobody_is_refused() -> None:
    admin = Caller("admin", ME)
    assert domain.owners_of(admin, OTHER, None) == {"doctor_id": OTHER, "institution_id": None}
    assert domain.owners_of(admin, OTHER, PLACE) == {"doctor_id": OTHER, "institution_id": PLACE}
    with pytest.raises(errors.AssociationRequired) as caught:
        domain.owners_of(admin, None, None)
    assert {error.field for error in caught.value.errors} == {"doctor_id", "institution_id"}


def test_an_emergency_contact_has_both_a_name_and_a_phone_or_neither() -> None:
    domain.refuse_incomplete_contact(None, None)
    domain.refuse_incomplete_contact("Luz", "55 1111 2222")
    for name, phone in (("Luz", None), (None, "55 1111 2222")):
        with pytest.raises(errors.EmergencyContactIncomplete) as caught:
            domain.refuse_incomplete_contact(name, phone)
        assert {error.field for error in caught.value.errors} == {"emergency_contact_name", "emergency_contact_phone"}


def test_nobody_is_born_tomorrow_and_everybody_may_be_born_today() -> None:
    assert _patient(date_of_birth=str(_today())) == {}
    assert _patient(date_of_birth=str(_today() + timedelta(days=1))) == {"date_of_birth": "in_the_future"}
    assert _patient(date_of_birth="9999-12-31") == {"date_of_birth": "in_the_future"}


def test_nobody_was_born_more_than_130_years_ago() -> None:
    oldest = domain.indicators.birthday(_today(), _today().year - 130)
    assert _patient(date_of_birth=str(oldest)) == {}
    assert _patient(date_of_birth=str(oldest - timedelta(days=2))) == {"date_of_birth": "too_long_ago"}
    assert _patient(date_of_birth="0001-01-01") == {"date_of_birth": "too_long_ago"}


NO_DATES = ["17/05/1980", "1980-5-17", "1980-05-17T00:00:00", "19800517", "1981-02-29", "1980-00-10", "٢٠٠٠-٠١-٠١", ""]


@pytest.mark.parametrize("value", [*NO_DATES, 0, 327369600, 1e999, True, None, []])
def test_a_date_is_written_as_year_month_day_and_nothing_else(value: Any) -> None:
    assert _patient(date_of_birth=value) == {"date_of_birth": "date_format"}


def test_a_whole_health_profile_is_taken_as_it_is_and_an_empty_one_is_unknown() -> None:
    profile = domain.NewHealthProfile(**HEALTH_PROFILE)
    assert profile.model_dump(mode="json") == HEALTH_PROFILE
    assert set(domain.NewHealthProfile().model_dump().values()) == {None}
    assert set(domain.NewHealthProfile.model_fields) == set(domain.HealthProfile.model_fields) - {"blood_type"}


BOUNDS = [
    ("height_cm", 30, 272, 0.1),
    ("weight_kg", 0.3, 650, 0.1),
    ("smoking_years", 0, 120, 1),
    ("physical_activity_minutes_weekly", 0, 10_080, 1),
    ("sleep_hours", 0, 24, 0.1),
    ("diet_score", 0, 16, 1),
]


@pytest.mark.parametrize(("field", "lowest", "highest", "step"), BOUNDS)
def test_a_health_profile_holds_plausible_values_only(field: str, lowest: float, highest: float, step: float) -> None:
    for value in (lowest, highest, None):
        assert _patient(health_profile={field: value}) == {}
    for value in (lowest - step, highest + step, float("nan"), float("inf"), 10**400, "7", True, [1]):
        assert list(_patient(health_profile={field: value})) == [f"health_profile.{field}"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("blood_type_id", 0),
        ("blood_type_id", 2**31),
        ("is_smoker", "yes"),
        ("is_smoker", 1),
        ("has_diabetes", "false"),
        ("smoking_status", "sometimes"),
        ("alcohol_frequency", "hourly"),
        ("quit_date", "9999-01-01"),
        ("quit_date", 0),
        ("notes", "x" * 2_001),
        ("notes", "\x00"),
        ("notes", "\ud800"),
        ("blood_type", "A+"),
        ("patient_id", str(ME)),
    ],
)
def test_a_health_profile_refuses_what_it_cannot_hold(field: str, value: Any) -> None:
    assert list(_patient(health_profile={field: value})) == [f"health_profile.{field}"]


@pytest.mark.parametrize("field", ["is_verified", "validation_status", "user_type", "is_active", "id", "deleted_at"])
def test_nobody_smuggles_a_field_into_a_creation(field: str) -> None:
    assert _patient(**{field: "x"}) == {field: "extra_forbidden"}


@pytest.mark.parametrize("field", ["first_name", "last_name", "date_of_birth", "contact_email", "password"])
def test_a_creation_without_a_required_field_names_it(field: str) -> None:
    body = patient_body()
    del body[field]
    assert _findings(domain.NewPatient, **body) == {field: "missing"}


@pytest.mark.parametrize("field", ["contact_email", "password", "health_profile", "validation_status", "id"])
def test_an_update_never_takes_what_has_its_own_way(field: str) -> None:
    assert _findings(domain.PatientUpdate, **{field: patient_body().get(field, {})}) == {field: "extra_forbidden"}


@pytest.mark.parametrize("field", ["first_name", "last_name", "date_of_birth"])
def test_an_update_does_not_clear_what_every_patient_has(field: str) -> None:
    assert list(_findings(domain.PatientUpdate, **{field: None})) == [field]


def test_an_update_holds_what_was_sent_and_an_empty_one_is_refused() -> None:
    assert domain.PatientUpdate(sex_id=None, first_name=" Ñ ").changes() == {"sex_id": None, "first_name": "Ñ"}
    with pytest.raises(EmptyUpdate):
        domain.PatientUpdate().changes()
