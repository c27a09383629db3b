"""Text fields of request bodies and parameters: trimmed, Unicode-NFC, free of control characters."""

import unicodedata
from typing import Annotated, Any

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

_ALLOWED_CONTROLS = "\n\t"
_LONGEST_NORMALISED_PASSWORD = 1_000


def clean(value: Any) -> Any:
    """Trim and normalise a string; refuse control characters and lone surrogates: neither is text."""
    if not isinstance(value, str):
        return value
    return check_characters(unicodedata.normalize("NFC", value).strip())


def check_characters(value: str) -> str:
    """Return `value`, or raise the error `text_characters` for what is no character of a text."""
    if any(unicodedata.category(c) in ("Cc", "Cs") and c not in _ALLOWED_CONTROLS for c in value):
        raise PydanticCustomError("text_characters", "contains control characters")
    return value


def _email(value: str) -> str:
    try:
        return validate_email(value, check_deliverability=False).normalized
    except EmailNotValidError as exc:
        raise PydanticCustomError("email", "is not an e-mail address") from exc


def _password(value: str) -> str:
    # Past the length rule in any form, and normalising takes time that grows with the square: left as it is.
    if len(value) > _LONGEST_NORMALISED_PASSWORD:
        return value
    return check_characters(unicodedata.normalize("NFC", value))


# The bounds stand before `clean`, which runs first all the same: behind it pydantic would count items, not characters.
Text = Annotated[str, Field(min_length=1, max_length=200), BeforeValidator(clean)]
Name = Annotated[str, Field(min_length=1, max_length=100), BeforeValidator(clean)]
Note = Annotated[str, Field(min_length=1, max_length=2_000), BeforeValidator(clean)]
LicenseNumber = Annotated[str, Field(min_length=3, max_length=50, pattern=r"[0-9A-Za-z]"), BeforeValidator(clean)]
Phone = Annotated[
    str, Field(min_length=5, max_length=30, pattern=r"^\+?[0-9 ()./x-]*[0-9][0-9 ()./x-]*$"), BeforeValidator(clean)
]
Email = Annotated[str, Field(max_length=254), AfterValidator(_email), BeforeValidator(clean)]
# The length rules of passwords are the auth service's; here only what no text may hold. Never trimmed.
Password = Annotated[str, AfterValidator(_password)]
Search = Annotated[str, Field(min_length=1, max_length=100), BeforeValidator(clean)]
