-- The access log that a patient reads. A list of ids in each event can't be read in the order of time but by sorting
-- all that it finds; this table can: a page costs the same however long the log has grown. It holds accesses only: an
-- attempt that failed (a wrong password, say) touched no data, and whoever made it is not who the event names.
-- depends: 0007.audit_chain

CREATE TABLE audit_event_patients (
    patient_id  uuid        NOT NULL,
    occurred_at timestamptz NOT NULL,
    event_id    bigint      NOT NULL,
    CONSTRAINT pk_audit_event_patients PRIMARY KEY (patient_id, occurred_at, event_id)
);

CREATE FUNCTION list_audit_event() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
BEGIN
    INSERT INTO audit_event_patients (patient_id, occurred_at, event_id)
    SELECT DISTINCT patient_id, NEW.occurred_at, NEW.id FROM unnest(NEW.patient_ids) AS patient_id;
    RETURN NULL;
END $$;

-- Nothing is lost between the events that there are and those to come: writers wait until this is committed.
LOCK TABLE audit_events IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO audit_event_patients (patient_id, occurred_at, event_id)
SELECT DISTINCT patient_id, occurred_at, id FROM audit_events, unnest(patient_ids) AS patient_id
WHERE outcome = 'success';

CREATE TRIGGER list AFTER INSERT ON audit_events FOR EACH ROW
    WHEN (NEW.patient_ids <> '{}' AND NEW.outcome = 'success') EXECUTE FUNCTION list_audit_event();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_event_patients
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What the patients' service gets to see of the trail: who did what to whose data, and nothing else.
CREATE VIEW access_log AS
SELECT p.patient_id, p.occurred_at, p.event_id, e.actor_type, e.actor_id, e.action, e.resource, e.request_id
FROM audit_event_patients p JOIN audit_events e ON e.id = p.event_id;
