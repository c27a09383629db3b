"""The SQL of the scores: what they are computed from, and the columns that keep them for the lists."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from shared.postgres import Executor, Row
from shared.prepared import Prepared

# A column of a SELECT whose patient row is called `p`. Of several observations of one moment the last recorded counts.
# A pressure is a pair of one moment; total and HDL cholesterol are of one draw when they are of one day.
SCORE_INPUTS = """
    (SELECT to_jsonb(inputs) FROM (
        SELECT p.date_of_birth, (SELECT s.code FROM sexes s WHERE s.id = p.sex_id) AS sex,
               (SELECT to_jsonb(profile) FROM (
                   SELECT h.height_cm, h.weight_kg, h.is_smoker, h.smoking_years, h.smoking_status, h.quit_date,
                          h.secondhand_smoke_home, h.physical_activity_minutes_weekly, h.sleep_hours, h.diet_score,
                          h.takes_bp_medication, h.takes_lipid_medication, h.has_diabetes, h.stated_at
                   FROM health_profiles h WHERE h.patient_id = p.id) profile) AS profile,
               coalesce((SELECT jsonb_agg(to_jsonb(entry)) FROM (
                   SELECT m.name, search_key(m.name) AS key, m.code, c.diagnosis_date,
                          c.abatement_date IS NULL AS lasts
                   FROM patient_conditions c JOIN medical_conditions m ON m.id = c.condition_id
                   WHERE c.patient_id = p.id
                   ORDER BY c.diagnosis_date DESC NULLS LAST, m.id) entry), '[]') AS conditions,
               coalesce((SELECT jsonb_object_agg(newest.code, jsonb_build_object(
                             'value', coalesce(to_jsonb(newest.value), to_jsonb(newest.value_code)),
                             'unit', newest.unit, 'at', newest.effective_at))
                   FROM (VALUES ('29463-7'), ('8302-2'), ('93832-4'), ('72166-2'), ('43396-1'), ('1558-6'), ('4548-4'),
                                ('98979-8'), ('2160-0')) AS wanted (code)
                   CROSS JOIN LATERAL (
                       SELECT o.code, o.value, o.value_code, o.unit, o.effective_at
                       FROM observations o
                       WHERE o.patient_id = p.id AND o.code = wanted.code
                       ORDER BY o.effective_at DESC, o.created_at DESC, o.id DESC
                       LIMIT 1) newest), '{}') AS observations,
               (SELECT to_jsonb(pair) FROM (
                   SELECT s.value AS systolic, d.value AS diastolic, s.unit, s.effective_at AS at
                   FROM observations s
                   JOIN observations d ON d.patient_id = s.patient_id AND d.code = '8462-4'
                       AND d.effective_at = s.effective_at
                   WHERE s.patient_id = p.id AND s.code = '8480-6'
                   ORDER BY s.effective_at DESC, s.created_at DESC, d.created_at DESC, s.id DESC, d.id DESC
                   LIMIT 1) pair) AS pressure,
               (SELECT to_jsonb(pair) FROM (
                   SELECT t.value AS total, t.effective_at AS total_at, d.value AS hdl, d.effective_at AS hdl_at, t.unit
                   FROM observations t
                   JOIN observations d ON d.patient_id = t.patient_id AND d.code = '2085-9'
                       AND timezone('UTC', d.effective_at)::date = timezone('UTC', t.effective_at)::date
                   WHERE t.patient_id = p.id AND t.code = '2093-3'
                   ORDER BY t.effective_at DESC, d.effective_at DESC, t.created_at DESC, d.created_at DESC,
                            t.id DESC, d.id DESC
                   LIMIT 1) pair) AS lipids
    ) inputs) AS score_inputs
"""

HOLD_NEXT_PATIENTS = """
    SELECT id FROM patients WHERE %(after)s IS NULL OR id > %(after)s::uuid
    ORDER BY id
    LIMIT %(limit)s
    FOR NO KEY UPDATE
"""

COUNT_PATIENTS = "SELECT count(*) AS count FROM patients"

LIST_SCORE_INPUTS = Prepared(
    "SELECT p.id, p.health_score, p.risk_level, p.score_model, "
    + SCORE_INPUTS
    + " FROM patients p WHERE p.id = ANY (%(patient_ids)s::uuid[])"
)

UPDATE_SCORES = Prepared("""
    UPDATE patients p
    SET health_score = scored.health_score, risk_level = scored.risk_level, score_model = %(score_model)s,
        scored_at = now()
    FROM unnest(%(patient_ids)s::uuid[], %(health_scores)s::smallint[], %(risk_levels)s::text[])
         AS scored (id, health_score, risk_level)
    WHERE p.id = scored.id
""")


async def hold_next_patients(executor: Executor, after: UUID | None, limit: int) -> list[UUID]:
    """The ids of the next patients, by id, deleted ones too; held, so that nobody else stores their scores."""
    return [row["id"] for row in await executor.fetch_all(HOLD_NEXT_PATIENTS, {"after": after, "limit": limit})]


async def count_patients(executor: Executor) -> int:
    """How many patients there are, deleted ones too."""
    row = await executor.fetch_one(COUNT_PATIENTS)
    return int(row["count"]) if row else 0


async def list_score_inputs(executor: Executor, patient_ids: Sequence[UUID]) -> list[Row]:
    """What the scores of these patients are computed from, and what is stored of them."""
    return await executor.fetch_all(LIST_SCORE_INPUTS, {"patient_ids": list(patient_ids)})


async def update_scores(executor: Executor, score_model: str, scores: Sequence[tuple[UUID, int | None, str]]) -> None:
    """Store scores: patient, score, risk level."""
    columns: dict[str, list[Any]] = {
        "patient_ids": [patient_id for patient_id, _, _ in scores],
        "health_scores": [score for _, score, _ in scores],
        "risk_levels": [level for _, _, level in scores],
    }
    await executor.execute(UPDATE_SCORES, {"score_model": score_model, **columns})
