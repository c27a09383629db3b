"""Observations: measurements and coded answers, each with its LOINC code, UCUM unit and moment; and their trends."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from math import isfinite
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from pydantic import BaseModel, BeforeValidator, Discriminator, Field, Tag, WithJsonSchema
from pydantic_core import PydanticCustomError

from shared import audit, idempotency
from shared.caller import Caller
from shared.errors import FieldError, ValidationFailed
from shared.moments import From, Moment, To
from shared.pagination import Page, PageQuery
from shared.plausibility import PAIRED, SMOKING_STATUS, contradictions, is_plausible, limits
from shared.postgres import Executor, Row
from shared.record import Observation
from shared.resources import ClientResources
from shared.schemas import Body
from shared.text import CLEAN

from . import db, observations_db, scores
from .errors import ObservationNotFound
from .scope import answered_before, found, items_of, reading, scope_of, writing

SMOKING_STATUSES = ("never", "former", "current")
# Clocks of clients that run ahead: so much later than now is still now.
CLOCK_SKEW = timedelta(seconds=60)
LARGEST_BATCH = 1_000


def _value(value: Any) -> float | str:
    # By hand: a union of pydantic's would take true for 1 and name two errors for one field.
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            if isfinite(number := float(value)):
                return number
        except OverflowError:
            pass
    elif value in SMOKING_STATUSES:
        return str(value)
    sentences = {"es": "Debe ser un número, o never, former o current.", "en": "Must be a number, or a smoking status."}
    raise PydanticCustomError("type", "is neither a number nor a smoking status", sentences)


_VALUE_SCHEMA = {"anyOf": [{"type": "number"}, {"type": "string", "enum": list(SMOKING_STATUSES)}]}
LoincCode = Annotated[str, Field(min_length=1, max_length=20, description="LOINC."), CLEAN]
Unit = Annotated[str, Field(max_length=40, description="UCUM; empty for a smoking status."), CLEAN]
Value = Annotated[float | str, BeforeValidator(_value), WithJsonSchema(_VALUE_SCHEMA)]


class NewObservation(Body):
    """An observation to record. The value of 72166-2 is `never`, `former` or `current`, of any other code a number."""

    code: LoincCode
    value: Value
    unit: Unit = ""
    effective_at: Moment | None = Field(default=None, description="Now by default; never in the future.")


class NewObservations(Body):
    """Observations to record together: all of them or none."""

    observations: list[NewObservation] = Field(min_length=1, max_length=LARGEST_BATCH)


def _kind(body: Any) -> str:
    many = "observations" in body if isinstance(body, dict) else isinstance(body, NewObservations)
    return "(many)" if many else "(one)"


OneOrMany = Annotated[
    Annotated[NewObservation, Tag("(one)")] | Annotated[NewObservations, Tag("(many)")], Discriminator(_kind)
]


class Observations(BaseModel):
    """Observations that were recorded together, in the order of the request."""

    items: list[Observation]


class ObservationQuery(PageQuery):
    """Which observations; the bounds are inclusive."""

    code: LoincCode | None = None
    from_: From | None = Field(default=None, alias="from", description="A moment, or a date: its first one in UTC.")
    to: To | None = Field(default=None, description="A moment, or a date: its last one in UTC.")


class TrendQuery(BaseModel):
    """Which trend; the bounds are inclusive."""

    code: LoincCode
    bucket: Literal["day", "month", "year"] = Field(default="month", description="In UTC.")
    from_: From | None = Field(default=None, alias="from", description="A moment, or a date: its first one in UTC.")
    to: To | None = Field(default=None, description="A moment, or a date: its last one in UTC.")


class TrendPoint(BaseModel):
    """The observations of one day, month or year in UTC. `last` is the value of the newest of them."""

    start: datetime
    count: int
    min: float
    mean: float
    max: float
    last: float


class Trends(BaseModel):
    """How a measurement went, oldest first; a bucket without observations has no point."""

    code: str
    name: str
    unit: str
    bucket: Literal["day", "month", "year"]
    points: list[TrendPoint]


async def list_observations(
    res: ClientResources, caller: Caller, patient_id: UUID, query: ObservationQuery
) -> Page[Row]:
    """A patient's observations, newest first; recorded in the audit trail. Raises PatientNotFound, InvalidCursor."""
    resource = f"observations/{patient_id}"
    after = res.cursors.read(resource, query, 2)
    filters = {"code": query.code, "from": query.from_, "to": query.to}
    event = reading(res, caller, "observations")
    rows = await observations_db.list_observations(
        res.db, patient_id, scope_of(caller), filters, after, query.limit, event
    )
    return res.cursors.cut(resource, query, items_of(rows), ("effective_at", "id"))


