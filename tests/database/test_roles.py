"""Each service's role does what roles.sql grants, and nothing else."""

import re
from collections.abc import Callable, Iterator
from uuid import uuid4

import psycopg2
import pytest
from psycopg2 import sql

from database.migrate import migrate
from database.roles import SERVICES, role_name, service_url

from .conftest import Server

PASSWORDS = {service: f"the password of {service}, 100 %" for service in SERVICES}
OTHERS = ("doctors", "institutions", "patients")
TABLES = (
    *("users", "audit_events", "audit_chains", "medical_institutions", "doctors", "patients", "health_profiles"),
    *("emails", "phones", "addresses", "patient_conditions", "patient_medications", "patient_allergies"),
    *("patient_family_history", "observations", "patient_validations"),
    *("institution_verifications", "accreditations", "doctor_status_changes", "appointments", "idempotency_keys"),
)
CATALOGUES = (
    *("countries", "regions", "municipalities", "institution_types", "doctor_specialties", "sexes", "genders"),
    *("blood_types", "medical_conditions", "medications", "allergies", "observation_codes"),
)
READ_BY_ENTITY_SERVICES = ("medical_institutions", "doctors", "patients", "health_profiles")
CONTACTS = ("emails", "phones", "addresses")
RECORDS = ("patient_conditions", "patient_medications", "patient_allergies", "patient_family_history")
Connect = Callable[[str], psycopg2.extensions.connection]

# What a table lets the roles do, whole rows; every other combination of role, table and verb has to fail.
ALLOWED = {
    *(("auth", "users", verb) for verb in ("SELECT", "INSERT", "UPDATE", "DELETE")),
    *(("auth", table, "SELECT") for table in ("audit_events", "audit_event_patients")),
    ("patients", "access_log", "SELECT"),
    *((role, table, "SELECT") for role in OTHERS for table in (*READ_BY_ENTITY_SERVICES, *CATALOGUES)),
    *((role, table, v) for role in OTHERS for table in CONTACTS for v in ("SELECT", "INSERT", "UPDATE", "DELETE")),
    *(("doctors", "doctors", verb) for verb in ("INSERT", "UPDATE")),
    *(("doctors", table, "SELECT") for table in (*RECORDS, "observations")),
    *(("institutions", "medical_institutions", verb) for verb in ("INSERT", "UPDATE")),
    *(("institutions", t, v) for t in ("institution_verifications", "accreditations") for v in ("SELECT", "INSERT")),
    *(("doctors", "doctor_status_changes", verb) for verb in ("SELECT", "INSERT")),
    *(("patients", table, verb) for table in ("patients", "health_profiles") for verb in ("INSERT", "UPDATE")),
    *(("patients", table, v) for table in RECORDS for v in ("SELECT", "INSERT", "UPDATE", "DELETE")),
    *(("patients", table, v) for table in ("observations", "patient_validations") for v in ("SELECT", "INSERT")),
    *(("patients", table, "INSERT") for table in ("medical_conditions", "medications", "allergies", "appointments")),
    *((role, "appointments", "SELECT") for role in ("doctors", "patients")),
    *((role, "idempotency_keys", v) for role in SERVICES for v in ("SELECT", "INSERT", "UPDATE", "DELETE")),
}
VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")

