"""PREVENT: the worked rows, the range that it was made for, and kidney function."""

import csv
from math import exp
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from patients_app import cardiovascular_risk
from patients_app.cardiovascular_risk import OUTCOMES, Known, NotApplicable
from patients_app.facts import Fact

ROWS = list(csv.DictReader((Path(__file__).parent / "data" / "prevent_base_vectors.csv").open(encoding="utf-8")))
# The profile of the publication's own example.
EXAMPLE: dict[str, Any] = {
    **{
        "age": 50,
        "sex": "female",
        "systolic": 160,
        "total_cholesterol": 200,
        "hdl_cholesterol": 45,
        "egfr": 90,
        "bmi": 35,
    },
    **{"has_diabetes": True, "is_smoker": False, "takes_bp_medication": True, "takes_lipid_medication": False},
}
HEART_FAILURE_ONLY = {"total_cvd": False, "ascvd": False, "heart_failure": True}
ALL_BUT_HEART_FAILURE = {"total_cvd": True, "ascvd": True, "heart_failure": False}
NONE = dict.fromkeys(OUTCOMES, False)
ALL = dict.fromkeys(OUTCOMES, True)


def assess(**changes: Any) -> cardiovascular_risk.CardiovascularRisk:
    """The example's risk with some values changed; None: unknown."""
    values = EXAMPLE | changes
    return cardiovascular_risk.assess(
        Known(**{name: Fact(value) for name, value in values.items() if value is not None})
    )


def computed(risks: Any) -> dict[str, bool]:
    """Which outcomes have a number."""
    return {outcome: value is not None for outcome, value in risks.items()}


@pytest.mark.parametrize("row", ROWS, ids=[f"{row['sex']}-{row['age']}-{row['sbp']}" for row in ROWS])
def test_the_worked_rows_come_out(row: dict[str, str]) -> None:
    result = assess(
        **{"sex": row["sex"], "age": int(row["age"]), "systolic": float(row["sbp"]), "bmi": float(row["bmi"])},
        **{"total_cholesterol": float(row["tc"]), "hdl_cholesterol": float(row["hdl"]), "egfr": float(row["egfr"])},
        **{"takes_bp_medication": row["bptx"] == "1", "takes_lipid_medication": row["statin"] == "1"},
        **{"has_diabetes": row["dm"] == "1", "is_smoker": row["smk"] == "1"},
    )
    for outcome in OUTCOMES:
        assert result.ten_year[outcome] == pytest.approx(float(row[f"{outcome}_10yr"]), abs=1e-5)
        if row[f"{outcome}_30yr"]:
            assert result.thirty_year is not None
            assert result.thirty_year[outcome] == pytest.approx(float(row[f"{outcome}_30yr"]), abs=1e-5)
        else:
            assert result.thirty_year is None
    assert result.missing == ()


