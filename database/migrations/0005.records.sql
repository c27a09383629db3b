-- The clinical record and the audit trail.
-- depends: 0004.entities

-- Every field may be null: unknown. None defaults to false, which would be a guess.
CREATE TABLE health_profiles (
    patient_id                       uuid          NOT NULL CONSTRAINT pk_health_profiles PRIMARY KEY
                                                   CONSTRAINT fk_health_profiles_patient REFERENCES patients,
    height_cm                        numeric(5, 1) CONSTRAINT ck_health_profiles_height_cm CHECK (height_cm BETWEEN 30 AND 272),
    weight_kg                        numeric(5, 2) CONSTRAINT ck_health_profiles_weight_kg CHECK (weight_kg BETWEEN 0.3 AND 650),
    blood_type_id                    integer       CONSTRAINT fk_health_profiles_blood_type REFERENCES blood_types,
    is_smoker                        boolean,
    smoking_years                    smallint      CONSTRAINT ck_health_profiles_smoking_years CHECK (smoking_years BETWEEN 0 AND 120),
    smoking_status                   text          CONSTRAINT ck_health_profiles_smoking_status
                                                   CHECK (smoking_status IN ('never', 'former', 'current', 'nicotine_device')),
    quit_date                        date,
    secondhand_smoke_home            boolean,
    consumes_alcohol                 boolean,
    alcohol_frequency                text          CONSTRAINT ck_health_profiles_alcohol_frequency
                                                   CHECK (alcohol_frequency IN ('never', 'monthly', 'weekly', 'daily')),
    physical_activity_minutes_weekly integer       CONSTRAINT ck_health_profiles_activity
                                                   CHECK (physical_activity_minutes_weekly BETWEEN 0 AND 10080),
    sleep_hours                      numeric(3, 1) CONSTRAINT ck_health_profiles_sleep_hours CHECK (sleep_hours BETWEEN 0 AND 24),
    diet_score                       smallint      CONSTRAINT ck_health_profiles_diet_score CHECK (diet_score BETWEEN 0 AND 16),
    takes_bp_medication              boolean,
    takes_lipid_medication           boolean,
    has_diabetes                     boolean,
    notes                            text          CONSTRAINT ck_health_profiles_notes CHECK (length(notes) <= 2000),
    created_at                       timestamptz   NOT NULL DEFAULT now(),
    updated_at                       timestamptz   NOT NULL DEFAULT now()
);

CREATE TABLE patient_conditions (
    patient_id     uuid        NOT NULL CONSTRAINT fk_patient_conditions_patient REFERENCES patients,
    condition_id   integer     NOT NULL CONSTRAINT fk_patient_conditions_condition REFERENCES medical_conditions,
    diagnosis_date date,
    abatement_date date,       -- FHIR Condition.abatement: resolved since; null while it lasts
    notes          text,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_patient_conditions PRIMARY KEY (patient_id, condition_id),
    CONSTRAINT ck_patient_conditions_abatement CHECK (abatement_date >= diagnosis_date)
);
CREATE INDEX ix_patient_conditions_condition ON patient_conditions (condition_id);

CREATE TABLE patient_medications (
    patient_id    uuid        NOT NULL CONSTRAINT fk_patient_medications_patient REFERENCES patients,
    medication_id integer     NOT NULL CONSTRAINT fk_patient_medications_medication REFERENCES medications,
    dosage        text,
    frequency     text,
    start_date    date,
    status        text        NOT NULL DEFAULT 'active' CONSTRAINT ck_patient_medications_status
                              CHECK (status IN ('active', 'stopped')),
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_patient_medications PRIMARY KEY (patient_id, medication_id)
);
CREATE INDEX ix_patient_medications_medication ON patient_medications (medication_id);