FORBIDDEN_TO_ALL = [
    "UPDATE audit_events SET outcome = 'success'",
    "DELETE FROM audit_events",
    "TRUNCATE audit_events",
    "INSERT INTO audit_events (id, service, actor_type, action, resource, outcome, request_id)"
    " OVERRIDING SYSTEM VALUE VALUES (-1, 's', 'a', 'a', 'r', 'success', 'r')",
    "INSERT INTO audit_events (occurred_at, service, actor_type, action, resource, outcome, request_id)"
    " VALUES ('2020-01-01', 's', 'a', 'a', 'r', 'success', 'r')",
    "INSERT INTO audit_events (hash, service, actor_type, action, resource, outcome, request_id)"
    " VALUES ('', 's', 'a', 'a', 'r', 'success', 'r')",
    "SELECT * FROM audit_chains",
    "UPDATE audit_chains SET position = 0",
    "DELETE FROM audit_chains",
    "ALTER TABLE audit_events DISABLE TRIGGER ALL",
    "DROP TRIGGER append_only ON audit_events",
    "SET session_replication_role = replica",
    "CREATE TABLE public.mine (n int)",
    "CREATE TEMPORARY TABLE mine (id uuid, deleted_at timestamptz)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION public.search_key(text, text) RETURNS text LANGUAGE sql AS 'SELECT $1'",
    "CREATE ROLE another",
    "ALTER TABLE users ADD COLUMN spare text",
    "DROP TABLE addresses",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY users (id) TO PROGRAM 'true'",
    "INSERT INTO _yoyo_migration (migration_hash) VALUES ('x')",
]
FORBIDDEN_TO_ALL_BUT_AUTH = [
    "SELECT password_hash FROM users",
    "SELECT * FROM users",
    "SELECT count(*) FROM users WHERE password_hash LIKE '$2b$%'",
    "SELECT id FROM users ORDER BY password_hash",
    "SELECT to_jsonb(u) FROM users u",
    "COPY users TO STDOUT",
    "UPDATE users SET password_hash = NULL",
    "UPDATE users SET is_active = true",
    "UPDATE users SET user_type = 'admin'",
    "INSERT INTO users (id, email, user_type) VALUES (gen_random_uuid(), 'x@example.com', 'admin')",
    "DELETE FROM users",
    "SELECT id FROM users FOR UPDATE",
    "SELECT * FROM audit_events",
    "SELECT count(*) FROM audit_events",
]
FORBIDDEN = {
    "auth": [
        *(f"SELECT * FROM {table}" for table in (*READ_BY_ENTITY_SERVICES, *CONTACTS, *RECORDS, "observations")),
        "UPDATE doctors SET last_name = 'x'",
    ],
    "doctors": [
        "UPDATE patients SET last_name = 'x'",
        "INSERT INTO observations (patient_id) VALUES (gen_random_uuid())",
        "DELETE FROM patient_conditions",
        "UPDATE medical_institutions SET verification_status = 'verified'",
        "DELETE FROM doctors",
        "SELECT * FROM patient_validations",
    ],
    "institutions": [
        "UPDATE doctors SET professional_status = 'active'",
        "UPDATE patients SET validation_status = 'full_access'",
        "SELECT * FROM observations",
        "SELECT * FROM patient_conditions",
        "SELECT notes FROM patient_conditions",
        "DELETE FROM institution_verifications",
        "UPDATE accreditations SET valid_until = valid_until + 1",
        "DELETE FROM medical_institutions",
    ],
    "patients": [
        "UPDATE doctors SET institution_id = id",
        "UPDATE medical_institutions SET name = 'x'",
        "DELETE FROM patients",
        "UPDATE observations SET value = 1",
        "DELETE FROM observations",
        "DELETE FROM patient_validations",
        "UPDATE medications SET name = 'x'",
    ],
}


@pytest.fixture(scope="module")
def url(server: Server) -> str:
    """A database whose roles have the passwords of this module."""
    made = server.empty()
    migrate(made, PASSWORDS)
    return made


@pytest.fixture
def connect(url: str) -> Iterator[Connect]:
    """Connects as a service's role; all ends without a commit."""
    connections = []

    def as_role(service: str) -> psycopg2.extensions.connection:
        connection = psycopg2.connect(service_url(url, service, PASSWORDS[service]))
        connections.append(connection)
        return connection

    yield as_role
    for connection in connections:
        connection.close()


