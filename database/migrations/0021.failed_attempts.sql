-- The failed attempts from before migration 0020, which lists the newer ones. Nobody waits meanwhile. As long as services of
-- the release before run, their administrators' search of the trail by patient reads all of it.
-- depends: 0020.one_list_of_patients

INSERT INTO audit_event_patients (patient_id, occurred_at, event_id)
SELECT patient_id, occurred_at, id FROM audit_events, unnest(patient_ids) AS patient_id WHERE outcome <> 'success'
ON CONFLICT DO NOTHING;

DROP INDEX ix_audit_events_patients;
