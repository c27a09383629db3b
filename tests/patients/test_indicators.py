"""Age and body mass index at their limits."""

from datetime import date
from decimal import Decimal

import pytest
from patients_app import indicators


@pytest.mark.parametrize(
    ("date_of_birth", "today", "years"),
    [
        (date(1980, 5, 17), date(2026, 5, 16), 45),
        (date(1980, 5, 17), date(2026, 5, 17), 46),
        (date(2026, 5, 17), date(2026, 5, 17), 0),
        (date(1999, 12, 31), date(2000, 1, 1), 0),
        (date(2000, 2, 29), date(2025, 2, 28), 24),
        (date(2000, 2, 29), date(2025, 3, 1), 25),
        (date(2000, 2, 29), date(2024, 2, 28), 23),
        (date(2000, 2, 29), date(2024, 2, 29), 24),
        (date(2000, 2, 28), date(2024, 2, 28), 24),
    ],
)
def test_age_counts_whole_years_and_a_leap_day_on_the_first_of_march(
    date_of_birth: date, today: date, years: int
) -> None:
    assert indicators.age(date_of_birth, today) == years


@pytest.mark.parametrize(
    ("date_of_birth", "today", "beyond"),
    [
        (date(1896, 5, 17), date(2026, 5, 17), False),
        (date(1896, 5, 16), date(2026, 5, 17), True),
        (date(1896, 2, 29), date(2026, 3, 1), False),
        (date(1896, 2, 29), date(2026, 3, 2), True),
    ],
)
def test_a_life_ends_after_its_hundred_and_thirtieth_birthday(date_of_birth: date, today: date, beyond: bool) -> None:
    assert indicators.is_beyond_life(date_of_birth, today) is beyond


@pytest.mark.parametrize(
    ("height_cm", "weight_kg", "name"),
    [
        (100, 18.49, "underweight"),
        (200, 74, "normal"),  # 18.5
        (100, 24.99, "normal"),
        (160, 64, "overweight"),  # 25, which binary fractions of a metre would miss
        (100, 29.99, "overweight"),
        (100, 30, "obesity_1"),
        (170, 101.15, "obesity_2"),  # 35
        (100, 39.99, "obesity_2"),
        (100, 40, "obesity_3"),
        (30, 650, "obesity_3"),
    ],
)
def test_a_class_begins_at_its_limit_and_looks_at_the_unrounded_index(
    height_cm: float, weight_kg: float, name: str
) -> None:
    assert indicators.bmi_class(indicators.bmi(height_cm, weight_kg), 20) == name


@pytest.mark.parametrize(("age", "name"), [(19, None), (20, "normal"), (90, "normal")])
def test_the_classes_are_for_adults_only(age: int, name: str | None) -> None:
    assert indicators.bmi_class(Decimal(22), age) == name


@pytest.mark.parametrize(("height_cm", "weight_kg"), [(None, 70), (170, None), (None, None)])
def test_without_height_or_weight_nothing_is_known(height_cm: float | None, weight_kg: float | None) -> None:
    index = indicators.bmi(height_cm, weight_kg)
    assert index is None
    assert indicators.rounded(index) is None
    assert indicators.bmi_class(index, 40) is None
    assert indicators.bmi_classification(None, "es") is None


@pytest.mark.parametrize(("exact", "shown"), [("24.95", 25.0), ("24.949", 24.9), ("18.25", 18.3), ("18.45", 18.5)])
def test_the_index_is_shown_with_one_decimal_and_halves_up(exact: str, shown: float) -> None:
    assert indicators.rounded(Decimal(exact)) == shown


def test_an_index_just_below_a_limit_keeps_its_class_though_it_is_shown_as_the_limit() -> None:
    index = indicators.bmi(100, 24.96)
    assert (indicators.rounded(index), indicators.bmi_class(index, 30)) == (25.0, "normal")


def test_every_class_has_a_label_in_both_languages() -> None:
    names = ["underweight", "normal", "overweight", "obesity_1", "obesity_2", "obesity_3"]
    spanish = [indicators.bmi_classification(name, "es") for name in names]
    english = [indicators.bmi_classification(name, "en") for name in names]
    assert spanish == ["Bajo peso", "Normal", "Sobrepeso", "Obesidad I", "Obesidad II", "Obesidad III"]
    assert english == ["Underweight", "Normal", "Overweight", "Obesity I", "Obesity II", "Obesity III"]
