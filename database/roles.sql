-- What each service may do, and nothing else: applied again at every migration, so that this file is the whole truth.
-- {auth}, {doctors}, {institutions}, {patients} are the roles of the database, {database}.

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {auth}, {doctors}, {institutions}, {patients};
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO {auth}, {doctors}, {institutions}, {patients};

-- The roles of other databases on this server stay out. Triggers run with the owner's rights: on a temporary table of
-- its own any role could run them with rows that it made up.
REVOKE CONNECT, TEMPORARY ON DATABASE {database} FROM PUBLIC;
GRANT CONNECT ON DATABASE {database} TO {auth}, {doctors}, {institutions}, {patients};
REVOKE EXECUTE ON FUNCTION mirror_owner_status(), chain_audit_event(), list_accesses(uuid, timestamptz, bigint, integer)
    FROM PUBLIC;

-- The audit trail: everybody adds (number, time and chain are not theirs to choose), the auth service shows it to
-- administrators, nobody changes or deletes.
GRANT INSERT (service, actor_type, actor_id, action, resource, patient_ids, outcome, request_id, client_address, detail)
    ON audit_events TO {auth}, {doctors}, {institutions}, {patients};
GRANT SELECT ON audit_events TO {auth};
GRANT EXECUTE ON FUNCTION list_accesses(uuid, timestamptz, bigint, integer) TO {patients};
-- (Of the release before.)
GRANT SELECT ON audit_event_patients TO {auth};
GRANT SELECT ON access_log TO {patients};

-- Accounts belong to the auth service. The others see whom they belong to, never a password hash.
GRANT SELECT, INSERT, UPDATE, DELETE ON users TO {auth};
GRANT SELECT (id, email, user_type, owner_status, is_active, is_verified, last_login_at, created_at, updated_at)
    ON users TO {doctors}, {institutions}, {patients};

-- The answers kept for creations that are sent again; row-level security shows each role its own.
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO {auth}, {doctors}, {institutions}, {patients};

-- Catalogues are read by all.
GRANT SELECT ON countries, regions, municipalities, institution_types, doctor_specialties, sexes, genders, blood_types,
    medical_conditions, medications, allergies, observation_codes TO {doctors}, {institutions}, {patients};

-- Each service writes its own entity and the contacts, and reads the others'. (To hold a row that must not vanish,
-- FOR SHARE, PostgreSQL asks for the right to update one of its columns.)
GRANT SELECT, INSERT, UPDATE, DELETE ON emails, phones, addresses TO {doctors}, {institutions}, {patients};
GRANT SELECT ON medical_institutions, doctors, patients, health_profiles TO {doctors}, {institutions}, {patients};

GRANT INSERT, UPDATE ON doctors TO {doctors};
GRANT SELECT, INSERT ON doctor_status_changes TO {doctors};
GRANT UPDATE (updated_at) ON medical_institutions TO {doctors}, {patients};
GRANT SELECT ON patient_conditions, patient_medications, patient_allergies, patient_family_history, observations
    TO {doctors};

-- Appointments: made by patients' service; a doctor's deletion cancels those to come.
GRANT SELECT ON appointments TO {doctors}, {patients};
GRANT UPDATE (status) ON appointments TO {doctors}, {patients};
GRANT INSERT ON appointments TO {patients};

GRANT INSERT, UPDATE ON medical_institutions TO {institutions};
GRANT SELECT, INSERT ON institution_verifications, accreditations TO {institutions};
-- To count its patients' conditions; what they say of one is not shown.
GRANT SELECT (patient_id, condition_id, abatement_date) ON patient_conditions TO {institutions};

GRANT INSERT, UPDATE ON patients, health_profiles TO {patients};
GRANT UPDATE (updated_at) ON doctors TO {patients};
GRANT SELECT, INSERT, UPDATE, DELETE ON patient_conditions, patient_medications, patient_allergies,
    patient_family_history TO {patients};
GRANT SELECT, INSERT ON observations, patient_validations TO {patients};
GRANT INSERT ON medical_conditions, medications, allergies TO {patients};
