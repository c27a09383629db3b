"""What the tests share: a client of the running fleet, and the people and places that they make through its API."""

import itertools
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from .declared import checked
from .privacy import CREATED

PASSWORD = "correct horse battery"
NOBODY = "00000000-0000-4000-8000-000000000000"  # the id of nobody and nothing, the same in every run
# Spaces and hyphens that are not ASCII's, and two characters that nobody sees: in licences they count for nothing.
SEPARATORS = "\u00a0\u202f\u2010\u2011\u2013\u2212\u00ad\u200b"
_numbers = itertools.count(1)


def unique(word: str) -> str:
    """A word that no other test uses."""
    return f"{word}-{uuid4().hex[:8]}-{next(_numbers)}"


@dataclass
class User:
    """Somebody with an account: its id, e-mail, password, and the services as it calls them."""

    id: str
    email: str
    password: str
    user_type: str
    token: str
    auth: httpx.Client
    doctors: httpx.Client
    institutions: httpx.Client
    patients: httpx.Client


class Api:
    """Makes users and entities over HTTP. `anonymous` has no token."""

    def __init__(self, urls: dict[str, str], admin_email: str, admin_password: str) -> None:
        self.urls = urls
        self._clients: list[httpx.Client] = []
        self.anonymous = self._user("", "", "", "anonymous", None)
        self.admin = self.log_in("auth", admin_email, admin_password)

    def close(self) -> None:
        """Close every client."""
        for client in self._clients:
            client.close()

    def log_in(self, service: str, email: str, password: str = PASSWORD) -> User:
        """Log in at a service; the user with its token."""
        answer = getattr(self.anonymous, service).post("/auth/login", json={"email": email, "password": password})
        assert answer.status_code == 200, answer.text
        pair = answer.json()
        return self._user(pair["user_id"], email, password, pair["user_type"], pair["access_token"])

    def new_institution(self, **fields: Any) -> User:
        """A new institution, logged in."""
        body = institution_body(**fields)
        return self._create(self.admin.institutions, "/api/v1/institutions", body, "institutions")

    def new_doctor(self, institution: User, **fields: Any) -> User:
        """A new doctor of an institution, logged in."""
        body = doctor_body(institution.id, **fields)
        return self._create(self.admin.doctors, "/api/v1/doctors", body, "doctors")

    def new_patient(self, doctor: User | None = None, institution: User | None = None, **fields: Any) -> User:
        """A new patient of a doctor, an institution or both, logged in."""
        owners = {"doctor_id": doctor and doctor.id, "institution_id": institution and institution.id}
        body = patient_body(**{key: value for key, value in owners.items() if value}, **fields)
        return self._create(self.admin.patients, "/api/v1/patients", body, "patients")

    def _create(self, client: httpx.Client, path: str, body: dict[str, Any], service: str) -> User:
        answer = client.post(path, json=body)
        assert answer.status_code == 201, answer.text
        return self.log_in(service, body["contact_email"]["email_address"], body["password"])

    def _user(self, user_id: str, email: str, password: str, user_type: str, token: str | None) -> User:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        clients = {
            name: httpx.Client(
                base_url=url,
                headers=headers,
                timeout=20,
                verify=False,  # no TLS here, and loading the roots of the certificates takes longer than most tests
                limits=httpx.Limits(keepalive_expiry=2),  # a service ends an idle connection after 5 s
                event_hooks={"response": [CREATED.note_exchange, checked(name)]},
            )
            for name, url in self.urls.items()
        }
        self._clients += clients.values()
        return User(user_id, email, password, user_type, token or "", **clients)


def institution_body(**fields: Any) -> dict[str, Any]:
    """A body that creates an institution; `fields` replace or add."""
    return {
        "name": unique("Clínica"),
        "institution_type_id": 2,
        "license_number": unique("INS"),
        "contact_email": {"email_address": f"{unique('clinica')}@example.com"},
        "password": PASSWORD,
    } | fields


def doctor_body(institution_id: str, **fields: Any) -> dict[str, Any]:
    """A body that creates a doctor; `fields` replace or add."""
    return {
        "institution_id": institution_id,
        "first_name": "Ana",
        "last_name": unique("López"),
        "medical_license": unique("MED"),
        "contact_email": {"email_address": f"{unique('doctora')}@example.com"},
        "password": PASSWORD,
    } | fields


def patient_body(**fields: Any) -> dict[str, Any]:
    """A body that creates a patient; `fields` replace or add (`doctor_id` or `institution_id` is needed)."""
    return {
        "first_name": "José",
        "last_name": unique("Núñez"),
        "date_of_birth": "1980-05-17",
        "contact_email": {"email_address": f"{unique('paciente')}@example.com"},
        "password": PASSWORD,
    } | fields


def answer_of(response: httpx.Response, status: int = 200) -> Any:
    """What an answer of this status says."""
    assert response.status_code == status, response.text
    return response.json()


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The answer is the problem document of the contract, with this status and code; the document."""
    assert answer.status_code == status, answer.text
    document: dict[str, Any] = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert document["code"] == code, document
    assert document["status"] == status and document["detail"] and document["title"]
    assert document["type"] == f"https://predicthealth.dev/problems/{code}"
    assert document["request_id"] == answer.headers["x-request-id"]
    assert ("errors" in document) == (status == 422)
    return document