# Worked by hand for this test, from the publication's coefficients (each as it is printed there) and the terms of the
# design; every value lies a whole number of steps from its centre, so that the terms are short. Coefficient, term.
BY_HAND = [
    pytest.param(
        # 65 years, (65-55)/10 = 1; (150-130)/20 = 1; eGFR 45: (45-60)/-15 = 1 below 60 and (60-90)/-15 = 2 above.
        # Non-HDL 150 mg/dL = 3.879 mmol/L, 0.379 over 3.5; HDL 50 mg/dL = 1.293 mmol/L, (1.293-1.3)/0.3 = -0.07/3.
        {"sex": "female", "age": 65, "systolic": 150, "egfr": 45, "total_cholesterol": 200, "hdl_cholesterol": 50}
        | {"takes_bp_medication": True, "takes_lipid_medication": True, "has_diabetes": False, "is_smoker": False},
        ("10yr", "total_cvd"),
        [
            *((-3.307728, 1), (0.7939329, 1), (0.0305239, 0.379), (-0.1606857, -0.07 / 3), (0.3600781, 1)),
            *((0.6045917, 1), (0.0433769, 2), (0.3151672, 1), (-0.1477655, 1)),  # kidneys, both treatments
            *((-0.0663612, 1), (0.1197879, 0.379)),  # treatment by pressure, by non-HDL
            *((-0.0819715, 0.379), (0.0306769, -0.07 / 3), (-0.0946348, 1), (-0.1637806, 1)),  # age by the others
        ],
        0.16927,
        id="treated woman of 65, total CVD",
    ),
    pytest.param(
        # 45 years: -1; 90 mmHg: (90-110)/20 = -1 below 110 and (110-130)/20 = -1 above; eGFR 105: (105-90)/-15 = -1.
        # Non-HDL 140 mg/dL = 3.6204 mmol/L, 0.1204 over 3.5; HDL 40 mg/dL = 1.0344 mmol/L, -0.2656/0.3.
        {"sex": "male", "age": 45, "systolic": 90, "egfr": 105, "total_cholesterol": 180, "hdl_cholesterol": 40}
        | {"takes_bp_medication": False, "takes_lipid_medication": False, "has_diabetes": True, "is_smoker": True},
        ("10yr", "ascvd"),
        [
            *((-3.500655, 1), (0.7099847, -1), (0.1658663, 0.1204), (-0.1144285, -0.2656 / 0.3), (-0.2837212, -1)),
            *((0.3239977, -1), (0.7189597, 1), (0.3956973, 1), (0.0203619, -1)),
            *((-0.0300005, -0.1204), (0.0232747, 0.2656 / 0.3), (-0.0927024, 1), (-0.2018525, -1), (-0.0970527, -1)),
        ],
        0.05706,
        id="diabetic smoker of 45, ASCVD",
    ),
    pytest.param(
        # 45 years: -1, squared 1; 130 mmHg and eGFR 90 are the centres: 0; BMI 35: 1 up to 30, 1 above. No cholesterol.
        {"sex": "female", "age": 45, "systolic": 130, "egfr": 90, "bmi": 35}
        | {"takes_bp_medication": False, "has_diabetes": False, "is_smoker": True},
        ("30yr", "heart_failure"),
        [
            *((-2.205379, 1), (0.6254374, -1), (-0.0983038, 1), (0.3438651, 1), (0.0594874, 1), (0.2525536, 1)),
            *((-0.1982991, -1), (-0.0035619, -1)),  # age by smoking, by BMI
        ],
        0.11191,
        id="obese smoker of 45, heart failure in thirty years",
    ),
]


@pytest.mark.parametrize(("values", "risk", "terms", "expected"), BY_HAND)
def test_rows_worked_by_hand_come_out(
    values: dict[str, Any], risk: tuple[Any, Any], terms: list[tuple[float, float]], expected: float
) -> None:
    x = sum(coefficient * term for coefficient, term in terms)
    by_hand = exp(x) / (1 + exp(x))
    assert by_hand == pytest.approx(expected, abs=5e-6)
    assert cardiovascular_risk.risk(values, *risk) == pytest.approx(by_hand, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "inside", "outside", "left"),
    [
        ("systolic", (90, 180), (89.9, 180.1), NONE),
        ("egfr", (15, 140), (14.9, 140.1), NONE),
        ("total_cholesterol", (130, 320), (129.9, 320.1), HEART_FAILURE_ONLY),
        ("hdl_cholesterol", (20, 100), (19.9, 100.1), HEART_FAILURE_ONLY),
        ("bmi", (18.5, 39.999), (18.499, 40), ALL_BUT_HEART_FAILURE),
    ],
)
def test_outside_of_its_range_an_input_silences_the_outcomes_that_use_it(
    name: str, inside: tuple[float, ...], outside: tuple[float, ...], left: dict[str, bool]
) -> None:
    for value in inside:
        assert computed(assess(**{name: value}).ten_year) == ALL
    for value in outside:
        result = assess(**{name: value})
        assert computed(result.ten_year) == computed(result.thirty_year) == left
        assert result.not_applicable == (NotApplicable(name, "out_of_range"),)
        assert result.missing == ()


@pytest.mark.parametrize(
    ("age", "ten_year", "thirty_year"),
    [
        *((29, False, False), (30, True, True), (59, True, True), (60, True, False), (79, True, False)),
        (80, False, False),
    ],
)
def test_the_ages_of_both_horizons(age: int, ten_year: bool, thirty_year: bool) -> None:
    result = assess(age=age)
    assert computed(result.ten_year) == dict.fromkeys(OUTCOMES, ten_year)
    assert (result.thirty_year is not None) == thirty_year
    horizon = "30yr" if ten_year else None
    expected = () if thirty_year else (NotApplicable("age", "out_of_range", horizon),)
    assert result.not_applicable == expected


