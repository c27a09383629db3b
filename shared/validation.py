"""pydantic's findings as field errors in two languages, without the rejected value (it may be a password)."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from .errors import FieldError

# pydantic error type -> (code, Spanish, English); the braces take pydantic's own context.
_MESSAGES = {
    "missing": ("required", "Este campo es obligatorio.", "This field is required."),
    "extra_forbidden": ("unknown_field", "Este campo no existe aquí.", "This field does not exist here."),
    "string_too_short": (
        "too_short",
        "Debe tener al menos {min_length} caracteres.",
        "Must have at least {min_length} characters.",
    ),
    "string_too_long": (
        "too_long",
        "No puede pasar de {max_length} caracteres.",
        "Must have at most {max_length} characters.",
    ),
    "too_long": ("too_many", "No puede tener más de {max_length} elementos.", "Must have at most {max_length} items."),
    "too_short": ("too_few", "Debe tener al menos {min_length} elementos.", "Must have at least {min_length} items."),
    "greater_than_equal": ("too_small", "Debe ser mayor o igual que {ge}.", "Must be at least {ge}."),
    "greater_than": ("too_small", "Debe ser mayor que {gt}.", "Must be greater than {gt}."),
    "less_than_equal": ("too_large", "Debe ser menor o igual que {le}.", "Must be at most {le}."),
    "less_than": ("too_large", "Debe ser menor que {lt}.", "Must be less than {lt}."),
    "literal_error": ("not_allowed", "Debe ser uno de: {expected}.", "Must be one of: {expected}."),
    "email": ("email", "No es un correo electrónico válido.", "Is not a valid e-mail address."),
    "text_characters": ("characters", "Contiene caracteres de control.", "Contains control characters."),
    "string_unicode": ("characters", "Contiene caracteres que no son texto.", "Contains characters that are not text."),
    "string_pattern_mismatch": ("format", "No tiene el formato esperado.", "Does not have the expected format."),
    "decimal_max_places": (
        "decimals",
        "Admite a lo más {decimal_places} decimales.",
        "At most {decimal_places} decimals.",
    ),
    "finite_number": ("not_finite", "Debe ser un número finito.", "Must be a finite number."),
}
_KINDS = {
    "string": ("type", "Debe ser un texto.", "Must be a text."),
    "int": ("type", "Debe ser un número entero.", "Must be a whole number."),
    "float": ("type", "Debe ser un número.", "Must be a number."),
    "decimal": ("type", "Debe ser un número.", "Must be a number."),
    "bool": ("type", "Debe ser verdadero o falso.", "Must be true or false."),
    "date": ("type", "Debe ser una fecha AAAA-MM-DD.", "Must be a date YYYY-MM-DD."),
    "datetime": ("type", "Debe ser una fecha y hora RFC 3339.", "Must be an RFC 3339 date and time."),
    "uuid": ("type", "Debe ser un UUID.", "Must be a UUID."),
    "url": ("format", "Debe ser una dirección web.", "Must be a web address."),
    "list": ("type", "Debe ser una lista.", "Must be a list."),
    "dict": ("type", "Debe ser un objeto.", "Must be an object."),
    "model": ("type", "Debe ser un objeto.", "Must be an object."),
}
_OTHER = ("invalid", "El valor no es válido.", "The value is not valid.")
# What a path begins with that is no field: where the value stood, and the tags of bodies that have two forms.
_PLACES = {"body", "query", "path", "header", "cookie", "(one)", "(many)"}


def field_errors(findings: Iterable[Mapping[str, Any]]) -> list[FieldError]:
    """One FieldError for each of pydantic's findings; one with `es` and `en` in its context speaks for itself."""
    return [_field_error(finding) for finding in findings]


def unknown_parameter(name: str, known: Iterable[str]) -> FieldError:
    """A query parameter that the operation does not have, with the nearest one that it has."""
    nearest = get_close_matches(name, list(known), n=1, cutoff=0.4)
    es, en = "Este parámetro no existe aquí.", "This parameter does not exist here."
    if nearest:
        es, en = f"{es} ¿Quiso decir «{nearest[0]}»?", f'{en} Did you mean "{nearest[0]}"?'
    return FieldError(_printable(name), "unknown_parameter", es, en)


def _field_error(finding: Mapping[str, Any]) -> FieldError:
    kind, context = finding["type"], finding.get("ctx", {})
    path = [part for part in finding["loc"] if part not in _PLACES] or [str(finding["loc"][0])]
    name = ".".join(_printable(str(part)) for part in path)
    if "es" in context and "en" in context:
        return FieldError(name, kind, context["es"], context["en"])
    code, es, en = _MESSAGES.get(kind) or _KINDS.get(kind.split("_")[0]) or _OTHER
    # What may stand there is a list in English, its last comma an "or".
    spanish = {**context, "expected": str(context.get("expected")).replace(" or ", ", ")}
    return FieldError(name, code, es.format(**spanish), en.format(**context))


def _printable(name: str) -> str:
    """A field's name as a client sent it may be anything: keep it short and encodable."""
    return name.encode("utf-8", "replace").decode()[:100]
