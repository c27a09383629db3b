"""The SQL that counts doctors: one statement, so that the figures fit together."""

from uuid import UUID

from shared.context import for_language
from shared.postgres import Reader, Row

COUNT_DOCTORS = """
    WITH own AS MATERIALIZED (
        SELECT specialty_id, professional_status, consultation_fee, years_experience
        FROM doctors
        WHERE deleted_at IS NULL AND (%(institution_id)s IS NULL OR institution_id = %(institution_id)s)
    )
    SELECT count(*) AS total,
           coalesce((SELECT jsonb_agg(to_jsonb(entry)) FROM (
               SELECT own.specialty_id, count(*) AS count,
                      CASE WHEN %(language)s = 'en' THEN s.name_en ELSE s.name_es END AS specialty_name
               FROM own LEFT JOIN doctor_specialties s ON s.id = own.specialty_id
               GROUP BY own.specialty_id, s.name_en, s.name_es
               ORDER BY 2 DESC, 3) entry), '[]') AS by_specialty,
           jsonb_build_object(
               'active', count(*) FILTER (WHERE professional_status = 'active'),
               'suspended', count(*) FILTER (WHERE professional_status = 'suspended'),
               'retired', count(*) FILTER (WHERE professional_status = 'retired')) AS by_status,
           round(avg(consultation_fee), 2) AS average_fee, round(avg(years_experience), 2) AS average_experience
    FROM own
"""


async def count_doctors(reader: Reader, institution_id: UUID | None) -> Row:
    """The figures of an institution's doctors, or of all."""
    parameters = {"institution_id": institution_id, **for_language()}
    row = await reader.fetch_one(COUNT_DOCTORS, parameters)
    assert row is not None  # an aggregate always gives one
    return row
