"""schemathesis, with every check, examples, coverage, fuzzing and stateful phases, runs clean against each service."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dev import ROOT
from tests.support import Api

HERE = Path(__file__).parent


@pytest.mark.parametrize("service", ["auth", "doctors", "institutions", "patients"])
def test_schemathesis_finds_nothing(service: str, api: Api, tmp_path: Path) -> None:
    institution, guest = api.new_institution(), api.new_institution()
    doctor = api.new_doctor(institution)
    patient = api.new_patient(doctor, institution)
    callers = {"admin": api.admin, "institution": institution, "doctor": doctor, "patient": patient}
    # What the requests are about is not whose tokens they carry: a deletion would end those.
    clinic = api.new_institution()
    staff = api.new_doctor(clinic)
    ids = {"institution_id": clinic.id, "doctor_id": staff.id, "patient_id": api.new_patient(staff, clinic).id}
    known = {
        "auth": api.urls["auth"],
        "tokens": {role: user.token for role, user in callers.items()},
        "guest": {"email": guest.email, "password": guest.password},
        "ids": ids,
    }
    environment = {"FLEET": json.dumps(known), "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.hostile.hooks"}
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"), "run"]
    command += [f"{api.urls[service]}/openapi.json", "--checks", "all", "--seed", "1", "--max-examples", "4"]
    command += ["--no-color", "--continue-on-failure"]
    # In a directory of its own: it keeps a database of what it found.
    run = subprocess.run(command, cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr
    assert " passed" in run.stdout and "Tested: " in run.stdout
