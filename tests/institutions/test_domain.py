"""The rules of institutions, without any server."""

from typing import Any
from uuid import uuid4

import pytest
from institutions_app import domain
from pydantic import BaseModel, TypeAdapter, ValidationError

from shared.errors import EmptyUpdate
from tests.support import institution_body

ADDRESS = {"street_address": "Av. Juárez 1", "city": "Puebla"}


def wrong_fields(model: type[BaseModel], body: dict[str, Any]) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(body)
    return [".".join(str(part) for part in error["loc"]) for error in caught.value.errors()]


@pytest.mark.parametrize(
    "website", ["https://clinica.mx", "HTTP://Clinica.MX/a?b=c#d", "https://ñandú.mx", "http://10.0.0.1:8080/"]
)
def test_a_website_is_kept_as_it_was_given(website: str) -> None:
    assert domain.NewInstitution(**institution_body(website=f"  {website} ")).website == website


@pytest.mark.parametrize(
    "website",
    [
        "clinica.mx",
        "http:clinica.mx",
        "https://",
        "ftp://clinica.mx",
        "javascript:alert(1)",
        "https://clinica mx",
        "https://clinica.mx/\nx",
        "http://[::1",
        "https://" + "a" * 500,
    ],
)
def test_a_website_is_an_http_or_https_url(website: str) -> None:
    assert wrong_fields(domain.NewInstitution, institution_body(website=website)) == ["website"]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"name": "  "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"institution_type_id": 2**40}, "institution_type_id"),
        ({"institution_type_id": None}, "institution_type_id"),
        ({"license_number": "---"}, "license_number"),
        ({"contact_email": {"email_address": "nobody"}}, "contact_email.email_address"),
        ({"contact_email": {}}, "contact_email.email_address"),
        ({"contact_phone": "call me"}, "contact_phone"),
        ({"address": {"city": "Puebla"}}, "address.street_address"),
        ({"address": {"street_address": "Av. Juárez 1"}}, "address.city"),
        ({"address": ADDRESS | {"region_id": 2**31}}, "address.region_id"),
        ({"address": ADDRESS | {"country_id": -1}}, "address.country_id"),
        ({"address": ADDRESS | {"latitude": 90.5}}, "address.latitude"),
        ({"address": ADDRESS | {"longitude": float("nan")}}, "address.longitude"),
        ({"address": ADDRESS | {"postal_code": "7" * 21}}, "address.postal_code"),
        ({"address": ADDRESS | {"is_primary": True}}, "address.is_primary"),
        ({"is_verified": True}, "is_verified"),
        ({"verification_status": "verified"}, "verification_status"),
        ({"user_type": "admin"}, "user_type"),
        ({"id": str(uuid4())}, "id"),
    ],
)
def test_a_wrong_or_smuggled_field_is_named_by_its_path(fields: dict[str, Any], wrong: str) -> None:
    assert wrong_fields(domain.NewInstitution, institution_body(**fields)) == [wrong]


@pytest.mark.parametrize("field", ["name", "institution_type_id", "license_number", "contact_email", "password"])
def test_a_new_institution_needs_its_required_fields(field: str) -> None:
    body = institution_body()
    del body[field]
    assert wrong_fields(domain.NewInstitution, body) == [field]


@pytest.mark.parametrize("field", ["name", "institution_type_id", "license_number"])
def test_null_clears_no_required_field(field: str) -> None:
    assert wrong_fields(domain.InstitutionUpdate, {field: None}) == [field]


@pytest.mark.parametrize("field", ["contact_email", "password", "is_verified", "verification_status"])
def test_an_update_refuses_what_it_does_not_take(field: str) -> None:
    assert wrong_fields(domain.InstitutionUpdate, {field: "x"}) == [field]


def test_an_update_holds_what_was_sent_and_nothing_else() -> None:
    assert domain.InstitutionUpdate(name="Sur", website=None).changes() == {"name": "Sur", "website": None}


def test_an_empty_update_is_refused() -> None:
    with pytest.raises(EmptyUpdate):
        domain.InstitutionUpdate().changes()


def test_a_country_code_compares_without_case() -> None:
    assert domain.InstitutionQuery(country=" mx ").country == "MX"


@pytest.mark.parametrize("code", ["", "M", "MEX", "M1", "484"])
def test_a_country_code_has_two_letters(code: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(domain.CountryCode).validate_python(code)
