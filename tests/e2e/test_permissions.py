"""Who may call what: every route of the four services, asked by everybody, as sections 2 to 5 of the contract say.

The patient has a doctor and an institution; another patient, doctor and institution may not know of them. `ok` is any
2xx; every request is otherwise a good one, so that nothing but who asks decides.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import bcrypt
import httpx
import pytest
from psycopg2.extras import RealDictCursor

from tests.shared.test_routes import SERVICES, routes
from tests.support import PASSWORD, Api, User, doctor_body, institution_body, patient_body, unique

PATIENT, DOCTOR, INSTITUTION = "/api/v1/patients/{patient_id}", "/api/v1/doctors/{doctor_id}", "/api/v1/institutions"
ACTORS = ("anonymous", "patient", "patient2", "doctor", "doctor2", "institution", "institution2", "admin")
TABLE = """
                                                        anon patient    doctor     institution  admin
                                                               itself other own  other own other
auth         POST   /auth/login                           ok   ok   ok    ok   ok    ok   ok    ok
auth         POST   /auth/token                           ok   ok   ok    ok   ok    ok   ok    ok
auth         POST   /auth/verify-token                    ok   ok   ok    ok   ok    ok   ok    ok
auth         POST   /auth/session/validate                ok   ok   ok    ok   ok    ok   ok    ok
auth         GET    /auth/session/validate                ok   ok   ok    ok   ok    ok   ok    ok
auth         GET    /.well-known/jwks.json                ok   ok   ok    ok   ok    ok   ok    ok
auth         POST   /auth/activate                        ok   ok   ok    ok   ok    ok   ok    ok
auth         POST   /auth/refresh                         401  ok   ok    ok   ok    ok   ok    ok
auth         POST   /auth/logout                          401  ok   ok    ok   ok    ok   ok    ok
auth         POST   /auth/logout-all                      401  ok   ok    ok   ok    ok   ok    ok
auth         GET    /auth/sessions                        401  ok   ok    ok   ok    ok   ok    ok
auth         DELETE /auth/sessions/{session_id}           401  ok   404   404  404   404  404   404
auth         POST   /auth/change-password                 401  ok   ok    ok   ok    ok   ok    ok
auth         POST   /users/create                         401  403  403   403  403   403  403   ok
auth         GET    /users                                401  403  403   403  403   403  403   ok
auth         GET    /users/{user_id}                      401  403  403   403  403   403  403   ok
auth         PATCH  /users/{user_id}                      401  403  403   403  403   403  403   ok
auth         POST   /users/{user_id}/activation           401  403  403   403  403   403  403   ok
auth         GET    /api/v1/audit                         401  403  403   403  403   403  403   ok

doctors      POST   /auth/login                           ok   ok   ok    ok   ok    ok   ok    ok
doctors      GET    /api/v1/doctors/me/dashboard          401  403  403   ok   ok    403  403   403
doctors      GET    /api/v1/doctors/me/profile            401  403  403   ok   ok    403  403   403
doctors      PUT    /api/v1/doctors/me/profile            401  403  403   ok   ok    403  403   403
doctors      GET    /api/v1/doctors/me/institution        401  403  403   ok   ok    403  403   403
doctors      GET    /api/v1/doctors/me/patients           401  403  403   ok   ok    403  403   403
doctors      GET    ME/{patient_id}/medical-record        401  403  403   ok   404   403  403   403
doctors      GET    /api/v1/doctors/me/appointments       401  403  403   ok   ok    403  403   403
doctors      GET    /api/v1/doctors                       401  403  403   ok   ok    ok   ok    ok
doctors      POST   /api/v1/doctors                       401  403  403   403  403   ok   403   ok
doctors      GET    /api/v1/doctors/statistics            401  403  403   403  403   ok   ok    ok
doctors      GET    DOCTOR                                401  403  403   ok   404   ok   404   ok
doctors      PUT    DOCTOR                                401  403  403   403  403   ok   404   ok
doctors      DELETE DOCTOR                                401  403  403   403  403   ok   404   ok
doctors      POST   DOCTOR/restore                        401  403  403   403  403   403  403   ok
doctors      POST   DOCTOR/professional-status            401  403  403   403  403   ok   404   ok
doctors      POST   DOCTOR/license-status                 401  403  403   403  403   403  403   ok
doctors      GET    DOCTOR/status-changes                 401  403  403   403  403   ok   404   ok
doctors      GET    /api/v1/specialties                   401  ok   ok    ok   ok    ok   ok    ok

