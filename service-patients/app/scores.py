"""The scores of patients: explained for people, kept with the patient for the lists, computed anew.

`refresh` belongs into every transaction that changes what a score is computed from. A stored score also ages (by
birthdays and years since quitting), so `recompute` runs every night and after a change of the model's version; a
dashboard computes its own.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from shared import audit
from shared.caller import Caller
from shared.context import current
from shared.postgres import Database, Executor
from shared.record import RiskLevel

from . import cardiovascular_risk, health_score, scores_db
from .cardiovascular_risk import CardiovascularRisk, NotApplicable
from .facts import Fact, Facts, Value
from .health_score import Component, HealthScore, Unscorable
from .score_inputs import Inputs, Record

SCORE_MODEL = f"{health_score.MODEL} {health_score.VERSION}"
BATCH = 200
# Who is recorded as having changed the scores that were computed anew.
RECOMPUTER = Caller("service", UUID(int=0))

# Spanish, English.
Words = tuple[str, str]

_LABELS: Mapping[str, Words] = {
    "diet": ("Alimentación", "Diet"),
    "physical_activity": ("Actividad física", "Physical activity"),
    "nicotine": ("Exposición a la nicotina", "Nicotine exposure"),
    "sleep": ("Sueño", "Sleep"),
    "bmi": ("Índice de masa corporal", "Body mass index"),
    "blood_lipids": ("Lípidos en sangre", "Blood lipids"),
    "blood_glucose": ("Glucosa en sangre", "Blood glucose"),
    "blood_pressure": ("Presión arterial", "Blood pressure"),
}
_REASONS: Mapping[Unscorable, Words] = {
    Unscorable.NO_DATA: ("No hay datos.", "There are no data."),
    Unscorable.UNDER_20: (
        "La puntuación es para adultos desde los 20 años.",
        "The score is for adults from 20 years on.",
    ),
    Unscorable.UNDERWEIGHT: ("El bajo peso no se puntúa.", "Underweight is not scored."),
    Unscorable.QUIT_DATE_UNKNOWN: (
        "Falta la fecha en que dejó de fumar.",
        "The date of quitting is not known.",
    ),
    Unscorable.DIABETES_WITHOUT_HBA1C: (
        "Con diabetes solo puntúa la hemoglobina glucosilada, que falta.",
        "With diabetes only HbA1c is scored, and there is none.",
    ),
    Unscorable.DIABETIC_VALUE_WITHOUT_DIAGNOSIS: (
        "El valor es de diabetes, pero no hay diabetes registrada.",
        "The value is a diabetic one, but no diabetes is on record.",
    ),
}
_NOT_APPLICABLE: Mapping[str, Words] = {
    "out_of_range": ("Fuera del intervalo del modelo: {range}.", "Outside of the model's range: {range}."),
    "existing_disease": (
        "El modelo es para personas sin enfermedad cardiovascular.",
        "The model is for people without cardiovascular disease.",
    ),
    "no_equation": (
        "El modelo solo tiene ecuaciones para mujeres y hombres.",
        "The model has no equation for this sex.",
    ),
}

# By another name: the contract calls the field `date`, and a class body would take that for the type.
_KnownDay = date | None


class ScoreInput(BaseModel):
    """A value that a score used."""

    name: str
    value: bool | int | float | str
    unit: str = Field(description="UCUM; empty for none.")
    date: _KnownDay = Field(description="The day that it dates from, in UTC; null when that is not recorded.")
    source: str = Field(description="A LOINC code, `profile`, `conditions`, `patient`, or `computed` from the others.")


class ScoreComponent(BaseModel):
    """One of the eight components: its points, or the reason why it has none."""

    label: str
    score: int | None = Field(description="0-100; null: not scorable.")
    reason: Unscorable | None
    message: str | None = Field(description="The reason for people, in the language of the request.")
    value: bool | int | float | str | None = Field(description="The measured value; of a pressure `120/80`.")
    unit: str | None
    date: _KnownDay
    inputs: list[ScoreInput]
    unknown: list[str] = Field(description="Inputs that are not known; an unknown treatment deducts nothing.")


class HealthScoreDetail(BaseModel):
    """Life's Essential 8, so that it can be recomputed by hand."""

    model: str
    version: str
    mean: float | None = Field(description="The unrounded mean of the components that have a score.")
    category: Literal["high", "moderate", "low"] | None = Field(
        description="Of cardiovascular health, not of the risk."
    )
    complete: bool = Field(description="Whether all eight components have a score.")
    components: dict[str, ScoreComponent]
    missing: list[str] = Field(description="The components without a score.")


class Risks(BaseModel):
    """Probabilities 0-1; null: not computable."""

    total_cvd: float | None
    ascvd: float | None
    heart_failure: float | None


class NotApplicableInput(BaseModel):
    """An input that the model was not made for."""

    input: str
    reason: Literal["out_of_range", "existing_disease", "no_equation"]
    horizon: Literal["10yr", "30yr"] | None = Field(description="Null: both.")
    message: str


class CardiovascularRiskDetail(BaseModel):
    """PREVENT, so that it can be recomputed by hand."""

    model: str
    version: str
    ten_year: Risks
    thirty_year: Risks | None = Field(description="Null under 30 and from 60 years on.")
    inputs: list[ScoreInput]
    missing: list[str] = Field(description="Inputs that are not known: an outcome that uses one is null.")
    not_applicable: list[NotApplicableInput]


