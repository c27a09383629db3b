-- The list of all patients by name is searched in its index alone, and so four times as far before a word is looked up: people
-- of one last name stand together, and a word that none of them has is not found there, however many have it elsewhere.
-- Patients can be read meanwhile, but not written, for some seconds per million.
-- depends: 0022.accesses

CREATE INDEX ix_patients_name_text ON patients (last_name_key, first_name_key, id) INCLUDE (search_text)
    WHERE deleted_at IS NULL;
DROP INDEX ix_patients_name_key;
