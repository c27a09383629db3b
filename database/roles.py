"""One login role per service, made with the schema: `predicthealth_auth` and so on, named after the database.

Their passwords come from the environment (`AUTH_DATABASE_PASSWORD`, …); `roles.sql` says what each may do.
"""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from psycopg2 import sql
from psycopg2.extensions import connection

SERVICES = ("auth", "doctors", "institutions", "patients")
# The limits of a service's statements, as its settings have them unless changed. Connections ask for theirs as they
# start; through a pooler, which doesn't pass that on, these hold.
SETTINGS = {
    "statement_timeout": "2s",
    "lock_timeout": "1s",
    "idle_in_transaction_session_timeout": "4s",
    "timezone": "UTC",
    # For disks without a head that moves, and data in memory: else lists would walk past others' rows to theirs.
    "random_page_cost": "1.1",
    # What is prepared is planned once (shared/prepared.py). PostgreSQL by itself would plan a last page each time.
    "plan_cache_mode": "force_generic_plan",
}
GRANTS = Path(__file__).parent / "roles.sql"


def password_variable(service: str) -> str:
    """The environment variable of a role's password."""
    return f"{service.upper()}_DATABASE_PASSWORD"


def service_url(database_url: str, service: str, password: str) -> str:
    """The owner's URL with the role and the password of a service."""
    parts = urlsplit(database_url)
    place = parts.netloc.rpartition("@")[2]
    role = role_name(parts.path.lstrip("/"), service)
    return urlunsplit(parts._replace(netloc=f"{quote(role, safe='')}:{quote(password, safe='')}@{place}"))


def role_name(database: str, service: str) -> str:
    """Roles belong to the whole server: the database's name keeps two fleets on one server apart."""
    return f"{database}_{service}"


def create_roles(owner: connection, passwords: Mapping[str, str], *, named_after: str | None = None) -> None:
    """Create or renew the roles of `passwords` (service → password); give all four SETTINGS and what roles.sql says.

    Takes the owner's connection, in autocommit off; the caller commits. `named_after`: the name that the database is
    about to get. Raises psycopg2.Error where the owner may not create roles.
    """
    names = {service: role_name(named_after or owner.info.dbname, service) for service in SERVICES}
    with owner.cursor() as cursor:
        for service, name in names.items():
            cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,))
            if not cursor.rowcount:
                cursor.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
            if password := passwords.get(service):
                alter = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}")
                cursor.execute(alter.format(sql.Identifier(name), sql.Literal(password)))
            for setting, value in SETTINGS.items():
                alter = sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} = {}")
                role, database = sql.Identifier(name), sql.Identifier(owner.info.dbname)
                cursor.execute(alter.format(role, database, sql.Identifier(setting), sql.Literal(value)))
        grants = sql.SQL(GRANTS.read_text(encoding="utf-8"))
        places = {**names, "database": owner.info.dbname}
        cursor.execute(grants.format(**{place: sql.Identifier(name) for place, name in places.items()}))
