"""What is known of a patient, with its unit, its moment and where it is recorded, so that a result can be retraced."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Generic, TypeVar

Number = int | float | Decimal | Fraction
Value = Number | str | bool | date
V = TypeVar("V", bound=Value, covariant=True)


@dataclass(frozen=True)
class Fact(Generic[V]):
    """A value, its UCUM unit ("" for none), since when it is known (None: not recorded), and its `source`.

    The source is a LOINC code for an observation, `profile`, `conditions`, `patient` or, for what follows from other
    facts, `computed`.
    """

    value: V
    unit: str = ""
    at: datetime | None = None
    source: str = "profile"


# The facts that a result used, by the name of the input.
Facts = Mapping[str, Fact[Value]]


def exact(number: Number) -> Fraction:
    """A number as people write it: the float 0.1 is a tenth, so that a value on a table's limit lies on it."""
    return Fraction(str(number)) if isinstance(number, float) else Fraction(number)
