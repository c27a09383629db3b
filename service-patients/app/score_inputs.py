"""What is on record of a patient, sorted out into the facts that the scores take: the newest of each."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from typing import Any, cast

from . import cardiovascular_risk, diagnoses, health_score, indicators
from .cardiovascular_risk import Sex
from .facts import Fact, Number, exact
from .health_score import SmokingStatus

# As `scores_db.SCORE_INPUTS` gives it.
Record = Mapping[str, Any]

HEIGHT, WEIGHT, SLEEP, SMOKING = "8302-2", "29463-7", "93832-4", "72166-2"
SYSTOLIC, DIASTOLIC = "8480-6", "8462-4"
TOTAL_CHOLESTEROL, HDL_CHOLESTEROL, NON_HDL_CHOLESTEROL = "2093-3", "2085-9", "43396-1"
FASTING_GLUCOSE, HBA1C = "1558-6", "4548-4"
EGFR, CREATININE = "98979-8", "2160-0"

EGFR_UNIT = "mL/min/{1.73_m2}"
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


class Inputs:
    """The facts of one patient's record. Each of these is a fact, or None: unknown."""

    def __init__(self, record: Record, today: date) -> None:
        self._record = record
        self._profile: Record = record["profile"] or {}
        self._today = today
        self.age = indicators.age(date.fromisoformat(record["date_of_birth"]), today)
        self.height_cm = newest(self._stated("height_cm", "cm"), self._observed(HEIGHT))
        self.weight_kg = newest(self._stated("weight_kg", "kg"), self._observed(WEIGHT))
        self.bmi = self._bmi()
        self.smoking_status = newest(self._stated_smoking(), self._observed(SMOKING))
        self.has_diabetes = self._diagnosed(diagnoses.is_diabetes, lasting=True) or self._stated("has_diabetes")
        self.takes_bp_medication = self._stated("takes_bp_medication")
        self.takes_lipid_medication = self._stated("takes_lipid_medication")
        self.systolic = self._of_pair("pressure", "systolic", "at", SYSTOLIC)
        self.diastolic = self._of_pair("pressure", "diastolic", "at", DIASTOLIC)
        self.total_cholesterol = self._of_pair("lipids", "total", "total_at", TOTAL_CHOLESTEROL)
        self.hdl_cholesterol = self._of_pair("lipids", "hdl", "hdl_at", HDL_CHOLESTEROL)

    def for_health_score(self) -> health_score.Known:
        """What Life's Essential 8 takes."""
        quit_date = self._stated("quit_date")
        return health_score.Known(
            age=self.age,
            diet_score=self._stated("diet_score", "{score}"),
            physical_activity_minutes_weekly=self._stated("physical_activity_minutes_weekly", "min/wk"),
            smoking_status=self.smoking_status,
            quit_date=quit_date and Fact(date.fromisoformat(quit_date.value), "", quit_date.at),
            secondhand_smoke_home=self._stated("secondhand_smoke_home"),
            sleep_hours=newest(self._stated("sleep_hours", "h"), self._observed(SLEEP)),
            bmi=self.bmi,
            height_cm=self.height_cm,
            weight_kg=self.weight_kg,
            non_hdl=newest(self._observed(NON_HDL_CHOLESTEROL), self._computed_non_hdl()),
            total_cholesterol=self.total_cholesterol,
            hdl_cholesterol=self.hdl_cholesterol,
            takes_lipid_medication=self.takes_lipid_medication,
            has_diabetes=self.has_diabetes,
            fasting_glucose=self._observed(FASTING_GLUCOSE),
            hba1c=self._observed(HBA1C),
            systolic=self.systolic,
            diastolic=self.diastolic,
            takes_bp_medication=self.takes_bp_medication,
        )

    def for_risk(self) -> cardiovascular_risk.Known:
        """What PREVENT takes. Of nicotine devices its smoking knows nothing."""
        sex, smoking = self._record["sex"], self.smoking_status
        egfr, creatinine = self._observed(EGFR), self._observed(CREATININE)
        if creatinine and (egfr is None or _moment(creatinine) > _moment(egfr)):
            egfr = self._egfr(creatinine)
        else:
            creatinine = None
        basis = {"height_cm": self.height_cm, "weight_kg": self.weight_kg, "creatinine": creatinine}
        return cardiovascular_risk.Known(
            age=Fact(self.age, "a", None, "patient"),
            sex=sex and Fact(sex, "", None, "patient"),
            systolic=self.systolic,
            total_cholesterol=self.total_cholesterol,
            hdl_cholesterol=self.hdl_cholesterol,
            egfr=egfr,
            bmi=self.bmi,
            has_diabetes=self.has_diabetes,
            is_smoker=smoking and Fact(smoking.value == "current", "", smoking.at, smoking.source),
            takes_bp_medication=self.takes_bp_medication,
            takes_lipid_medication=self.takes_lipid_medication,
            cardiovascular_disease=self._diagnosed(diagnoses.is_cardiovascular_disease, lasting=False),
            basis={name: fact for name, fact in basis.items() if fact is not None},
        )

    def _stated(self, field: str, unit: str = "") -> Fact[Any] | None:
        value = self._profile.get(field)
        return None if value is None else Fact(value, unit, self._stated_at(field))

    def _stated_at(self, field: str) -> datetime | None:
        return _read_moment(self._profile["stated_at"].get(field))

    def _observed(self, code: str) -> Fact[Any] | None:
        found = self._record["observations"].get(code)
        return found and Fact(found["value"], found["unit"], _read_moment(found["at"]), code)

    def _of_pair(self, pair: str, name: str, moment: str, code: str) -> Fact[Number] | None:
        found = self._record[pair]
        return found and Fact(found[name], found["unit"], _read_moment(found[moment]), code)

    def _stated_smoking(self) -> Fact[SmokingStatus] | None:
        """The profile's status; else what `is_smoker` decides. No smoker, but one who quit, is a former one."""
        if status := self._stated("smoking_status"):
            return status
        smoker = self._stated("is_smoker")
        if smoker is None:
            return None
        quit_once = self._profile["quit_date"] is not None or (self._profile["smoking_years"] or 0) > 0
        status_of: SmokingStatus = "current" if smoker.value else "former" if quit_once else "never"
        return Fact(status_of, "", smoker.at)

    def _bmi(self) -> Fact[Number] | None:
        height, weight = self.height_cm, self.weight_kg
        if height is None or weight is None:
            return None
        bmi = indicators.bmi(height.value, weight.value)
        return None if bmi is None else Fact(bmi, "kg/m2", _later(height, weight), "computed")

    def _computed_non_hdl(self) -> Fact[Number] | None:
        total, hdl = self.total_cholesterol, self.hdl_cholesterol
        if total is None or hdl is None:
            return None
        return Fact(exact(total.value) - exact(hdl.value), "mg/dL", _later(total, hdl), "computed")

    def _egfr(self, creatinine: Fact[Number]) -> Fact[Number] | None:
        """By today's age, as the risk's other terms: so that the answer can be recomputed from itself."""
        sex = self._record["sex"]
        if sex not in ("female", "male"):
            return None
        value = cardiovascular_risk.egfr(creatinine.value, self.age, cast(Sex, sex))
        return Fact(value, EGFR_UNIT, creatinine.at, "computed")

    def _diagnosed(self, matches: Callable[[str, str | None], bool], *, lasting: bool) -> Fact[Any] | None:
        """The newest diagnosis that matches: of one that must last True, else its name."""
        for condition in self._record["conditions"]:
            if matches(condition["key"], condition["code"]) and (condition["lasts"] or not lasting):
                day = condition["diagnosis_date"]
                at = day and datetime.combine(date.fromisoformat(day), time.min, UTC)
                return Fact(True if lasting else condition["name"], "", at, "conditions")
        return None


def newest(one: Fact[Any] | None, other: Fact[Any] | None) -> Fact[Any] | None:
    """The newer of two facts; of one moment the first."""
    if one is None or other is None:
        return one or other
    return other if _moment(other) > _moment(one) else one


def _moment(fact: Fact[Any]) -> datetime:
    return fact.at or _BEFORE_ALL


def _later(*facts: Fact[Any] | None) -> datetime | None:
    return max((fact.at for fact in facts if fact and fact.at), default=None)


def _read_moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)
