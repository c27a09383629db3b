"""Life's Essential 8 for adults: eight components of 0-100 points and their mean. Nothing here reads or writes.

Source: Lloyd-Jones et al., "Life's Essential 8", Circulation 2022;146:e18-e43, Table 1,
doi 10.1161/CIR.0000000000001078.
The `*_points` functions are the rows of that table; what it does not score is an `Unscorable`, never a guess.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from fractions import Fraction
from math import floor
from typing import Any, Literal

from .facts import Fact, Facts, Number, exact
from .indicators import ADULT_AGE, age

MODEL = "AHA Life's Essential 8"
# The publication's year, and how often since we have changed our reading of it: then stored scores are recomputed.
VERSION = "2022.1"

SmokingStatus = Literal["never", "former", "current", "nicotine_device"]
Category = Literal["high", "moderate", "low"]

HIGH, MODERATE = 80, 50
DEDUCTION = 20


class Unscorable(StrEnum):
    """Why a component has no points."""

    NO_DATA = "no_data"
    UNDER_20 = "under_20"
    UNDERWEIGHT = "underweight"
    QUIT_DATE_UNKNOWN = "quit_date_unknown"
    DIABETES_WITHOUT_HBA1C = "diabetes_without_hba1c"
    DIABETIC_VALUE_WITHOUT_DIAGNOSIS = "diabetic_value_without_diagnosis"


Points = int | Unscorable
# Points of a value that is at least the limit; the first that fits.
_FROM = Sequence[tuple[float, int]]

_DIET: _FROM = ((15, 100), (12, 80), (8, 50), (4, 25), (0, 0))
_ACTIVITY: _FROM = ((150, 100), (120, 90), (90, 80), (60, 60), (30, 40))
_SLEEP: _FROM = ((10, 40), (9, 90), (7, 100), (6, 70), (5, 40), (4, 20), (0, 0))
_BMI: _FROM = ((40, 0), (35, 15), (30, 30), (25, 70), (18.5, 100))
_NON_HDL: _FROM = ((220, 0), (190, 20), (160, 40), (130, 60), (0, 100))
_HBA1C_IN_DIABETES: _FROM = ((10, 0), (9, 10), (8, 20), (7, 30), (0, 40))
_SYSTOLIC: _FROM = ((160, 0), (140, 25), (130, 50), (120, 75), (0, 100))
_DIASTOLIC: _FROM = ((100, 0), (90, 25), (80, 50), (0, 100))
_YEARS_SINCE_QUITTING: _FROM = ((5, 75), (1, 50), (0, 25))


def diet_points(mepa: Number) -> int:
    """Points of a diet: the Mediterranean Eating Pattern for Americans screener, 0-16."""
    return _from(_DIET, mepa)


def activity_points(moderate_minutes: Number, vigorous_minutes: Number = 0) -> int:
    """Points of activity, in minutes a week; a vigorous minute counts as two moderate ones."""
    minutes = exact(moderate_minutes) + 2 * exact(vigorous_minutes)
    return next((points for limit, points in _ACTIVITY if minutes >= limit), 20 if minutes > 0 else 0)


def nicotine_points(status: SmokingStatus, years_since_quitting: int | None, *, smoker_at_home: bool = False) -> Points:
    """Points of nicotine exposure; whole years since a former smoker quit, 20 less with an indoor smoker at home."""
    if status == "former":
        if years_since_quitting is None:
            return Unscorable.QUIT_DATE_UNKNOWN
        return _less(_from(_YEARS_SINCE_QUITTING, years_since_quitting), smoker_at_home)
    return _less({"never": 100, "nicotine_device": 25, "current": 0}[status], smoker_at_home)


def sleep_points(hours: Number) -> int:
    """Points of sleep, in hours a night."""
    return _from(_SLEEP, hours)


def bmi_points(bmi: Number) -> Points:
    """Points of a body mass index in kg/m², not rounded. Underweight is not scored."""
    return Unscorable.UNDERWEIGHT if exact(bmi) < Fraction("18.5") else _from(_BMI, bmi)


def lipid_points(non_hdl: Number, *, treated: bool = False) -> int:
    """Points of non-HDL cholesterol in mg/dL, 20 less on lipid treatment."""
    return _less(_from(_NON_HDL, non_hdl), treated)


def fasting_glucose_points(fasting_glucose: Number) -> Points:
    """Points of fasting glucose in mg/dL without diabetes on record; from 126 on that record is in doubt."""
    return _without_diabetes(fasting_glucose, 100, 126)


def hba1c_points(hba1c: Number, *, diabetes: bool) -> Points:
    """Points of HbA1c in %; without diabetes on record, from 6.5 on that record is in doubt."""
    return _from(_HBA1C_IN_DIABETES, hba1c) if diabetes else _without_diabetes(hba1c, 5.7, 6.5)


def pressure_points(systolic: Number, diastolic: Number, *, treated: bool = False) -> int:
    """Points of a blood pressure in mmHg, of the worse of both values; 20 less on treatment."""
    return _less(min(_from(_SYSTOLIC, systolic), _from(_DIASTOLIC, diastolic)), treated)


def _from(table: _FROM, value: Number) -> int:
    number = exact(value)
    return next(points for limit, points in table if number >= exact(limit))


def _less(points: int, deducted: bool) -> int:
    return max(0, points - DEDUCTION) if deducted else points


def _without_diabetes(value: Number, impaired: float, diabetic: float) -> Points:
    if exact(value) >= exact(diabetic):
        return Unscorable.DIABETIC_VALUE_WITHOUT_DIAGNOSIS
    return 60 if exact(value) >= exact(impaired) else 100


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of a patient; None: unknown. A deduction needs a fact: an unknown treatment deducts nothing."""

    age: int
    diet_score: Fact[Number] | None = None
    physical_activity_minutes_weekly: Fact[Number] | None = None
    smoking_status: Fact[SmokingStatus] | None = None
    quit_date: Fact[date] | None = None
    secondhand_smoke_home: Fact[bool] | None = None
    sleep_hours: Fact[Number] | None = None
    bmi: Fact[Number] | None = None
    height_cm: Fact[Number] | None = None
    weight_kg: Fact[Number] | None = None
    non_hdl: Fact[Number] | None = None
    total_cholesterol: Fact[Number] | None = None
    hdl_cholesterol: Fact[Number] | None = None
    takes_lipid_medication: Fact[bool] | None = None
    has_diabetes: Fact[bool] | None = None
    fasting_glucose: Fact[Number] | None = None
    hba1c: Fact[Number] | None = None
    systolic: Fact[Number] | None = None
    diastolic: Fact[Number] | None = None
    takes_bp_medication: Fact[bool] | None = None


