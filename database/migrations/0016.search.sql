-- What a search looks into, in one column: names, licences and primary e-mail, without case and accents. And indexes
-- for the filters that had none.
-- depends: 0015.idempotency
--
-- It takes one to two minutes per million patients: until then patients, doctors, institutions and e-mails can be read, but
-- not written. Once no service of the release before runs, nothing uses these any more, and a later release drops them:
-- ix_patients_search, ix_doctors_search, ix_doctors_search_license, ix_medical_institutions_search,
-- ix_medical_institutions_search_license, ix_emails_search.

-- `search_text` becomes the columns named as arguments and the primary e-mail, whatever is written into it.
CREATE FUNCTION set_search_text() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NEW.search_text := search_key(concat_ws(' ',
        (SELECT string_agg(to_jsonb(NEW) ->> name, ' ') FROM unnest(TG_ARGV) name),
        (SELECT email_address FROM emails WHERE entity_id = NEW.id AND is_primary)));
    RETURN NEW;
END $$;

CREATE FUNCTION renew_search_text() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    owner_type text := coalesce(NEW.entity_type, OLD.entity_type);
    owner_id   uuid := coalesce(NEW.entity_id, OLD.entity_id);
BEGIN
    IF NEW.is_primary OR OLD.is_primary THEN
        CASE owner_type
            WHEN 'patient' THEN UPDATE patients SET search_text = DEFAULT WHERE id = owner_id;
            WHEN 'doctor' THEN UPDATE doctors SET search_text = DEFAULT WHERE id = owner_id;
            WHEN 'institution' THEN UPDATE medical_institutions SET search_text = DEFAULT WHERE id = owner_id;
            ELSE  -- an administrator is nobody's to search
        END CASE;
    END IF;
    RETURN NULL;
END $$;

ALTER TABLE patients ADD COLUMN search_text text NOT NULL DEFAULT '';
ALTER TABLE doctors ADD COLUMN search_text text NOT NULL DEFAULT '';
ALTER TABLE medical_institutions ADD COLUMN search_text text NOT NULL DEFAULT '';

CREATE TRIGGER set_search_text BEFORE INSERT OR UPDATE OF first_name, last_name, search_text ON patients
    FOR EACH ROW EXECUTE FUNCTION set_search_text('first_name', 'last_name');
CREATE TRIGGER set_search_text BEFORE INSERT OR UPDATE OF first_name, last_name, medical_license, search_text ON doctors
    FOR EACH ROW EXECUTE FUNCTION set_search_text('first_name', 'last_name', 'medical_license');
CREATE TRIGGER set_search_text BEFORE INSERT OR UPDATE OF name, license_number, search_text ON medical_institutions
    FOR EACH ROW EXECUTE FUNCTION set_search_text('name', 'license_number');
CREATE TRIGGER renew_search_text AFTER INSERT OR DELETE OR UPDATE OF email_address, is_primary ON emails
    FOR EACH ROW EXECUTE FUNCTION renew_search_text();

-- Of those that there are. Nobody has changed them.
ALTER TABLE patients DISABLE TRIGGER set_updated_at;
ALTER TABLE doctors DISABLE TRIGGER set_updated_at;
ALTER TABLE medical_institutions DISABLE TRIGGER set_updated_at;
UPDATE patients SET search_text = DEFAULT;
UPDATE doctors SET search_text = DEFAULT;
UPDATE medical_institutions SET search_text = DEFAULT;
ALTER TABLE patients ENABLE TRIGGER set_updated_at;
ALTER TABLE doctors ENABLE TRIGGER set_updated_at;
ALTER TABLE medical_institutions ENABLE TRIGGER set_updated_at;

-- Without a list of what is new, which each search would have to read from end to end.
CREATE INDEX ix_patients_search_text ON patients USING gin (search_text gin_trgm_ops) WITH (fastupdate = off);
CREATE INDEX ix_doctors_search_text ON doctors USING gin (search_text gin_trgm_ops) WITH (fastupdate = off);
CREATE INDEX ix_medical_institutions_search_text ON medical_institutions
    USING gin (search_text gin_trgm_ops) WITH (fastupdate = off);
ALTER INDEX ix_users_search SET (fastupdate = off);

-- The patients' list by its filters: in both orders where one value is rare, by birth, and those who are deleted.
CREATE INDEX ix_patients_status_created ON patients (validation_status, created_at DESC, id DESC)
    WHERE deleted_at IS NULL;
CREATE INDEX ix_patients_status_name ON patients
    (validation_status, search_key(last_name), search_key(first_name), id) WHERE deleted_at IS NULL;
CREATE INDEX ix_patients_date_of_birth ON patients (date_of_birth);
CREATE INDEX ix_patients_deleted_created ON patients (created_at DESC, id DESC) WHERE deleted_at IS NOT NULL;
CREATE INDEX ix_patients_deleted_name ON patients (search_key(last_name), search_key(first_name), id)
    WHERE deleted_at IS NOT NULL;

-- The accounts' list by its filters.
CREATE INDEX ix_users_type_created ON users (user_type, created_at DESC, id DESC) WHERE owner_status <> 'missing';
CREATE INDEX ix_users_disabled_created ON users (created_at DESC, id DESC)
    WHERE owner_status <> 'missing' AND NOT is_active;
