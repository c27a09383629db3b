"""Appointments: made, moved, listed; a doctor is never in two places; what becomes of them when people leave."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count, product
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from patients_app.activity import describe
from patients_app.appointments import NewAppointment, end_of
from patients_app.appointments_db import LIST_APPOINTMENTS, hold_slots
from patients_app.errors import EndRejected
from psycopg2.extras import RealDictCursor

from shared import audit
from shared.caller import Caller
from shared.errors import DatabaseUnavailable
from shared.postgres import Database
from shared.prepared import Prepared
from tests.patients.conftest import Care
from tests.support import Api, User, assert_problem

FIELDS = {
    *("id", "patient_id", "doctor_id", "doctor_name", "patient_name", "starts_at", "ends_at", "duration_minutes"),
    *("reason", "status", "created_at"),
}
# Another day for each appointment of the module: only tests about slots want two to meet.
_days = count(2)


def free_start() -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=next(_days))


def path_of(patient: User, rest: str = "") -> str:
    return f"/api/v1/patients/{patient.id}/appointments{rest}"


def book(user: User, patient: User, starts_at: datetime | str | None = None, **more: Any) -> httpx.Response:
    starts_at = starts_at or free_start()
    text = starts_at if isinstance(starts_at, str) else starts_at.isoformat()
    return user.patients.post(path_of(patient), json={"starts_at": text, **more})


def booked(user: User, patient: User, starts_at: datetime | None = None, **more: Any) -> dict[str, Any]:
    answer = book(user, patient, starts_at, **more)
    assert answer.status_code == 201, answer.text
    appointment: dict[str, Any] = answer.json()
    return appointment


def move(user: User, patient: User, appointment: dict[str, Any], status: str) -> httpx.Response:
    return user.patients.patch(path_of(patient, f"/{appointment['id']}"), json={"status": status})


def listed(user: User, patient: User, **query: Any) -> list[dict[str, Any]]:
    answer = user.patients.get(path_of(patient), params=query)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def status_of(user: User, patient: User, appointment: dict[str, Any]) -> str:
    return str(user.patients.get(path_of(patient, f"/{appointment['id']}")).json()["status"])


def fields(problem: dict[str, Any]) -> list[str]:
    return [error["field"] for error in problem["errors"]]


@pytest.fixture
def own(api: Api, care: Care) -> Care:
    """A doctor of `care`'s institution with one patient, and nothing booked."""
    doctor = api.new_doctor(care.institution)
    return Care(care.institution, doctor, api.new_patient(doctor, care.institution))


# When one ends, without a server.


@pytest.mark.parametrize(
    ("given", "minutes"),
    [
        ({}, 30),
        ({"duration_minutes": 5}, 5),
        ({"duration_minutes": 480}, 480),
        ({"ends_at": "2026-01-01T10:05:00Z"}, 5),
        ({"ends_at": "2026-01-01T12:00:00-06:00"}, 480),
        ({"ends_at": "2026-01-01T10:45:00Z", "duration_minutes": 45}, 45),
        ({"ends_at": "2026-01-01T10:04:00Z"}, None),
        ({"ends_at": "2026-01-01T18:01:00Z"}, None),
        ({"ends_at": "2026-01-01T10:30:30Z"}, None),
        ({"ends_at": "2026-01-01T09:30:00Z"}, None),
        ({"ends_at": "2026-01-01T10:45:00Z", "duration_minutes": 30}, None),
    ],
)
def test_an_end_is_5_to_480_minutes_away_and_what_the_duration_says(given: dict[str, Any], minutes: int | None) -> None:
    new = NewAppointment(starts_at="2026-01-01T10:00:00Z", **given)  # type: ignore[arg-type]
    if minutes is None:
        with pytest.raises(EndRejected):
            end_of(new)
    else:
        assert end_of(new) == datetime(2026, 1, 1, 10, tzinfo=UTC) + timedelta(minutes=minutes)


# Who may, and what they get.


