"""Idempotency-Key: on every route that creates, at once, over processes, and with a service killed in between."""

import hashlib
import importlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import anyio
import httpx
import pytest
from psycopg2.extras import RealDictCursor

from dev.fleet import Fleet
from shared.routes import FleetRoute

from ..support import PASSWORD, Api, User, assert_problem, doctor_body, institution_body, patient_body, unique
from .support import client as client_of
from .support import serving

SERVICES = ("auth", "doctors", "institutions", "patients")
PATIENTS, DOCTORS, INSTITUTIONS = "/api/v1/patients", "/api/v1/doctors", "/api/v1/institutions"
SECONDS = 20


@pytest.fixture(scope="module")
def institution(api: Api) -> User:
    return api.new_institution()


@pytest.fixture(scope="module")
def doctor(api: Api, institution: User) -> User:
    return api.new_doctor(institution)


@pytest.fixture(scope="module")
def patient(api: Api, doctor: User, institution: User) -> User:
    return api.new_patient(doctor, institution)


def account_body() -> dict[str, Any]:
    email = f"{unique('cuenta')}@example.com"
    return {"email": email, "password": PASSWORD, "user_type": "doctor", "reference_id": str(uuid4())}


# Each route that creates, and a body for it: another one each time, where the same would be a conflict.
OBSERVATION = {"code": "29463-7", "value": 80.25, "unit": "kg"}
CREATIONS: dict[tuple[str, str], Callable[[User], dict[str, Any]]] = {
    ("auth", "/users/create"): lambda _: account_body(),
    ("doctors", DOCTORS): lambda institution: doctor_body(institution.id),
    ("institutions", INSTITUTIONS): lambda _: institution_body(address={"street_address": "A 1", "city": "B"}),
    ("institutions", INSTITUTIONS + "/{institution_id}/accreditations"): lambda _: {
        **{"body": "CSG", "number": unique("A")},
        **{"valid_from": "2026-01-01", "valid_until": "2030-01-01"},
    },
    ("patients", PATIENTS): lambda institution: patient_body(
        institution_id=institution.id, health_profile={"height_cm": 170, "weight_kg": 71.5}
    ),
    **{
        ("patients", PATIENTS + "/{patient_id}/" + kind): lambda _: {"name": unique("Nombre")}
        for kind in ("conditions", "medications", "allergies", "family-history")
    },
    ("patients", PATIENTS + "/{patient_id}/emails"): lambda _: {"email_address": f"{unique('otro')}@example.com"},
    ("patients", PATIENTS + "/{patient_id}/phones"): lambda _: {"phone_number": str(uuid4().int)[:15]},
    ("patients", PATIENTS + "/{patient_id}/addresses"): lambda _: {"street_address": unique("Calle"), "city": "Puebla"},
    ("patients", PATIENTS + "/{patient_id}/observations"): lambda _: OBSERVATION,
    ("patients", PATIENTS + "/{patient_id}/appointments"): lambda _: {"starts_at": a_free_moment()},
}
_hours = iter(range(10_000))


def a_free_moment() -> str:
    days, hour = divmod(next(_hours), 24)
    return f"2032-{1 + days // 28:02}-{1 + days % 28:02}T{hour:02}:00:00Z"


def test_every_route_that_creates_is_tried_here() -> None:
    creating = {
        (service, route.path)
        for service in SERVICES
        for route in importlib.import_module(f"{service}_app.main").router.routes
        if isinstance(route, FleetRoute) and route.creates
    }
    assert creating == CREATIONS.keys()


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def told(answer: httpx.Response) -> tuple[int, bytes, str | None, str | None]:
    """What an answer says: what a client could tell it from another by."""
    return answer.status_code, answer.content, answer.headers.get("location"), answer.headers.get("etag")


