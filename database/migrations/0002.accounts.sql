-- Accounts. An account has the id of the patient, doctor or institution that it belongs to.
-- depends: 0001.foundation

CREATE TABLE users (
    id            uuid        NOT NULL CONSTRAINT pk_users PRIMARY KEY,
    email         text        NOT NULL CONSTRAINT ck_users_email CHECK (email = btrim(email) AND length(email) BETWEEN 3 AND 254),
    password_hash text,       -- null: no usable password
    user_type     text        NOT NULL CONSTRAINT ck_users_user_type
                              CHECK (user_type IN ('patient', 'doctor', 'institution', 'admin')),
    -- What the account belongs to; kept by the triggers of the owners' tables (mirror_owner_status).
    owner_status  text        NOT NULL DEFAULT 'missing' CONSTRAINT ck_users_owner_status
                              CHECK (owner_status IN ('missing', 'active', 'unavailable', 'deleted')),
    is_active     boolean     NOT NULL DEFAULT true,
    is_verified   boolean     NOT NULL DEFAULT false,
    last_login_at timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uq_users_id_user_type UNIQUE (id, user_type)
);

-- The e-mail is claimed when the owner appears, not before: an account left without its owner holds nothing.
CREATE UNIQUE INDEX uq_users_email ON users (lower(email)) WHERE owner_status <> 'missing';
CREATE INDEX ix_users_missing ON users (created_at) WHERE owner_status = 'missing';

-- A login is no change of the account.
CREATE TRIGGER set_updated_at BEFORE UPDATE OF email, password_hash, owner_status, is_active, is_verified ON users FOR EACH ROW EXECUTE FUNCTION set_updated_at();

-- Carries an owner's appearance, suspension, soft deletion and return over to its account, in the same transaction.
CREATE FUNCTION mirror_owner_status() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
BEGIN
    UPDATE users SET owner_status = CASE
            WHEN NEW.deleted_at IS NOT NULL THEN 'deleted'
            WHEN coalesce(to_jsonb(NEW) ->> 'professional_status', 'active') <> 'active' THEN 'unavailable'
            ELSE 'active'
        END
    WHERE id = NEW.id;
    RETURN NULL;
END $$;
