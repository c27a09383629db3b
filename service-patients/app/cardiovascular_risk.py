"""PREVENT: the risk of cardiovascular disease within ten and thirty years. Nothing here reads the clock or a database.

Source: the American Heart Association's PREVENT base model, Khan et al., Circulation 2024;149:430-449. The coefficients
are those of the R package preventr (data/prevent_base_coefficients.csv, MIT): a risk is e^x / (1 + e^x), x the sum of
the terms times their coefficients. Kidney function from creatinine: CKD-EPI 2021, Inker et al., N Engl J Med
2021;385:1737-1749.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from .facts import Fact, Facts, Number, exact

MODEL = "AHA PREVENT 2023 base"
VERSION = "2023.1"

Sex = Literal["female", "male"]
Horizon = Literal["10yr", "30yr"]
Outcome = Literal["total_cvd", "ascvd", "heart_failure"]
OUTCOMES: tuple[Outcome, ...] = ("total_cvd", "ascvd", "heart_failure")
THIRTY_YEAR_AGES = (30, 59)

# mmol/L of cholesterol in one mg/dL, as the model's authors round it.
MMOL_PER_MG_DL = 0.02586


class Range(NamedTuple):
    """The values that the model was made for."""

    low: Number
    high: Number
    includes_high: bool = True

    def __contains__(self, value: object) -> bool:
        number = exact(cast(Number, value))
        return exact(self.low) <= number and (number <= self.high if self.includes_high else number < self.high)


VALID: Mapping[str, Range] = {
    "age": Range(30, 79),
    "systolic": Range(90, 180),
    "total_cholesterol": Range(130, 320),
    "hdl_cholesterol": Range(20, 100),
    "bmi": Range(18.5, 40, includes_high=False),
    "egfr": Range(15, 140),
}

_EVERY_OUTCOME = ("sex", "age", "systolic", "egfr", "has_diabetes", "is_smoker", "takes_bp_medication")
_CHOLESTEROL = ("total_cholesterol", "hdl_cholesterol", "takes_lipid_medication")
# What each equation uses; the coefficients of all else are zero.
INPUTS: Mapping[Outcome, tuple[str, ...]] = {
    "total_cvd": (*_EVERY_OUTCOME, *_CHOLESTEROL),
    "ascvd": (*_EVERY_OUTCOME, *_CHOLESTEROL),
    "heart_failure": (*_EVERY_OUTCOME, "bmi"),
}


def _coefficients() -> dict[str, dict[str, dict[str, float]]]:
    """By horizon, then `<sex>_<outcome>`, then term."""
    found: dict[str, dict[str, dict[str, float]]] = {"10yr": {}, "30yr": {}}
    with (Path(__file__).parent / "data" / "prevent_base_coefficients.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            of_horizon, term = found[row.pop("horizon")], row.pop("term")
            for equation, coefficient in row.items():
                of_horizon.setdefault(equation, {})[term] = float(coefficient)
    return found


COEFFICIENTS = _coefficients()


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of a patient; None: unknown. Units: years, mmHg, mg/dL, mL/min/1.73 m², kg/m²."""

    age: Fact[int]
    sex: Fact[str] | None = None
    systolic: Fact[Number] | None = None
    total_cholesterol: Fact[Number] | None = None
    hdl_cholesterol: Fact[Number] | None = None
    egfr: Fact[Number] | None = None
    bmi: Fact[Number] | None = None
    has_diabetes: Fact[bool] | None = None
    is_smoker: Fact[bool] | None = None
    takes_bp_medication: Fact[bool] | None = None
    takes_lipid_medication: Fact[bool] | None = None
    cardiovascular_disease: Fact[str] | None = None
    basis: Facts = field(default_factory=dict)  # what the computed ones come from


@dataclass(frozen=True)
class NotApplicable:
    """Why the model doesn't speak of this patient: the input and what is wrong with it."""

    input: str
    reason: Literal["out_of_range", "existing_disease", "no_equation"]
    horizon: Horizon | None = None  # None: either


Risks = Mapping[Outcome, float | None]


@dataclass(frozen=True)
class CardiovascularRisk:
    """Probabilities 0-1 by outcome (None: not computable), what they were computed from, and what stood in the way."""

    ten_year: Risks
    thirty_year: Risks | None
    inputs: Facts
    missing: tuple[str, ...]
    not_applicable: tuple[NotApplicable, ...]


def egfr(creatinine: Number, age: int, sex: Sex) -> float:
    """Kidney function in mL/min/1.73 m² by CKD-EPI 2021, from serum creatinine in mg/dL and whole years."""
    kappa, alpha, factor = (0.7, -0.241, 1.012) if sex == "female" else (0.9, -0.302, 1.0)
    ratio = float(creatinine) / kappa
    return float(142 * min(ratio, 1.0) ** alpha * max(ratio, 1.0) ** -1.200 * 0.9938**age * factor)


