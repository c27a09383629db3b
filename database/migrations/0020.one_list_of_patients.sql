-- The events of a patient were found in two ways: by a list of accesses, in the order of time, and by an index on the
-- ids in each event, for administrators, who see failed attempts too. The list now holds those as well, and the index
-- goes (0021): it was written at every read, and some reads waited until what it had put off was sorted in.
-- depends: 0019.audit_writes

DROP TRIGGER list ON audit_events;
CREATE TRIGGER list AFTER INSERT ON audit_events FOR EACH ROW
    WHEN (NEW.patient_ids <> '{}') EXECUTE FUNCTION list_audit_event();

-- An attempt that failed touched no data, and whoever made it is not who the event names.
CREATE OR REPLACE VIEW access_log AS
SELECT p.patient_id, p.occurred_at, p.event_id, e.actor_type, e.actor_id, e.action, e.resource, e.request_id
FROM audit_event_patients p JOIN audit_events e ON e.id = p.event_id
WHERE e.outcome = 'success';
