"""The SQL of observations: a patient's list, its trends, and what is recorded."""

from datetime import datetime
from typing import Any
from uuid import UUID

from shared.audit import audited
from shared.context import for_language
from shared.plausibility import PAIRED
from shared.postgres import Executor, Row
from shared.prepared import Prepared

from .db import IN_SCOPE

LIST_CODES = Prepared("""
    SELECT code, CASE WHEN %(language)s = 'en' THEN name_en ELSE name_es END AS name, unit FROM observation_codes
""")

_OBSERVATION = """
    SELECT o.id, o.code, CASE WHEN %(language)s = 'en' THEN n.name_en ELSE n.name_es END AS name,
           coalesce(to_jsonb(o.value), to_jsonb(o.value_code)) AS value, o.unit, o.effective_at,
           jsonb_build_object('actor_type', o.recorded_by_type, 'actor_id', o.recorded_by_id) AS recorded_by
    FROM observations o JOIN observation_codes n ON n.code = o.code
    WHERE o.patient_id = p.id
"""

# A patient without observations gives one row of nulls: so it is told from one that the caller may not know of.
LIST_OBSERVATIONS = audited(
    "SELECT p.id AS patient_id, item.* FROM patients p LEFT JOIN LATERAL ("
    + _OBSERVATION
    + """
      [AND o.code = %(code)s]
      [AND o.effective_at >= %(from)s::timestamptz]
      [AND o.effective_at <= %(to)s::timestamptz]
      [AND (o.effective_at, o.id) < (%(after_effective_at)s::timestamptz, %(after_id)s::uuid)]
    ORDER BY o.effective_at DESC, o.id DESC
    LIMIT %(limit)s + 1
    ) item ON true
    WHERE p.id = %(patient_id)s AND """
    + IN_SCOPE
    + " ORDER BY item.effective_at DESC, item.id DESC"
)

FIND_OBSERVATION = audited(
    "SELECT p.id AS patient_id, item.* FROM patients p LEFT JOIN LATERAL ("
    + _OBSERVATION
    + " AND o.id = %(id)s) item ON true WHERE p.id = %(patient_id)s AND "
    + IN_SCOPE
)

FIND_TRENDS = audited(
    """
    SELECT p.id AS patient_id, coalesce((SELECT jsonb_agg(to_jsonb(point) ORDER BY point.start) FROM (
        SELECT date_trunc(%(bucket)s, o.effective_at, 'UTC') AS start, count(*) AS count, min(o.value) AS min,
               avg(o.value) AS mean, max(o.value) AS max,
               (array_agg(o.value ORDER BY o.effective_at DESC, o.id DESC))[1] AS last
        FROM observations o
        WHERE o.patient_id = p.id AND o.code = %(code)s AND o.value IS NOT NULL
          [AND o.effective_at >= %(from)s::timestamptz]
          [AND o.effective_at <= %(to)s::timestamptz]
        GROUP BY 1) point), '[]') AS points
    FROM patients p
    WHERE p.id = %(patient_id)s AND """
    + IN_SCOPE
)

# What is known already of the moments of new observations, where two of one moment must agree.
LIST_PAIRED = Prepared("""
    SELECT code, value, effective_at FROM observations
    WHERE patient_id = %(patient_id)s AND code = ANY (%(codes)s) AND effective_at = ANY (%(moments)s::timestamptz[])
""")

INSERT_OBSERVATIONS = Prepared("""
    INSERT INTO observations (id, patient_id, code, value, value_code, unit, effective_at, recorded_by_type,
                              recorded_by_id)
    SELECT given.id, %(patient_id)s, given.code, given.value, given.value_code, given.unit, given.effective_at,
           %(recorded_by_type)s, %(recorded_by_id)s
    FROM unnest(%(id)s::uuid[], %(code)s::text[], %(value)s::numeric[], %(value_code)s::text[], %(unit)s::text[],
                %(effective_at)s::timestamptz[]) AS given (id, code, value, value_code, unit, effective_at)
""")

_COLUMNS = ("id", "code", "value", "value_code", "unit", "effective_at")


async def list_codes(executor: Executor) -> dict[str, Row]:
    """The catalogue by LOINC code: `name` in the language of the request, UCUM `unit` ("" of coded values)."""
    return {row["code"]: row for row in await executor.fetch_all(LIST_CODES, for_language())}


async def list_observations(
    executor: Executor,
    patient_id: UUID,
    scope: dict[str, Any],
    filters: dict[str, Any],
    after: list[Any],
    limit: int,
    event: dict[str, Any],
) -> list[Row]:
    """Up to `limit` + 1 observations, newest first, after `[effective_at, id]`; for `scope.items_of`; audited."""
    place = {"after_effective_at": after[0], "after_id": after[1], "limit": limit, "patient_id": patient_id}
    return await executor.fetch_all(LIST_OBSERVATIONS, {**filters, **place, **scope, **event, **for_language()})


async def find_observation(
    executor: Executor, patient_id: UUID, observation_id: UUID, scope: dict[str, Any], event: dict[str, Any]
) -> Row | None:
    """One observation, its `id` None when the patient has none such; None for an unknown patient; audited."""
    parameters = {"id": observation_id, "patient_id": patient_id, **scope, **event, **for_language()}
    return await executor.fetch_one(FIND_OBSERVATION, parameters)


async def find_trends(
    executor: Executor, patient_id: UUID, scope: dict[str, Any], query: dict[str, Any], event: dict[str, Any]
) -> Row | None:
    """The `points` of one code by day, month or year in UTC, oldest first; audited as `event`."""
    return await executor.fetch_one(FIND_TRENDS, {"patient_id": patient_id, **query, **scope, **event})


async def list_paired(executor: Executor, patient_id: UUID, moments: list[datetime]) -> list[Row]:
    """`code`, `value`, `effective_at` of what is recorded for the moments and has to agree with its like."""
    parameters = {"patient_id": patient_id, "codes": sorted(PAIRED), "moments": moments}
    return await executor.fetch_all(LIST_PAIRED, parameters)


async def insert_observations(
    executor: Executor, patient_id: UUID, observations: list[dict[str, Any]], recorded_by: dict[str, Any]
) -> None:
    """Insert observations, all or none; each has every one of id, code, value, value_code, unit, effective_at."""
    columns = {name: [observation[name] for observation in observations] for name in _COLUMNS}
    by = {"recorded_by_type": recorded_by["actor_type"], "recorded_by_id": recorded_by["actor_id"]}
    await executor.execute(INSERT_OBSERVATIONS, {"patient_id": patient_id, **columns, **by})