@pytest.mark.parametrize(("service", "path"), CREATIONS)
def test_sent_again_it_gives_the_first_answer_and_creates_nothing(
    api: Api, institution: User, patient: User, owner: RealDictCursor, service: str, path: str
) -> None:
    client: httpx.Client = getattr(api.admin, service)
    url = path.format(institution_id=institution.id, patient_id=patient.id)
    body, key = CREATIONS[service, path](institution), unique("key")
    first = client.post(url, json=body, headers=keyed(key))
    assert first.status_code == 201, first.text
    rows = count_all(owner)
    reordered = dict(reversed(body.items()))
    for language in ("es", "en"):
        again = client.post(url, json=reordered, headers={**keyed(key), "Accept-Language": language})
        assert told(again) == told(first)
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert first.headers["location"].startswith(("/api/v1/", "/users/"))
    assert count_all(owner) == rows
    changed = body | {"value": 90} if path.endswith("/observations") else CREATIONS[service, path](institution)
    problem = assert_problem(client.post(url, json=changed, headers=keyed(key)), 422, "idempotency_key_reused")
    assert problem["errors"][0]["field"] == "Idempotency-Key"
    assert count_all(owner) == rows
    assert client.post(url, json=changed, headers=keyed(unique("key"))).status_code == 201


def count_all(owner: RealDictCursor) -> dict[str, int]:
    """How many rows each table has, but for the trail."""
    owner.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' "
        "AND relname NOT LIKE 'audit%'"
    )
    counts = {}
    for table in [row["relname"] for row in owner.fetchall()]:
        owner.execute(f"SELECT count(*) AS count FROM {table}")
        counts[table] = owner.fetchone()["count"]
    return counts


def test_a_batch_of_observations_is_one_creation(doctor: User, patient: User) -> None:
    url, key = f"{PATIENTS}/{patient.id}/observations", unique("key")
    batch = {"observations": [OBSERVATION, OBSERVATION | {"code": "8302-2", "value": 171, "unit": "cm"}]}
    first, again = (doctor.patients.post(url, json=batch, headers=keyed(key)) for _ in range(2))
    assert first.status_code == 201 and told(again) == told(first)
    assert len(first.json()["items"]) == 2


@pytest.mark.parametrize("key", ["", "a b", "ñ", "x" * 256])
def test_what_is_no_key_is_refused(api: Api, owner: RealDictCursor, key: str) -> None:
    body = institution_body()
    headers = {"Idempotency-Key": key.encode("latin-1")}
    answer = api.admin.institutions.post(INSTITUTIONS, json=body, headers=headers)  # type: ignore[arg-type]
    problem = assert_problem(answer, 422, "validation_failed")
    assert problem["errors"][0]["field"] == "Idempotency-Key"
    owner.execute("SELECT count(*) AS count FROM medical_institutions WHERE name = %s", (body["name"],))
    assert owner.fetchone()["count"] == 0


def test_two_keys_are_none(api: Api) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    answer = api.admin.institutions.post(INSTITUTIONS, json=institution_body(), headers=headers)
    assert_problem(answer, 422, "validation_failed")


@pytest.mark.parametrize("key", ["!", "~" * 255, '"quoted-%s"', "%s\\n{x}"])
def test_any_visible_text_is_a_key(api: Api, key: str) -> None:
    body = institution_body()
    first, again = (api.admin.institutions.post(INSTITUTIONS, json=body, headers=keyed(key)) for _ in range(2))
    assert first.status_code == 201, first.text
    assert told(again) == told(first)