institutions POST   /auth/login                           ok   ok   ok    ok   ok    ok   ok    ok
institutions GET    /api/v1/institutions                  401  ok   ok    ok   ok    ok   ok    ok
institutions POST   /api/v1/institutions                  401  403  403   403  403   403  403   ok
institutions GET    /api/v1/institutions/doctors          401  403  403   403  403   ok   ok    403
institutions GET    /api/v1/institutions/patients         401  403  403   403  403   ok   ok    403
institutions GET    /api/v1/institutions/geography        401  ok   ok    ok   ok    ok   ok    ok
institutions GET    INSTITUTION                           401  ok   ok    ok   ok    ok   ok    ok
institutions PUT    INSTITUTION                           401  403  403   403  403   ok   403   ok
institutions DELETE INSTITUTION                           401  403  403   403  403   403  403   ok
institutions POST   INSTITUTION/restore                   401  403  403   403  403   403  403   ok
institutions GET    INSTITUTION/statistics                401  403  403   403  403   ok   403   ok
institutions GET    INSTITUTION/verification              401  403  403   403  403   403  403   ok
institutions POST   INSTITUTION/verification              401  403  403   403  403   403  403   ok
institutions GET    INSTITUTION/accreditations            401  ok   ok    ok   ok    ok   ok    ok
institutions POST   INSTITUTION/accreditations            401  403  403   403  403   403  403   ok
institutions GET    ACCREDITATION                         401  ok   ok    ok   ok    ok   ok    ok
institutions GET    /api/v1/institution-types             401  ok   ok    ok   ok    ok   ok    ok
institutions GET    /api/v1/countries                     401  ok   ok    ok   ok    ok   ok    ok
institutions GET    /api/v1/regions                       401  ok   ok    ok   ok    ok   ok    ok
institutions GET    /api/v1/municipalities                401  ok   ok    ok   ok    ok   ok    ok