def test_each_who_may_books_and_sees_the_same(api: Api, care: Care) -> None:
    for user in (care.patient, care.doctor, care.institution, api.admin):
        start = free_start()
        answer = book(user, care.patient, start, duration_minutes=45, reason="  Revisión ", doctor_id=care.doctor.id)
        assert answer.status_code == 201, answer.text
        appointment = answer.json()
        assert set(appointment) == FIELDS
        assert (appointment["patient_id"], appointment["doctor_id"]) == (care.patient.id, care.doctor.id)
        assert appointment["patient_name"].startswith("José Núñez") and appointment["doctor_name"].startswith("Ana ")
        assert datetime.fromisoformat(appointment["starts_at"]) == start
        assert datetime.fromisoformat(appointment["ends_at"]) == start + timedelta(minutes=45)
        facts = (appointment["duration_minutes"], appointment["reason"], appointment["status"])
        assert facts == (45, "Revisión", "scheduled")
        for reader in (care.patient, care.doctor, care.institution, api.admin):
            assert reader.patients.get(answer.headers["location"]).json() == appointment
            assert appointment in listed(reader, care.patient)


def test_strangers_find_no_patient_and_no_appointment(api: Api, care: Care, others: Care) -> None:
    appointment = booked(care.patient, care.patient)
    one = path_of(care.patient, f"/{appointment['id']}")
    for stranger in (others.patient, others.doctor, others.institution):
        assert_problem(stranger.patients.get(path_of(care.patient)), 404, "patient_not_found")
        assert_problem(book(stranger, care.patient), 404, "patient_not_found")
        assert_problem(stranger.patients.get(one), 404, "appointment_not_found")
        assert_problem(move(stranger, care.patient, appointment, "cancelled"), 404, "patient_not_found")
        # Nor under another patient's name.
        assert_problem(move(stranger, others.patient, appointment, "cancelled"), 404, "appointment_not_found")
    for method, path in (("GET", path_of(care.patient)), ("POST", path_of(care.patient)), ("GET", one), ("PATCH", one)):
        assert_problem(api.anonymous.patients.request(method, path), 401, "unauthenticated")
    assert status_of(care.patient, care.patient, appointment) == "scheduled"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, ["starts_at"]),
        ({"starts_at": "2999-01-01T10:00:00"}, ["starts_at"]),
        ({"starts_at": "9999-12-31T23:59:59Z"}, ["starts_at"]),
        ({"starts_at": "2999-01-01T10:00:00Z", "duration_minutes": 4}, ["duration_minutes"]),
        ({"starts_at": "2999-01-01T10:00:00Z", "duration_minutes": 481}, ["duration_minutes"]),
        ({"starts_at": "2999-01-01T10:00:00Z", "ends_at": "2999-01-01T10:01:00Z"}, ["ends_at"]),
        ({"starts_at": "2999-01-01T10:00:00Z", "reason": "x" * 501}, ["reason"]),
        ({"starts_at": "2999-01-01T10:00:00Z", "doctor_id": str(uuid4())}, ["doctor_id"]),
        ({"starts_at": "2999-01-01T10:00:00Z", "status": "completed"}, ["status"]),
    ],
)
def test_a_422_names_the_field(care: Care, body: dict[str, Any], expected: list[str]) -> None:
    answer = care.patient.patients.post(path_of(care.patient), json=body)
    assert fields(assert_problem(answer, 422, "validation_failed")) == expected


def test_the_past_is_for_doctors_and_admins_to_write_down(api: Api, care: Care) -> None:
    for user, day in ((care.patient, 1), (care.institution, 2), (care.doctor, 3), (api.admin, 4)):
        answer = book(user, care.patient, datetime(2025, 1, day, 10, tzinfo=UTC))
        if user in (care.doctor, api.admin):
            assert answer.status_code == 201, answer.text
        else:
            assert fields(assert_problem(answer, 422, "validation_failed")) == ["starts_at"]


