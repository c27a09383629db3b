"""Age and body mass index: numbers in, numbers and WHO's words out. Nothing here reads a clock or a database."""

from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

BmiClass = Literal["underweight", "normal", "overweight", "obesity_1", "obesity_2", "obesity_3"]

ADULT_AGE = 20
LONGEST_LIFE_YEARS = 130

# World Health Organization, Technical Report Series 894 (2000): each class up to, not including, this many kg/m².
_UPPER_LIMITS: tuple[tuple[BmiClass, Decimal], ...] = (
    ("underweight", Decimal("18.5")),
    ("normal", Decimal(25)),
    ("overweight", Decimal(30)),
    ("obesity_1", Decimal(35)),
    ("obesity_2", Decimal(40)),
)
_LABELS: dict[BmiClass, tuple[str, str]] = {
    "underweight": ("Bajo peso", "Underweight"),
    "normal": ("Normal", "Normal"),
    "overweight": ("Sobrepeso", "Overweight"),
    "obesity_1": ("Obesidad I", "Obesity I"),
    "obesity_2": ("Obesidad II", "Obesity II"),
    "obesity_3": ("Obesidad III", "Obesity III"),
}


def birthday(date_of_birth: date, year: int) -> date:
    """The birthday in a year: who was born on 29 February has it on 1 March in the years without that day."""
    try:
        return date_of_birth.replace(year=year)
    except ValueError:
        return date(year, 3, 1)


def age(date_of_birth: date, today: date) -> int:
    """Whole years lived on `today`."""
    return today.year - date_of_birth.year - (today < birthday(date_of_birth, today.year))


def is_beyond_life(date_of_birth: date, today: date) -> bool:
    """Whether someone born then (not after `today`) would be more than LONGEST_LIFE_YEARS old."""
    return birthday(date_of_birth, date_of_birth.year + LONGEST_LIFE_YEARS) < today


def bmi(height_cm: float | None, weight_kg: float | None) -> Decimal | None:
    """Body mass index in kg/m², not rounded: decimal, so that a value on a class's limit lies on it. None: unknown."""
    if height_cm is None or weight_kg is None:
        return None
    # By their shortest decimal notation: 1.6 ** 2 in binary is a little over 2.56 and would turn a 25 into a 24.99….
    return Decimal(str(weight_kg)) * 10_000 / Decimal(str(height_cm)) ** 2


def rounded(exact_bmi: Decimal | None) -> float | None:
    """The index as it is shown: one decimal, halves up."""
    return None if exact_bmi is None else float(exact_bmi.quantize(Decimal("0.1"), ROUND_HALF_UP))


def bmi_class(exact_bmi: Decimal | None, age_years: int) -> BmiClass | None:
    """WHO's class, from the unrounded index; None without one and under ADULT_AGE, whom these limits don't fit."""
    if exact_bmi is None or age_years < ADULT_AGE:
        return None
    return next((name for name, limit in _UPPER_LIMITS if exact_bmi < limit), "obesity_3")


def bmi_classification(name: BmiClass | None, language: str) -> str | None:
    """The label of a class for people, in `es` or `en`."""
    return None if name is None else _LABELS[name][language == "en"]