@dataclass(frozen=True)
class Component:
    """A component's points, or why it has none; the facts used, and the names of those that would have mattered."""

    points: Points
    inputs: Facts = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    @property
    def score(self) -> int | None:
        """0-100, None when it is not scorable."""
        return None if isinstance(self.points, Unscorable) else self.points

    @property
    def reason(self) -> Unscorable | None:
        """Why there is no score."""
        return self.points if isinstance(self.points, Unscorable) else None


@dataclass(frozen=True)
class HealthScore:
    """The eight components by name, and what follows from those that have points."""

    components: Mapping[str, Component]

    @property
    def mean(self) -> Fraction | None:
        """The exact, unweighted mean of the scorable components."""
        scores = [component.score for component in self.components.values() if component.score is not None]
        return Fraction(sum(scores), len(scores)) if scores else None

    @property
    def score(self) -> int | None:
        """The mean as it is shown: whole, halves up."""
        return None if self.mean is None else floor(self.mean + Fraction(1, 2))

    @property
    def category(self) -> Category | None:
        """How good the cardiovascular health is, from the exact mean."""
        if self.mean is None:
            return None
        return "high" if self.mean >= HIGH else "moderate" if self.mean >= MODERATE else "low"

    @property
    def complete(self) -> bool:
        """Whether all eight had points."""
        return all(component.score is not None for component in self.components.values())

    @property
    def missing(self) -> tuple[str, ...]:
        """The components without points."""
        return tuple(name for name, component in self.components.items() if component.score is None)


def assess(known: Known, today: date) -> HealthScore:
    """Score what is known. Under 20 years nothing is scorable: the table is for adults."""
    if known.age < ADULT_AGE:
        return HealthScore({name: Component(Unscorable.UNDER_20) for name in NAMES})
    return HealthScore(dict(_components(known, today)))


