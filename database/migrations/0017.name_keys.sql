-- What patients are sorted by, as columns: a search that finds ten thousand computed twenty thousand keys to sort them.
-- depends: 0016.search
--
-- The table is written anew: half a minute per million patients, in which they can be neither read nor written.

-- Nothing has used these since migration 0016.
DROP INDEX ix_patients_search;
DROP INDEX ix_doctors_search;
DROP INDEX ix_doctors_search_license;
DROP INDEX ix_medical_institutions_search;
DROP INDEX ix_medical_institutions_search_license;
DROP INDEX ix_emails_search;

ALTER TABLE patients
    ADD COLUMN last_name_key  text NOT NULL GENERATED ALWAYS AS (search_key(last_name)) STORED,
    ADD COLUMN first_name_key text NOT NULL GENERATED ALWAYS AS (search_key(first_name)) STORED;
