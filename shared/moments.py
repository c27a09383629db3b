"""Points in time of request bodies and parameters: RFC 3339, with the offset that makes them one."""

import re
from contextlib import suppress
from datetime import UTC, datetime, time
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from .dates import parse_day

_RFC_3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)", re.ASCII
)
# Room for what is added to a moment: later ones could not be written any more.
_LAST_YEAR = 9_998

_SENTENCES = {
    "es": "Debe ser una fecha y hora RFC 3339 con zona, como 2026-01-31T15:30:00Z.",
    "en": "Must be an RFC 3339 date and time with its offset, such as 2026-01-31T15:30:00Z.",
}
_BOUND_SENTENCES = {
    "es": "Debe ser una fecha AAAA-MM-DD o una fecha y hora RFC 3339 con zona.",
    "en": "Must be a date YYYY-MM-DD or an RFC 3339 date and time with its offset.",
}


def _moment(value: Any) -> datetime:
    if isinstance(value, str) and _RFC_3339.fullmatch(value.strip()):
        with suppress(ValueError, OverflowError):
            moment = datetime.fromisoformat(value.strip().upper()).astimezone(UTC)
            if moment.year <= _LAST_YEAR:
                return moment
    raise PydanticCustomError("datetime_format", "is not a moment", _SENTENCES)


def _bound(value: Any, time_of_day: time) -> datetime:
    if (day := parse_day(value)) is not None:
        return datetime.combine(day, time_of_day)
    try:
        return _moment(value)
    except PydanticCustomError as exc:
        raise PydanticCustomError("datetime_format", "is neither a date nor a moment", _BOUND_SENTENCES) from exc


def _from(value: Any) -> datetime:
    return _bound(value, time.min.replace(tzinfo=UTC))


def _to(value: Any) -> datetime:
    return _bound(value, time.max.replace(tzinfo=UTC))


# In UTC, whatever the offset of the client.
Moment = Annotated[datetime, BeforeValidator(_moment)]
# The inclusive bounds of a list; a date alone is its first and its last moment in UTC.
From = Annotated[datetime, BeforeValidator(_from)]
To = Annotated[datetime, BeforeValidator(_to)]