async def get_observation(res: ClientResources, caller: Caller, patient_id: UUID, observation_id: UUID) -> Row:
    """One observation; recorded in the audit trail. Raises PatientNotFound, ObservationNotFound."""
    event = reading(res, caller, "observations")
    row = found(await observations_db.find_observation(res.db, patient_id, observation_id, scope_of(caller), event))
    if row["id"] is None:
        raise ObservationNotFound
    return row


async def get_trends(res: ClientResources, caller: Caller, patient_id: UUID, query: TrendQuery) -> Row:
    """How a measurement went; recorded in the audit trail. Raises ValidationFailed for no such, PatientNotFound."""
    known = (await observations_db.list_codes(res.db)).get(query.code)
    if known is None or query.code == SMOKING_STATUS:
        raise ValidationFailed(_unknown_code("code"))
    bounds = {"code": query.code, "bucket": query.bucket, "from": query.from_, "to": query.to}
    event = reading(res, caller, "observation_trends")
    row = found(await observations_db.find_trends(res.db, patient_id, scope_of(caller), bounds, event))
    return {**known, "bucket": query.bucket, "points": row["points"]}


async def record(
    res: ClientResources, caller: Caller, patient_id: UUID, body: NewObservation | NewObservations
) -> tuple[Row, str]:
    """Record one observation or several, all or none; the answer, and where below the list it is to be found.

    Raises PatientNotFound, and ValidationFailed for an unknown code or unit, an implausible value, a moment in the
    future or before birth, and values of one moment that contradict each other, also one recorded before.
    """
    if isinstance(body, NewObservation):
        (recorded,) = await _record(res, caller, patient_id, [body], [""])
        return recorded, f"/{recorded['id']}"
    paths = [f"observations.{place}." for place in range(len(body.observations))]
    return {"items": await _record(res, caller, patient_id, body.observations, paths)}, ""


async def _record(
    res: ClientResources, caller: Caller, patient_id: UUID, new: Sequence[NewObservation], paths: Sequence[str]
) -> list[Row]:
    now = datetime.now(UTC)
    catalogue = await observations_db.list_codes(res.db)
    given = [(path, observation, observation.effective_at or now) for path, observation in zip(paths, new, strict=True)]
    refuse(
        [error for path, observation, moment in given for error in faults(path, observation, moment, catalogue, now)]
    )
    refuse(contradicting(given, []))
    recorded_by = {"actor_type": caller.user_type, "actor_id": caller.account_id}
    recorded = [
        {**catalogue[observation.code], "id": uuid4(), "value": observation.value, "effective_at": moment}
        for _, observation, moment in given
    ]
    async with res.db.transaction() as tx:
        patient = await db.hold_patient(tx, patient_id, scope_of(caller))
        if (answer := await answered_before(tx, res, caller, "observations", patient_id)) is not None:
            return list(answer["items"])
        refuse(before_birth(given, patient["date_of_birth"]))
        await _refuse_contradictions(tx, patient_id, given)
        await observations_db.insert_observations(tx, patient_id, [_columns(row) for row in recorded], recorded_by)
        await scores.refresh(tx, patient_id)
        codes = sorted({row["code"] for row in recorded})
        event = writing(res, caller, "create", patient_id, "observations", codes=codes, count=len(recorded))
        await audit.record(tx, event)
        recorded = [{**row, "recorded_by": recorded_by} for row in recorded]
        await idempotency.keep(tx, {"items": recorded})
    return recorded