NAMES = (
    *("diet", "physical_activity", "nicotine", "sleep"),
    *("bmi", "blood_lipids", "blood_glucose", "blood_pressure"),
)


def _components(known: Known, today: date) -> Iterator[tuple[str, Component]]:
    yield "diet", _simple("diet_score", known.diet_score, diet_points)
    activity = known.physical_activity_minutes_weekly
    yield "physical_activity", _simple("physical_activity_minutes_weekly", activity, activity_points)
    yield "nicotine", _nicotine(known, today)
    yield "sleep", _simple("sleep_hours", known.sleep_hours, sleep_points)
    yield "bmi", _bmi(known)
    yield "blood_lipids", _lipids(known)
    yield "blood_glucose", _glucose(known)
    yield "blood_pressure", _pressure(known)


def _component(points: Points, **inputs: Fact[Any] | None) -> Component:
    """A component of the inputs that bear on it, known or not."""
    facts = {name: fact for name, fact in inputs.items() if fact is not None}
    return Component(points, facts, tuple(name for name in inputs if name not in facts))


def _simple(name: str, fact: Fact[Number] | None, points: Callable[[Number], Points]) -> Component:
    return _component(Unscorable.NO_DATA if fact is None else points(fact.value), **{name: fact})


def _is_true(fact: Fact[bool] | None) -> bool:
    return fact is not None and fact.value


def _nicotine(known: Known, today: date) -> Component:
    status, home = known.smoking_status, known.secondhand_smoke_home
    if status is None:
        return _component(Unscorable.NO_DATA, smoking_status=None)
    if status.value != "former":
        points = nicotine_points(status.value, None, smoker_at_home=_is_true(home))
        return _component(points, smoking_status=status, secondhand_smoke_home=home)
    years = None if known.quit_date is None else age(known.quit_date.value, today)
    points = nicotine_points("former", years, smoker_at_home=_is_true(home))
    return _component(points, smoking_status=status, quit_date=known.quit_date, secondhand_smoke_home=home)


def _bmi(known: Known) -> Component:
    if known.bmi is None:
        return _component(Unscorable.NO_DATA, height_cm=known.height_cm, weight_kg=known.weight_kg)
    return _component(bmi_points(known.bmi.value), bmi=known.bmi, height_cm=known.height_cm, weight_kg=known.weight_kg)


def _lipids(known: Known) -> Component:
    treatment = known.takes_lipid_medication
    if known.non_hdl is None:
        return _component(Unscorable.NO_DATA, non_hdl=None)
    facts = {"non_hdl": known.non_hdl, "takes_lipid_medication": treatment}
    if known.non_hdl.source == "computed":
        facts |= {"total_cholesterol": known.total_cholesterol, "hdl_cholesterol": known.hdl_cholesterol}
    return _component(lipid_points(known.non_hdl.value, treated=_is_true(treatment)), **facts)


def _glucose(known: Known) -> Component:
    """With diabetes HbA1c alone counts; without, the newer of both values, and of one moment HbA1c."""
    diabetes, hba1c, fasting = known.has_diabetes, known.hba1c, known.fasting_glucose
    if _is_true(diabetes):
        points = Unscorable.DIABETES_WITHOUT_HBA1C if hba1c is None else hba1c_points(hba1c.value, diabetes=True)
        return _component(points, hba1c=hba1c, has_diabetes=diabetes)
    if hba1c is not None and (fasting is None or _moment(hba1c) >= _moment(fasting)):
        return _component(hba1c_points(hba1c.value, diabetes=False), hba1c=hba1c, has_diabetes=diabetes)
    if fasting is not None:
        return _component(fasting_glucose_points(fasting.value), fasting_glucose=fasting, has_diabetes=diabetes)
    return _component(Unscorable.NO_DATA, fasting_glucose=None, hba1c=None)


def _moment(fact: Fact[Number]) -> datetime:
    return fact.at or datetime.min.replace(tzinfo=UTC)


def _pressure(known: Known) -> Component:
    systolic, diastolic, treatment = known.systolic, known.diastolic, known.takes_bp_medication
    if systolic is None or diastolic is None:
        return _component(Unscorable.NO_DATA, systolic=systolic, diastolic=diastolic)
    points = pressure_points(systolic.value, diastolic.value, treated=_is_true(treatment))
    return _component(points, systolic=systolic, diastolic=diastolic, takes_bp_medication=treatment)
