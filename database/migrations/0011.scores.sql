-- The score of each patient, kept with it: lists show it without a query per row. Patients from before this migration are
-- `unknown` until `./fleet scores recompute`.
-- depends: 0005.records

ALTER TABLE patients
    ADD COLUMN health_score smallint CONSTRAINT ck_patients_health_score CHECK (health_score BETWEEN 0 AND 100),
    ADD COLUMN risk_level   text NOT NULL DEFAULT 'unknown' CONSTRAINT ck_patients_risk_level
                            CHECK (risk_level IN ('low', 'moderate', 'high', 'unknown')),
    ADD COLUMN score_model  text,  -- by which model and version; null: never computed
    ADD COLUMN scored_at    timestamptz,
    ADD CONSTRAINT ck_patients_score_known CHECK ((health_score IS NULL) = (risk_level = 'unknown'));

-- A score that was computed anew is no change of the patient: neither its version nor its last activity moves.
DROP TRIGGER set_updated_at ON patients;
CREATE TRIGGER set_updated_at BEFORE UPDATE ON patients FOR EACH ROW
    WHEN ((OLD.health_score, OLD.risk_level, OLD.score_model, OLD.scored_at)
          IS NOT DISTINCT FROM (NEW.health_score, NEW.risk_level, NEW.score_model, NEW.scored_at))
    EXECUTE FUNCTION set_updated_at();

-- Since when each field of a profile is known, by its name: between the profile and an observation the newer one counts.
-- A field that an update names was stated anew, also when its value is the same.
ALTER TABLE health_profiles ADD COLUMN stated_at jsonb NOT NULL DEFAULT '{}';
UPDATE health_profiles h SET stated_at = (
    SELECT coalesce(jsonb_object_agg(key, h.updated_at), '{}')
    FROM jsonb_each(to_jsonb(h) - ARRAY['patient_id', 'created_at', 'updated_at', 'stated_at', 'notes'])
    WHERE value <> 'null'
);

-- Who inserts a profile may say itself since when a field is known (an import of old values does).
CREATE FUNCTION state_profile() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NEW.stated_at := (
        SELECT coalesce(jsonb_object_agg(key, now()), '{}')
        FROM jsonb_each(to_jsonb(NEW) - ARRAY['patient_id', 'created_at', 'updated_at', 'stated_at', 'notes'])
        WHERE value <> 'null'
    ) || NEW.stated_at;
    RETURN NEW;
END $$;
CREATE TRIGGER state_profile BEFORE INSERT ON health_profiles FOR EACH ROW EXECUTE FUNCTION state_profile();

CREATE FUNCTION state_profile_field() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN NEW.stated_at := NEW.stated_at || jsonb_build_object(TG_ARGV[0], now()); RETURN NEW; END $$;

DO $$
DECLARE
    field text;
BEGIN
    FOREACH field IN ARRAY ARRAY[
        'height_cm', 'weight_kg', 'is_smoker', 'smoking_status', 'smoking_years', 'quit_date', 'secondhand_smoke_home',
        'physical_activity_minutes_weekly', 'sleep_hours', 'diet_score', 'takes_bp_medication', 'takes_lipid_medication',
        'has_diabetes'
    ] LOOP
        EXECUTE format('CREATE TRIGGER state_%1$s BEFORE UPDATE OF %1$I ON health_profiles FOR EACH ROW '
                       'EXECUTE FUNCTION state_profile_field(%1$L)', field);
    END LOOP;
END $$;
