"""Entity tags and preconditions: on every route that has them, and under concurrency."""

import importlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from psycopg2.extras import RealDictCursor

from shared.etag import Tags
from shared.routes import FleetRoute

from ..support import Api, User, assert_problem, doctor_body

SERVICES = ("auth", "doctors", "institutions", "patients")
PATIENT, DOCTOR, INSTITUTION = "/api/v1/patients/{patient_id}", "/api/v1/doctors/{doctor_id}", "/api/v1/institutions/"


@dataclass(frozen=True)
class World:
    """An institution, its doctor and their patient, with one of everything that has a page of its own."""

    api: Api
    institution: User
    doctor: User
    patient: User
    ids: dict[str, str]

    def url(self, template: str) -> str:
        """The path of a route, its ids filled in."""
        return template.format(**self.ids)

    def client(self, service: str, template: str) -> httpx.Client:
        """The service as whoever has most rights on a route calls it."""
        user = self.doctor if "/me/" in template else self.api.admin
        found: httpx.Client = getattr(user, service)
        return found


@pytest.fixture(scope="module")
def world(api: Api) -> World:
    return new_world(api)


def new_world(api: Api) -> World:
    institution = api.new_institution()
    doctor = api.new_doctor(institution)
    patient = api.new_patient(doctor, institution, health_profile={"height_cm": 170, "blood_type_id": 7})
    ids = {"user_id": doctor.id, "doctor_id": doctor.id, "institution_id": institution.id, "patient_id": patient.id}
    made = World(api, institution, doctor, patient, ids)
    validity = {"valid_from": "2026-01-01", "valid_until": "2030-01-01"}
    for name, service, path, body in (
        ("accreditation_id", "institutions", INSTITUTION + "{institution_id}/accreditations", ACCREDITATION | validity),
        ("observation_id", "patients", PATIENT + "/observations", OBSERVATION),
        ("appointment_id", "patients", PATIENT + "/appointments", new_appointment()),
    ):
        answer = getattr(api.admin, service).post(made.url(path), json=body)
        assert answer.status_code == 201, answer.text
        ids[name] = answer.json()["id"]
    return made


ACCREDITATION = {"body": "CSG", "number": "A-1"}
OBSERVATION = {"code": "29463-7", "value": 81.5, "unit": "kg"}
_hours = iter(range(10_000))


def new_appointment() -> dict[str, Any]:
    """An appointment at an hour that no other test of this module takes."""
    days, hour = divmod(next(_hours), 24)
    return {"starts_at": f"2031-{1 + days // 28:02}-{1 + days % 28:02}T{hour:02}:00:00Z", "reason": "Revisión"}


def routes(service: str) -> list[FleetRoute]:
    router = importlib.import_module(f"{service}_app.main").router
    return [route for route in router.routes if isinstance(route, FleetRoute)]


READ = [
    (service, route.path)
    for service in SERVICES
    for route in routes(service)
    if route.tagged and "GET" in (route.methods or ())
]
QUERIES = {PATIENT + "/observations/trends": {"code": "29463-7"}}


