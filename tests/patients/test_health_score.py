"""Life's Essential 8: the worked rows, every edge of its table, and what it refuses to score."""

import csv
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from patients_app import health_score
from patients_app.facts import Fact, exact
from patients_app.health_score import Known, Unscorable

TODAY = date(2026, 3, 1)
ROWS = list(csv.DictReader((Path(__file__).parent / "data" / "le8-adult-example.csv").open(encoding="utf-8")))


def known(age: int = 50, **values: Any) -> Known:
    """What is known of a patient, from plain values."""
    return Known(age=age, **{name: Fact(value) for name, value in values.items() if value is not None})


def of_row(row: dict[str, str]) -> Known:
    """What a worked row says of its adult."""
    activity = float(row["moderate_activity_minutes"]) + 2 * float(row["vigorous_activity_minutes"])
    inhales = row["current_inhaled_nds"] == "TRUE"
    quit_date = TODAY - timedelta(days=int(float(row["years_since_quit"]) * 365.25) + 1)
    if row["years_since_quit"] == "4.999":
        quit_date = date(2021, 3, 2)
    return known(
        int(row["age"]),
        diet_score=int(row["expected_mepa_total"]),
        physical_activity_minutes_weekly=activity,
        smoking_status="nicotine_device" if inhales else row["smoking_status"],
        quit_date=quit_date if row["smoking_status"] == "former" else None,
        secondhand_smoke_home=row["secondhand_smoke_home"] == "TRUE",
        sleep_hours=float(row["sleep_hours"]),
        bmi=float(row["bmi"]),
        non_hdl=float(row["non_hdl_cholesterol"]),
        takes_lipid_medication=row["lipid_lowering_treatment"] == "TRUE",
        has_diabetes=row["diabetes"] == "TRUE",
        hba1c=float(row["glucose_value"]) if row["glucose_measure"] == "hba1c" else None,
        fasting_glucose=float(row["glucose_value"]) if row["glucose_measure"] == "fasting_glucose" else None,
        systolic=float(row["systolic_bp"]),
        diastolic=float(row["diastolic_bp"]),
        takes_bp_medication=row["antihypertensive_treatment"] == "TRUE",
    )


@pytest.mark.parametrize("row", ROWS, ids=[row["id"] for row in ROWS])
def test_the_worked_rows_come_out_as_scored_by_hand(row: dict[str, str]) -> None:
    result = health_score.assess(of_row(row), TODAY)
    expected = {name: int(row[f"expected_{name}_score"]) for name in health_score.NAMES}
    assert {name: component.score for name, component in result.components.items()} == expected
    assert result.mean == Fraction(row["expected_le8_composite_score"])
    assert result.category == row["expected_le8_category"]
    assert (result.complete, result.missing) == (True, ())


# Worked by hand for this test, from the table of the design: what is known, the points of NAMES in order, their mean.
BY_HAND = [
    pytest.param(
        # 4 years and 364 days since quitting are 4: 50, less 20 for a smoker at home. The diastolic value is the worse
        # one: 25, less 20 on treatment; lipids 20, less 20. 80+80+30+90+70+0+20+5 = 375, over 8 = 46.875.
        {"diet_score": 14, "physical_activity_minutes_weekly": 119, "smoking_status": "former"}
        | {"quit_date": date(2021, 3, 2), "secondhand_smoke_home": True, "sleep_hours": 9.5, "bmi": 29.99}
        | {"non_hdl": 205, "takes_lipid_medication": True, "has_diabetes": True, "hba1c": 8.4}
        | {"systolic": 128, "diastolic": 92, "takes_bp_medication": True},
        (80, 80, 30, 90, 70, 0, 20, 5),
        (Fraction("46.875"), 47, "low"),
        id="every deduction",
    ),
    pytest.param(
        # A fasting glucose of 130 mg/dL without diabetes on record is not scored. 0+20+25+40+0+100+75 = 260, over 7.
        {"diet_score": 3, "physical_activity_minutes_weekly": 10, "smoking_status": "nicotine_device"}
        | {"sleep_hours": 5.5, "bmi": 40, "non_hdl": 129, "fasting_glucose": 130, "systolic": 120, "diastolic": 79},
        (0, 20, 25, 40, 0, 100, None, 75),
        (Fraction(260, 7), 37, "low"),
        id="seven components",
    ),
    pytest.param(
        # 80+90+100+70+30+60+60+75 = 565, over 8 = 70.625.
        {"diet_score": 12, "physical_activity_minutes_weekly": 120, "smoking_status": "never", "sleep_hours": 6.5}
        | {"bmi": 30, "non_hdl": 130, "has_diabetes": False, "hba1c": 5.7, "systolic": 129, "diastolic": 60},
        (80, 90, 100, 70, 30, 60, 60, 75),
        (Fraction("70.625"), 71, "moderate"),
        id="lower edges",
    ),
]


