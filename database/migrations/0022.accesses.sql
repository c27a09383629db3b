-- Whose accesses an event tells stands in the event alone; an index of accesses finds it by patient, as 0020's finds failed
-- attempts. A row for each patient of a page (0012) was more than half of what recording a page of 50 costs PostgreSQL, and
-- six times the trail's own size. (Why not as before 0020, and how a page stays flat: docs/decisions/0003.)
-- Building the index takes half a minute per million events of some 17 patients each, in which nothing can be recorded and
-- so no health data be read.
-- depends: 0021.one_audit_trigger

CREATE OR REPLACE FUNCTION chain_audit_event() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
DECLARE
    newest audit_chains;
BEGIN
    NEW.chain := NEW.service || '/' || to_char(NEW.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') || '/' || pg_backend_pid();
    -- Without a lock: of one connection's chain no other one knows, and uq_audit_events_position stands behind that.
    SELECT * INTO newest FROM audit_chains WHERE chain = NEW.chain;
    NEW.position := coalesce(newest.position, 0) + 1;
    NEW.hash := audit_hash(NEW, coalesce(newest.hash, ''));
    UPDATE audit_chains SET position = NEW.position, hash = NEW.hash WHERE chain = NEW.chain;
    IF NOT FOUND THEN
        INSERT INTO audit_chains (chain, position, hash) VALUES (NEW.chain, NEW.position, NEW.hash);
    END IF;
    RETURN NEW;
END $$;

-- One event in some 300 of a page of 50 sorts in what waits: of 512 kB, well within a statement's time limit even where each of its
-- 16,000 entries has to be fetched from the disk.
CREATE INDEX ix_audit_events_accesses ON audit_events USING gin (patient_ids) WITH (gin_pending_list_limit = 512)
    WHERE outcome = 'success';
-- Ranges of time that have just been filled are known to the index at once, not at the next vacuum.
ALTER INDEX ix_audit_events_occurred_at SET (autosummarize = on);

-- A patient's accesses, newest first, before a place in them. Together the two indexes find those of one patient and one
-- span of time; spans that begin small make a page of a long log as cheap as one of a short log.
CREATE FUNCTION list_accesses(of_patient uuid, before timestamptz, before_id bigint, up_to integer)
    RETURNS TABLE (
        event_id bigint, occurred_at timestamptz, actor_type text, actor_id uuid, action text, resource text, request_id text)
    LANGUAGE plpgsql STABLE ROWS 50 SECURITY DEFINER SET search_path = public, pg_temp
    SET plan_cache_mode = force_custom_plan  -- a day and all time have different plans
    AS $$
DECLARE
    place CONSTANT timestamptz := coalesce(before, now());
    newest timestamptz := coalesce(before, 'infinity');
    oldest timestamptz;
    span interval;
    found_rows integer;
BEGIN
    -- Nobody's place is after the last of an instant.
    before_id := coalesce(before_id, 9223372036854775807);
    FOREACH span IN ARRAY ARRAY[interval '1 day', '1 month', '2 years', NULL] LOOP
        oldest := coalesce(place - span, '-infinity');
        RETURN QUERY
            SELECT e.id, e.occurred_at, e.actor_type, e.actor_id, e.action, e.resource, e.request_id
            FROM audit_events e
            WHERE e.patient_ids @> ARRAY[of_patient] AND e.outcome = 'success'
              AND e.occurred_at > oldest AND e.occurred_at <= newest
              AND (e.occurred_at, e.id) < (newest, before_id)
            ORDER BY e.occurred_at DESC, e.id DESC
            LIMIT up_to;
        GET DIAGNOSTICS found_rows = ROW_COUNT;
        up_to := up_to - found_rows;
        EXIT WHEN up_to = 0;
        newest := oldest;
        before_id := 9223372036854775807;
    END LOOP;
END $$;

-- For services of the release before, which read these two: slowly, they go in a later release.
DROP VIEW access_log;
DROP TABLE audit_event_patients;
CREATE VIEW audit_event_patients AS
SELECT p.patient_id, e.occurred_at, e.id AS event_id FROM audit_events e, unnest(e.patient_ids) AS p (patient_id)
WHERE e.outcome = 'success';
CREATE VIEW access_log AS
SELECT p.patient_id, p.occurred_at, p.event_id, e.actor_type, e.actor_id, e.action, e.resource, e.request_id
FROM audit_event_patients p JOIN audit_events e ON e.id = p.event_id;