def test_an_appointment_is_with_the_patients_own_active_doctor(api: Api, care: Care, others: Care, own: Care) -> None:
    alone = api.new_patient(institution=care.institution)
    assert fields(assert_problem(book(alone, alone), 422, "validation_failed")) == ["doctor_id"]
    other = book(care.patient, care.patient, doctor_id=others.doctor.id)
    assert fields(assert_problem(other, 422, "validation_failed")) == ["doctor_id"]
    path, body = f"/api/v1/doctors/{own.doctor.id}/professional-status", {"professional_status": "suspended"}
    assert api.admin.doctors.post(path, json=body).status_code == 200
    assert fields(assert_problem(book(own.patient, own.patient), 422, "validation_failed")) == ["doctor_id"]


# Its states.

STATES = {
    "scheduled": [],
    "confirmed": ["confirmed"],
    "completed": ["confirmed", "completed"],
    "cancelled": ["cancelled"],
    "no_show": ["confirmed", "no_show"],
}
LEGAL = {
    *(("scheduled", status) for status in ("confirmed", "cancelled", "no_show")),
    *(("confirmed", status) for status in ("completed", "cancelled", "no_show")),
}


def test_only_legal_moves_are_made_and_every_other_is_a_409(own: Care) -> None:
    for before, after in product(STATES, STATES):
        appointment = booked(own.doctor, own.patient)
        for status in STATES[before]:
            assert move(own.doctor, own.patient, appointment, status).status_code == 200
        answer = move(own.patient, own.patient, appointment, after)
        if (before, after) in LEGAL:
            assert answer.status_code == 200, (before, after, answer.text)
            assert answer.json() == appointment | {"status": after}
        else:
            problem = assert_problem(answer, 409, "invalid_transition")
            assert {(before, status) for status in problem["allowed"]} == {m for m in LEGAL if m[0] == before}
            assert status_of(own.patient, own.patient, appointment) == before


def test_a_move_is_made_by_each_who_may_and_once(api: Api, own: Care) -> None:
    for user in (own.patient, own.doctor, own.institution, api.admin):
        appointment = booked(own.patient, own.patient)
        assert move(user, own.patient, appointment, "confirmed").json()["status"] == "confirmed"
        with ThreadPoolExecutor(2) as threads:
            moves = [threads.submit(move, user, own.patient, appointment, to) for to in ("completed", "cancelled")]
            assert sorted(answer.result().status_code for answer in moves) == [200, 409]
    for body in ({}, {"status": "postponed"}, {"status": "confirmed", "starts_at": "2999-01-01T10:00:00Z"}):
        answer = own.patient.patients.patch(path_of(own.patient, f"/{appointment['id']}"), json=body)
        assert_problem(answer, 422, "validation_failed")
    answer = own.patient.patients.patch(path_of(own.patient, f"/{uuid4()}"), json={"status": "confirmed"})
    assert_problem(answer, 404, "appointment_not_found")


# One place at a time.


@pytest.mark.parametrize(("shift", "minutes"), [(0, 30), (29, 30), (-29, 30), (10, 5), (-60, 120)])
def test_an_overlap_is_refused_and_the_slot_is_free_again_once_cancelled(
    api: Api, own: Care, shift: int, minutes: int
) -> None:
    other = api.new_patient(own.doctor)
    start = free_start()
    first = booked(own.patient, own.patient, start)
    overlapping = start + timedelta(minutes=shift)
    for status in (None, "confirmed"):
        if status:
            assert move(own.patient, own.patient, first, status).status_code == 200
        assert_problem(book(other, other, overlapping, duration_minutes=minutes), 409, "slot_taken")
    assert move(own.patient, own.patient, first, "cancelled").status_code == 200
    booked(other, other, overlapping, duration_minutes=minutes)


def test_the_next_begins_where_one_ends_and_another_doctor_has_slots_of_her_own(own: Care, others: Care) -> None:
    start = free_start()
    for shift in (0, 30, -30):
        booked(own.patient, own.patient, start + timedelta(minutes=shift))
    booked(others.patient, others.patient, start)


