-- The lists in the order of names, by these columns. Patients can be read meanwhile, but not written.
-- depends: 0017.name_keys
--
-- Once no service of the release before runs, nothing uses these any more, and a later release drops them:
-- ix_patients_name, ix_patients_doctor_name, ix_patients_institution_name, ix_patients_status_name,
-- ix_patients_deleted_name.

CREATE INDEX ix_patients_name_key ON patients (last_name_key, first_name_key, id) WHERE deleted_at IS NULL;
CREATE INDEX ix_patients_doctor_name_key ON patients (doctor_id, last_name_key, first_name_key, id)
    WHERE deleted_at IS NULL;
CREATE INDEX ix_patients_institution_name_key ON patients (institution_id, last_name_key, first_name_key, id)
    WHERE deleted_at IS NULL;
CREATE INDEX ix_patients_status_name_key ON patients (validation_status, last_name_key, first_name_key, id)
    WHERE deleted_at IS NULL;
CREATE INDEX ix_patients_deleted_name_key ON patients (last_name_key, first_name_key, id) WHERE deleted_at IS NOT NULL;
