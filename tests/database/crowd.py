"""Very many invented patients, made by the server itself: for plans and figures, not for stories."""

import psycopg2

# Names and e-mail providers as uneven as real ones: the first of a list are common, the last rare. One institution has
# a tenth of all patients; the oldest are one hospital's, whose e-mails nobody else has.
_LOAD = """
    SELECT setseed(0.5);
    SET LOCAL synchronous_commit = off;
    -- No foreign key is checked, and no trigger does for each row what the statements below do; but this one's work.
    SET LOCAL session_replication_role = replica;
    ALTER TABLE medical_institutions ENABLE ALWAYS TRIGGER set_search_text;
    ALTER TABLE doctors ENABLE ALWAYS TRIGGER set_search_text;
    ALTER TABLE patients ENABLE ALWAYS TRIGGER set_search_text;

    CREATE FUNCTION pg_temp.one_of(names text, evenness float) RETURNS text LANGUAGE sql VOLATILE AS $$
        SELECT
        (string_to_array(names, ' '))[1 + floor(power(random(), evenness) * (1 + regexp_count(names, ' ')))::int]
    $$;

    CREATE TEMPORARY TABLE crowd ON COMMIT DROP AS
    SELECT n, md5('patient' || n)::uuid AS id,
           concat_ws(' ', pg_temp.one_of(%(first)s, 2),
                     CASE WHEN random() < 0.4 THEN pg_temp.one_of(%(first)s, 1.5) END) AS first_name,
           concat_ws(' ', pg_temp.one_of(%(last)s, 2),
                     CASE WHEN random() < 0.7 THEN pg_temp.one_of(%(last)s, 1.5) END) AS last_name,
           CASE WHEN n > %(patients)s * 0.995 THEN 'hospital-sur.mx'
                ELSE pg_temp.one_of(%(providers)s, 2) END AS provider,
           CASE WHEN n %% 10 = 0 THEN 1 ELSE 1 + n %% greatest(%(patients)s / 1000, 2) END AS institution,
           CASE floor(random() * 5)::int WHEN 0 THEN 'pending' WHEN 1 THEN 'validated_by_doctor'
                ELSE 'full_access' END AS status,
           date '1925-01-01' + floor(random() * 36000)::int AS date_of_birth,
           random() < 0.01 AS is_deleted
    FROM generate_series(1, %(patients)s) n;
    ANALYZE crowd;
    UPDATE crowd SET status = 'validated_by_institution' WHERE n %% 2000 = 7;

    INSERT INTO users (id, email, user_type, owner_status, created_at)
    SELECT md5('institution' || n)::uuid, 'clinica' || n || '@example.com', 'institution', 'active',
           now() - n * interval '1 hour'
    FROM generate_series(1, greatest(%(patients)s / 1000, 2)) n
    UNION ALL
    SELECT md5('doctor' || n)::uuid, 'doctor' || n || '@example.com', 'doctor', 'active',
           now() - n * interval '1 minute'
    FROM generate_series(1, greatest(%(patients)s / 200, 4)) n
    UNION ALL
    SELECT id, search_key(replace(first_name || '.' || last_name, ' ', '')) || n || '@' || provider, 'patient',
           CASE WHEN is_deleted THEN 'deleted' ELSE 'active' END, now() - n * interval '10 seconds'
    FROM crowd;

    INSERT INTO emails (entity_type, entity_id, email_address, is_primary) SELECT user_type, id, email, true FROM users;

    INSERT INTO phones (entity_type, entity_id, phone_number, is_primary)
    SELECT 'patient', id, 5500000000 + n, true FROM crowd;

    INSERT INTO medical_institutions (id, name, institution_type_id, license_number, created_at)
    SELECT md5('institution' || n)::uuid, 'Hospital ' || pg_temp.one_of(%(last)s, 1) || ' ' || n,
           1 + n %% 2, 'INS-' || n, now() - n * interval '1 hour'
    FROM generate_series(1, greatest(%(patients)s / 1000, 2)) n;

    INSERT INTO doctors (id, institution_id, first_name, last_name, medical_license, specialty_id, years_experience,
                         consultation_fee, created_at)
    SELECT md5('doctor' || n)::uuid, md5('institution' || 1 + n %% greatest(%(patients)s / 1000, 2))::uuid,
           pg_temp.one_of(%(first)s, 2), pg_temp.one_of(%(last)s, 2), 'MED-' || n,
           (SELECT id FROM doctor_specialties ORDER BY id OFFSET n %% 10 LIMIT 1), n %% 50, n %% 3000,
           now() - n * interval '1 minute'
    FROM generate_series(1, greatest(%(patients)s / 200, 4)) n;

    INSERT INTO patients (id, doctor_id, institution_id, first_name, last_name, date_of_birth, validation_status,
                          created_at, deleted_at)
    SELECT c.id, d.id, md5('institution' || c.institution)::uuid, c.first_name, c.last_name, c.date_of_birth, c.status,
           now() - n * interval '10 seconds', CASE WHEN is_deleted THEN now() END
    FROM crowd c
    LEFT JOIN LATERAL (
        SELECT md5('doctor' || k)::uuid AS id
        FROM (SELECT c.institution - 1 + (c.n / 10 %% 5) * greatest(%(patients)s / 1000, 2) AS k) candidate
        WHERE k BETWEEN 1 AND greatest(%(patients)s / 200, 4)) d ON true;

    INSERT INTO health_profiles (patient_id, height_cm, weight_kg) SELECT id, 150 + n %% 50, 50 + n %% 70 FROM crowd;

    INSERT INTO observations (patient_id, code, value, unit, effective_at, recorded_by_type)
    SELECT id, '29463-7', 50 + (n + k) %% 70, 'kg', now() - k * interval '30 days', 'service'
    FROM crowd, generate_series(1, 2) k;

    INSERT INTO appointments (id, patient_id, doctor_id, starts_at, ends_at)
    SELECT gen_random_uuid(), p.id, p.doctor_id, start, start + interval '30 minutes'
    FROM crowd c JOIN patients p USING (id), LATERAL (SELECT now() - c.n * interval '1 hour') moment (start)
    WHERE p.doctor_id IS NOT NULL AND c.n %% 3 = 0;

    UPDATE users SET is_active = false FROM crowd c WHERE c.id = users.id AND c.n %% 1000 = 3;

    ALTER TABLE medical_institutions ENABLE TRIGGER set_search_text;
    ALTER TABLE doctors ENABLE TRIGGER set_search_text;
    ALTER TABLE patients ENABLE TRIGGER set_search_text;
"""
_FIRST = (
    "María José Guadalupe Juan Luis Ana Carlos Miguel Jesús Francisco Rosa Pedro Margarita Alejandro Antonio Verónica "
    "Patricia Jorge Martha Roberto Elena Fernando Silvia Raúl Claudia Ricardo Gabriela Eduardo Adriana Sergio Laura "
    "Javier Leticia Arturo Teresa Daniel Sofía Óscar Lucía Héctor Irma Andrés Gloria Rubén Norma Víctor Beatriz Ángel "
    "Araceli Iván Fabiola Emilio Ximena Íñigo Zoe Hilda Úrsula Wenceslao Quirino Zenaida"
)
_LAST = (
    "Hernández García Martínez López González Pérez Rodríguez Sánchez Ramírez Cruz Flores Gómez Morales Vázquez Reyes "
    "Jiménez Torres Díaz Gutiérrez Ruiz Mendoza Aguilar Ortiz Moreno Castillo Romero Álvarez Méndez Chávez Rivera "
    "Juárez Ramos Domínguez Herrera Medina Castro Vargas Guzmán Velázquez Rojas Contreras Salazar Luna Ortega Santiago "
    "Guerrero Estrada Bautista Cortés Soto Alvarado Espinoza Lara Ávila Ríos Cervantes Silva Delgado Vega Márquez "
    "Sandoval Fernández León Carrillo Mejía Solís Núñez Rosas Valdez Campos Santos Camacho Navarro Peña Maldonado "
    "Cabrera Miranda Acosta Fuentes Ibarra Pacheco Trejo Zúñiga Xolalpa Quiñones Ñandú Yáñez Iturbide Uribe"
)
_PROVIDERS = "gmail.com hotmail.com outlook.com yahoo.com.mx icloud.com prodigy.net.mx live.com.mx unam.mx example.org"


# To build these at once takes a tenth of the time of adding to them row by row.
_TRIGRAMS = """
    SELECT indexname, indexdef FROM pg_indexes
    WHERE tablename IN ('users', 'emails', 'patients') AND indexdef LIKE '%USING gin%'
"""


def load(url: str, patients: int) -> None:
    """Fill an empty database that has the schema, and let the planner know it."""
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(_TRIGRAMS)
        trigrams = cursor.fetchall()
        for name, _ in trigrams:
            cursor.execute(f"DROP INDEX {name}")
        cursor.execute(_LOAD, {"patients": patients, "first": _FIRST, "last": _LAST, "providers": _PROVIDERS})
        for _, definition in trigrams:
            cursor.execute(definition)
    connection.autocommit = True
    with connection.cursor() as cursor:
        # A sample of 120,000 rows, so all of 100,000: its luck would decide between two plans.
        cursor.execute("SET default_statistics_target = 400")
        cursor.execute("VACUUM ANALYZE")
    connection.close()