def risk(values: Mapping[str, Any], horizon: Horizon, outcome: Outcome) -> float:
    """The probability of an outcome, from the inputs by their names in INPUTS; those that it doesn't use may lack."""
    coefficients = COEFFICIENTS[horizon][f"{values['sex']}_{outcome}"]
    terms = _terms({name: float(values[name]) for name in INPUTS[outcome] if name != "sex"})
    x = sum(coefficient * terms[term] for term, coefficient in coefficients.items() if coefficient)
    return 1 / (1 + exp(-x))


def _terms(v: Mapping[str, float]) -> dict[str, float]:
    """The terms of the equations that the inputs allow for, centred and scaled as the model's authors do."""
    age = (v["age"] - 55) / 10
    low_sbp, high_sbp = (min(v["systolic"], 110) - 110) / 20, (max(v["systolic"], 110) - 130) / 20
    low_egfr, high_egfr = (min(v["egfr"], 60) - 60) / -15, (max(v["egfr"], 60) - 90) / -15
    diabetes, smoking, treated = v["has_diabetes"], v["is_smoker"], v["takes_bp_medication"]
    terms = {
        "Age, per 10 years": age,
        "Age, 10 years": age,
        "Age squared": age**2,
        "SBP <110 per 20 mmHg": low_sbp,
        "SBP ≥110 per 20 mmHg": high_sbp,
        "Diabetes": diabetes,
        "Current smoking": smoking,
        "eGFR <60, per -15 ml": low_egfr,
        "eGFR 60+, per -15 ml": high_egfr,
        "Anti-hypertensive use": treated,
        "Treated SBP ≥110 mm Hg per 20 mm Hg": treated * high_sbp,
        "Age per 10yr * SBP ≥110 mm Hg per 20 mmHg": age * high_sbp,
        "Age per 10yr * diabetes": age * diabetes,
        "Age per 10yr * current smoking": age * smoking,
        "Age per 10yr * eGFR <60, per -15 ml": age * low_egfr,
        "Constant": 1.0,
    }
    if "bmi" in v:
        high_bmi = (max(v["bmi"], 30) - 30) / 5
        terms |= {
            "BMI <30, per 5 kg/m2": (min(v["bmi"], 30) - 25) / 5,
            "BMI 30+, per 5 kg/m2": high_bmi,
            "Age per 10yr * BMI 30+ per 5 kg/m2": age * high_bmi,
        }
    if "total_cholesterol" in v:
        non_hdl = (v["total_cholesterol"] - v["hdl_cholesterol"]) * MMOL_PER_MG_DL - 3.5
        hdl = (v["hdl_cholesterol"] * MMOL_PER_MG_DL - 1.3) / 0.3
        terms |= {
            "non-HDL-C per 1 mmol/L": non_hdl,
            "HDL-C per 0.3 mmol/L": hdl,
            "Statin use": v["takes_lipid_medication"],
            "Treated non-HDL-C": v["takes_lipid_medication"] * non_hdl,
            "Age per 10yr * non-HDL-C per 1 mmol/L": age * non_hdl,
            "Age per 10yr * HDL-C per 0.3 mmol/L": age * hdl,
        }
    return terms


def assess(known: Known) -> CardiovascularRisk:
    """Each outcome whose inputs are all known and within the model's range, for someone without the disease so far."""
    names = tuple(dict.fromkeys(name for outcome in OUTCOMES for name in INPUTS[outcome]))
    facts: dict[str, Fact[Any]] = {name: fact for name in names if (fact := getattr(known, name)) is not None}
    out_of_place = _not_applicable(facts, known.cardiovascular_disease)
    unusable = {found.input for found in out_of_place if found.horizon is None}
    usable = facts.keys() - unusable
    values = {name: facts[name].value for name in usable}

    def risks(horizon: Horizon) -> Risks:
        return {
            outcome: risk(values, horizon, outcome)
            if usable >= set(INPUTS[outcome]) and known.cardiovascular_disease is None
            else None
            for outcome in OUTCOMES
        }

    return CardiovascularRisk(
        ten_year=risks("10yr"),
        thirty_year=risks("30yr") if THIRTY_YEAR_AGES[0] <= known.age.value <= THIRTY_YEAR_AGES[1] else None,
        inputs={**facts, **known.basis},
        missing=tuple(name for name in names if name not in facts),
        not_applicable=out_of_place,
    )


def _not_applicable(facts: Mapping[str, Fact[Any]], disease: Fact[str] | None) -> tuple[NotApplicable, ...]:
    found = [
        NotApplicable(name, "out_of_range")
        for name, valid in VALID.items()
        if name in facts and facts[name].value not in valid
    ]
    if "sex" in facts and facts["sex"].value not in ("female", "male"):
        found.append(NotApplicable("sex", "no_equation"))
    if disease is not None:
        found.append(NotApplicable("cardiovascular_disease", "existing_disease"))
    if facts["age"].value in VALID["age"] and facts["age"].value > THIRTY_YEAR_AGES[1]:
        found.append(NotApplicable("age", "out_of_range", "30yr"))
    return tuple(found)
