"""Moments of requests: RFC 3339 with an offset, as one moment in UTC; bounds may be dates."""

from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.moments import From, Moment, To


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T15:30:00Z", datetime(2026, 1, 31, 15, 30, tzinfo=UTC)),
        ("2026-01-31t15:30:00z", datetime(2026, 1, 31, 15, 30, tzinfo=UTC)),
        ("2026-01-31T15:30Z", datetime(2026, 1, 31, 15, 30, tzinfo=UTC)),
        ("2026-01-31T15:30:00.250-06:00", datetime(2026, 1, 31, 21, 30, 0, 250_000, tzinfo=UTC)),
        ("2026-01-31T23:30:00-06:00", datetime(2026, 2, 1, 5, 30, tzinfo=UTC)),
    ],
)
def test_a_moment_is_kept_in_utc(text: str, expected: datetime) -> None:
    moment = TypeAdapter(Moment).validate_python(text)
    assert (moment, moment.tzinfo) == (expected, UTC)


@pytest.mark.parametrize(
    "value",
    [
        *("2026-01-31T15:30:00", "2026-01-31", "31/01/2026", "", "now", "2026-02-30T00:00:00Z", "2026-01-01T24:00:01Z"),
        *("0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59Z", "٢٠٢٦-01-31T15:30:00Z"),
        *("2034-01-05T10:00:00+00:99", "2034-01-05T10:00:00-00:60", "2034-01-05T10:00:00+24:00"),
        *(1_770_000_000, None, True, [], {}),
    ],
)
def test_what_is_no_moment_is_refused(value: object) -> None:
    for kind in (Moment, From, To):
        if kind is Moment or value != "2026-01-31":
            with pytest.raises(ValidationError, match="moment"):
                TypeAdapter(kind).validate_python(value)


def test_a_date_is_its_first_moment_as_a_lower_bound_and_its_last_as_an_upper_one() -> None:
    assert TypeAdapter(From).validate_python("2026-01-31") == datetime(2026, 1, 31, tzinfo=UTC)
    assert TypeAdapter(To).validate_python("2026-01-31") == datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC)
