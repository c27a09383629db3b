"""A Python client that openapi-python-client generates from the live documents does the main jobs."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD
from tests.support import Api, doctor_body, institution_body, patient_body


@pytest.fixture
def clients(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The packages `auth_client`, `doctors_client`, `institutions_client` and `patients_client`, generated."""
    config = tmp_path / "config.yml"
    config.write_text("post_hooks: []\n")  # no formatter: nobody reads this code
    running = []
    for service, url in api.urls.items():
        command = [sys.executable, "-m", "openapi_python_client", "generate", "--url", f"{url}/openapi.json"]
        command += ["--output-path", str(tmp_path / f"{service}_client"), "--meta", "none", "--config", str(config)]
        command += ["--fail-on-warning"]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    for process in running:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0].endswith("_client")]:
        del sys.modules[name]


def _call(package: str, resource: str, operation: str, **arguments: Any) -> Any:
    return importlib.import_module(f"{package}.api.{resource}.{operation}").sync(**arguments)


def _model(package: str, name: str) -> Any:
    return getattr(importlib.import_module(f"{package}.models"), name)


@pytest.mark.usefixtures("clients")
def test_a_generated_client_does_the_main_jobs(api: Api) -> None:
    def client(service: str, token: str | None = None) -> Any:
        module = importlib.import_module(f"{service}_client")
        url = api.urls[service]
        return module.AuthenticatedClient(base_url=url, token=token) if token else module.Client(base_url=url)

    def log_in(service: str, email: str, password: str) -> Any:
        body = _model(f"{service}_client", "Login")(email=email, password=password)
        return _call(f"{service}_client", "auth", "login", client=client(service), body=body)

    admin = log_in("auth", ADMIN_EMAIL, ADMIN_PASSWORD).access_token
    body = _model("institutions_client", "NewInstitution").from_dict(institution_body())
    calling = {"client": client("institutions", admin)}
    institution = _call("institutions_client", "institutions", "create_institution", body=body, **calling)
    doctor_data = doctor_body(str(institution.id))
    body = _model("doctors_client", "NewDoctor").from_dict(doctor_data)
    doctor = _call("doctors_client", "doctors", "create_doctor", client=client("doctors", admin), body=body)

    # The doctor logs in, creates a patient, and records a weight.
    pair = log_in("doctors", doctor_data["contact_email"]["email_address"], doctor_data["password"])
    assert pair.user_id == doctor.id
    calling = {"client": client("patients", pair.access_token)}
    patient_data = patient_body(health_profile={"height_cm": 170.0})
    body = _model("patients_client", "NewPatient").from_dict(patient_data)
    patient = _call("patients_client", "patients", "create_patient", body=body, **calling)
    weight = _model("patients_client", "NewObservation")(code="29463-7", value=80.0, unit="kg")
    recorded = _call(
        "patients_client", "observations", "record_observations", patient_id=patient.id, body=weight, **calling
    )
    assert (recorded.name, recorded.value, recorded.recorded_by.actor_id) == ("Peso corporal", 80.0, doctor.id)

    # The patient reads its dashboard; a refusal arrives as a problem document.
    pair = log_in("patients", patient_data["contact_email"]["email_address"], patient_data["password"])
    calling = {"client": client("patients", pair.access_token)}
    dashboard = _call("patients_client", "record", "get_dashboard", patient_id=patient.id, **calling)
    assert (dashboard.bmi, dashboard.patient.weight_kg, dashboard.patient.last_name) == (27.7, 80.0, patient.last_name)
    refusal = _call("patients_client", "patients", "get_patient", patient_id=doctor.id, **calling)
    assert (type(refusal).__name__, refusal.code) == ("ProblemDocument", "patient_not_found")