@pytest.mark.parametrize(("values", "points", "expected"), BY_HAND)
def test_rows_worked_by_hand_come_out(values: dict[str, Any], points: Any, expected: Any) -> None:
    result = health_score.assess(known(45, **values), TODAY)
    assert tuple(component.score for component in result.components.values()) == points
    assert (result.mean, result.score, result.category) == expected


@pytest.mark.parametrize(
    ("mepa", "points"),
    [(0, 0), (3, 0), (4, 25), (7, 25), (8, 50), (11, 50), (12, 80), (14, 80), (15, 100), (16, 100)],
)
def test_diet(mepa: int, points: int) -> None:
    assert health_score.diet_points(mepa) == points


@pytest.mark.parametrize(
    ("moderate", "vigorous", "points"),
    [
        *((0, 0, 0), (0.1, 0, 20), (1, 0, 20), (29.9, 0, 20), (30, 0, 40), (59, 0, 40), (60, 0, 60), (89, 0, 60)),
        *((90, 0, 80), (119.9, 0, 80), (120, 0, 90), (149, 0, 90), (150, 0, 100), (10_080, 0, 100)),
        *((0, 15, 40), (30, 30, 80), (0, 74.9, 90), (0, 75, 100)),
    ],
)
def test_activity(moderate: float, vigorous: float, points: int) -> None:
    assert health_score.activity_points(moderate, vigorous) == points


@pytest.mark.parametrize(
    ("status", "years", "alone", "with_a_smoker"),
    [
        *(("never", None, 100, 80), ("current", None, 0, 0), ("nicotine_device", None, 25, 5)),
        *(("former", 0, 25, 5), ("former", 1, 50, 30), ("former", 4, 50, 30), ("former", 5, 75, 55)),
        ("former", 60, 75, 55),
        ("former", None, Unscorable.QUIT_DATE_UNKNOWN, Unscorable.QUIT_DATE_UNKNOWN),
    ],
)
def test_nicotine(status: Any, years: int | None, alone: Any, with_a_smoker: Any) -> None:
    assert health_score.nicotine_points(status, years) == alone
    assert health_score.nicotine_points(status, years, smoker_at_home=True) == with_a_smoker


@pytest.mark.parametrize(
    ("quit_date", "today", "points"),
    [
        (date(2021, 3, 2), date(2026, 3, 1), 50),
        (date(2021, 3, 1), date(2026, 3, 1), 75),
        (date(2025, 3, 2), date(2026, 3, 1), 25),
        (date(2025, 3, 1), date(2026, 3, 1), 50),
        (date(2026, 3, 1), date(2026, 3, 1), 25),
        (date(2024, 2, 29), date(2025, 2, 28), 25),
        (date(2024, 2, 29), date(2025, 3, 1), 50),
    ],
)
def test_a_quit_date_counts_whole_years_on_its_day(quit_date: date, today: date, points: int) -> None:
    result = health_score.assess(known(smoking_status="former", quit_date=quit_date), today)
    assert result.components["nicotine"].score == points


@pytest.mark.parametrize(
    ("hours", "points"),
    [
        *((0, 0), (3.9, 0), (4, 20), (4.9, 20), (5, 40), (5.9, 40), (6, 70), (6.9, 70), (7, 100), (8.9, 100)),
        *((9, 90), (9.999, 90), (10, 40), (24, 40)),
    ],
)
def test_sleep(hours: float, points: int) -> None:
    assert health_score.sleep_points(hours) == points


@pytest.mark.parametrize(
    ("bmi", "points"),
    [
        *((18.4999, Unscorable.UNDERWEIGHT), (18.5, 100), (24.9999, 100), (25, 70), (29.9, 70), (30, 30)),
        *((34.999, 30), (35, 15), (39.9, 15), (40, 0), (90, 0)),
    ],
)
def test_body_mass_index(bmi: float, points: Any) -> None:
    assert health_score.bmi_points(bmi) == points


@pytest.mark.parametrize(
    ("non_hdl", "untreated", "treated"),
    [
        *((40, 100, 80), (129.9, 100, 80), (130, 60, 40), (159.9, 60, 40), (160, 40, 20), (189.999, 40, 20)),
        *((190, 20, 0), (219, 20, 0), (220, 0, 0), (900, 0, 0)),
    ],
)
def test_lipids(non_hdl: float, untreated: int, treated: int) -> None:
    assert health_score.lipid_points(non_hdl) == untreated
    assert health_score.lipid_points(non_hdl, treated=True) == treated


