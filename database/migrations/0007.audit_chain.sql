-- Each audit event carries a hash over its content and its predecessor's hash, so that a changed or missing row shows.
-- One chain per service, day (UTC) and database connection: writers of one chain never wait for one another.
-- depends: 0005.records

CREATE TABLE audit_chains (
    chain    text   NOT NULL CONSTRAINT pk_audit_chains PRIMARY KEY,
    position bigint NOT NULL,
    hash     bytea  NOT NULL  -- of the newest event
);

ALTER TABLE audit_events
    ADD COLUMN chain    text,
    ADD COLUMN position bigint,
    ADD COLUMN hash     bytea;

CREATE FUNCTION audit_hash(event audit_events, previous bytea) RETURNS bytea
    LANGUAGE sql STABLE
    AS $$
    SELECT sha256(previous || convert_to(jsonb_build_array(
        event.id, extract(epoch FROM event.occurred_at), event.service, event.actor_type, event.actor_id, event.action,
        event.resource, event.patient_ids, event.outcome, event.request_id, event.client_address, event.detail,
        event.chain, event.position)::text, 'UTF8'))
$$;

CREATE FUNCTION chain_audit_event() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
DECLARE
    newest audit_chains;
BEGIN
    NEW.chain := NEW.service || '/' || to_char(NEW.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') || '/' || pg_backend_pid();
    INSERT INTO audit_chains (chain, position, hash) VALUES (NEW.chain, 1, '')
        ON CONFLICT (chain) DO UPDATE SET position = audit_chains.position + 1
        RETURNING * INTO newest;
    NEW.position := newest.position;
    NEW.hash := audit_hash(NEW, newest.hash);
    UPDATE audit_chains SET hash = NEW.hash WHERE chain = NEW.chain;
    RETURN NEW;
END $$;

CREATE TRIGGER chain BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION chain_audit_event();

CREATE UNIQUE INDEX uq_audit_events_position ON audit_events (chain, position);
CREATE INDEX ix_audit_events_actor ON audit_events (actor_id, id DESC);
CREATE INDEX ix_audit_events_action ON audit_events (action, id DESC);
CREATE INDEX ix_audit_events_occurred_at ON audit_events USING brin (occurred_at);
CREATE INDEX ix_users_created ON users (created_at DESC, id DESC) WHERE owner_status <> 'missing';
CREATE INDEX ix_users_search ON users USING gin (search_key(email) gin_trgm_ops);
