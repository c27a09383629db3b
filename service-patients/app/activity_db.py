"""What a dashboard shows of a patient's time: columns of a SELECT whose patient row is called `p`."""

from shared.appointments import COLUMNS

COMING_APPOINTMENTS = (
    "coalesce((SELECT jsonb_agg(to_jsonb(entry)) FROM (SELECT "
    + COLUMNS
    + """
        FROM appointments a JOIN doctors d ON d.id = a.doctor_id
        WHERE a.patient_id = p.id AND a.status IN ('scheduled', 'confirmed') AND a.ends_at > now()
        ORDER BY a.starts_at, a.id
        LIMIT 5) entry), '[]') AS appointments
"""
)

# When each happened: a measurement when it was taken (those of one moment are one event), an entry of the record when
# it was made, an appointment when it took place or else when it was last moved. Of each kind the newest ten are enough.
RECENT_ACTIVITY = """
    coalesce((SELECT jsonb_agg(to_jsonb(event)) FROM (
        SELECT kind, state, subject, occurred_at FROM (
            (SELECT 'observation' AS kind, 'recorded' AS state, o.effective_at AS occurred_at,
                    string_agg(DISTINCT CASE WHEN %(language)s = 'en' THEN n.name_en ELSE n.name_es END, ', ')
                        AS subject
             FROM observations o JOIN observation_codes n ON n.code = o.code
             WHERE o.patient_id = p.id GROUP BY o.effective_at ORDER BY o.effective_at DESC LIMIT 10)
            UNION ALL
            (SELECT 'condition', 'recorded', c.created_at, m.name
             FROM patient_conditions c JOIN medical_conditions m ON m.id = c.condition_id
             WHERE c.patient_id = p.id ORDER BY c.created_at DESC, m.id LIMIT 10)
            UNION ALL
            (SELECT 'medication', 'recorded', t.created_at, m.name
             FROM patient_medications t JOIN medications m ON m.id = t.medication_id
             WHERE t.patient_id = p.id ORDER BY t.created_at DESC, m.id LIMIT 10)
            UNION ALL
            (SELECT 'allergy', 'recorded', g.created_at, m.name
             FROM patient_allergies g JOIN allergies m ON m.id = g.allergy_id
             WHERE g.patient_id = p.id ORDER BY g.created_at DESC, m.id LIMIT 10)
            UNION ALL
            (SELECT 'appointment', a.status,
                    CASE WHEN a.status IN ('completed', 'no_show') THEN least(a.starts_at, a.updated_at)
                         ELSE a.updated_at END AS moved_at,
                    d.first_name || ' ' || d.last_name
             FROM appointments a JOIN doctors d ON d.id = a.doctor_id
             WHERE a.patient_id = p.id ORDER BY moved_at DESC, a.id LIMIT 10)
            UNION ALL
            (SELECT 'validation', v.to_status, v.created_at, NULL
             FROM patient_validations v WHERE v.patient_id = p.id ORDER BY v.id DESC LIMIT 10)) events
        ORDER BY occurred_at DESC, kind, subject
        LIMIT 10) event), '[]') AS recent_activity
"""
