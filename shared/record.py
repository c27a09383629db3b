"""The clinical record as doctors and patients read it: its models, and the columns that build it in one statement."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

ValidationStatus = Literal["pending", "validated_by_doctor", "validated_by_institution", "full_access"]
RiskLevel = Literal["low", "moderate", "high", "unknown"]

# Columns of a SELECT whose patient row is called `p`; `%(language)s` decides in which language names are.
HEALTH_PROFILE = """
    (SELECT to_json(profile) FROM (
        SELECT h.height_cm, h.weight_kg, h.blood_type_id,
               (SELECT b.name FROM blood_types b WHERE b.id = h.blood_type_id) AS blood_type, h.is_smoker,
               h.smoking_years, h.smoking_status, h.quit_date, h.secondhand_smoke_home, h.consumes_alcohol,
               h.alcohol_frequency, h.physical_activity_minutes_weekly, h.sleep_hours, h.diet_score,
               h.takes_bp_medication, h.takes_lipid_medication, h.has_diabetes, h.notes
        FROM health_profiles h
        WHERE h.patient_id = p.id) profile) AS health_profile
"""

RECORD = (
    HEALTH_PROFILE
    + """,
    coalesce((SELECT jsonb_agg(to_jsonb(entry)) FROM (
        SELECT c.condition_id AS id, m.name, c.diagnosis_date, c.abatement_date, c.notes
        FROM patient_conditions c JOIN medical_conditions m ON m.id = c.condition_id
        WHERE c.patient_id = p.id
        ORDER BY c.diagnosis_date DESC NULLS LAST, m.name, m.id) entry), '[]') AS conditions,
    coalesce((SELECT jsonb_agg(to_jsonb(entry)) FROM (
        SELECT t.medication_id AS id, m.name, t.dosage, t.frequency, t.start_date, t.status
        FROM patient_medications t JOIN medications m ON m.id = t.medication_id
        WHERE t.patient_id = p.id
        ORDER BY t.status, t.start_date DESC NULLS LAST, m.name, m.id) entry), '[]') AS medications,
    coalesce((SELECT jsonb_agg(to_jsonb(entry)) FROM (
        SELECT a.allergy_id AS id, m.name, a.severity, a.reaction_description
        FROM patient_allergies a JOIN allergies m ON m.id = a.allergy_id
        WHERE a.patient_id = p.id
        ORDER BY m.name, m.id) entry), '[]') AS allergies,
    coalesce((SELECT jsonb_agg(to_jsonb(entry)) FROM (
        SELECT f.id, m.name AS condition_name, f.relative_type, f.notes
        FROM patient_family_history f JOIN medical_conditions m ON m.id = f.condition_id
        WHERE f.patient_id = p.id
        ORDER BY m.name, f.relative_type, f.id) entry), '[]') AS family_history,
    coalesce((SELECT jsonb_agg(to_jsonb(entry)) FROM (
        SELECT o.id, o.code, CASE WHEN %(language)s = 'en' THEN n.name_en ELSE n.name_es END AS name,
               coalesce(to_jsonb(o.value), to_jsonb(o.value_code)) AS value, o.unit, o.effective_at,
               jsonb_build_object('actor_type', o.recorded_by_type, 'actor_id', o.recorded_by_id) AS recorded_by
        FROM observations o JOIN observation_codes n ON n.code = o.code
        WHERE o.patient_id = p.id
        ORDER BY o.effective_at DESC, o.id DESC
        LIMIT 200) entry), '[]') AS observations
"""
)


class HealthProfile(BaseModel):
    """What a patient lives like. Null is unknown, never a guess."""

    height_cm: float | None
    weight_kg: float | None
    blood_type_id: int | None
    blood_type: str | None
    is_smoker: bool | None
    smoking_years: int | None
    smoking_status: Literal["never", "former", "current", "nicotine_device"] | None
    quit_date: date | None
    secondhand_smoke_home: bool | None
    consumes_alcohol: bool | None
    alcohol_frequency: str | None
    physical_activity_minutes_weekly: int | None
    sleep_hours: float | None
    diet_score: int | None
    takes_bp_medication: bool | None
    takes_lipid_medication: bool | None
    has_diabetes: bool | None
    notes: str | None


class Condition(BaseModel):
    """A diagnosis; `id` is the catalogue's. `abatement_date` is null while it lasts."""

    id: int
    name: str
    diagnosis_date: date | None
    abatement_date: date | None
    notes: str | None


class Medication(BaseModel):
    """A medication, taken now (`active`) or before (`stopped`); `id` is the catalogue's."""

    id: int
    name: str
    dosage: str | None
    frequency: str | None
    start_date: date | None
    status: Literal["active", "stopped"]


class Allergy(BaseModel):
    """An allergy; `id` is the catalogue's."""

    id: int
    name: str
    severity: Literal["mild", "moderate", "severe"] | None
    reaction_description: str | None


class FamilyHistoryEntry(BaseModel):
    """A condition of a relative."""

    id: UUID
    condition_name: str
    relative_type: str | None
    notes: str | None


class Actor(BaseModel):
    """Who recorded something."""

    actor_type: str
    actor_id: UUID | None


class Observation(BaseModel):
    """A measurement: LOINC code, value, UCUM unit. The value of a coded answer, such as smoking status, is a word."""

    id: UUID
    code: str
    name: str
    value: float | str
    unit: str
    effective_at: datetime
    recorded_by: Actor


class MedicalRecord(BaseModel):
    """The clinical record of a patient."""

    health_profile: HealthProfile | None
    conditions: list[Condition]
    medications: list[Medication]
    allergies: list[Allergy]
    family_history: list[FamilyHistoryEntry]
    observations: list[Observation] = Field(description="The newest 200.")
