"""Text fields of request bodies and parameters: trimmed, Unicode-NFC, free of control characters."""

import unicodedata
from typing import Annotated, Any

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

_ALLOWED_CONTROLS = "\n\t"
_LONGEST_NORMALISED_PASSWORD = 1_000
# More marks on one letter are no text (UAX #15, Stream-Safe Text Format), and a megabyte of them takes minutes to sort.
_MOST_MARKS = 30


def clean(value: Any) -> Any:
    """Trim and normalise a string; refuse control characters, lone surrogates and heaps of marks: these are no text."""
    if not isinstance(value, str):
        return value
    if not value.isascii():
        _check_marks(value)
    return check_characters(unicodedata.normalize("NFC", value).strip())


def check_characters(value: str) -> str:
    """Return `value`, or raise the error `text_characters` for what is no character of a text."""
    if any(unicodedata.category(c) in ("Cc", "Cs") and c not in _ALLOWED_CONTROLS for c in value):
        raise PydanticCustomError("text_characters", "contains control characters")
    return value


def _check_marks(value: str) -> None:
    marks = 0
    for character in value:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks > _MOST_MARKS:
            raise PydanticCustomError("string_unicode", "has too many marks on one letter")


def _plain_separators(value: Any) -> Any:
    """Spaces and hyphens of any kind as ASCII's, without which licences are compared; no invisible characters."""
    if not isinstance(value, str):
        return value
    plain = {"Zs": " ", "Pd": "-", "Cf": ""}
    return "".join(plain.get(unicodedata.category(c), c) for c in value.replace("\N{MINUS SIGN}", "-"))


def _email(value: str) -> str:
    try:
        return validate_email(value, check_deliverability=False).normalized
    except EmailNotValidError as exc:
        raise PydanticCustomError("email", "is not an e-mail address") from exc


def _password(value: str) -> str:
    check_characters(value)
    # Past the length rule in any form, and normalising takes time that grows with the square: left as it is.
    return value if len(value) > _LONGEST_NORMALISED_PASSWORD else unicodedata.normalize("NFC", value)


# What `clean` admits, in the words of JSON Schema (ECMA-262); the second one says that it is not blank, too.
_TEXT = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"
_NOT_BLANK = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"


class _Cleaned(BeforeValidator):
    """Runs `clean` before all else, and tells the OpenAPI document what that refuses."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        described = handler(schema)
        if "format" not in described:
            described.setdefault("pattern", _NOT_BLANK if described.get("minLength") else _TEXT)
        return described


CLEAN = _Cleaned(clean)
# The bounds stand before `clean`, which runs first all the same: behind it pydantic would count items, not characters.
Text = Annotated[str, Field(min_length=1, max_length=200), CLEAN]
Name = Annotated[str, Field(min_length=1, max_length=100), CLEAN]
Note = Annotated[str, Field(min_length=1, max_length=2_000), CLEAN]
LicenseNumber = Annotated[
    str, Field(min_length=3, max_length=50, pattern=r"[0-9A-Za-z]"), CLEAN, BeforeValidator(_plain_separators)
]
Phone = Annotated[str, Field(min_length=5, max_length=30, pattern=r"^\+?[0-9 ()./x-]*[0-9][0-9 ()./x-]*$"), CLEAN]
Email = Annotated[str, Field(max_length=254, json_schema_extra={"format": "email"}), AfterValidator(_email), CLEAN]
# The length rules of passwords are the auth service's; here only what no text may hold. Never trimmed.
Password = Annotated[str, Field(json_schema_extra={"pattern": _TEXT}), AfterValidator(_password)]
PostalCode = Annotated[str, Field(min_length=1, max_length=20), CLEAN]
Search = Annotated[str, Field(min_length=1, max_length=100), CLEAN]