def refused(connection: psycopg2.extensions.connection, statement: str) -> None:
    """PostgreSQL refuses the statement for want of a right, not for any other reason."""
    with pytest.raises(psycopg2.errors.InsufficientPrivilege), connection, connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(
    ("service", "statement"),
    [
        *((service, statement) for service in SERVICES for statement in FORBIDDEN_TO_ALL),
        *((service, statement) for service in OTHERS for statement in FORBIDDEN_TO_ALL_BUT_AUTH),
        *((service, statement) for service, statements in FORBIDDEN.items() for statement in statements),
    ],
)
def test_a_forbidden_statement_is_refused(service: str, statement: str, connect: Connect) -> None:
    refused(connect(service), statement)


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_role_prepares_is_planned_once(service: str, connect: Connect) -> None:
    with connect(service).cursor() as cursor:
        cursor.execute("PREPARE one (int) AS SELECT $1")
        cursor.execute("EXECUTE one (1)")
        cursor.execute("SELECT generic_plans, custom_plans FROM pg_prepared_statements")
        assert cursor.fetchone() == (1, 0)


@pytest.mark.parametrize("service", SERVICES)
def test_each_role_has_the_rights_on_each_table_that_it_needs_and_no_others(service: str, connect: Connect) -> None:
    with connect(service).cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'm')"
        )
        tables = {name for (name,) in cursor.fetchall()}
        assert {*TABLES, *CATALOGUES} <= tables
        for table in tables:
            for verb in VERBS:
                cursor.execute("SELECT has_table_privilege(quote_ident(%s), %s)", (table, verb))
                assert cursor.fetchone() == ((service, table, verb) in ALLOWED,), (table, verb)


@pytest.mark.parametrize("service", SERVICES)
def test_every_role_adds_to_the_trail(service: str, connect: Connect) -> None:
    with connect(service).cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_events (service, actor_type, action, resource, outcome, request_id) "
            "VALUES ('service', 'admin', 'read', 'x', 'success', 'r')"
        )


def test_an_account_shows_the_others_everything_but_its_password_hash(connect: Connect) -> None:
    with connect("auth").cursor() as cursor:
        cursor.execute("SELECT column_name FROM information_schema.columns WHERE table_name = 'users'")
        shown = ", ".join(name for (name,) in cursor.fetchall() if name != "password_hash")
        cursor.execute("SELECT password_hash FROM users")
    for service in OTHERS:
        with connect(service).cursor() as cursor:
            cursor.execute(f"SELECT {shown} FROM users")


def test_the_auth_role_writes_accounts(connect: Connect) -> None:
    user_id = str(uuid4())
    with connect("auth").cursor() as cursor:
        cursor.execute(
            "INSERT INTO users (id, email, password_hash, user_type, owner_status) "
            "VALUES (%s, 'x@example.com', 'hash', 'admin', 'active')",
            (user_id,),
        )
        cursor.execute("UPDATE users SET password_hash = 'another' WHERE id = %s", (user_id,))
        cursor.execute("DELETE FROM users WHERE id = %s", (user_id,))
        assert cursor.rowcount == 1


def test_each_role_sees_changes_and_deletes_only_the_answers_that_it_kept_itself(connect: Connect) -> None:
    caller_id = str(uuid4())
    keep = "INSERT INTO idempotency_keys (caller_id, key, fingerprint, answer) VALUES (%s, 'key', '', '{}')"
    kept_by = connect("patients")
    with kept_by, kept_by.cursor() as cursor:
        cursor.execute(keep, (caller_id,))
    for service in ("auth", "doctors", "institutions"):
        with connect(service).cursor() as cursor:
            for statement in ("SELECT FROM idempotency_keys", "UPDATE idempotency_keys SET key = 'x'"):
                cursor.execute(statement)
                assert cursor.rowcount == 0
            cursor.execute("DELETE FROM idempotency_keys")
            assert cursor.rowcount == 0
            cursor.execute(keep, (caller_id,))  # beside the other's, under the same key
    refused(
        connect("doctors"),
        "INSERT INTO idempotency_keys (owner, caller_id, key, fingerprint, answer) "
        f"SELECT '{kept_by.info.user}', gen_random_uuid(), 'key', '', '{{}}'",
    )
    with kept_by.cursor() as cursor:
        cursor.execute("SELECT FROM idempotency_keys WHERE caller_id = %s", (caller_id,))
        assert cursor.rowcount == 1


