-- Institutions, doctors, patients and how to reach them. Each id is an account's: an entity without account can't be.
-- depends: 0002.accounts 0003.catalogues

CREATE TABLE medical_institutions (
    id                  uuid        NOT NULL CONSTRAINT pk_medical_institutions PRIMARY KEY,
    account_type        text        NOT NULL GENERATED ALWAYS AS ('institution') STORED,
    name                text        NOT NULL CONSTRAINT ck_medical_institutions_name CHECK (length(name) BETWEEN 1 AND 200),
    institution_type_id integer     NOT NULL CONSTRAINT fk_medical_institutions_type REFERENCES institution_types,
    license_number      text        NOT NULL CONSTRAINT ck_medical_institutions_license CHECK (license_key(license_number) <> ''),
    website             text,
    verification_status text        NOT NULL DEFAULT 'pending' CONSTRAINT ck_medical_institutions_verification_status
                                    CHECK (verification_status IN ('pending', 'verified', 'rejected')),
    deleted_at          timestamptz,
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT fk_medical_institutions_account FOREIGN KEY (id, account_type) REFERENCES users (id, user_type)
);
CREATE UNIQUE INDEX uq_medical_institutions_license ON medical_institutions (license_key(license_number));
CREATE INDEX ix_medical_institutions_created ON medical_institutions (created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX ix_medical_institutions_search ON medical_institutions USING gin (search_key(name) gin_trgm_ops);

CREATE TABLE doctors (
    id                  uuid          NOT NULL CONSTRAINT pk_doctors PRIMARY KEY,
    account_type        text          NOT NULL GENERATED ALWAYS AS ('doctor') STORED,
    institution_id      uuid          NOT NULL CONSTRAINT fk_doctors_institution REFERENCES medical_institutions,
    first_name          text          NOT NULL CONSTRAINT ck_doctors_first_name CHECK (length(first_name) BETWEEN 1 AND 100),
    last_name           text          NOT NULL CONSTRAINT ck_doctors_last_name CHECK (length(last_name) BETWEEN 1 AND 100),
    medical_license     text          NOT NULL CONSTRAINT ck_doctors_medical_license CHECK (license_key(medical_license) <> ''),
    license_status      text          NOT NULL DEFAULT 'pending' CONSTRAINT ck_doctors_license_status
                                      CHECK (license_status IN ('pending', 'verified', 'expired', 'revoked')),
    specialty_id        uuid          CONSTRAINT fk_doctors_specialty REFERENCES doctor_specialties,
    years_experience    smallint      CONSTRAINT ck_doctors_years_experience CHECK (years_experience BETWEEN 0 AND 80),
    consultation_fee    numeric(9, 2) CONSTRAINT ck_doctors_consultation_fee CHECK (consultation_fee BETWEEN 0 AND 1000000),
    professional_status text          NOT NULL DEFAULT 'active' CONSTRAINT ck_doctors_professional_status
                                      CHECK (professional_status IN ('active', 'suspended', 'retired')),
    deleted_at          timestamptz,
    created_at          timestamptz   NOT NULL DEFAULT now(),
    updated_at          timestamptz   NOT NULL DEFAULT now(),
    CONSTRAINT fk_doctors_account FOREIGN KEY (id, account_type) REFERENCES users (id, user_type),
    CONSTRAINT uq_doctors_id_institution UNIQUE (id, institution_id)
);
CREATE UNIQUE INDEX uq_doctors_medical_license ON doctors (license_key(medical_license));
CREATE INDEX ix_doctors_created ON doctors (created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX ix_doctors_institution_created ON doctors (institution_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX ix_doctors_institution_name ON doctors (institution_id, search_key(last_name), search_key(first_name), id)
    WHERE deleted_at IS NULL;
CREATE INDEX ix_doctors_specialty ON doctors (specialty_id);
CREATE INDEX ix_doctors_search ON doctors USING gin (search_key(first_name || ' ' || last_name) gin_trgm_ops);
CREATE INDEX ix_doctors_search_license ON doctors USING gin (search_key(medical_license) gin_trgm_ops);

CREATE TABLE patients (
    id                      uuid        NOT NULL CONSTRAINT pk_patients PRIMARY KEY,
    account_type            text        NOT NULL GENERATED ALWAYS AS ('patient') STORED,
    doctor_id               uuid        CONSTRAINT fk_patients_doctor REFERENCES doctors,
    institution_id          uuid        CONSTRAINT fk_patients_institution REFERENCES medical_institutions,
    first_name              text        NOT NULL CONSTRAINT ck_patients_first_name CHECK (length(first_name) BETWEEN 1 AND 100),
    last_name               text        NOT NULL CONSTRAINT ck_patients_last_name CHECK (length(last_name) BETWEEN 1 AND 100),
    date_of_birth           date        NOT NULL CONSTRAINT ck_patients_date_of_birth CHECK (date_of_birth >= DATE '1880-01-01'),
    deceased_date           date        CONSTRAINT ck_patients_deceased_date CHECK (deceased_date >= date_of_birth),
    sex_id                  integer     CONSTRAINT fk_patients_sex REFERENCES sexes,
    gender_id               integer     CONSTRAINT fk_patients_gender REFERENCES genders,
    emergency_contact_name  text,
    emergency_contact_phone text,
    validation_status       text        NOT NULL DEFAULT 'pending' CONSTRAINT ck_patients_validation_status
                            CHECK (validation_status IN ('pending', 'validated_by_doctor', 'validated_by_institution', 'full_access')),
    deleted_at              timestamptz,
    created_at              timestamptz NOT NULL DEFAULT now(),
    updated_at              timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT fk_patients_account FOREIGN KEY (id, account_type) REFERENCES users (id, user_type),
    CONSTRAINT ck_patients_association CHECK (doctor_id IS NOT NULL OR institution_id IS NOT NULL),
    -- Checked only where both are given: then the doctor belongs to that institution.
    CONSTRAINT fk_patients_doctor_in_institution FOREIGN KEY (doctor_id, institution_id) REFERENCES doctors (id, institution_id),
    CONSTRAINT ck_patients_emergency_contact
        CHECK ((emergency_contact_name IS NULL) = (emergency_contact_phone IS NULL))
);
CREATE INDEX ix_patients_created ON patients (created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX ix_patients_doctor_created ON patients (doctor_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX ix_patients_institution_created ON patients (institution_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX ix_patients_doctor_name ON patients (doctor_id, search_key(last_name), search_key(first_name), id)
    WHERE deleted_at IS NULL;
CREATE INDEX ix_patients_search ON patients USING gin (search_key(first_name || ' ' || last_name) gin_trgm_ops);

CREATE TRIGGER set_updated_at BEFORE UPDATE ON medical_institutions FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON doctors FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON patients FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TRIGGER mirror_owner_status AFTER INSERT OR UPDATE OF deleted_at ON medical_institutions
    FOR EACH ROW EXECUTE FUNCTION mirror_owner_status();
CREATE TRIGGER mirror_owner_status AFTER INSERT OR UPDATE OF deleted_at, professional_status ON doctors
    FOR EACH ROW EXECUTE FUNCTION mirror_owner_status();
CREATE TRIGGER mirror_owner_status AFTER INSERT OR UPDATE OF deleted_at ON patients
    FOR EACH ROW EXECUTE FUNCTION mirror_owner_status();

-- Contacts of any entity. Their foreign key is the account's, since an entity has its account's id.
CREATE TABLE emails (
    id            uuid        NOT NULL DEFAULT gen_random_uuid() CONSTRAINT pk_emails PRIMARY KEY,
    entity_type   text        NOT NULL,
    entity_id     uuid        NOT NULL,
    email_address text        NOT NULL CONSTRAINT ck_emails_email_address CHECK (length(email_address) BETWEEN 3 AND 254),
    email_type    text        NOT NULL DEFAULT 'personal' CONSTRAINT ck_emails_email_type
                              CHECK (email_type IN ('personal', 'work', 'other')),
    is_primary    boolean     NOT NULL DEFAULT false,
    is_verified   boolean     NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT fk_emails_account FOREIGN KEY (entity_id, entity_type) REFERENCES users (id, user_type)
);
CREATE UNIQUE INDEX uq_emails_primary ON emails (entity_id) WHERE is_primary;
CREATE UNIQUE INDEX uq_emails_address ON emails (entity_id, lower(email_address));
CREATE INDEX ix_emails_search ON emails USING gin (search_key(email_address) gin_trgm_ops) WHERE is_primary;

CREATE TABLE phones (
    id           uuid        NOT NULL DEFAULT gen_random_uuid() CONSTRAINT pk_phones PRIMARY KEY,
    entity_type  text        NOT NULL,
    entity_id    uuid        NOT NULL,
    phone_number text        NOT NULL CONSTRAINT ck_phones_phone_number CHECK (length(phone_number) BETWEEN 5 AND 30),
    phone_type   text        NOT NULL DEFAULT 'mobile' CONSTRAINT ck_phones_phone_type
                             CHECK (phone_type IN ('mobile', 'home', 'work', 'other')),
    is_primary   boolean     NOT NULL DEFAULT false,
    is_verified  boolean     NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT fk_phones_account FOREIGN KEY (entity_id, entity_type) REFERENCES users (id, user_type)
);
CREATE UNIQUE INDEX uq_phones_primary ON phones (entity_id) WHERE is_primary;
CREATE UNIQUE INDEX uq_phones_number ON phones (entity_id, phone_number);

CREATE TABLE addresses (
    id             uuid          NOT NULL DEFAULT gen_random_uuid() CONSTRAINT pk_addresses PRIMARY KEY,
    entity_type    text          NOT NULL,
    entity_id      uuid          NOT NULL,
    street_address text          NOT NULL CONSTRAINT ck_addresses_street CHECK (length(street_address) BETWEEN 1 AND 200),
    neighborhood   text,
    city           text          NOT NULL CONSTRAINT ck_addresses_city CHECK (length(city) BETWEEN 1 AND 200),
    region_id      integer       CONSTRAINT fk_addresses_region REFERENCES regions,
    country_id     integer       CONSTRAINT fk_addresses_country REFERENCES countries,
    postal_code    text,
    latitude       numeric(9, 6) CONSTRAINT ck_addresses_latitude CHECK (latitude BETWEEN -90 AND 90),
    longitude      numeric(9, 6) CONSTRAINT ck_addresses_longitude CHECK (longitude BETWEEN -180 AND 180),
    address_type   text          NOT NULL DEFAULT 'home' CONSTRAINT ck_addresses_address_type
                                 CHECK (address_type IN ('home', 'work', 'other')),
    is_primary     boolean       NOT NULL DEFAULT false,
    is_verified    boolean       NOT NULL DEFAULT false,
    created_at     timestamptz   NOT NULL DEFAULT now(),
    updated_at     timestamptz   NOT NULL DEFAULT now(),
    CONSTRAINT fk_addresses_account FOREIGN KEY (entity_id, entity_type) REFERENCES users (id, user_type),
    -- Checked only where both are given: then the region lies in that country.
    CONSTRAINT fk_addresses_region_in_country FOREIGN KEY (region_id, country_id) REFERENCES regions (id, country_id)
);
CREATE UNIQUE INDEX uq_addresses_primary ON addresses (entity_id) WHERE is_primary;
CREATE INDEX ix_addresses_entity ON addresses (entity_id);
CREATE INDEX ix_addresses_region ON addresses (region_id) WHERE is_primary;

CREATE TRIGGER set_updated_at BEFORE UPDATE ON emails FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON phones FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON addresses FOR EACH ROW EXECUTE FUNCTION set_updated_at();