@pytest.mark.parametrize(
    ("name", "left"),
    [
        *((name, NONE) for name in ("sex", "systolic", "egfr", "has_diabetes", "is_smoker", "takes_bp_medication")),
        *((name, HEART_FAILURE_ONLY) for name in ("total_cholesterol", "hdl_cholesterol", "takes_lipid_medication")),
        ("bmi", ALL_BUT_HEART_FAILURE),
    ],
)
def test_an_unknown_input_is_missing_and_never_taken_for_no(name: str, left: dict[str, bool]) -> None:
    result = assess(**{name: None})
    assert result.missing == (name,)
    assert name not in result.inputs
    assert computed(result.ten_year) == computed(result.thirty_year) == left


def test_there_is_no_equation_for_another_sex() -> None:
    result = assess(sex="other")
    assert computed(result.ten_year) == NONE
    assert result.not_applicable == (NotApplicable("sex", "no_equation"),)


def test_the_model_does_not_speak_of_those_who_have_the_disease() -> None:
    result = assess(cardiovascular_disease="Infarto de miocardio")
    assert computed(result.ten_year) == computed(result.thirty_year) == NONE
    assert result.not_applicable == (NotApplicable("cardiovascular_disease", "existing_disease"),)


@pytest.mark.parametrize(
    ("creatinine", "age", "sex", "expected"),
    # 142 × min(Scr/κ, 1)^α × max(Scr/κ, 1)^−1.2 × 0.9938^age (× 1.012), worked out with a pocket calculator.
    [(0.7, 50, "female", 105.3), (0.9, 50, "male", 104.05), (1.4, 60, "female", 43.07), (0.45, 40, "male", 136.5)],
)
def test_kidney_function_from_creatinine(creatinine: float, age: int, sex: Any, expected: float) -> None:
    assert cardiovascular_risk.egfr(creatinine, age, sex) == pytest.approx(expected, rel=2e-3)


def test_every_coefficient_of_an_outcome_belongs_to_a_known_term() -> None:
    values = {name: 1.0 for outcome in OUTCOMES for name in cardiovascular_risk.INPUTS[outcome] if name != "sex"}
    terms = set(cardiovascular_risk._terms(values))
    for horizon in ("10yr", "30yr"):
        for sex in ("female", "male"):
            for outcome in OUTCOMES:
                assert set(cardiovascular_risk.COEFFICIENTS[horizon][f"{sex}_{outcome}"]) <= terms


VALUES = st.fixed_dictionaries(
    {
        "age": st.integers(30, 59),
        "sex": st.sampled_from(["female", "male"]),
        "systolic": st.floats(90, 180),
        "total_cholesterol": st.floats(130, 320),
        "hdl_cholesterol": st.floats(20, 100),
        "egfr": st.floats(15, 140),
        "bmi": st.floats(18.5, 39.9),
        **{
            flag: st.booleans()
            for flag in ("has_diabetes", "is_smoker", "takes_bp_medication", "takes_lipid_medication")
        },
    }
)


@given(VALUES)
def test_a_risk_is_a_probability_and_smoking_and_diabetes_raise_it(values: dict[str, Any]) -> None:
    result, smoking, diabetes = (assess(**values | more) for more in ({}, {"is_smoker": True}, {"has_diabetes": True}))
    for outcome in OUTCOMES:
        for horizon in ("ten_year", "thirty_year"):
            risk = getattr(result, horizon)[outcome]
            assert 0 < risk < 1
            assert risk <= getattr(smoking, horizon)[outcome]
            assert risk <= getattr(diabetes, horizon)[outcome]


@given(VALUES, st.floats(90, 180), st.floats(15, 140))
def test_a_higher_pressure_and_worse_kidneys_never_lower_the_risk_of_ten_years_at_55(
    values: dict[str, Any], systolic: float, egfr: float
) -> None:
    base = values | {"age": 55}
    for name, better, worse in (
        ("systolic", *sorted((max(systolic, 110), max(values["systolic"], 110)))),
        ("egfr", *sorted((egfr, values["egfr"]), reverse=True)),
    ):
        low, high = assess(**base | {name: better}), assess(**base | {name: worse})
        for outcome in OUTCOMES:
            assert low.ten_year[outcome] <= high.ten_year[outcome] + 1e-12
