"""The SQL that counts institutions, doctors and patients: one statement each, so that the figures fit together."""

from uuid import UUID

from shared.context import for_language
from shared.postgres import Reader, Row

from .errors import InstitutionNotFound

COUNT_REGIONS = """
    WITH own_doctors AS (
        SELECT institution_id, count(*) AS count FROM doctors WHERE deleted_at IS NULL GROUP BY institution_id
    ), own_patients AS (
        SELECT institution_id, count(*) AS count FROM patients WHERE deleted_at IS NULL GROUP BY institution_id
    ), places AS (
        SELECT a.region_id, count(*) AS institutions,
               count(*) FILTER (WHERE i.verification_status = 'verified') AS verified_institutions,
               sum(d.count) AS doctors, sum(p.count) AS patients
        FROM medical_institutions i
        JOIN addresses a ON a.entity_id = i.id AND a.is_primary
        LEFT JOIN own_doctors d ON d.institution_id = i.id
        LEFT JOIN own_patients p ON p.institution_id = i.id
        WHERE i.deleted_at IS NULL
        GROUP BY a.region_id
    )
    SELECT c.code AS country, CASE WHEN %(language)s = 'en' THEN c.name_en ELSE c.name_es END AS country_name,
           r.id AS region_id, r.name AS region, coalesce(l.institutions, 0) AS institutions,
           coalesce(l.verified_institutions, 0) AS verified_institutions,
           coalesce(l.doctors, 0)::bigint AS doctors, coalesce(l.patients, 0)::bigint AS patients
    FROM regions r
    JOIN countries c ON c.id = r.country_id
    LEFT JOIN places l ON l.region_id = r.id
    WHERE %(country)s IS NULL OR c.code = %(country)s
    ORDER BY c.code, search_key(r.name), r.id
"""

COUNT_INSTITUTION = """
    WITH own AS MATERIALIZED (
        SELECT p.id, p.validation_status, p.risk_level,
               extract(year FROM age(current_date, p.date_of_birth)) AS age, coalesce(s.code, 'unknown') AS sex
        FROM patients p
        LEFT JOIN sexes s ON s.id = p.sex_id
        WHERE p.institution_id = %(id)s AND p.deleted_at IS NULL
    )
    SELECT count(own.id) AS patients,
           (SELECT count(*) FROM doctors WHERE institution_id = i.id AND deleted_at IS NULL) AS doctors,
           jsonb_build_object(
               'pending', count(*) FILTER (WHERE validation_status = 'pending'),
               'validated_by_doctor', count(*) FILTER (WHERE validation_status = 'validated_by_doctor'),
               'validated_by_institution', count(*) FILTER (WHERE validation_status = 'validated_by_institution'),
               'full_access', count(*) FILTER (WHERE validation_status = 'full_access')) AS by_validation_status,
           jsonb_build_object(
               'low', count(*) FILTER (WHERE risk_level = 'low'),
               'moderate', count(*) FILTER (WHERE risk_level = 'moderate'),
               'high', count(*) FILTER (WHERE risk_level = 'high'),
               'unknown', count(*) FILTER (WHERE risk_level = 'unknown')) AS by_risk_level,
           jsonb_build_object(
               '0-17', count(*) FILTER (WHERE age < 18),
               '18-39', count(*) FILTER (WHERE age >= 18 AND age < 40),
               '40-64', count(*) FILTER (WHERE age >= 40 AND age < 65),
               '65+', count(*) FILTER (WHERE age >= 65)) AS by_age_band,
           jsonb_build_object(
               'female', count(*) FILTER (WHERE sex = 'female'),
               'male', count(*) FILTER (WHERE sex = 'male'),
               'other', count(*) FILTER (WHERE sex = 'other'),
               'unknown', count(*) FILTER (WHERE sex = 'unknown')) AS by_sex,
           coalesce((SELECT jsonb_agg(to_jsonb(top)) FROM (
               SELECT m.id, m.name, count(*) AS patients
               FROM patient_conditions c
               JOIN medical_conditions m ON m.id = c.condition_id
               WHERE c.patient_id IN (SELECT id FROM own) AND c.abatement_date IS NULL
               GROUP BY m.id
               ORDER BY count(*) DESC, m.name, m.id
               LIMIT 10) top), '[]') AS top_conditions
    FROM medical_institutions i
    LEFT JOIN own ON true
    WHERE i.id = %(id)s AND i.deleted_at IS NULL
    GROUP BY i.id
"""


async def count_regions(reader: Reader, country: str | None) -> list[Row]:
    """Every region, or those of a country (ISO 3166-1 alpha-2), with what is in it, by country and name."""
    return await reader.fetch_all(COUNT_REGIONS, {"country": country, **for_language()})


async def count_institution(reader: Reader, institution_id: UUID) -> Row:
    """The figures of an institution. Raises InstitutionNotFound."""
    row = await reader.fetch_one(COUNT_INSTITUTION, {"id": institution_id})
    if row is None:
        raise InstitutionNotFound
    return row