def get(world: World, service: str, path: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    client = world.client(service, path)
    return client.get(world.url(path), params=QUERIES.get(path), headers=named)


@pytest.mark.parametrize(("service", "path"), READ)
def test_a_resource_has_a_tag_and_whoever_has_it_is_told_so(world: World, service: str, path: str) -> None:
    first = get(world, service, path)
    assert first.status_code == 200, first.text
    tag = first.headers["etag"]
    assert tag.startswith('"') and tag.endswith('"') and len(tag) > 20
    assert "accept-language" in first.headers["vary"].lower()
    for header in (tag, f"W/{tag}", f'"x", W/"y",, {tag}', "*"):
        unchanged = get(world, service, path, If_None_Match=header)
        assert (unchanged.status_code, unchanged.content) == (304, b""), header
        assert unchanged.headers["etag"] == tag
        assert unchanged.headers["cache-control"] == "private, no-store"
        assert unchanged.headers["x-request-id"]
        assert "content-type" not in unchanged.headers
    for header in ('"x"', tag.strip('"'), f"{tag} {tag}", ""):
        assert get(world, service, path, If_None_Match=header).json() == first.json(), header
    assert get(world, service, path, If_Match=tag).status_code == 200
    assert_problem(get(world, service, path, If_Match='"x"'), 412, "precondition_failed")


def test_the_resources_with_a_tag_are_those_of_the_contract() -> None:
    names = {path.removeprefix("/api/v1") for _, path in READ}
    patient = {"", "/dashboard", "/medical-record", "/care-team", "/profile"}
    assert names >= {f"/patients/{{patient_id}}{part}" for part in patient}
    assert names >= {"/users/{user_id}", "/doctors/{doctor_id}", "/institutions/{institution_id}"}
    assert names >= {f"/doctors/me/{part}" for part in ("dashboard", "profile", "institution")}


@pytest.mark.parametrize("path", ["/api/v1/patients", PATIENT + "/observations", PATIENT + "/access-log"])
def test_a_list_has_no_tag(world: World, path: str) -> None:
    answer = get(world, "patients", path, If_None_Match="*")
    assert answer.status_code == 200 and "etag" not in answer.headers


def test_a_representation_in_another_language_has_another_tag(world: World) -> None:
    path = INSTITUTION + "{institution_id}"
    spanish, english = (get(world, "institutions", path, Accept_Language=language) for language in ("es", "en"))
    assert spanish.json()["institution_type_name"] != english.json()["institution_type_name"]
    assert spanish.headers["etag"] != english.headers["etag"]


def test_a_not_modified_reading_is_recorded_too(world: World) -> None:
    def readings() -> int:
        log = world.patient.patients.get(world.url(PATIENT + "/access-log"), params={"limit": 200}).json()["items"]
        return sum(entry["resource"] == "patient" and entry["action"] == "read" for entry in log)

    tag, before = get(world, "patients", PATIENT).headers["etag"], readings()
    assert get(world, "patients", PATIENT, If_None_Match=tag).status_code == 304
    assert readings() == before + 1


def test_whatever_changes_what_is_shown_changes_the_tag(world: World) -> None:
    changes: list[Callable[[], httpx.Response]] = [
        lambda: world.patient.patients.put(world.url(PATIENT + "/health-profile"), json={"height_cm": 171}),
        lambda: world.patient.patients.post(
            world.url(PATIENT + "/phones"), json={"phone_number": "55 2000 0001", "is_primary": True}
        ),
        lambda: world.doctor.patients.post(world.url(PATIENT + "/validation"), json={"status": "validated_by_doctor"}),
    ]
    for change in changes:
        before = get(world, "patients", PATIENT).headers["etag"]
        assert change().is_success
        assert get(world, "patients", PATIENT, If_None_Match=before).status_code == 200


# How each resource is made whose tag its creation gives, since it has no page of its own.
ENTRIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "conditions": ({"name": "Asma"}, {"notes": "leve"}),
    "medications": ({"name": "Losartán"}, {"dosage": "50 mg"}),
    "allergies": ({"name": "Penicilina"}, {"severity": "mild"}),
    "family-history": ({"name": "Asma", "relative_type": "mother"}, {"notes": "leve"}),
}
CONTACTS: dict[str, dict[str, Any]] = {
    "emails": {"email_address": "otro@example.com"},
    "phones": {"phone_number": "55 3000 0001"},
    "addresses": {"street_address": "Reforma 1", "city": "Ciudad de México", "country_id": 484},
}


@dataclass
class Change:
    """A change that If-Match guards: what it is sent, and where the tag of what it changes comes from."""

    service: str
    method: str
    path: str
    body: dict[str, Any] | None = None
    created_by: dict[str, Any] | None = None  # None: the tag is that of a GET


CHANGES = [
    Change("auth", "PATCH", "/users/{user_id}", {"is_active": True}),
    Change("doctors", "PUT", "/api/v1/doctors/me/profile", {"years_experience": 7}),
    Change("doctors", "PUT", DOCTOR, {"years_experience": 8, "contact_phone": "55 1000 0002"}),
    Change("institutions", "PUT", INSTITUTION + "{institution_id}", {"website": "https://clinica.example.com"}),
    Change("patients", "PUT", PATIENT, {"first_name": "Josefa", "contact_phone": "55 1000 0003"}),
    Change("patients", "PUT", PATIENT + "/health-profile", {"weight_kg": 81}),
    Change("patients", "PATCH", PATIENT + "/appointments/{appointment_id}", {"status": "confirmed"}),
    *(
        Change("patients", method, f"{PATIENT}/{kind}/{{entry_id}}", changed if method == "PUT" else None, new)
        for kind, (new, changed) in ENTRIES.items()
        for method in ("PUT", "DELETE")
    ),
    *(Change("patients", "DELETE", f"{PATIENT}/{kind}/{{contact_id}}", None, new) for kind, new in CONTACTS.items()),
    Change("patients", "DELETE", PATIENT),
    Change("doctors", "DELETE", DOCTOR),
    Change("institutions", "DELETE", INSTITUTION + "{institution_id}"),
]
ELSEWHERE = {("DELETE", "/auth/sessions/{session_id}")}