def test_of_twenty_who_book_a_slot_at_once_exactly_one_gets_it(api: Api, own: Care) -> None:
    """Overlaps, too: each begins a minute after the other. Nobody waits for a deadlock to be resolved: no 503."""
    patients = [own.patient, *(api.new_patient(own.doctor, own.institution) for _ in range(3))]
    users = [*patients, own.doctor, own.doctor, own.institution, api.admin]
    for spread in (0, 1) * 6:
        start, together = free_start(), Barrier(20)

        def attempt(number: int, start: datetime = start, spread: int = spread, together: Barrier = together) -> int:
            user = users[number % len(users)]
            patient = user if user in patients else patients[number % len(patients)]
            together.wait()
            return book(user, patient, start + timedelta(minutes=number * spread)).status_code

        with ThreadPoolExecutor(20) as threads:
            assert sorted(threads.map(attempt, range(20))) == [201] + [409] * 19


@pytest.mark.anyio
async def test_bookings_of_one_doctor_wait_for_each_other_before_they_insert(database: Database, own: Care) -> None:
    """At the exclusion constraint alone two that overlap may each wait for the other's end, until one is killed."""
    scope = {"caller_type": "admin", "caller_id": None}
    pair = (UUID(own.patient.id), UUID(own.doctor.id), scope)
    async with database.transaction() as first:
        await hold_slots(first, *pair)
        with pytest.raises(DatabaseUnavailable):
            async with database.transaction() as second:
                await second.execute("SET LOCAL lock_timeout = '50ms'")
                await hold_slots(second, *pair)


def test_who_cancels_and_who_books_at_once_leave_one_appointment(own: Care) -> None:
    for _ in range(8):
        start = free_start()
        first = booked(own.patient, own.patient, start)
        with ThreadPoolExecutor(3) as threads:
            cancelling = threads.submit(move, own.patient, own.patient, first, "cancelled")
            bookings = [threads.submit(book, own.doctor, own.patient, start) for _ in range(2)]
            assert cancelling.result().status_code == 200
            assert sorted(booking.result().status_code for booking in bookings) in ([201, 409], [409, 409])
        live = [a for a in listed(own.doctor, own.patient, **{"from": start.isoformat()}) if a["status"] != "cancelled"]
        assert len(live) <= 1


# The list.


def test_the_list_is_by_start_walked_page_by_page_and_filtered(own: Care) -> None:
    start = datetime(2999, 5, 1, 10, tzinfo=UTC)
    starts = [start + timedelta(days=day) for day in (3, 0, 4, 1, 2)]
    appointments = sorted((booked(own.patient, own.patient, at) for at in starts), key=lambda a: str(a["starts_at"]))
    seen, cursor = [], None
    for _ in range(3):
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = own.patient.patients.get(path_of(own.patient), params=query).json()
        seen += page["items"]
        cursor = page["next_cursor"]
        # What begins before the place in the list does not move it.
        booked(own.doctor, own.patient, start - timedelta(days=next(_days)))
    assert cursor is None and seen == appointments
    bounds = {"from": "2999-05-02", "to": "2999-05-03T10:00:00Z"}
    assert listed(own.patient, own.patient, **bounds) == appointments[1:3]
    assert move(own.patient, own.patient, appointments[1], "cancelled").status_code == 200
    assert [a["id"] for a in listed(own.patient, own.patient, status="cancelled")] == [appointments[1]["id"]]
    assert listed(own.patient, own.patient, **bounds, status="scheduled") == appointments[2:3]
    cursor = own.patient.patients.get(path_of(own.patient), params={"limit": 1}).json()["next_cursor"]
    other = own.patient.patients.get(path_of(own.patient), params={"limit": 1, "cursor": cursor, "status": "no_show"})
    assert_problem(other, 400, "invalid_cursor")


