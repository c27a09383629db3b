-- The first answers of creations that came with an Idempotency-Key, for 24 hours.
-- depends: 0014.organisations

-- An answer holds what its service may see: so each role sees, and sweeps, its own ones alone. Of the request only a
-- keyed hash is kept.
CREATE TABLE idempotency_keys (
    owner       name        NOT NULL DEFAULT current_user,
    caller_id   uuid        NOT NULL,
    key         text        NOT NULL CONSTRAINT ck_idempotency_keys_key CHECK (length(key) BETWEEN 1 AND 255),
    fingerprint bytea       NOT NULL,
    answer      json        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_idempotency_keys PRIMARY KEY (owner, caller_id, key)
);
CREATE INDEX ix_idempotency_keys_created ON idempotency_keys (owner, created_at);

ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_answers ON idempotency_keys USING (owner = current_user);
