from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from shared.text import Email
from shared.validation import field_errors, unknown_parameter


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    email_address: Email


class Outer(BaseModel):
    contact_email: Inner
    age: int = Field(ge=0, le=130)
    password: str = Field(min_length=8)


def errors_of(value: object) -> dict[str, tuple[str, str, str]]:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(value)
    found = [dict(finding, loc=("body", *finding["loc"])) for finding in caught.value.errors()]
    return {error.field: (error.code, error.es, error.en) for error in field_errors(found)}


def test_each_field_is_named_by_its_path() -> None:
    errors = errors_of({"contact_email": {"email_address": "x", "extra": 1}, "age": 200})
    assert set(errors) == {"contact_email.email_address", "contact_email.extra", "age", "password"}
    assert errors["contact_email.email_address"][0] == "email"
    assert errors["contact_email.extra"][0] == "unknown_field"
    assert errors["age"] == ("too_large", "Debe ser menor o igual que 130.", "Must be at most 130.")
    assert errors["password"][0] == "required"


def test_what_may_stand_there_is_listed_in_both_languages() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Literal["patient", "doctor", "institution"]).validate_python("admin")
    (error,) = field_errors([dict(finding, loc=("body", "kind")) for finding in caught.value.errors()])
    assert error.es == "Debe ser uno de: 'patient', 'doctor', 'institution'."
    assert error.en == "Must be one of: 'patient', 'doctor' or 'institution'."


def test_a_rejected_value_is_never_echoed() -> None:
    errors = errors_of({"contact_email": {"email_address": "secret-mail"}, "age": "secret-age", "password": "hunter2"})
    assert not any(word in text for texts in errors.values() for text in texts for word in ("secret", "hunter2"))


def test_an_unknown_parameter_names_the_nearest_known_one() -> None:
    error = unknown_parameter("limt", ["cursor", "limit"])
    assert (error.field, error.code) == ("limt", "unknown_parameter")
    assert "limit" in error.es and "limit" in error.en
    assert "?" not in unknown_parameter("zzzzzzzz", ["limit"]).en


def test_a_field_name_that_is_no_text_can_still_be_written() -> None:
    error = unknown_parameter("a\ud800" + "b" * 500, [])
    error.field.encode("utf-8")
    assert len(error.field) <= 100
