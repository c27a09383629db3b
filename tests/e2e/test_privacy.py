"""A fleet at its most talkative does all main jobs: neither logs nor metrics nor spans show anything of anybody."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.protobuf.json_format import MessageToJson
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from dev.fleet import Fleet

from ..conftest import ADMIN_EMAIL, ADMIN_PASSWORD, TEST_ENVIRONMENT
from ..privacy import PersonalValues, leaks, spoken
from ..support import Api, User, doctor_body, institution_body, patient_body, unique
from .collector import Collector, collecting

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
_telling = itertools.count(1)


def told(what: str) -> str:
    """A text that nobody else would write."""
    return f"{what} Ñandú-{next(_telling)}x"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as listening:
        yield listening


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Fleet]:
    """A fleet that logs and exports all that it can."""
    environment = {
        **TEST_ENVIRONMENT,
        "LOG_LEVEL": "DEBUG",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        # What an operator may have in the environment for other programs must open no second way out.
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
    }
    running = Fleet(Path(tmp_path_factory.mktemp("talkative")), extra_env=environment)
    running.start()
    yield running
    running.remove()


@pytest.fixture(scope="module")
def values(talkative: Fleet) -> PersonalValues:
    """Everything personal that the jobs below have sent or got; they are done once."""
    noted = PersonalValues()
    noted.note([ADMIN_PASSWORD, ADMIN_EMAIL])
    api = Api(talkative.urls, ADMIN_EMAIL, ADMIN_PASSWORD)
    try:
        do_everything(api, noted)
    finally:
        api.close()
    return noted


def do_everything(api: Api, noted: PersonalValues) -> None:
    """The main jobs of every role, and what goes wrong with them."""

    def send(client: httpx.Client, method: str, path: str, expected: int, body: Any = None, **more: Any) -> Any:
        noted.note(body)
        answer = client.request(method, path, json=body, **more)
        assert answer.status_code == expected, (method, path, answer.text)
        return answer.json() if answer.content else None

    def create(service: str, path: str, body: dict[str, Any], by: User) -> User:
        body["password"] = told("contraseña")
        send(getattr(by, service), "POST", path, 201, body)
        user = api.log_in(service, body["contact_email"]["email_address"], body["password"])
        noted.note([user.token])
        return user

    place = {"street_address": told("Calle"), "city": told("Ciudad"), "neighborhood": told("Colonia")}
    site = "https://telling.example"
    clinic = institution_body(name=told("Clínica"), address=place, website=site, contact_phone="+52 55 1234 9871")
    institution = create("institutions", "/api/v1/institutions", clinic, api.admin)
    hired = doctor_body(institution.id, first_name=told("Ana"), contact_phone="+52 55 1234 9872")
    doctor = create("doctors", "/api/v1/doctors", hired, institution)
    body = patient_body(
        doctor_id=doctor.id,
        institution_id=institution.id,
        first_name=told("José"),
        contact_phone="+52 55 1234 9873",
        emergency_contact_name=told("Madre"),
        emergency_contact_phone="+52 55 1234 9874",
        health_profile={"height_cm": 171.25, "notes": told("perfil")},
    )
    patient = create("patients", "/api/v1/patients", body, doctor)
    path = f"/api/v1/patients/{patient.id}"

    for kind, entry in {
        "conditions": {"name": told("enfermedad"), "notes": told("nota")},
        "medications": {"name": told("medicina"), "dosage": told("dosis"), "frequency": told("frecuencia")},
        "allergies": {"name": told("alergia"), "severity": "mild", "reaction_description": told("reacción")},
        "family-history": {"name": told("herencia"), "relative_type": "mother", "notes": told("familia")},
        "observations": {
            "observations": [{"code": "8480-6", "value": 121.5, "unit": "mm[Hg]", "taken_at": "2026-01-02T03:04:05Z"}]
        },
        "appointments": {"starts_at": "2999-01-01T10:00:00Z", "doctor_id": doctor.id, "reason": told("motivo")},
    }.items():
        answer = doctor.patients.post(f"{path}/{kind}", json=entry)
        noted.note(entry)
        assert answer.status_code in (201, 422), answer.text  # a refused body may be told of no more than a good one
    send(patient.patients, "POST", f"{path}/emails", 201, {"email_address": f"{unique('otra')}@example.com"})
    send(patient.patients, "POST", f"{path}/phones", 201, {"phone_number": "+52 55 1234 9875"})
    send(patient.patients, "POST", f"{path}/addresses", 201, {"street_address": told("Calle"), "city": told("Villa")})
    send(doctor.patients, "POST", f"{path}/validation", 200, {"status": "validated_by_doctor", "note": told("bien")})
    verification = {"verification_status": "verified", "note": told("verificada")}
    send(api.admin.institutions, "POST", f"/api/v1/institutions/{institution.id}/verification", 200, verification)
    send(institution.patients, "PUT", path, 200, {"first_name": told("Josefa")})
    for read in ("dashboard", "medical-record", "care-team", "profile", "access-log", "validation", "appointments"):
        send(patient.patients, "GET", f"{path}/{read}", 200)

    # Searches and refusals: what is sent in a URL, a header or a body that is refused is nobody else's either.
    name = body["last_name"]
    send(doctor.doctors, "GET", "/api/v1/doctors/me/patients", 200, params={"q": name})
    send(institution.patients, "GET", "/api/v1/patients", 422, params={"q": name, "qq": told("oculto")})
    send(institution.patients, "GET", f"/api/v1/patients/{patient.email}", 422)
    send(api.anonymous.patients, "GET", f"/{patient.email}/{told('ruta')}", 404)
    send(api.anonymous.patients, "GET", f"{path}?access_token={patient.token}", 401)
    send(api.admin.patients, "POST", "/api/v1/patients", 409, {**body, "password": told("otra clave")})
    twin = {**hired, "contact_email": {"email_address": f"{unique('gemela')}@example.com"}}
    send(api.admin.doctors, "POST", "/api/v1/doctors", 409, twin)
    send(api.admin.patients, "POST", "/api/v1/patients", 422, {**body, "date_of_birth": told("nunca")})
    send(api.admin.auth, "POST", f"/users/{patient.id}/activation", 409)
    link = {"token": patient.token, "new_password": told("primera clave")}
    send(api.anonymous.auth, "POST", "/auth/activate", 401, link)
    send(api.anonymous.auth, "POST", "/auth/activate", 401, {**link, "token": told("enlace")})
    headers = {"User-Agent": told("navegador").encode()}
    for email, password in ((patient.email, told("adivinada")), (told("nadie"), "x y z 1")):
        wrong = {"email": email, "password": password}
        send(api.anonymous.patients, "POST", "/auth/login", 401, wrong, headers=headers)
    odd = {"If-Match": told("etag").encode(), "Authorization": f"Basic {told('básica')}".encode()}
    send(api.anonymous.patients, "PUT", path, 401, {"first_name": told("Nadie")}, headers=odd)

    # Sessions and passwords, all in one trace.
    traced = {"headers": {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": f"who={unique('someone')}"}}
    credentials = {"email": patient.email, "password": patient.password}
    pair = send(api.anonymous.patients, "POST", "/auth/login", 200, credentials, **traced)
    noted.note([pair["access_token"], pair["refresh_token"]])
    again = send(api.anonymous.auth, "POST", "/auth/refresh", 200, {"refresh_token": pair["refresh_token"]})
    noted.note([again["access_token"], again["refresh_token"]])
    form = {"username": patient.email, "password": patient.password}
    assert api.anonymous.auth.post("/auth/token", data=form).status_code == 200
    change = {"current_password": patient.password, "new_password": told("clave nueva")}
    send(patient.auth, "POST", "/auth/change-password", 204, change)
    send(api.admin.auth, "GET", "/users", 200, params={"q": patient.email})
    send(api.admin.auth, "GET", "/api/v1/audit", 200)
    send(patient.auth, "POST", "/auth/logout-all", 200)
    send(institution.patients, "DELETE", path, 204)


def test_no_log_and_no_metric_shows_a_personal_value(talkative: Fleet, values: PersonalValues) -> None:
    assert leaks(talkative, values) == []
    said = spoken(talkative)
    assert {"auth.log", "doctors.log", "institutions.log", "patients.log", "postgres.log", "valkey.log"} <= set(said)
    assert '"event": "statement"' in said["patients.log"]
    assert "predicthealth_http_requests_total" in said[f"{talkative.urls['patients']}/metrics"]
    for marker in ("Ñandú", "\\u00d1and", "%C3%91and", "@example.com", "eyJ"):  # the forms of all, however cut
        assert [place for place, text in said.items() if marker in text] == []


def test_a_request_is_one_trace_of_spans_without_values(
    talkative: Fleet, collector: Collector, values: PersonalValues
) -> None:
    for service in talkative.services.values():
        service.stop()  # sends what is left
    names = ("auth-jwt-service", "service-doctors", "service-institutions", "service-patients")
    spans = {name: collector.spans(name) for name in names}
    (login,) = [s for s in spans["service-patients"] if s.trace_id.hex() == TRACE and s.parent_span_id.hex() == CALLER]
    (call,) = [s for s in spans["service-patients"] if s.parent_span_id == login.span_id and s.name == login.name]
    (answered,) = [s for s in spans["auth-jwt-service"] if s.parent_span_id == call.span_id]
    assert {login.name, call.name, answered.name} == {"POST /auth/login"}
    assert (login.kind, call.kind, answered.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT, login.kind)
    steps = {s.name for s in spans["auth-jwt-service"] if s.parent_span_id == answered.span_id}
    assert steps >= {"redis", "SELECT", "BEGIN", "COMMIT"}
    attributes = {item.key: item.value.string_value or item.value.int_value for item in answered.attributes}
    assert attributes == {"http.request.method": "POST", "http.route": "/auth/login", "http.response.status_code": 200}

    every = [span for group in spans.values() for span in group]
    assert not [span for span in every if span.trace_state or span.events or span.status.message]
    assert {item.key for span in every for item in span.attributes} == {
        *("http.request.method", "http.route", "http.response.status_code"),
        *("db.system.name", "server.name", "error.type"),
    }
    for span in every:
        for number in ("trace_id", "span_id", "parent_span_id"):
            span.ClearField(number)  # at random they may spell anything
    exported = "\n".join(MessageToJson(group, ensure_ascii=False) for group in collector.received)
    assert values.shown_in(exported) == []
    for marker in ("Ñandú", "@", "eyJ", "127.0.0.1", "someone"):
        assert marker not in exported