def test_a_page_of_many_is_read_from_its_index(own: Care, owner: RealDictCursor) -> None:
    owner.execute(
        "INSERT INTO appointments (patient_id, doctor_id, starts_at, ends_at, status) "
        "SELECT %s, %s, at, at + interval '30 minutes', 'cancelled' "
        "FROM generate_series(timestamptz '2000-01-01', '2000-04-14', interval '30 minutes') at",
        [own.patient.id, own.doctor.id],
    )
    owner.execute("ANALYZE appointments")
    filters = {"status": None, "from": None, "to": None}
    place = {"after_starts_at": "2000-02-01", "after_id": str(uuid4()), "limit": 50, "patient_id": own.patient.id}
    event = audit.parameters("tests", Caller("admin", UUID(own.patient.id)), "read", "appointments")
    scope = {"caller_type": "admin", "caller_id": None}
    # Whatever else lies in the table: that the index can serve the page, not what the planner thinks of so small a one.
    owner.execute("SET enable_seqscan = off; SET enable_bitmapscan = off; SET plan_cache_mode = force_generic_plan")
    parameters = {**filters, **place, **event, **scope}
    statement = LIST_APPOINTMENTS.given(parameters)
    assert isinstance(statement, Prepared)
    owner.execute(statement.preparation)
    owner.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + statement.execution, parameters)
    plan = owner.fetchone()["QUERY PLAN"][0]["Plan"]  # type: ignore[index]
    scans = [node for node in nodes_of(plan) if node.get("Relation Name") == "appointments"]
    assert [(scan["Index Name"], scan["Actual Rows"]) for scan in scans] == [("ix_appointments_patient", 51)]


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes_of(child)


# When people leave.


def test_a_patient_who_changes_doctors_loses_what_was_ahead_with_the_former_one(api: Api, own: Care) -> None:
    start = free_start()
    ahead = booked(own.patient, own.patient, start)
    past = booked(own.doctor, own.patient, datetime(2024, 1, 1, tzinfo=UTC))
    successor = api.new_doctor(own.institution)
    path = f"/api/v1/patients/{own.patient.id}"
    assert own.institution.patients.put(path, json={"doctor_id": own.doctor.id}).status_code == 200
    assert status_of(own.patient, own.patient, ahead) == "scheduled"
    assert own.institution.patients.put(path, json={"doctor_id": successor.id}).status_code == 200
    assert status_of(own.patient, own.patient, ahead) == "cancelled"
    assert status_of(own.patient, own.patient, past) == "scheduled"
    other = api.new_patient(own.doctor)
    booked(other, other, start)
    assert booked(own.patient, own.patient)["doctor_id"] == successor.id


def test_who_is_deleted_leaves_nothing_ahead_and_a_trace_of_it(api: Api, own: Care, owner: RealDictCursor) -> None:
    leaving, start = api.new_patient(own.doctor, own.institution), free_start()
    lost, kept = booked(leaving, leaving, start), booked(own.patient, own.patient)
    assert own.institution.patients.delete(f"/api/v1/patients/{leaving.id}").status_code == 204
    booked(own.patient, own.patient, start)
    assert status_of(own.patient, own.patient, kept) == "scheduled"
    assert api.admin.doctors.delete(f"/api/v1/doctors/{own.doctor.id}").status_code == 204
    assert status_of(own.patient, own.patient, kept) == "cancelled"
    assert api.admin.patients.post(f"/api/v1/patients/{leaving.id}/restore").status_code == 200
    assert status_of(api.admin, leaving, lost) == "cancelled"
    for patient, actor in ((leaving, own.institution), (own.patient, api.admin)):
        owner.execute(
            "SELECT actor_id::text FROM audit_events WHERE patient_ids @> ARRAY[%s::uuid] AND resource = 'appointment' "
            "AND action = 'update' AND detail = '{\"to\": \"cancelled\"}'",
            [patient.id],
        )
        assert [row["actor_id"] for row in owner.fetchall()] == [actor.id]


def test_every_touch_is_in_the_audit_trail_without_the_reason(own: Care, owner: RealDictCursor) -> None:
    appointment = booked(own.patient, own.patient, reason="secreto")
    assert move(own.doctor, own.patient, appointment, "confirmed").status_code == 200
    listed(own.institution, own.patient)
    assert status_of(own.institution, own.patient, appointment) == "confirmed"
    owner.execute(
        "SELECT actor_type, action, resource, detail FROM audit_events "
        "WHERE patient_ids @> ARRAY[%s::uuid] AND resource LIKE 'appointment%%' ORDER BY id",
        [own.patient.id],
    )
    assert [tuple(row.values()) for row in owner.fetchall()] == [
        ("patient", "create", "appointment", {"appointment_id": appointment["id"]}),
        (
            *("doctor", "update", "appointment"),
            {"appointment_id": appointment["id"], "from": "scheduled", "to": "confirmed"},
        ),
        ("institution", "read", "appointments", {}),
        ("institution", "read", "appointments", {}),
    ]


