"""The SQL of a patient as a whole: the dashboard, the clinical record, the care team and the profile."""

from typing import Any
from uuid import UUID

from shared.audit import audited
from shared.context import for_language
from shared.postgres import Executor, Row
from shared.record import RECORD

from .activity_db import COMING_APPOINTMENTS, RECENT_ACTIVITY
from .db import IN_SCOPE
from .scores_db import SCORE_INPUTS

FIND_DASHBOARD = audited(
    """
    SELECT p.id AS patient_id, p.first_name, p.last_name, p.date_of_birth, h.is_smoker, h.consumes_alcohol,
           h.physical_activity_minutes_weekly,
           coalesce((SELECT jsonb_agg(to_jsonb(entry)) FROM (
               SELECT m.name, t.dosage, t.frequency
               FROM patient_medications t JOIN medications m ON m.id = t.medication_id
               WHERE t.patient_id = p.id AND t.status = 'active'
               ORDER BY t.start_date DESC NULLS LAST, m.name, m.id) entry), '[]') AS medications,
           coalesce((SELECT jsonb_agg(to_jsonb(entry)) FROM (
               SELECT m.name
               FROM patient_conditions c JOIN medical_conditions m ON m.id = c.condition_id
               WHERE c.patient_id = p.id AND c.abatement_date IS NULL
               ORDER BY c.diagnosis_date DESC NULLS LAST, m.name, m.id) entry), '[]') AS conditions,
    """
    + COMING_APPOINTMENTS
    + ", "
    + RECENT_ACTIVITY
    + ", "
    + SCORE_INPUTS
    + """
    FROM patients p
    LEFT JOIN health_profiles h ON h.patient_id = p.id
    WHERE p.id = %(patient_id)s AND """
    + IN_SCOPE
)

FIND_MEDICAL_RECORD = audited(
    "SELECT p.id AS patient_id, " + RECORD + " FROM patients p WHERE p.id = %(patient_id)s AND " + IN_SCOPE
)

FIND_CARE_TEAM = audited(
    """
    SELECT p.id AS patient_id,
           (SELECT to_jsonb(member) FROM (
               SELECT d.id, d.first_name, d.last_name, d.years_experience,
                      CASE WHEN %(language)s = 'en' THEN s.name_en ELSE s.name_es END AS specialty,
                      e.email_address AS email, t.phone_number AS phone
               FROM doctors d
               LEFT JOIN doctor_specialties s ON s.id = d.specialty_id
               LEFT JOIN emails e ON e.entity_id = d.id AND e.is_primary
               LEFT JOIN phones t ON t.entity_id = d.id AND t.is_primary
               WHERE d.id = p.doctor_id AND d.deleted_at IS NULL) member) AS doctor,
           (SELECT to_jsonb(member) FROM (
               SELECT i.id, i.name, CASE WHEN %(language)s = 'en' THEN y.name_en ELSE y.name_es END AS type, i.website,
                      e.email_address AS email, t.phone_number AS phone,
                      (SELECT to_jsonb(place) FROM (
                          SELECT a.street_address AS street, a.city, r.name AS region,
                                 CASE WHEN %(language)s = 'en' THEN c.name_en ELSE c.name_es END AS country,
                                 a.postal_code
                          FROM addresses a
                          LEFT JOIN regions r ON r.id = a.region_id
                          LEFT JOIN countries c ON c.id = a.country_id
                          WHERE a.entity_id = i.id AND a.is_primary) place) AS address
               FROM medical_institutions i
               JOIN institution_types y ON y.id = i.institution_type_id
               LEFT JOIN emails e ON e.entity_id = i.id AND e.is_primary
               LEFT JOIN phones t ON t.entity_id = i.id AND t.is_primary
               WHERE i.id = p.institution_id AND i.deleted_at IS NULL) member) AS institution
    FROM patients p
    WHERE p.id = %(patient_id)s AND """
    + IN_SCOPE
)

FIND_PROFILE = audited(
    """
    SELECT p.id AS patient_id, p.first_name, p.last_name, p.date_of_birth,
           (SELECT email_address FROM emails WHERE entity_id = p.id AND is_primary) AS primary_email,
           coalesce((SELECT jsonb_agg(to_jsonb(contact)) FROM (
               SELECT id, email_address, email_type, is_primary, is_verified
               FROM emails WHERE entity_id = p.id ORDER BY is_primary DESC, created_at, id) contact), '[]') AS emails,
           coalesce((SELECT jsonb_agg(to_jsonb(contact)) FROM (
               SELECT id, phone_number, phone_type, is_primary, is_verified
               FROM phones WHERE entity_id = p.id ORDER BY is_primary DESC, created_at, id) contact), '[]') AS phones,
           coalesce((SELECT jsonb_agg(to_jsonb(contact)) FROM (
               SELECT a.id, a.street_address, a.neighborhood, a.city, a.postal_code, a.address_type, a.is_primary,
                      a.is_verified, a.region_id, r.name AS region_name, a.country_id,
                      CASE WHEN %(language)s = 'en' THEN c.name_en ELSE c.name_es END AS country_name
               FROM addresses a
               LEFT JOIN regions r ON r.id = a.region_id
               LEFT JOIN countries c ON c.id = a.country_id
               WHERE a.entity_id = p.id ORDER BY a.is_primary DESC, a.created_at, a.id) contact), '[]') AS addresses
    FROM patients p
    WHERE p.id = %(patient_id)s AND """
    + IN_SCOPE
)


async def find_dashboard(
    executor: Executor, patient_id: UUID, scope: dict[str, Any], event: dict[str, Any]
) -> Row | None:
    """What a patient's dashboard shows and is computed from, audited as `event`."""
    return await executor.fetch_one(FIND_DASHBOARD, {"patient_id": patient_id, **scope, **event, **for_language()})


async def find_medical_record(
    executor: Executor, patient_id: UUID, scope: dict[str, Any], event: dict[str, Any]
) -> Row | None:
    """A patient's clinical record, audited as `event`."""
    return await executor.fetch_one(FIND_MEDICAL_RECORD, {"patient_id": patient_id, **scope, **event, **for_language()})


async def find_care_team(
    executor: Executor, patient_id: UUID, scope: dict[str, Any], event: dict[str, Any]
) -> Row | None:
    """A patient's doctor and institution, None for one that it does not have or that is deleted; audited as `event`."""
    return await executor.fetch_one(FIND_CARE_TEAM, {"patient_id": patient_id, **scope, **event, **for_language()})


async def find_profile(
    executor: Executor, patient_id: UUID, scope: dict[str, Any], event: dict[str, Any]
) -> Row | None:
    """A patient's name and contacts, each kind's primary first; audited as `event`."""
    return await executor.fetch_one(FIND_PROFILE, {"patient_id": patient_id, **scope, **event, **for_language()})