def test_a_key_belongs_to_its_caller(doctor: User, patient: User, api: Api) -> None:
    url, key = f"{PATIENTS}/{patient.id}/conditions", unique("key")
    answers = [
        user.patients.post(url, json={"name": unique("Mal")}, headers=keyed(key)) for user in (doctor, api.admin)
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["id"] != answers[1].json()["id"]


def test_a_key_used_for_another_resource_or_query_is_reused(doctor: User, patient: User) -> None:
    key, body = unique("key"), {"name": unique("Mal")}
    url = f"{PATIENTS}/{patient.id}/conditions"
    assert doctor.patients.post(url, json=body, headers=keyed(key)).status_code == 201
    elsewhere = doctor.patients.post(f"{PATIENTS}/{patient.id}/family-history", json=body, headers=keyed(key))
    assert_problem(elsewhere, 422, "idempotency_key_reused")
    key, person = unique("key"), patient_body()
    assert doctor.patients.post(PATIENTS, json=person, headers=keyed(key)).status_code == 201
    otherwise = doctor.patients.post(PATIENTS, params={"allow_duplicate": True}, json=person, headers=keyed(key))
    assert_problem(otherwise, 422, "idempotency_key_reused")


def test_a_refusal_is_not_kept(api: Api, institution: User, patient: User) -> None:
    key, url = unique("key"), f"{PATIENTS}/{patient.id}/emails"
    email = {"email_address": f"{unique('otro')}@example.com"}
    assert patient.patients.post(url, json=email).status_code == 201
    assert_problem(patient.patients.post(url, json=email, headers=keyed(key)), 409, "already_recorded")
    assert_problem(
        patient.patients.post(url, json={"email_address": "x"}, headers=keyed(key)), 422, "validation_failed"
    )
    other = {"email_address": f"{unique('otro')}@example.com"}
    assert patient.patients.post(url, json=other, headers=keyed(key)).status_code == 201
    taken = doctor_body(institution.id, contact_email={"email_address": institution.email})
    assert_problem(api.admin.doctors.post(DOCTORS, json=taken, headers=keyed(key)), 409, "email_taken")
    free = doctor_body(institution.id)
    assert api.admin.doctors.post(DOCTORS, json=free, headers=keyed(key)).status_code == 201


def test_whoever_may_no_longer_gets_no_answer_of_before(api: Api, institution: User) -> None:
    doctor, other = api.new_doctor(institution), api.new_doctor(institution)
    patient, key = api.new_patient(doctor), unique("key")
    url, body = f"{PATIENTS}/{patient.id}/conditions", {"name": unique("Mal")}
    assert doctor.patients.post(url, json=body, headers=keyed(key)).status_code == 201
    assert api.admin.patients.put(f"{PATIENTS}/{patient.id}", json={"doctor_id": other.id}).status_code == 200
    assert_problem(doctor.patients.post(url, json=body, headers=keyed(key)), 404, "patient_not_found")
    assert_problem(api.anonymous.patients.post(url, json=body, headers=keyed(key)), 401, "unauthenticated")
    assert doctor.auth.post("/auth/logout").status_code == 200
    assert_problem(doctor.patients.post(url, json=body, headers=keyed(key)), 401, "unauthenticated")


def test_an_appointment_that_has_become_past_gives_its_answer_too(patient: User) -> None:
    url, lead = f"{PATIENTS}/{patient.id}/appointments", timedelta(seconds=0.25)
    while True:  # as soon as this machine manages
        lead, key = lead * 2, unique("key")
        soon = datetime.now(UTC) + lead
        body = {"starts_at": soon.isoformat(), "duration_minutes": 5}
        if (first := patient.patients.post(url, json=body, headers=keyed(key))).status_code == 201:
            break
        assert lead < timedelta(seconds=SECONDS), first.text
    time.sleep(max(0.0, (soon - datetime.now(UTC)).total_seconds()) + 0.01)
    assert told(patient.patients.post(url, json=body, headers=keyed(key))) == told(first)
    problem = assert_problem(patient.patients.post(url, json=body), 422, "validation_failed")
    assert problem["errors"][0]["field"] == "starts_at"


def test_the_reading_of_an_answer_of_before_is_recorded(doctor: User, patient: User, owner: RealDictCursor) -> None:
    url, key, body = f"{PATIENTS}/{patient.id}/conditions", unique("key"), {"name": unique("Mal")}
    doctor.patients.post(url, json=body, headers=keyed(key))
    again = doctor.patients.post(url, json=body, headers=keyed(key))
    owner.execute(
        "SELECT actor_id, action, resource, patient_ids::text[] FROM audit_events WHERE request_id = %s",
        (again.headers["x-request-id"],),
    )
    assert [dict(row) for row in owner.fetchall()] == [
        {"actor_id": UUID(doctor.id), "action": "read", "resource": "condition", "patient_ids": [patient.id]}
    ]


def test_nothing_of_the_request_is_kept_but_a_keyed_hash(api: Api, institution: User, owner: RealDictCursor) -> None:
    key, password = unique("key"), unique("a password that is kept nowhere")
    body = doctor_body(institution.id, password=password)
    answer = api.admin.doctors.post(DOCTORS, json=body, headers=keyed(key))
    owner.execute("SELECT fingerprint, idempotency_keys::text AS row FROM idempotency_keys WHERE key = %s", (key,))
    (kept,) = owner.fetchall()
    assert password not in kept["row"]
    assert len(kept["fingerprint"]) == 32
    assert bytes(kept["fingerprint"]) != hashlib.sha256(answer.request.content).digest()


def test_after_a_day_the_key_is_free_and_the_answer_gone(doctor: User, patient: User, owner: RealDictCursor) -> None:
    url, keys = f"{PATIENTS}/{patient.id}/phones", [unique("key") for _ in range(2)]

    def add(key: str) -> httpx.Response:
        return patient.patients.post(url, json={"phone_number": str(uuid4().int)[:15]}, headers=keyed(key))

    assert [add(key).status_code for key in keys] == [201, 201]
    owner.execute(
        "UPDATE idempotency_keys SET created_at = now() - interval '23 hours 59 minutes' WHERE key = ANY (%s)", (keys,)
    )
    assert_problem(add(keys[0]), 422, "idempotency_key_reused")
    owner.execute("UPDATE idempotency_keys SET created_at = now() - interval '24 hours' WHERE key = ANY (%s)", (keys,))
    assert add(keys[0]).status_code == 201
    owner.execute("SELECT key FROM idempotency_keys WHERE key = ANY (%s)", (keys,))
    assert [row["key"] for row in owner.fetchall()] == [keys[0]]


def test_of_many_at_once_one_creates_and_the_others_say_the_same_or_wait(
    api: Api, institution: User, doctor: User, patient: User, owner: RealDictCursor
) -> None:
    threads = 20
    for service, url, make, table, column in (
        ("patients", PATIENTS, lambda: patient_body(doctor_id=doctor.id), "patients", "last_name"),
        ("doctors", DOCTORS, lambda: doctor_body(institution.id), "doctors", "last_name"),
        (
            *("patients", f"{PATIENTS}/{patient.id}/addresses"),
            lambda: {"street_address": unique("Calle"), "city": "Puebla"},
            *("addresses", "street_address"),
        ),
    ):
        body, key, start = make(), unique("key"), threading.Barrier(threads)
        client: httpx.Client = getattr(api.admin, service)

        def create(
            _: int,
            client: httpx.Client = client,
            url: str = url,
            body: dict[str, Any] = body,
            key: str = key,
            start: threading.Barrier = start,
        ) -> httpx.Response:
            start.wait(SECONDS)
            return client.post(url, json=body, headers=keyed(key))

        with ThreadPoolExecutor(threads) as pool:
            answers = list(pool.map(create, range(threads)))
        assert_one_creation(answers)
        owner.execute(f"SELECT count(*) AS count FROM {table} WHERE {column} = %s", (body[column],))
        assert owner.fetchone()["count"] == 1
        assert told(client.post(url, json=body, headers=keyed(key))) in {told(answer) for answer in answers}


def assert_one_creation(answers: list[httpx.Response]) -> None:
    """All say the same 201, or that it is under way."""
    assert len({told(answer) for answer in answers if answer.status_code == 201}) == 1, Counter(
        answer.text for answer in answers
    )
    for answer in answers:
        if answer.status_code != 201:
            assert_problem(answer, 409, "idempotency_key_in_use")
            assert int(answer.headers["retry-after"]) > 0


@pytest.mark.anyio
async def test_two_processes_that_get_it_at_once_create_it_once(
    fleet: Fleet, api: Api, institution: User, owner: RealDictCursor
) -> None:
    async with serving(fleet, "doctors") as app, client_of(app, "127.0.0.1", api.admin.token) as here:
        headers = {"Authorization": f"Bearer {api.admin.token}"}
        async with httpx.AsyncClient(base_url=fleet.urls["doctors"], headers=headers, timeout=SECONDS) as there:
            for _ in range(8):
                body, key, answers = doctor_body(institution.id), unique("key"), list[httpx.Response]()

                async def create(
                    client: httpx.AsyncClient,
                    body: dict[str, Any] = body,
                    key: str = key,
                    answers: list[httpx.Response] = answers,
                ) -> None:
                    answers.append(await client.post(DOCTORS, json=body, headers=keyed(key)))

                async with anyio.create_task_group() as group:
                    for client in (here, there) * 2:
                        group.start_soon(create, client)
                assert_one_creation(answers)
                owner.execute("SELECT count(*) AS count FROM doctors WHERE last_name = %s", (body["last_name"],))
                assert owner.fetchone()["count"] == 1


@contextmanager
def locked(owner: RealDictCursor, table: str) -> Iterator[None]:
    """While the block runs nobody writes into `table`: who wants to, waits for a second and then gives up (503)."""
    owner.execute("BEGIN")
    try:
        owner.execute(f"LOCK TABLE {table} IN SHARE MODE")
        yield
    finally:
        owner.execute("ROLLBACK")


@pytest.mark.parametrize("table", ["patients", "idempotency_keys"])
def test_while_the_first_is_under_way_the_second_is_told_to_wait(
    doctor: User, owner: RealDictCursor, table: str
) -> None:
    body, key, refused = patient_body(), unique("key"), list[httpx.Response]()

    def create(_: int = 0) -> httpx.Response:
        return doctor.patients.post(PATIENTS, json=body, headers=keyed(key))

    deadline = time.monotonic() + SECONDS
    with locked(owner, table), ThreadPoolExecutor(2) as pool:
        while not refused:  # a busy machine may be done with the one before it begins the other
            assert time.monotonic() < deadline
            refused = [answer for answer in pool.map(create, range(2)) if answer.status_code != 503]
    for answer in refused:
        assert_problem(answer, 409, "idempotency_key_in_use")
        assert int(answer.headers["retry-after"]) > 0
    first = create()
    assert first.status_code == 201, "nobody holds the key any more"
    assert told(create()) == told(first)


@pytest.mark.parametrize("table", ["patients", "idempotency_keys"])
def test_killed_in_the_middle_it_can_be_sent_again_at_once(
    fleet: Fleet, doctor: User, owner: RealDictCursor, table: str
) -> None:
    """Before the entity is written, and after it, before the commit."""
    body, key = patient_body(), unique("key")

    def create() -> httpx.Response:
        return doctor.patients.post(PATIENTS, json=body, headers=keyed(key))

    try:
        with locked(owner, table), ThreadPoolExecutor(1) as pool:
            under_way = pool.submit(create)
            while not under_way.done() and not waiting_for(owner, table):
                time.sleep(0.005)
            fleet.services["patients"].kill()
            # 503: on a busy machine it may have given up before the kill
            assert isinstance(under_way.exception(SECONDS), httpx.TransportError) or (
                under_way.result().status_code == 503
            )
    finally:
        fleet.services["patients"].start()
    first = create()
    assert first.status_code == 201, first.text
    assert told(create()) == told(first)
    owner.execute("SELECT id FROM patients WHERE last_name = %s", (body["last_name"],))
    assert [str(row["id"]) for row in owner.fetchall()] == [first.json()["id"]]


def waiting_for(owner: RealDictCursor, table: str) -> bool:
    owner.execute("SELECT FROM pg_locks WHERE relation = %s::regclass AND NOT granted", (table,))
    return bool(owner.rowcount)


def test_a_creation_that_was_committed_but_never_answered_is_answered_when_it_is_sent_again(
    fleet: Fleet, doctor: User, owner: RealDictCursor
) -> None:
    """Killed at any moment, many times: whatever was sent again until it was answered is there once."""
    sent: list[dict[str, Any]] = []
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            body, key = patient_body(), unique("key")
            sent.append(body)
            while True:
                try:
                    answer = doctor.patients.post(PATIENTS, json=body, headers=keyed(key))
                except httpx.TransportError:
                    time.sleep(0.02)
                    continue
                if answer.status_code == 201:
                    break
                assert answer.status_code in (409, 503), answer.text
                assert answer.json()["code"] != "email_taken"

    with ThreadPoolExecutor(3) as pool:
        working = [pool.submit(work) for _ in range(3)]
        try:
            for pause in (0.2, 0.5):
                time.sleep(pause)
                fleet.services["patients"].kill()
                fleet.services["patients"].start()
        finally:
            stop.set()
        for done in working:
            done.result(SECONDS)
    names = [body["last_name"] for body in sent]
    owner.execute("SELECT last_name FROM patients WHERE last_name = ANY (%s)", (names,))
    assert sorted(row["last_name"] for row in owner.fetchall()) == sorted(names)