# The patient's dashboard.


def test_the_dashboard_shows_the_next_five_that_take_place(own: Care) -> None:
    def shown() -> Any:
        return own.patient.patients.get(f"/api/v1/patients/{own.patient.id}/dashboard").json()["appointments"]

    assert shown() == []
    booked(own.doctor, own.patient, datetime(2024, 1, 1, tzinfo=UTC))
    under_way = booked(own.doctor, own.patient, datetime.now(UTC) - timedelta(minutes=10))
    ahead = [booked(own.patient, own.patient) for _ in range(6)]
    assert move(own.patient, own.patient, ahead[0], "cancelled").status_code == 200
    confirmed = move(own.patient, own.patient, ahead[2], "confirmed").json()
    assert shown() == [under_way, ahead[1], confirmed, ahead[3], ahead[4]]


def test_recent_activity_is_the_last_ten_events_in_the_readers_language(own: Care, owner: RealDictCursor) -> None:
    def shown(language: str) -> Any:
        path = f"/api/v1/patients/{own.patient.id}/dashboard"
        return own.patient.patients.get(path, headers={"Accept-Language": language}).json()["recent_activity"]

    assert shown("es") == []
    base = f"/api/v1/patients/{own.patient.id}"
    pressure = [{"code": "8480-6", "value": 120, "unit": "mm[Hg]"}, {"code": "8462-4", "value": 80, "unit": "mm[Hg]"}]
    for path, body in (
        ("/observations", {"observations": [{**one, "effective_at": "2025-02-03T04:05:06Z"} for one in pressure]}),
        ("/conditions", {"name": "Asma"}),
        ("/medications", {"name": "Salbutamol"}),
        ("/allergies", {"name": "Penicilina"}),
        ("/validation", {"status": "validated_by_doctor"}),
        ("/observations", {"code": "29463-7", "value": 70, "unit": "kg"}),
    ):
        answer = own.doctor.patients.post(base + path, json=body)
        assert answer.status_code in (200, 201), answer.text
    appointment = booked(own.patient, own.patient)
    assert move(own.patient, own.patient, appointment, "cancelled").status_code == 200
    with_whom = appointment["doctor_name"]
    spanish, english = shown("es"), shown("en")
    assert [(event["kind"], event["description"]) for event in spanish] == [
        ("appointment", f"Cita cancelada con {with_whom}"),
        ("observation", "Medición: Peso corporal"),
        ("validation", "Validado por su médico"),
        ("allergy", "Alergia registrada: Penicilina"),
        ("medication", "Medicamento registrado: Salbutamol"),
        ("condition", "Padecimiento registrado: Asma"),
        ("observation", "Medición: Presión arterial diastólica, Presión arterial sistólica"),
    ]
    assert english[1]["description"] == "Measured: Body weight" and len(english) == len(spanish)
    assert set(english[0]) == {"kind", "description", "occurred_at"}
    assert english[-1]["occurred_at"] == "2025-02-03T04:05:06Z"
    for _ in range(6):
        booked(own.patient, own.patient)
    assert [event["kind"] for event in shown("en")] == ["appointment"] * 7 + ["observation", "validation", "allergy"]


def test_every_status_has_words_in_both_languages() -> None:
    states = {"appointment": STATES, "validation": ("pending", "validated_by_doctor", "validated_by_institution")}
    for kind, of_kind in states.items():
        for state in of_kind:
            event = {"kind": kind, "state": state, "subject": "{x}", "occurred_at": None}
            spanish, english = (describe([event], language)[0]["description"] for language in ("es", "en"))
            assert spanish and english and spanish != english