# The path of an observation in the body, what it says, and when it was.
Given = tuple[str, NewObservation, datetime]


def faults(
    path: str, new: NewObservation, moment: datetime, catalogue: Mapping[str, Row], now: datetime
) -> Iterator[FieldError]:
    """What is wrong with an observation by itself."""
    if moment > now + CLOCK_SKEW:
        yield FieldError(
            f"{path}effective_at", "in_the_future", "No puede estar en el futuro.", "Cannot be in the future."
        )
    known = catalogue.get(new.code)
    if known is None:
        yield _unknown_code(f"{path}code")
        return
    unit = known["unit"]
    if new.unit != unit:
        es, en = f"La unidad de {new.code} es «{unit}» (UCUM).", f'The unit of {new.code} is "{unit}" (UCUM).'
        yield FieldError(f"{path}unit", "wrong_unit", es, en)
    if new.code == SMOKING_STATUS:
        if isinstance(new.value, float):
            words = ", ".join(SMOKING_STATUSES)
            yield FieldError(f"{path}value", "not_allowed", f"Debe ser uno de: {words}.", f"Must be one of: {words}.")
    elif isinstance(new.value, str):
        yield FieldError(f"{path}value", "type", "Debe ser un número.", "Must be a number.")
    elif not is_plausible(new.code, new.value):
        low, high = limits(new.code)
        es, en = f"Debe estar entre {low} y {high} {unit}.", f"Must lie between {low} and {high} {unit}."
        yield FieldError(f"{path}value", "implausible", es, en)


def before_birth(given: Iterable[Given], date_of_birth: date) -> list[FieldError]:
    """The observations of moments before the patient's birth."""
    es, en = "Es anterior al nacimiento del paciente.", "Is before the patient's birth."
    return [
        FieldError(f"{path}effective_at", "before_birth", es, en)
        for path, _, moment in given
        if moment.date() < date_of_birth
    ]


def contradicting(given: Iterable[Given], recorded: Iterable[Row]) -> list[FieldError]:
    """The observations that contradict another of their moment, given with them or recorded before."""
    by_moment: defaultdict[datetime, list[tuple[str | None, str, float]]] = defaultdict(list)
    for row in recorded:
        by_moment[row["effective_at"]].append((None, row["code"], row["value"]))
    for path, new, moment in given:
        if isinstance(new.value, float):
            by_moment[moment].append((path, new.code, new.value))
    es = "Contradice a otra de su momento: la presión sistólica es mayor que la diastólica, el HDL no pasa del total."
    en = "Contradicts another of its moment: systolic pressure lies above diastolic, HDL not above total cholesterol."
    paths = {
        path
        for together in by_moment.values()
        for places in contradictions((code, value) for _, code, value in together)
        for path in (together[place][0] for place in places)
        if path is not None
    }
    return [FieldError(f"{path}value", "contradictory", es, en) for path, _, _ in given if path in paths]


def refuse(errors: Sequence[FieldError]) -> None:
    """Raise ValidationFailed if there is an error."""
    if errors:
        raise ValidationFailed(*errors)


async def _refuse_contradictions(tx: Executor, patient_id: UUID, given: Sequence[Given]) -> None:
    if moments := sorted({moment for _, new, moment in given if new.code in PAIRED}):
        refuse(contradicting(given, await observations_db.list_paired(tx, patient_id, moments)))


def _columns(row: Row) -> Row:
    coded = isinstance(row["value"], str)
    return {**row, "value": None if coded else row["value"], "value_code": row["value"] if coded else None}


def _unknown_code(field: str) -> FieldError:
    return FieldError(field, "unknown_code", "No es un código LOINC de este servicio.", "Is no LOINC code known here.")
