-- The workflows of institutions and doctors with their histories, and the indexes of searched and sorted lists.
-- depends: 0007.audit_chain

CREATE TABLE institution_verifications (
    id             bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_institution_verifications PRIMARY KEY,
    institution_id uuid        NOT NULL CONSTRAINT fk_institution_verifications_institution REFERENCES medical_institutions,
    from_status    text        NOT NULL,
    to_status      text        NOT NULL,
    actor_type     text        NOT NULL,
    actor_id       uuid        NOT NULL,
    note           text,
    created_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ix_institution_verifications_institution ON institution_verifications (institution_id, id DESC);

CREATE TABLE accreditations (
    id             uuid        NOT NULL DEFAULT gen_random_uuid() CONSTRAINT pk_accreditations PRIMARY KEY,
    institution_id uuid        NOT NULL CONSTRAINT fk_accreditations_institution REFERENCES medical_institutions,
    body           text        NOT NULL CONSTRAINT ck_accreditations_body CHECK (length(body) BETWEEN 1 AND 200),
    number         text        NOT NULL CONSTRAINT ck_accreditations_number CHECK (length(number) BETWEEN 1 AND 100),
    valid_from     date        NOT NULL,
    valid_until    date        NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ck_accreditations_validity CHECK (valid_until > valid_from)
);
CREATE INDEX ix_accreditations_institution ON accreditations (institution_id, created_at DESC, id DESC);

-- `field` is the column that moved.
CREATE TABLE doctor_status_changes (
    id          bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_doctor_status_changes PRIMARY KEY,
    doctor_id   uuid        NOT NULL CONSTRAINT fk_doctor_status_changes_doctor REFERENCES doctors,
    field       text        NOT NULL CONSTRAINT ck_doctor_status_changes_field
                            CHECK (field IN ('professional_status', 'license_status')),
    from_status text        NOT NULL,
    to_status   text        NOT NULL,
    actor_type  text        NOT NULL,
    actor_id    uuid        NOT NULL,
    note        text,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ix_doctor_status_changes_doctor ON doctor_status_changes (doctor_id, id DESC);

-- Lists by name: everybody's, and those of one institution. The first also finds patients of the same name.
CREATE INDEX ix_patients_name ON patients (search_key(last_name), search_key(first_name), id) WHERE deleted_at IS NULL;
CREATE INDEX ix_patients_institution_name ON patients (institution_id, search_key(last_name), search_key(first_name), id)
    WHERE deleted_at IS NULL;
CREATE INDEX ix_doctors_name ON doctors (search_key(last_name), search_key(first_name), id) WHERE deleted_at IS NULL;
CREATE INDEX ix_medical_institutions_name ON medical_institutions (search_key(name), id) WHERE deleted_at IS NULL;
CREATE INDEX ix_medical_institutions_search_license ON medical_institutions
    USING gin (search_key(license_number) gin_trgm_ops);
