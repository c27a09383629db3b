"""Dates of request bodies and parameters."""

import re
from contextlib import suppress
from datetime import date
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def parse_day(value: Any) -> date | None:
    """The date of a text `YYYY-MM-DD`; None for anything else."""
    # pydantic alone would also take a number of seconds since 1970, and a date with a time.
    if isinstance(value, str) and _ISO_DATE.fullmatch(value):
        with suppress(ValueError):
            return date.fromisoformat(value)
    return None


def _iso_date(value: Any) -> date:
    if (day := parse_day(value)) is not None:
        return day
    raise PydanticCustomError("date_format", "is not a date YYYY-MM-DD")


Day = Annotated[date, BeforeValidator(_iso_date)]