CREATE TABLE patient_allergies (
    patient_id           uuid        NOT NULL CONSTRAINT fk_patient_allergies_patient REFERENCES patients,
    allergy_id           integer     NOT NULL CONSTRAINT fk_patient_allergies_allergy REFERENCES allergies,
    severity             text        CONSTRAINT ck_patient_allergies_severity CHECK (severity IN ('mild', 'moderate', 'severe')),
    reaction_description text,
    created_at           timestamptz NOT NULL DEFAULT now(),
    updated_at           timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_patient_allergies PRIMARY KEY (patient_id, allergy_id)
);
CREATE INDEX ix_patient_allergies_allergy ON patient_allergies (allergy_id);

CREATE TABLE patient_family_history (
    id            uuid        NOT NULL DEFAULT gen_random_uuid() CONSTRAINT pk_patient_family_history PRIMARY KEY,
    patient_id    uuid        NOT NULL CONSTRAINT fk_patient_family_history_patient REFERENCES patients,
    condition_id  integer     NOT NULL CONSTRAINT fk_patient_family_history_condition REFERENCES medical_conditions,
    relative_type text        CONSTRAINT ck_patient_family_history_relative_type
                              CHECK (relative_type IN ('mother', 'father', 'sibling', 'child', 'grandparent', 'other')),
    notes         text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uq_patient_family_history_entry UNIQUE NULLS NOT DISTINCT (patient_id, condition_id, relative_type)
);
CREATE INDEX ix_patient_family_history_condition ON patient_family_history (condition_id);

CREATE TABLE observations (
    id               uuid        NOT NULL DEFAULT gen_random_uuid() CONSTRAINT pk_observations PRIMARY KEY,
    patient_id       uuid        NOT NULL CONSTRAINT fk_observations_patient REFERENCES patients,
    code             text        NOT NULL CONSTRAINT fk_observations_code REFERENCES observation_codes,
    value            numeric,
    value_code       text,       -- for coded answers, such as a smoking status
    unit             text        NOT NULL,
    effective_at     timestamptz NOT NULL,
    recorded_by_type text        NOT NULL CONSTRAINT ck_observations_recorded_by_type
                                 CHECK (recorded_by_type IN ('patient', 'doctor', 'institution', 'admin', 'service')),
    recorded_by_id   uuid,
    created_at       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ck_observations_value CHECK ((value IS NULL) <> (value_code IS NULL)),
    CONSTRAINT ck_observations_finite CHECK (value NOT IN ('NaN', 'Infinity', '-Infinity'))
);
CREATE INDEX ix_observations_patient ON observations (patient_id, effective_at DESC, id DESC);
CREATE INDEX ix_observations_patient_code ON observations (patient_id, code, effective_at DESC, id DESC);

CREATE TABLE patient_validations (
    id          bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_patient_validations PRIMARY KEY,
    patient_id  uuid        NOT NULL CONSTRAINT fk_patient_validations_patient REFERENCES patients,
    from_status text        NOT NULL,
    to_status   text        NOT NULL,
    actor_type  text        NOT NULL,
    actor_id    uuid        NOT NULL,
    note        text,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ix_patient_validations_patient ON patient_validations (patient_id, id DESC);

CREATE TRIGGER set_updated_at BEFORE UPDATE ON health_profiles FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON patient_conditions FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON patient_medications FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON patient_allergies FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON patient_family_history FOR EACH ROW EXECUTE FUNCTION set_updated_at();

-- Who touched whose data, when, from where. Written in the same transaction as the touch; never changed.
CREATE TABLE audit_events (
    id             bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_audit_events PRIMARY KEY,
    occurred_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    service        text        NOT NULL,
    actor_type     text        NOT NULL,
    actor_id       uuid,
    action         text        NOT NULL,
    resource       text        NOT NULL,
    patient_ids    uuid[]      NOT NULL DEFAULT '{}',
    outcome        text        NOT NULL CONSTRAINT ck_audit_events_outcome CHECK (outcome IN ('success', 'failure')),
    request_id     text        NOT NULL,
    client_address text,
    detail         jsonb       NOT NULL DEFAULT '{}'
);
CREATE INDEX ix_audit_events_patients ON audit_events USING gin (patient_ids);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