def assess(record: Record, today: date) -> dict[str, Any]:
    """The dashboard's fields about both scores, from a row's `score_inputs`."""
    inputs = Inputs(record, today)
    score = health_score.assess(inputs.for_health_score(), today)
    return {
        "health_score": score.score,
        "health_score_detail": explain_score(score),
        "cardiovascular_risk": explain_risk(cardiovascular_risk.assess(inputs.for_risk())),
        "risk_level": risk_level(score),
        "height_cm": inputs.height_cm and inputs.height_cm.value,
        "weight_kg": inputs.weight_kg and inputs.weight_kg.value,
    }


def risk_level(score: HealthScore) -> RiskLevel:
    """What the lists call a risk: the opposite of the exact mean's category."""
    levels: dict[str | None, RiskLevel] = {"high": "low", "moderate": "moderate", "low": "high", None: "unknown"}
    return levels[score.category]


def explain_score(score: HealthScore) -> dict[str, Any]:
    """The fields of HealthScoreDetail, in the language of the request."""
    return {
        "model": health_score.MODEL,
        "version": health_score.VERSION,
        "mean": None if score.mean is None else float(score.mean),
        "category": score.category,
        "complete": score.complete,
        "components": {name: _explain_component(name, component) for name, component in score.components.items()},
        "missing": score.missing,
    }


def _explain_component(name: str, component: Component) -> dict[str, Any]:
    inputs = _explain_inputs(component.inputs)
    main = inputs[0] if inputs else {"value": None, "unit": None, "date": None}
    value = main["value"]
    if name == "blood_pressure" and len(inputs) > 1:
        value = f"{inputs[0]['value']:g}/{inputs[1]['value']:g}"
    return {
        "label": _in_language(_LABELS[name]),
        "score": component.score,
        "reason": component.reason,
        "message": component.reason and _in_language(_REASONS[component.reason]),
        "value": value,
        "unit": main["unit"],
        "date": main["date"],
        "inputs": inputs,
        "unknown": component.unknown,
    }


def explain_risk(risk: CardiovascularRisk) -> dict[str, Any]:
    """The fields of CardiovascularRiskDetail, in the language of the request."""
    return {
        "model": cardiovascular_risk.MODEL,
        "version": cardiovascular_risk.VERSION,
        "ten_year": risk.ten_year,
        "thirty_year": risk.thirty_year,
        "inputs": _explain_inputs(risk.inputs),
        "missing": risk.missing,
        "not_applicable": [_explain_not_applicable(found) for found in risk.not_applicable],
    }


def _explain_not_applicable(found: NotApplicable) -> dict[str, Any]:
    message = _in_language(_NOT_APPLICABLE[found.reason])
    if found.reason == "out_of_range":
        low, high = (
            cardiovascular_risk.THIRTY_YEAR_AGES if found.horizon else cardiovascular_risk.VALID[found.input][:2]
        )
        message = message.format(range=f"{low}-{high}")
    return {"input": found.input, "reason": found.reason, "horizon": found.horizon, "message": message}


def _explain_inputs(facts: Facts) -> list[dict[str, Any]]:
    return [{"name": name, **_explain_fact(fact)} for name, fact in facts.items()]


def _explain_fact(fact: Fact[Value]) -> dict[str, Any]:
    value = fact.value.isoformat() if isinstance(fact.value, date) else fact.value
    if isinstance(value, Fraction | Decimal | float):
        value = round(float(value), 4)
    return {"value": value, "unit": fact.unit, "date": fact.at and fact.at.date(), "source": fact.source}


def _in_language(words: Words) -> str:
    return words[current().language == "en"]


async def refresh(tx: Executor, patient_id: UUID) -> None:
    """Store a patient's score as it is after the changes of this transaction, those of others before it included.

    The transaction holds the patient from before its changes: so the last of several sees what all of them wrote.
    """
    await _store(tx, [patient_id])


async def recompute(database: Database) -> AsyncIterator[int]:
    """Store the score of every patient anew, a batch in each transaction; after each how many patients it had.

    It may be cut off at any time and run again, while the services serve.
    """
    last: UUID | None = None
    while True:
        async with database.transaction() as tx:
            patient_ids = await scores_db.hold_next_patients(tx, last, BATCH)
            if not patient_ids:
                return
            if changed := await _store(tx, patient_ids):
                event = audit.parameters("service-patients", RECOMPUTER, "update", "health_score", patient_ids=changed)
                await audit.record(tx, event)
        last = patient_ids[-1]
        yield len(patient_ids)


async def _store(tx: Executor, patient_ids: Sequence[UUID]) -> list[UUID]:
    """Compute and store the scores of patients that the transaction holds; those whose score is another than before."""
    today = datetime.now(UTC).date()
    rows = await scores_db.list_score_inputs(tx, patient_ids)
    scores = {
        row["id"]: health_score.assess(Inputs(row["score_inputs"], today).for_health_score(), today) for row in rows
    }
    columns = [(patient_id, score.score, risk_level(score)) for patient_id, score in scores.items()]
    await scores_db.update_scores(tx, SCORE_MODEL, columns)
    stored = {row["id"]: (row["health_score"], row["risk_level"], row["score_model"]) for row in rows}
    return [patient_id for patient_id, score, level in columns if stored[patient_id] != (score, level, SCORE_MODEL)]