def test_no_role_runs_the_owners_triggers_on_rows_of_its_own(url: str, connect: Connect) -> None:
    """Even where a role may make a table: a trigger that runs with the owner's rights is not for its use."""
    owner = psycopg2.connect(url)
    with owner, owner.cursor() as cursor:
        cursor.execute(sql.SQL("CREATE SCHEMA workshop; GRANT ALL ON SCHEMA workshop TO PUBLIC"))
    connection = connect("doctors")
    for function in ("mirror_owner_status", "chain_audit_event"):
        refused(
            connection,
            "CREATE TABLE workshop.mine (id uuid, deleted_at timestamptz); "
            f"CREATE TRIGGER mine AFTER INSERT ON workshop.mine FOR EACH ROW EXECUTE FUNCTION {function}()",
        )
    with owner, owner.cursor() as cursor:
        cursor.execute("DROP SCHEMA workshop CASCADE")
    owner.close()


def test_every_function_with_the_owners_rights_is_closed_to_others(url: str, connect: Connect) -> None:
    with connect("doctors").cursor() as cursor:
        cursor.execute(
            "SELECT proname, has_function_privilege(oid, 'EXECUTE') FROM pg_proc "
            "WHERE prosecdef AND pronamespace = 'public'::regnamespace"
        )
        found = dict(cursor.fetchall())
    assert found and not any(found.values()), found


def test_a_second_migration_keeps_the_roles_and_takes_back_what_was_granted_by_hand(server: Server) -> None:
    url = server.empty()
    migrate(url, PASSWORDS)
    owner = psycopg2.connect(url)
    doctors = role_name(owner.info.dbname, "doctors")
    with owner, owner.cursor() as cursor:
        cursor.execute(
            sql.SQL("GRANT ALL ON users TO {0}; GRANT SELECT (hash) ON audit_events TO {0}").format(
                sql.Identifier(doctors)
            )
        )
    owner.close()
    assert migrate(url) == 0
    connection = psycopg2.connect(service_url(url, "doctors", PASSWORDS["doctors"]))
    refused(connection, "SELECT password_hash FROM users")
    refused(connection, "SELECT hash FROM audit_events")
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, email FROM users")
    connection.close()


def test_a_migration_with_other_passwords_changes_them(server: Server) -> None:
    url = server.empty()
    migrate(url, PASSWORDS)
    migrate(url, {"doctors": "another 'password' \\ with $quotes$"})
    psycopg2.connect(service_url(url, "doctors", "another 'password' \\ with $quotes$")).close()
    psycopg2.connect(service_url(url, "patients", PASSWORDS["patients"])).close()
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(service_url(url, "doctors", PASSWORDS["doctors"]))


def test_a_role_without_a_password_lets_nobody_in(server: Server) -> None:
    url = server.empty()
    migrate(url)
    for password in ("", "x", "auth"):
        with pytest.raises(psycopg2.OperationalError):
            psycopg2.connect(service_url(url, "auth", password))


def test_two_databases_of_one_server_do_not_share_roles(server: Server, url: str) -> None:
    other = server.empty()
    migrate(other, dict.fromkeys(SERVICES, "the other fleet's"))
    for service in SERVICES:
        psycopg2.connect(service_url(other, service, "the other fleet's")).close()
        own = service_url(url, service, PASSWORDS[service])
        psycopg2.connect(own).close()
        strayed = re.sub(r"/[^/]+$", "/" + other.rpartition("/")[2], own)
        with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
            psycopg2.connect(strayed)
