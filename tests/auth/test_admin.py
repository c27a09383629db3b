"""The command that creates admins, as an operator runs it."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from psycopg2.extras import RealDictCursor

from dev import ROOT
from dev.fleet import Fleet
from tests.support import PASSWORD, Api, assert_problem, unique


def run(fleet: Fleet, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.admin", *arguments],
        cwd=ROOT / "auth-jwt-service",
        env={**os.environ, **fleet.environment, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_an_admin_is_created_once_and_logs_in(fleet: Fleet, api: Api) -> None:
    email = f"{unique('admin')}@example.com"
    done = run(fleet, "create", email, ADMIN_PASSWORD=PASSWORD)
    assert (done.returncode, done.stdout, done.stderr) == (0, "created\n", "")
    assert api.log_in("auth", email).user_type == "admin"

    again = run(fleet, "create", email.upper(), ADMIN_PASSWORD="another password")
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == "admin: An account with that e-mail address already exists.\n"
    assert api.log_in("auth", email).user_type == "admin"


def test_the_first_admin_is_there_already(fleet: Fleet, api: Api) -> None:
    email = f"{unique('admin')}@example.com"
    done = run(fleet, "ensure", ADMIN_EMAIL=email, ADMIN_PASSWORD=PASSWORD)
    assert (done.returncode, done.stdout, done.stderr) == (0, "exists\n", "")
    answer = api.anonymous.auth.post("/auth/login", json={"email": email, "password": PASSWORD})
    assert_problem(answer, 401, "invalid_credentials")


@pytest.mark.parametrize(
    ("email", "password", "line"),
    [
        ("no-address", PASSWORD, "admin: ADMIN_EMAIL or ADMIN_PASSWORD is not valid\n"),
        ("short@example.com", "seven77", "admin: The password must have at least 8 characters.\n"),
        ("long@example.com", "ñ" * 37, "admin: The password cannot exceed 72 bytes of UTF-8.\n"),
    ],
)
def test_what_is_refused_is_said_in_one_line(email: str, password: str, line: str, fleet: Fleet) -> None:
    done = run(fleet, "create", email, ADMIN_PASSWORD=password)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)


def test_a_database_that_is_away_is_said_in_one_line(fleet: Fleet) -> None:
    away = "postgresql://predicthealth@127.0.0.1:1/predicthealth"
    done = run(fleet, "create", "ana@example.com", ADMIN_PASSWORD=PASSWORD, DATABASE_URL=away)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "admin: The service is unavailable at the moment. Please try again in a few seconds.\n"


def test_activations_are_written_for_whoever_has_no_password(
    fleet: Fleet, api: Api, owner: RealDictCursor, tmp_path: Path
) -> None:
    institution = api.new_institution()
    doctor, other = api.new_doctor(institution), api.new_doctor(institution)
    owner.execute("UPDATE users SET password_hash = NULL WHERE id = %s", [doctor.id])
    file = tmp_path / "activations.csv"
    done = run(fleet, "activations", str(file))
    rows = {row["user_id"]: row for row in csv.DictReader(file.open(encoding="utf-8", newline=""))}
    said = f"Activation tokens for {len(rows)} accounts are in {file}.\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")
    assert file.stat().st_mode & 0o777 == 0o600
    assert other.id not in rows
    row = rows[doctor.id]
    assert (row["user_type"], row["email"]) == ("doctor", doctor.email)
    owner.execute("SELECT actor_type, detail FROM audit_events WHERE action = 'activation_issue' ORDER BY id DESC")
    recorded = [(event["actor_type"], event["detail"]) for event in owner.fetchall()]
    assert ("anonymous", {"account_id": doctor.id, "by": "command line"}) in recorded

    body = {"token": row["activation_token"], "new_password": PASSWORD}
    assert api.anonymous.auth.post("/auth/activate", json=body).status_code == 204
    assert api.log_in("doctors", doctor.email).id == doctor.id


def test_activations_replace_no_file_and_leave_none_where_the_database_is_away(fleet: Fleet, tmp_path: Path) -> None:
    file = tmp_path / "activations.csv"
    away = "postgresql://predicthealth@127.0.0.1:1/predicthealth"
    done = run(fleet, "activations", str(file), DATABASE_URL=away)
    assert done.stderr == "admin: The service is unavailable at the moment. Please try again in a few seconds.\n"
    assert (done.returncode, done.stdout, file.exists()) == (1, "", False)
    file.write_text("somebody's", encoding="utf-8")
    done = run(fleet, "activations", str(file))
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"admin: [Errno 17] File exists: '{file}'\n")
    assert file.read_text(encoding="utf-8") == "somebody's"


def test_the_fleets_own_verb_writes_them_where_the_operator_stands(
    fleet: Fleet, api: Api, owner: RealDictCursor, tmp_path: Path
) -> None:
    institution = api.new_institution()
    owner.execute("UPDATE users SET password_hash = NULL WHERE id = %s", [institution.id])
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PREDICTHEALTH_DATA_DIR": str(fleet.data_dir)}
    command = [sys.executable, "-m", "dev", "activations", "links.csv"]
    assert subprocess.run(command, cwd=tmp_path, env=environment, timeout=60, check=False).returncode == 0
    rows = csv.DictReader((tmp_path / "links.csv").open(encoding="utf-8", newline=""))
    (token,) = [row["activation_token"] for row in rows if row["user_id"] == institution.id]
    body = {"token": token, "new_password": PASSWORD}
    assert api.anonymous.auth.post("/auth/activate", json=body).status_code == 204