@pytest.mark.parametrize(
    ("glucose", "points"),
    [(40, 100), (99.9, 100), (100, 60), (125.9, 60), (126, Unscorable.DIABETIC_VALUE_WITHOUT_DIAGNOSIS)],
)
def test_fasting_glucose_without_diabetes(glucose: float, points: Any) -> None:
    assert health_score.fasting_glucose_points(glucose) == points


@pytest.mark.parametrize(
    ("hba1c", "without", "with_diabetes"),
    [
        *((4, 100, 40), (5.69, 100, 40), (5.7, 60, 40), (6.4, 60, 40), (6.49, 60, 40)),
        *((6.5, None, 40), (6.99, None, 40), (7, None, 30), (7.9, None, 30), (8, None, 20), (8.9, None, 20)),
        *((9, None, 10), (9.9, None, 10), (10, None, 0), (20, None, 0)),
    ],
)
def test_hba1c(hba1c: float, without: int | None, with_diabetes: int) -> None:
    expected = Unscorable.DIABETIC_VALUE_WITHOUT_DIAGNOSIS if without is None else without
    assert health_score.hba1c_points(hba1c, diabetes=False) == expected
    assert health_score.hba1c_points(hba1c, diabetes=True) == with_diabetes


@pytest.mark.parametrize(
    ("systolic", "diastolic", "untreated", "treated"),
    [
        *((119, 79, 100, 80), (119.9, 79.9, 100, 80), (120, 79, 75, 55), (129, 79, 75, 55), (129.9, 79, 75, 55)),
        *((130, 79, 50, 30), (119, 80, 50, 30), (129, 80, 50, 30), (139, 89, 50, 30), (119, 89.9, 50, 30)),
        *((140, 79, 25, 5), (119, 90, 25, 5), (159, 99, 25, 5), (160, 79, 0, 0), (119, 100, 0, 0)),
    ],
)
def test_blood_pressure_is_that_of_the_worse_value(
    systolic: float, diastolic: float, untreated: int, treated: int
) -> None:
    assert health_score.pressure_points(systolic, diastolic) == untreated
    assert health_score.pressure_points(systolic, diastolic, treated=True) == treated


def test_nothing_known_scores_nothing() -> None:
    result = health_score.assess(known(), TODAY)
    assert (result.score, result.mean, result.category, result.complete) == (None, None, None, False)
    assert {component.reason for component in result.components.values()} == {Unscorable.NO_DATA}
    assert result.missing == health_score.NAMES


@pytest.mark.parametrize(("age", "score"), [(19, None), (20, 100)])
def test_the_score_is_for_adults_only(age: int, score: int | None) -> None:
    result = health_score.assess(known(age, diet_score=16), TODAY)
    assert result.score == score
    assert result.components["diet"].reason == (Unscorable.UNDER_20 if score is None else None)


def test_one_component_is_enough_and_the_others_are_missing() -> None:
    result = health_score.assess(known(sleep_hours=6), TODAY)
    assert (result.score, result.category, result.complete) == (70, "moderate", False)
    assert set(result.missing) == set(health_score.NAMES) - {"sleep"}


def test_an_unscorable_component_does_not_count_as_zero() -> None:
    result = health_score.assess(known(sleep_hours=8, bmi=17), TODAY)
    assert result.score == 100
    assert result.components["bmi"].reason == Unscorable.UNDERWEIGHT


def test_diabetes_without_hba1c_is_not_scored_by_glucose() -> None:
    result = health_score.assess(known(has_diabetes=True, fasting_glucose=90), TODAY)
    assert result.components["blood_glucose"].reason == Unscorable.DIABETES_WITHOUT_HBA1C


@pytest.mark.parametrize(
    ("hba1c_at", "glucose_at", "points"),
    [(1, 2, 60), (2, 1, 100), (2, 2, 100)],
    ids=["glucose", "hba1c", "same moment"],
)
def test_without_diabetes_the_newer_value_counts_and_of_one_moment_hba1c(
    hba1c_at: int, glucose_at: int, points: int
) -> None:
    hba1c, glucose = (
        Fact(value, at=datetime(2026, 1, 5, hour, tzinfo=UTC)) for value, hour in ((5.0, hba1c_at), (110, glucose_at))
    )
    result = health_score.assess(Known(age=50, hba1c=hba1c, fasting_glucose=glucose), TODAY)
    assert result.components["blood_glucose"].score == points