patients     POST   /auth/login                           ok   ok   ok    ok   ok    ok   ok    ok
patients     GET    /api/v1/patients                      401  403  403   ok   ok    ok   ok    ok
patients     POST   /api/v1/patients                      401  403  403   ok   403   ok   403   ok
patients     GET    PATIENT                               401  ok   404   ok   404   ok   404   ok
patients     PUT    PATIENT                               401  ok   404   ok   404   ok   404   ok
patients     DELETE PATIENT                               401  403  403   403  403   ok   404   ok
patients     POST   PATIENT/restore                       401  403  403   403  403   403  403   ok
patients     GET    PATIENT/dashboard                     401  ok   404   ok   404   ok   404   ok
patients     GET    PATIENT/medical-record                401  ok   404   ok   404   ok   404   ok
patients     GET    PATIENT/health-profile                401  ok   404   ok   404   ok   404   ok
patients     GET    PATIENT/care-team                     401  ok   404   ok   404   ok   404   ok
patients     GET    PATIENT/profile                       401  ok   404   ok   404   ok   404   ok
patients     PUT    PATIENT/health-profile                401  ok   404   ok   404   403  403   ok
patients     POST   PATIENT/emails                        401  ok   404   403  403   ok   404   ok
patients     DELETE PATIENT/emails/{contact_id}           401  ok   404   403  403   ok   404   ok
patients     POST   PATIENT/phones                        401  ok   404   403  403   ok   404   ok
patients     DELETE PATIENT/phones/{contact_id}           401  ok   404   403  403   ok   404   ok
patients     POST   PATIENT/addresses                     401  ok   404   403  403   ok   404   ok
patients     DELETE PATIENT/addresses/{contact_id}        401  ok   404   403  403   ok   404   ok
patients     POST   PATIENT/conditions                    401  403  403   ok   404   403  403   ok
patients     PUT    PATIENT/conditions/{entry_id}         401  403  403   ok   404   403  403   ok
patients     DELETE PATIENT/conditions/{entry_id}         401  403  403   ok   404   403  403   ok
patients     POST   PATIENT/medications                   401  403  403   ok   404   403  403   ok
patients     PUT    PATIENT/medications/{entry_id}        401  403  403   ok   404   403  403   ok
patients     DELETE PATIENT/medications/{entry_id}        401  403  403   ok   404   403  403   ok
patients     POST   PATIENT/allergies                     401  403  403   ok   404   403  403   ok
patients     PUT    PATIENT/allergies/{entry_id}          401  403  403   ok   404   403  403   ok
patients     DELETE PATIENT/allergies/{entry_id}          401  403  403   ok   404   403  403   ok
patients     POST   PATIENT/family-history                401  403  403   ok   404   403  403   ok
patients     PUT    PATIENT/family-history/{entry_id}     401  403  403   ok   404   403  403   ok
patients     DELETE PATIENT/family-history/{entry_id}     401  403  403   ok   404   403  403   ok
patients     GET    PATIENT/observations                  401  ok   404   ok   404   ok   404   ok
patients     POST   PATIENT/observations                  401  ok   404   ok   404   403  403   ok
patients     GET    PATIENT/observations/trends           401  ok   404   ok   404   ok   404   ok
patients     GET    PATIENT/observations/{observation_id} 401  ok   404   ok   404   ok   404   ok
patients     POST   PATIENT/validation                    401  403  403   ok   404   ok   404   ok
patients     GET    PATIENT/validation                    401  ok   404   ok   404   ok   404   ok
patients     GET    PATIENT/appointments                  401  ok   404   ok   404   ok   404   ok
patients     POST   PATIENT/appointments                  401  ok   404   ok   404   ok   404   ok
patients     GET    PATIENT/appointments/{appointment_id} 401  ok   404   ok   404   ok   404   ok
patients     PATCH  PATIENT/appointments/{appointment_id} 401  ok   404   ok   404   ok   404   ok
patients     GET    PATIENT/access-log                    401  ok   404   403  403   403  403   ok
patients     GET    /api/v1/blood-types                   401  ok   ok    ok   ok    ok   ok    ok
patients     GET    /api/v1/sexes                         401  ok   ok    ok   ok    ok   ok    ok
patients     GET    /api/v1/genders                       401  ok   ok    ok   ok    ok   ok    ok
patients     GET    /api/v1/medical-conditions            401  ok   ok    ok   ok    ok   ok    ok
patients     GET    /api/v1/medications                   401  ok   ok    ok   ok    ok   ok    ok
patients     GET    /api/v1/allergies                     401  ok   ok    ok   ok    ok   ok    ok
"""
IN_FULL = {
    "PATIENT": PATIENT,
    "DOCTOR": DOCTOR,
    "INSTITUTION": INSTITUTION + "/{institution_id}",
    "ACCREDITATION": INSTITUTION + "/{institution_id}/accreditations/{accreditation_id}",
    "ME": "/api/v1/doctors/me/patients",
}
QUERIES = {
    PATIENT + "/observations/trends": {"code": "29463-7"},
    "/api/v1/municipalities": {"region_id": "484009"},
}
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Row:
    """A route, and the answer to each of ACTORS."""

    service: str
    method: str
    path: str
    answers: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.service} {self.method} {self.path}"


def _rows() -> Iterator[Row]:
    for line in filter(None, TABLE.splitlines()[3:]):
        service, method, path, *answers = line.split()
        word, slash, rest = path.partition("/")
        yield Row(service, method, IN_FULL.get(word, word) + slash + rest, tuple(answers))


ROWS = tuple(_rows())


@dataclass(frozen=True)
class World:
    """Who asks, by the names of ACTORS, and the token that each has now."""

    api: Api
    owner: RealDictCursor
    actors: dict[str, User]
    tokens: dict[str, str]

    def __getitem__(self, actor: str) -> User:
        return self.actors[actor]

    def log_in(self, actor: str) -> dict[str, str]:
        """A new session of the same person; its token pair."""
        credentials = {"email": self[actor].email, "password": PASSWORD}
        pair: dict[str, str] = self.api.anonymous.auth.post("/auth/login", json=credentials).json()
        return pair

    def ask(self, actor: str, service: str, method: str, path: str, **content: Any) -> httpx.Response:
        """A request."""
        token = self.tokens[actor]
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        client: httpx.Client = getattr(self.api.anonymous, service)
        return client.request(method, path, headers=headers, **content)

    def made(self, service: str, path: str, body: dict[str, Any]) -> str:
        """The id of something new, made by an admin."""
        answer = self.ask("admin", service, "POST", path, json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


@pytest.fixture(scope="module")
def world(api: Api, module_owner: RealDictCursor) -> World:
    """A patient with its doctor and institution, others, and an admin whose sessions no other test needs."""
    email, password_hash = f"{unique('admin')}@example.com", bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4))
    module_owner.execute(
        "INSERT INTO users (id, email, password_hash, user_type, owner_status) VALUES (%s, %s, %s, 'admin', 'active')",
        (str(uuid4()), email, password_hash.decode()),
    )
    actors = {"anonymous": api.anonymous, "admin": api.log_in("auth", email)}
    for other in ("", "2"):
        actors["institution" + other] = institution = api.new_institution()
        actors["doctor" + other] = doctor = api.new_doctor(institution)
        actors["patient" + other] = api.new_patient(doctor, institution)
    return World(api, module_owner, actors, {name: user.token for name, user in actors.items()})


def test_every_route_is_in_the_table_once() -> None:
    served = [
        f"{service} {method} {route.path}"
        for service in SERVICES
        for route in routes(service)
        for method in route.methods
    ]
    assert sorted(row.name for row in ROWS) == sorted(served)
    assert all(len(row.answers) == len(ACTORS) for row in ROWS)


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ROWS])
def test_a_route_is_for_those_of_the_contract(row: Row, world: World) -> None:
    found = []
    for actor, expected in zip(ACTORS, row.answers, strict=True):
        answer = ask(world, row, actor, allowed=expected == "ok")
        found.append("ok" if answer.is_success else str(answer.status_code))
        if actor.endswith("2") and not row.path.startswith("/auth/"):
            assert world["patient"].email not in answer.text, f"{actor} reads of the patient"
    assert found == list(row.answers), dict(zip(ACTORS, found, strict=True))


@pytest.mark.parametrize("service", SERVICES)
def test_monitors_and_docs_need_no_token(service: str, api: Api) -> None:
    for path in ("/health", "/health/live", "/openapi.json", "/docs"):
        assert getattr(api.anonymous, service).get(path).status_code == 200


def ask(world: World, row: Row, actor: str, *, allowed: bool) -> httpx.Response:
    """A good request of the route; whom or what it would use up is made for it where it is allowed."""
    ids = {name: make(world, row, actor) for name, make in IDS.items() if f"{{{name}}}" in row.path}
    if allowed and row.name in DOOMED:
        kind = DOOMED[row.name]
        ids[f"{kind}_id"] = world.made(f"{kind}s", f"/api/v1/{kind}s", BODIES[f"/api/v1/{kind}s"](world, actor))
    path, parameters, body = row.path.format(**ids), QUERIES.get(row.path), {}
    if make := BODIES.get(f"{row.service} {row.path}") or BODIES.get(f"{row.method} {row.path}"):
        body = {"json": make(world, actor)}
    elif row.method in ("POST", "PATCH") and (make := BODIES.get(row.path)):
        body = {"data" if row.path == "/auth/token" else "json": make(world, actor)}
    answer = world.ask(actor, row.service, row.method, path, params=parameters, **body)
    if row.path in ENDS_SESSIONS and actor != "anonymous":
        world.tokens[actor] = world.log_in(actor)["access_token"]
    return answer


# The rows that delete or suspend someone.
DOOMED = {
    f"patients DELETE {PATIENT}": "patient",
    f"doctors DELETE {DOCTOR}": "doctor",
    f"doctors POST {DOCTOR}/professional-status": "doctor",
    f"institutions DELETE {INSTITUTION}/{{institution_id}}": "institution",
}
ENDS_SESSIONS = ("/auth/logout", "/auth/logout-all")
ACCREDITATION = {"body": "Consejo", "number": "7", "valid_from": "2026-01-01", "valid_until": "2030-01-01"}


def _part_of_the_record(world: World, row: Row, actor: str) -> str:
    collection = row.path.rpartition("/{")[0]
    return world.made("patients", collection.format(patient_id=world["patient"].id), BODIES[collection](world, actor))


def _accreditation(world: World, row: Row, actor: str) -> str:
    return world.made("institutions", f"{INSTITUTION}/{world['institution'].id}/accreditations", ACCREDITATION)


def _imported(world: World) -> str:
    """The id of an account without a password."""
    user_id, email = str(uuid4()), f"{unique('importada')}@example.com"
    world.owner.execute(
        "INSERT INTO users (id, email, user_type, owner_status) VALUES (%s, %s, 'patient', 'active')", (user_id, email)
    )
    return user_id


IDS: dict[str, Callable[[World, Row, str], str]] = {
    "patient_id": lambda world, row, actor: world["patient"].id,
    "doctor_id": lambda world, row, actor: world["doctor"].id,
    "institution_id": lambda world, row, actor: world["institution"].id,
    "user_id": lambda world, row, actor: _imported(world) if row.path.endswith("/activation") else world["patient"].id,
    "session_id": lambda world, row, actor: world.log_in("patient")["session_id"],
    **dict.fromkeys(("entry_id", "contact_id", "observation_id", "appointment_id"), _part_of_the_record),
    "accreditation_id": _accreditation,
}


def _login_of(actor: str) -> Callable[[World, str], dict[str, Any]]:
    return lambda world, _: {"email": world[actor].email, "password": PASSWORD}


def _refresh(world: World, actor: str) -> dict[str, Any]:
    return {"refresh_token": "made.up.token" if actor == "anonymous" else world.log_in(actor)["refresh_token"]}


def _first_password(world: World, actor: str) -> dict[str, Any]:
    issued = world.ask("admin", "auth", "POST", f"/users/{_imported(world)}/activation").json()
    return {"token": issued["activation_token"], "new_password": PASSWORD}


def _new_doctor(world: World, actor: str) -> dict[str, Any]:
    return doctor_body(world["institution"].id)


def _new_patient(world: World, actor: str) -> dict[str, Any]:
    return patient_body(doctor_id=world["doctor"].id, institution_id=world["institution"].id)


def _validation(world: World, actor: str) -> dict[str, Any]:
    # The three of the workflow come one after the other.
    steps = {"institution": "validated_by_institution", "admin": "full_access"}
    return {"status": steps.get(actor.removesuffix("2"), "validated_by_doctor")}


def _slot(world: World, actor: str) -> dict[str, Any]:
    starts_at = datetime.now(UTC) + timedelta(days=30, hours=next(_numbers))
    return {"starts_at": starts_at.isoformat(), "duration_minutes": 30}


def _account(world: World, actor: str) -> dict[str, Any]:
    account = {"email": f"{unique('cuenta')}@example.com", "password": PASSWORD, "user_type": "patient"}
    return {**account, "reference_id": str(uuid4())}


def _named(*_: object) -> dict[str, Any]:
    return {"name": unique("entrada")}


# By service and path, method and path, or (of a POST or PATCH) the path alone.
BODIES: dict[str, Callable[[World, str], dict[str, Any]]] = {
    "doctors /auth/login": _login_of("doctor"),
    "institutions /auth/login": _login_of("institution"),
    "/auth/login": _login_of("patient"),
    "/auth/token": lambda world, actor: {"username": world["patient"].email, "password": PASSWORD},
    "/auth/refresh": _refresh,
    "/auth/activate": _first_password,
    "/auth/change-password": lambda world, actor: {"current_password": PASSWORD, "new_password": PASSWORD},
    "/users/create": _account,
    "/users/{user_id}": lambda world, actor: {"is_active": True},
    "PUT /api/v1/doctors/me/profile": lambda world, actor: {"years_experience": 7},
    "/api/v1/doctors": _new_doctor,
    f"PUT {DOCTOR}": lambda world, actor: {"years_experience": 8},
    f"{DOCTOR}/professional-status": lambda world, actor: {"professional_status": "suspended"},
    f"{DOCTOR}/license-status": lambda world, actor: {"license_status": "verified"},
    INSTITUTION: lambda world, actor: institution_body(),
    f"PUT {INSTITUTION}/{{institution_id}}": lambda world, actor: {"website": "https://clinica.mx"},
    f"{INSTITUTION}/{{institution_id}}/verification": lambda world, actor: {"verification_status": "verified"},
    f"{INSTITUTION}/{{institution_id}}/accreditations": lambda world, actor: ACCREDITATION,
    "/api/v1/patients": _new_patient,
    f"PUT {PATIENT}": lambda world, actor: {"contact_phone": "55 1234 5678"},
    f"PUT {PATIENT}/health-profile": lambda world, actor: {"sleep_hours": 7},
    f"{PATIENT}/emails": lambda world, actor: {"email_address": f"{unique('otro')}@example.com"},
    f"{PATIENT}/phones": lambda world, actor: {"phone_number": f"55 0000 {next(_numbers):04}"},
    f"{PATIENT}/addresses": lambda world, actor: {"street_address": "Calle 1", "city": "Puebla"},
    **dict.fromkeys((f"{PATIENT}/{part}" for part in ("conditions", "medications", "allergies")), _named),
    f"{PATIENT}/family-history": _named,
    f"PUT {PATIENT}/conditions/{{entry_id}}": lambda world, actor: {"notes": "visto"},
    f"PUT {PATIENT}/medications/{{entry_id}}": lambda world, actor: {"dosage": "1 al día"},
    f"PUT {PATIENT}/allergies/{{entry_id}}": lambda world, actor: {"severity": "mild"},
    f"PUT {PATIENT}/family-history/{{entry_id}}": lambda world, actor: {"notes": "visto"},
    f"{PATIENT}/observations": lambda world, actor: {"code": "29463-7", "value": 80, "unit": "kg"},
    f"{PATIENT}/validation": _validation,
    f"{PATIENT}/appointments": _slot,
    f"{PATIENT}/appointments/{{appointment_id}}": lambda world, actor: {"status": "confirmed"},
}
