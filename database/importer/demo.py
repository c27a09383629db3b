"""Three logins to look around with: a doctor of the sample, one of the doctor's patients, and their institution."""

import json
import os
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import bcrypt
from psycopg2.extensions import connection as Connection  # noqa: N812 (it is a class)
from psycopg2.extensions import cursor as Cursor  # noqa: N812

ROLES = ("doctor", "patient", "institution")
# The environment's names of the service URLs, their defaults, and what each role looks at first.
DASHBOARDS = {
    "doctor": ("DOCTORS_SERVICE_URL", "http://127.0.0.1:8000", "/api/v1/doctors/me/dashboard"),
    "patient": ("PATIENTS_SERVICE_URL", "http://127.0.0.1:8004", "/api/v1/patients/{id}/dashboard"),
    "institution": ("INSTITUTIONS_SERVICE_URL", "http://127.0.0.1:8002", "/api/v1/institutions/patients"),
}
AUTH = ("AUTH_SERVICE_URL", "http://127.0.0.1:8003")

# The doctor with most living patients of the sample, and of them the one with the longest record.
SELECT_PEOPLE = """
    SELECT patients.doctor_id, patients.id, patients.institution_id
    FROM patients JOIN doctors ON doctors.id = patients.doctor_id
    WHERE patients.id = ANY(%(patient_ids)s) AND patients.deceased_date IS NULL AND patients.deleted_at IS NULL
      AND doctors.deleted_at IS NULL AND doctors.professional_status = 'active'
    ORDER BY count(*) OVER (PARTITION BY patients.doctor_id) DESC,
             (SELECT count(*) FROM observations WHERE patient_id = patients.id)
             + (SELECT count(*) FROM patient_conditions WHERE patient_id = patients.id)
             + (SELECT count(*) FROM patient_medications WHERE patient_id = patients.id) DESC,
             patients.id
    LIMIT 1
"""

SELECT_ACCOUNT = "SELECT email, password_hash FROM users WHERE id = %(id)s AND user_type = %(user_type)s"

# Never in place of one that the person has chosen since.
SET_PASSWORD = "UPDATE users SET password_hash = %(password_hash)s WHERE id = %(id)s AND password_hash IS NULL"


@dataclass(frozen=True)
class Login:
    """A demonstration account. Its password is None when somebody has changed it."""

    role: str
    id: UUID
    email: str
    password: str | None


def make_logins(connection: Connection, patient_ids: Sequence[UUID], kept: Path) -> list[Login]:
    """The three logins, none when no living patient has a doctor. Their passwords are made once and stay in `kept`."""
    values = read_kept(kept)
    with connection, connection.cursor() as cursor:
        people = kept_people(cursor, values) or choose_people(cursor, patient_ids)
    if {role: str(person) for role, person in people.items()} != {role: values.get(name(role, "ID")) for role in ROLES}:
        values = {}
        for role, person in people.items():
            values |= {name(role, "ID"): str(person), name(role, "PASSWORD"): secrets.token_urlsafe(12)}
        # Before the database has them: a password that only the database knows would be lost.
        write_kept(kept, values)
    logins = []
    for role, person in people.items():
        with connection, connection.cursor() as cursor:
            logins.append(give_password(cursor, role, person, values[name(role, "PASSWORD")]))
    return logins


def kept_people(cursor: Cursor, values: Mapping[str, str]) -> dict[str, UUID]:
    """The people of an earlier run; none if this is another database."""
    people = {role: UUID(values[name(role, "ID")]) for role in ROLES if name(role, "ID") in values}
    for role, person in people.items():
        cursor.execute(SELECT_ACCOUNT, {"id": person, "user_type": role})
        if cursor.fetchone() is None:
            return {}
    return people


def choose_people(cursor: Cursor, patient_ids: Sequence[UUID]) -> dict[str, UUID]:
    """A doctor, one of the doctor's patients, and their institution; none if no patient will do."""
    cursor.execute(SELECT_PEOPLE, {"patient_ids": list(patient_ids)})
    found = cursor.fetchone()
    return dict(zip(ROLES, found, strict=True)) if found else {}


def give_password(cursor: Cursor, role: str, person: UUID, password: str) -> Login:
    """Give an account its password if it has none."""
    account = {"id": person, "user_type": role}
    cursor.execute(SELECT_ACCOUNT, account)
    email, password_hash = cursor.fetchone() or ("", None)
    if password_hash is None:
        password_hash = bcrypt.hashpw(password.encode(), bcrypt.gensalt()).decode()
        cursor.execute(SET_PASSWORD, {**account, "password_hash": password_hash})
    is_current = bcrypt.checkpw(password.encode(), password_hash.encode())
    return Login(role, person, email, password if is_current else None)


def print_logins(logins: Sequence[Login], environ: Mapping[str, str]) -> None:
    """Print who can log in, and the lines for a shell that log in and show what each sees first."""
    auth_url = environ.get(AUTH[0], AUTH[1])
    for login in logins:
        variable, default, path = DASHBOARDS[login.role]
        print(f"\nThe {login.role}: {login.email}")
        if login.password is None:
            print("  Its password has been changed since; this command doesn't know the new one.")
            continue
        credentials = json.dumps({"email": login.email, "password": login.password})
        dashboard = environ.get(variable, default) + path.format(id=login.id)
        print(f"  password: {login.password}\n")
        print(f"TOKEN=$(curl -s {auth_url}/auth/login -H 'Content-Type: application/json' \\")
        print(f"  -d {shlex.quote(credentials)} \\")
        print("""  | python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])')""")
        print(f'curl -s {dashboard} -H "Authorization: Bearer $TOKEN" | python3 -m json.tool --no-ensure-ascii')


def name(role: str, what: str) -> str:
    """The name of a value in the file of passwords."""
    return f"DEMO_{role.upper()}_{what}"


def read_kept(kept: Path) -> dict[str, str]:
    """The values of the file of passwords; none if it is not there."""
    if not kept.exists():
        return {}
    lines = kept.read_text(encoding="utf-8").splitlines()
    return {key: value for key, _, value in (line.partition("=") for line in lines)}


def write_kept(kept: Path, values: Mapping[str, str]) -> None:
    """Write the file of passwords, all of it or nothing; only its owner may read it."""
    temporary = kept.with_name(f"{kept.name}.{os.getpid()}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.writelines(f"{key}={value}\n" for key, value in values.items())
    temporary.replace(kept)
