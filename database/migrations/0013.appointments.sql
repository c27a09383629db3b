-- Appointments, and the time zone of each region: what "today" is to an institution.
-- depends: 0006.catalogue_rows 0007.audit_chain

CREATE TABLE appointments (
    id         uuid        NOT NULL DEFAULT gen_random_uuid() CONSTRAINT pk_appointments PRIMARY KEY,
    patient_id uuid        NOT NULL CONSTRAINT fk_appointments_patient REFERENCES patients,
    doctor_id  uuid        NOT NULL CONSTRAINT fk_appointments_doctor REFERENCES doctors,
    starts_at  timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL,
    reason     text        CONSTRAINT ck_appointments_reason CHECK (length(reason) BETWEEN 1 AND 500),
    status     text        NOT NULL DEFAULT 'scheduled' CONSTRAINT ck_appointments_status
                           CHECK (status IN ('scheduled', 'confirmed', 'completed', 'cancelled', 'no_show')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ck_appointments_duration CHECK (ends_at - starts_at BETWEEN interval '5 minutes' AND interval '480 minutes'),
    -- A doctor is in one place at a time: no check before an insert could promise that. A slot ends where the next begins.
    CONSTRAINT ex_appointments_slot EXCLUDE USING gist (doctor_id WITH =, tstzrange(starts_at, ends_at) WITH &&)
        WHERE (status <> 'cancelled')
);
CREATE INDEX ix_appointments_patient ON appointments (patient_id, starts_at, id);
CREATE INDEX ix_appointments_doctor ON appointments (doctor_id, starts_at, id);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON appointments FOR EACH ROW EXECUTE FUNCTION set_updated_at();

-- IANA names. Where a state has two zones, that of its capital; where no region is known, that of most of Mexico.
ALTER TABLE regions ADD COLUMN time_zone text NOT NULL DEFAULT 'America/Mexico_City';
UPDATE regions SET time_zone = zone.name
FROM (VALUES ('America/Tijuana', 484, ARRAY['02']),              -- Baja California
             ('America/Mazatlan', 484, ARRAY['03', '18', '25']),  -- Baja California Sur, Nayarit, Sinaloa
             ('America/Merida', 484, ARRAY['04', '31']),          -- Campeche, Yucatán
             ('America/Monterrey', 484, ARRAY['05', '10', '19', '28']),  -- Coahuila, Durango, Nuevo León, Tamaulipas
             ('America/Chihuahua', 484, ARRAY['08']),
             ('America/Cancun', 484, ARRAY['23']),                -- Quintana Roo
             ('America/Hermosillo', 484, ARRAY['26']),            -- Sonora
             ('America/New_York', 840, ARRAY['MA'])) AS zone (name, country_id, codes)
WHERE regions.country_id = zone.country_id AND regions.code = ANY (zone.codes);