def test_a_number_counts_as_it_is_written() -> None:
    assert exact(200.1) - exact(70.1) == 130


def test_a_lone_half_of_a_pressure_scores_nothing() -> None:
    component = health_score.assess(known(systolic=110), TODAY).components["blood_pressure"]
    assert (component.reason, component.unknown) == (Unscorable.NO_DATA, ("diastolic",))


def test_the_mean_is_shown_with_halves_up_and_judged_exactly() -> None:
    pressure = {"systolic": 135, "diastolic": 70}
    result = health_score.assess(known(sleep_hours=8, bmi=22, diet_score=12, non_hdl=100, **pressure), TODAY)
    assert (result.mean, result.score, result.category) == (86, 86, "high")
    result = health_score.assess(
        known(
            sleep_hours=8,
            bmi=27,
            diet_score=12,
            non_hdl=100,
            smoking_status="former",
            quit_date=date(2020, 1, 1),
            fasting_glucose=105,
            systolic=125,
            diastolic=70,
            physical_activity_minutes_weekly=60,
        ),
        TODAY,
    )
    assert (result.mean, result.score, result.category) == (Fraction("77.5"), 78, "moderate")


@pytest.mark.parametrize(
    ("mean", "score", "category"),
    [
        (Fraction(80), 80, "high"),
        (Fraction("79.9"), 80, "moderate"),
        (Fraction("79.5"), 80, "moderate"),
        (Fraction(50), 50, "moderate"),
        (Fraction("49.5"), 50, "low"),
        (Fraction("0.5"), 1, "low"),
        (Fraction(0), 0, "low"),
    ],
)
def test_the_category_is_that_of_the_exact_mean(mean: Fraction, score: int, category: str) -> None:
    # Fractions of points do not occur in the table; here they reach each edge of the categories.
    component = health_score.Component(mean)  # type: ignore[arg-type]
    result = health_score.HealthScore({"diet": component})
    assert (result.score, result.category) == (score, category)


def test_a_component_tells_what_it_used_and_what_it_did_not_know() -> None:
    systolic, diastolic = (
        Fact(value, "mm[Hg]", datetime(2026, 2, 3, tzinfo=UTC), code)
        for value, code in ((121, "8480-6"), (70, "8462-4"))
    )
    component = health_score.assess(Known(age=50, systolic=systolic, diastolic=diastolic), TODAY).components[
        "blood_pressure"
    ]
    assert component.score == 75
    assert component.inputs == {"systolic": systolic, "diastolic": diastolic}
    assert component.unknown == ("takes_bp_medication",)


POSITIVE = st.floats(0, 3000)


@given(POSITIVE, POSITIVE)
def test_points_follow_the_value(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert health_score.activity_points(low) <= health_score.activity_points(high)
    assert health_score.diet_points(low) <= health_score.diet_points(high)
    for worse_when_higher in (
        health_score.lipid_points,
        lambda value: health_score.hba1c_points(value, diabetes=True),
        lambda value: health_score.bmi_points(value + 18.5),
        lambda value: health_score.pressure_points(value, 70),
        lambda value: health_score.pressure_points(110, value),
    ):
        assert worse_when_higher(low) >= worse_when_higher(high)


@given(
    age=st.integers(0, 130),
    smoking=st.sampled_from([None, "never", "former", "current", "nicotine_device"]),
    numbers=st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(
                ("diet_score", "physical_activity_minutes_weekly", "sleep_hours", "bmi", "non_hdl"), POSITIVE
            ),
            **dict.fromkeys(("fasting_glucose", "hba1c", "systolic", "diastolic"), POSITIVE),
        },
    ),
    flags=st.fixed_dictionaries(
        {},
        optional={
            name: st.booleans()
            for name in ("secondhand_smoke_home", "takes_lipid_medication", "has_diabetes", "takes_bp_medication")
        },
    ),
    quit_date=st.none() | st.dates(date(1950, 1, 1), TODAY),
)
def test_a_score_lies_between_0_and_100_whatever_is_known(
    age: int, smoking: Any, numbers: dict[str, float], flags: dict[str, bool], quit_date: date | None
) -> None:
    result = health_score.assess(known(age, smoking_status=smoking, quit_date=quit_date, **numbers, **flags), TODAY)
    for component in result.components.values():
        assert (component.score is None) != (component.reason is None)
        assert component.score is None or 0 <= component.score <= 100
    assert result.score is None or 0 <= result.score <= 100
    assert (result.score is None) == (len(result.missing) == len(health_score.NAMES))
    assert result.complete == (not result.missing)