def test_every_guarded_route_is_tried_here() -> None:
    guarded = {(m, route.path) for s in SERVICES for route in routes(s) if route.guarded for m in route.methods or ()}
    assert guarded == {(change.method, change.path) for change in CHANGES} | ELSEWHERE


@pytest.fixture(scope="module")
def changing(api: Api) -> World:
    """A world of its own for the changes, which come in the order of CHANGES."""
    return new_world(api)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change.method} {change.path}")
def test_only_the_version_that_is_meant_is_changed(changing: World, change: Change) -> None:
    client, url = changing.client(change.service, change.path), ""
    if change.created_by is None:
        url = changing.url(change.path)
        tag = client.get(url).headers["etag"]
    else:
        made = client.post(changing.url(change.path.rpartition("/")[0]), json=change.created_by)
        if made.status_code == 409:  # PUT's entry is there: what PUT answered last is what it is
            listed = client.get(changing.url(PATIENT + "/medical-record")).json()
            entry = listed[change.path.split("/")[-2].replace("-", "_")][0]
            url = f"{changing.url(change.path.rpartition('/')[0])}/{entry['id']}"
            tag = client.put(url, json=ENTRIES[change.path.split("/")[-2]][1]).headers["etag"]
        else:
            url, tag = made.headers["location"], made.headers["etag"]

    def ask(**headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.request(change.method, url, json=change.body, headers=named)

    for stale in ('"x"', f"W/{tag}", tag.strip('"'), "", f"*, {tag} x"):
        problem = assert_problem(ask(If_Match=stale), 412, "precondition_failed")
        assert "detail" in problem
    assert_problem(ask(If_None_Match="*"), 412, "precondition_failed")
    assert_problem(ask(If_None_Match=f"W/{tag}"), 412, "precondition_failed")
    if change.created_by is None:
        assert client.get(url).headers["etag"] == tag, "a refused change changes nothing"
    done = ask(If_Match=f'"x", {tag}', If_None_Match='"x"')
    assert done.is_success, done.text
    if change.method == "DELETE":
        assert ask(If_Match=tag).status_code == 404, "nothing is there: no precondition matters"
        return
    if change.created_by is None:
        assert client.get(url).headers["etag"] == done.headers["etag"]
    if change.method == "PUT":
        assert done.headers["etag"] != tag
        assert_problem(ask(If_Match=tag), 412, "precondition_failed")
        assert ask(If_Match="*").status_code == 200
        assert ask(If_Match=client.put(url, json=change.body).headers["etag"]).status_code == 200


def test_a_patient_without_a_profile_has_one_of_which_nothing_is_known(api: Api, owner: RealDictCursor) -> None:
    patient = api.new_patient(institution=api.new_institution())
    owner.execute("DELETE FROM health_profiles WHERE patient_id = %s", (patient.id,))
    url = f"/api/v1/patients/{patient.id}/health-profile"
    unknown = patient.patients.get(url)
    assert unknown.status_code == 200 and set(unknown.json().values()) == {None}
    tag = {"If-Match": unknown.headers["etag"]}
    assert patient.patients.put(url, json={"weight_kg": 82}, headers=tag).json()["weight_kg"] == 82
    assert_problem(patient.patients.put(url, json={"weight_kg": 83}, headers=tag), 412, "precondition_failed")


def test_a_session_has_no_tag_so_that_any_but_the_star_is_another(api: Api, world: World) -> None:
    session = api.log_in("doctors", world.doctor.email)
    current = next(item for item in session.auth.get("/auth/sessions").json()["items"] if item["is_current"])
    url = f"/auth/sessions/{current['session_id']}"
    assert_problem(session.auth.delete(url, headers={"If-Match": '"x"'}), 412, "precondition_failed")
    assert session.auth.delete(url, headers={"If-Match": "*"}).status_code == 204


def test_the_order_of_refusals(api: Api, world: World) -> None:
    stale = {"If-Match": '"x"'}
    url, stranger = world.url(PATIENT), api.new_doctor(world.institution)
    assert_problem(api.anonymous.patients.put(url, json={}, headers=stale), 401, "unauthenticated")
    assert_problem(world.patient.patients.put(url, json={"doctor_id": stranger.id}, headers=stale), 403, "forbidden")
    assert_problem(api.admin.patients.put(url, json={"first_name": ""}, headers=stale), 422, "validation_failed")
    assert_problem(api.admin.patients.put(url, json={}, headers=stale), 400, "empty_update")
    assert_problem(stranger.patients.put(url, json={"first_name": "X"}, headers=stale), 404, "patient_not_found")
    license_taken = {"medical_license": doctor_body(world.institution.id)["medical_license"]}
    api.new_doctor(world.institution, **license_taken)
    doctor = world.url(DOCTOR)
    assert_problem(api.admin.doctors.put(doctor, json=license_taken, headers=stale), 412, "precondition_failed")
    assert_problem(api.admin.doctors.put(doctor, json=license_taken), 409, "license_taken")


def test_the_sentence_comes_in_both_languages(world: World) -> None:
    details = {
        world.patient.patients.put(
            world.url(PATIENT), json={"first_name": "X"}, headers={"If-Match": '"x"', "Accept-Language": language}
        ).json()["detail"]
        for language in ("es", "en")
    }
    assert len(details) == 2


THREADS, ROUNDS = 6, 4


def count_up(read: Callable[[], httpx.Response], write: Callable[[httpx.Response], httpx.Response]) -> None:
    """Add one, each time to the version that was read: again until nobody was faster."""
    for _ in range(ROUNDS):
        while (answer := write(read())).status_code == 412:
            pass
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("resource", ["patient", "doctor", "institution"])
def test_of_changes_at_once_none_is_lost(api: Api, resource: str) -> None:
    """Each writes what it read plus one, in a field of its own table and, for every other thread, in another's."""
    world = new_world(api)
    service, path, own = {
        "patient": ("patients", PATIENT, "first_name"),
        "doctor": ("doctors", DOCTOR, "first_name"),
        "institution": ("institutions", INSTITUTION + "{institution_id}", "name"),
    }[resource]
    client, url = getattr(api.admin, service), world.url(path)
    assert client.put(url, json={own: "0", "contact_phone": "1000000"}).status_code == 200
    start = threading.Barrier(THREADS)

    def run(thread: int) -> None:
        field = "contact_phone" if thread % 2 else own

        def write(known: httpx.Response) -> httpx.Response:
            value = str(int(known.json()[field]) + 1)
            answer: httpx.Response = client.put(url, json={field: value}, headers={"If-Match": known.headers["etag"]})
            return answer

        start.wait(30)
        count_up(lambda: client.get(url), write)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(run, range(THREADS)))
    after, each = client.get(url).json(), THREADS // 2 * ROUNDS
    assert (int(after[own]), int(after["contact_phone"])) == (each, 1_000_000 + each)


@pytest.mark.parametrize(
    ("lines", "strong", "weak", "anything"),
    [
        (['"a"'], {'"a"'}, set(), False),
        (['"a", W/"b"', '"c,d"'], {'"a"', '"c,d"'}, {'"b"'}, False),
        ([" , \t,"], set(), set(), False),
        ([" * "], set(), set(), True),
        (['*, "a"'], set(), set(), False),
        (['"a" "b"'], set(), set(), False),
        (['w/"a"'], set(), set(), False),
        (['"a'], set(), set(), False),
        (['"\xe9"'], {'"\xe9"'}, set(), False),
        ([""], set(), set(), False),
        ([" " * 60_000 + "x"], set(), set(), False),
    ],
)
def test_a_list_of_tags_is_read_as_the_standard_says(
    lines: list[str], strong: set[str], weak: set[str], anything: bool
) -> None:
    tags = Tags.read(lines)
    assert tags is not None
    assert (tags.strong, tags.weak, tags.anything) == (strong, weak, anything)


def test_no_header_is_no_precondition() -> None:
    assert Tags.read([]) is None
