"""A doctor's appointments: the list, its days, and how many are today's where the institution is."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from doctors_app import appointments_db, db
from psycopg2.extras import RealDictCursor

from shared import audit
from shared.caller import Caller
from shared.postgres import Database
from tests.support import Api, User, assert_problem

PATH = "/api/v1/doctors/me/appointments"
FIELDS = {
    *("id", "patient_id", "doctor_id", "doctor_name", "patient_name", "starts_at", "ends_at", "duration_minutes"),
    *("reason", "status", "created_at"),
}
# The region of an institution (none: unknown) and the time zone that follows.
REGIONS = {
    **{2: "America/Tijuana", 3: "America/Mazatlan", 8: "America/Chihuahua", 9: "America/Mexico_City"},
    **{19: "America/Monterrey", 23: "America/Cancun", 26: "America/Hermosillo", 31: "America/Merida"},
    **{840025: "America/New_York", None: "America/Mexico_City"},
}


def place(region_id: int | None) -> dict[str, Any]:
    return {"address": {"street_address": "Calle 1", "city": "Centro", "region_id": region_id}}


def book(user: User, patient: User, starts_at: datetime, **more: Any) -> dict[str, Any]:
    body = {"starts_at": starts_at.isoformat(), **more}
    answer = user.patients.post(f"/api/v1/patients/{patient.id}/appointments", json=body)
    assert answer.status_code == 201, answer.text
    appointment: dict[str, Any] = answer.json()
    return appointment


def listed(doctor: User, **query: Any) -> list[dict[str, Any]]:
    answer = doctor.doctors.get(PATH, params=query)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def insert(owner: RealDictCursor, patient: User, doctor: User, starts: list[str]) -> None:
    for start in starts:
        owner.execute(
            "INSERT INTO appointments (patient_id, doctor_id, starts_at, ends_at) "
            "SELECT %s, %s, at, at + interval '5 minutes' FROM CAST(%s AS timestamptz) AS at",
            [patient.id, doctor.id, start],
        )


async def today(database: Database, doctor: User, now: str) -> int:
    row = await db.count_dashboard(database, UUID(doctor.id), datetime.fromisoformat(now))
    return int(row["today_appointments"])


async def starts_of_day(database: Database, doctor: User, day: date) -> list[str]:
    event = audit.parameters("tests", Caller("doctor", UUID(doctor.id)), "read", "appointments")
    rows = await appointments_db.list_appointments(database, UUID(doctor.id), day, None, [None, None], 50, event)
    return [row["starts_at"].isoformat() for row in rows]


def test_only_a_doctor_has_appointments_here(api: Api, institution: User, doctor: User) -> None:
    patient = api.new_patient(doctor)
    for user in (patient, institution, api.admin):
        assert_problem(user.doctors.get(PATH), 403, "forbidden")
    assert_problem(api.anonymous.doctors.get(PATH), 401, "unauthenticated")


def test_the_list_is_the_doctors_own_by_start_with_every_field(api: Api, institution: User, doctor: User) -> None:
    own = api.new_doctor(institution)
    patient, colleagues = api.new_patient(own, institution), api.new_patient(doctor, institution)
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    appointments = [book(patient, patient, start + timedelta(days=day), reason="Control") for day in (2, 0, 1)]
    book(colleagues, colleagues, start)
    appointments.sort(key=lambda appointment: str(appointment["starts_at"]))
    assert listed(own) == appointments and set(appointments[0]) == FIELDS
    seen, cursor = [], None
    for _ in range(2):
        page = own.doctors.get(PATH, params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += page["items"]
        cursor = page["next_cursor"]
    assert cursor is None and seen == appointments
    path = f"/api/v1/patients/{patient.id}/appointments/{appointments[0]['id']}"
    assert own.patients.patch(path, json={"status": "cancelled"}).status_code == 200
    assert [one["id"] for one in listed(own, status="cancelled")] == [appointments[0]["id"]]
    assert listed(own, status="scheduled") == appointments[1:]


@pytest.mark.parametrize(
    "query", [{"date": "tomorrow"}, {"date": "2026-01-01T00:00:00Z"}, {"status": "done"}, {"day": "x"}]
)
def test_a_wrong_filter_is_named(doctor: User, query: dict[str, str]) -> None:
    problem = assert_problem(doctor.doctors.get(PATH, params=query), 422, "validation_failed")
    assert [error["field"] for error in problem["errors"]] == list(query)


def test_a_cursor_serves_its_own_filters_only(api: Api, institution: User) -> None:
    own = api.new_doctor(institution)
    patient = api.new_patient(own)
    for day in (1, 2):
        book(patient, patient, datetime.now(UTC) + timedelta(days=day))
    cursor = own.doctors.get(PATH, params={"limit": 1}).json()["next_cursor"]
    for other in ({"status": "scheduled"}, {"date": "2026-01-01"}):
        answer = own.doctors.get(PATH, params={"limit": 1, "cursor": cursor, **other})
        assert_problem(answer, 400, "invalid_cursor")


def test_patients_who_left_are_neither_shown_nor_counted(api: Api, institution: User) -> None:
    own, successor = api.new_doctor(institution), api.new_doctor(institution)
    moved, deleted, kept = (api.new_patient(own, institution) for _ in range(3))
    now = datetime.now(UTC).replace(microsecond=0)
    for number, patient in enumerate((moved, deleted, kept)):
        # Written down afterwards: they are in the past, so that nothing cancels them.
        book(own, patient, now - timedelta(minutes=10 * (number + 1)), duration_minutes=5)
    owners = {"doctor_id": successor.id}
    assert institution.patients.put(f"/api/v1/patients/{moved.id}", json=owners).status_code == 200
    assert institution.patients.delete(f"/api/v1/patients/{deleted.id}").status_code == 204
    assert [one["patient_id"] for one in listed(own)] == [kept.id]
    assert listed(successor) == []


def test_the_dashboard_counts_today_without_what_is_cancelled(api: Api) -> None:
    # Where today does not end while this runs.
    ends_soon = datetime.now(ZoneInfo(REGIONS[9])).hour == 23
    institution = api.new_institution(**place(840025 if ends_soon else 9))
    own = api.new_doctor(institution)
    patient = api.new_patient(own, institution)

    def counted() -> int:
        return int(own.doctors.get("/api/v1/doctors/me/dashboard").json()["today_appointments"])

    assert counted() == 0
    now = datetime.now(UTC).replace(microsecond=0)
    first = book(own, patient, now)
    book(own, patient, now + timedelta(days=2))
    assert counted() == 1
    for status, expected in (("confirmed", 1), ("cancelled", 0)):
        path = f"/api/v1/patients/{patient.id}/appointments/{first['id']}"
        assert own.patients.patch(path, json={"status": status}).status_code == 200
        assert counted() == expected


def test_every_region_has_a_time_zone_that_the_database_knows(owner: RealDictCursor) -> None:
    owner.execute("SELECT id, time_zone FROM regions WHERE time_zone NOT IN (SELECT name FROM pg_timezone_names)")
    assert owner.fetchall() == []
    owner.execute("SELECT id, time_zone FROM regions WHERE id = ANY (%s)", [[r for r in REGIONS if r]])
    assert {row["id"]: row["time_zone"] for row in owner.fetchall()} == {r: z for r, z in REGIONS.items() if r}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("region_id", "first", "last"),
    [
        # The first and last moments of 14 July 2026 where the institution is, in UTC: with and without summer time.
        (None, "2026-07-14T06:00:00+00:00", "2026-07-15T05:59:59+00:00"),
        (2, "2026-07-14T07:00:00+00:00", "2026-07-15T06:59:59+00:00"),
        (3, "2026-07-14T07:00:00+00:00", "2026-07-15T06:59:59+00:00"),
        (23, "2026-07-14T05:00:00+00:00", "2026-07-15T04:59:59+00:00"),
        (840025, "2026-07-14T04:00:00+00:00", "2026-07-15T03:59:59+00:00"),
    ],
)
async def test_a_day_is_that_of_the_institution(
    api: Api, owner: RealDictCursor, database: Database, region_id: int | None, first: str, last: str
) -> None:
    institution = api.new_institution(**(place(region_id) if region_id else {}))
    own = api.new_doctor(institution)
    patient = api.new_patient(own)
    second = timedelta(seconds=1)
    before = (datetime.fromisoformat(first) - second).isoformat()
    after = (datetime.fromisoformat(last) + second).isoformat()
    insert(owner, patient, own, [(datetime.fromisoformat(first) - timedelta(minutes=5)).isoformat(), first, after])
    assert await starts_of_day(database, own, date(2026, 7, 14)) == [first]
    for now, expected in ((before, 1), (first, 1), (last, 1), (after, 1)):
        assert await today(database, own, now) == expected
    insert(owner, patient, own, [(datetime.fromisoformat(last) - timedelta(minutes=5)).isoformat()])
    assert [await today(database, own, now) for now in (before, first, last, after)] == [1, 2, 2, 1]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("day", "hours", "first"),
    [
        (date(2026, 3, 8), 23, "2026-03-08T05:00:00+00:00"),
        (date(2026, 11, 1), 25, "2026-11-01T04:00:00+00:00"),
    ],
)
async def test_a_day_on_which_the_clocks_change_has_23_or_25_hours(
    api: Api, owner: RealDictCursor, database: Database, day: date, hours: int, first: str
) -> None:
    own = api.new_doctor(api.new_institution(**place(840025)))
    patient = api.new_patient(own)
    start = datetime.fromisoformat(first)
    every_hour = [(start + timedelta(hours=hour)).isoformat() for hour in range(-2, hours + 2)]
    insert(owner, patient, own, every_hour)
    assert await starts_of_day(database, own, day) == every_hour[2:-2]
    for hour in (0, hours - 1):
        assert await today(database, own, (start + timedelta(hours=hour, minutes=59)).isoformat()) == hours
    assert await today(database, own, (start + timedelta(hours=hours)).isoformat()) == 2


def test_whom_a_page_shows_is_in_the_audit_trail(api: Api, institution: User, owner: RealDictCursor) -> None:
    own = api.new_doctor(institution)
    patients = [api.new_patient(own) for _ in range(3)]
    for day, patient in enumerate(patients, start=1):
        book(own, patient, datetime.now(UTC) + timedelta(days=day))
    assert len(listed(own, limit=2)) == 2
    assert listed(own, date="2001-01-01") == []
    owner.execute(
        "SELECT patient_ids::text[] AS ids FROM audit_events WHERE actor_id = %s AND resource = 'appointments'",
        [own.id],
    )
    assert [set(row["ids"]) for row in owner.fetchall()] == [{patient.id for patient in patients[:2]}]
