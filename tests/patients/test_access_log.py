"""The access log: who saw or changed a patient's data, for the patient itself and admins."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from patients_app import access_log_db
from psycopg2.extras import RealDictCursor

from shared import audit
from shared.caller import Caller
from tests.patients.conftest import Care
from tests.support import Api, answer_of, assert_problem

FIELDS = {"actor_type", "actor_id", "actor_name", "action", "resource", "occurred_at", "request_id"}
PLACE = ("after_occurred_at", "after_event_id")


def _log(care: Care, **parameters: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer_of(care.patient.patients.get(f"{care.path}/access-log", params=parameters))[
        "items"
    ]
    return found


def _deeds(items: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(item["actor_type"], item["action"], item["resource"]) for item in items]


@pytest.fixture
def own(api: Api, care: Care) -> Care:
    """A patient of this test alone."""
    return Care(care.institution, care.doctor, api.new_patient(care.doctor, care.institution))


def test_a_patient_reads_who_saw_and_changed_its_data_newest_first(api: Api, own: Care) -> None:
    before = datetime.now(UTC)
    answer_of(own.doctor.patients.get(f"{own.path}/medical-record", headers={"X-Request-ID": "the-look"}))
    answer_of(own.doctor.doctors.get(f"/api/v1/doctors/me/patients/{own.patient.id}/medical-record"))
    answer_of(own.institution.patients.get(own.path))
    answer_of(own.doctor.patients.post(f"{own.path}/conditions", json={"name": "Asma"}), 201)
    answer_of(api.admin.patients.put(own.path, json={"first_name": "Luz"}))
    items = _log(own)
    assert all(set(item) == FIELDS for item in items)
    assert _deeds(items) == [
        ("admin", "update", "patient"),
        ("doctor", "create", "condition"),
        ("institution", "read", "patient"),
        ("doctor", "read", "medical_record"),
        ("doctor", "read", "medical_record"),
        ("patient", "login", "account"),
        ("admin", "create", "patient"),
        ("service", "account_create", "account"),
    ]
    assert {item["actor_id"] for item in items[:3]} == {api.admin.id, own.doctor.id, own.institution.id}
    assert items[4]["request_id"] == "the-look"
    assert (items[-1]["actor_id"], items[-1]["actor_name"]) == (None, "Sistema PredictHealth")
    moments = [datetime.fromisoformat(item["occurred_at"]) for item in items]
    assert moments == sorted(moments, reverse=True) and moments[4] >= before > moments[5]
    # This look, too, is one.
    assert _deeds(_log(own))[0] == ("patient", "read", "access_log")


def test_attempts_that_failed_are_no_accesses(api: Api, own: Care) -> None:
    answer_of(own.patient.patients.get(own.path))
    before = _deeds(_log(own))
    credentials = {"email": own.patient.email, "password": "not the password"}
    assert_problem(api.anonymous.patients.post("/auth/login", json=credentials), 401, "invalid_credentials")
    assert_problem(own.patient.patients.delete(own.path), 403, "forbidden")
    assert _deeds(_log(own)) == [("patient", "read", "access_log"), *before]


@pytest.mark.parametrize(
    ("language", "admin"), [("es", "Administración de PredictHealth"), ("en", "PredictHealth administration")]
)
def test_people_and_places_have_their_names_and_admins_a_label(api: Api, own: Care, language: str, admin: str) -> None:
    for user in (api.admin, own.institution, own.doctor, own.patient):
        answer_of(user.patients.get(own.path))
    answer = own.patient.patients.get(f"{own.path}/access-log", headers={"Accept-Language": language})
    names = [item["actor_name"] for item in answer_of(answer)["items"]][:4]
    patient = answer_of(own.patient.patients.get(own.path))
    doctor = answer_of(api.admin.doctors.get(f"/api/v1/doctors/{own.doctor.id}"))
    institution = answer_of(api.admin.institutions.get(f"/api/v1/institutions/{own.institution.id}"))
    people = [f"{one['first_name']} {one['last_name']}" for one in (patient, doctor)]
    assert names == [*people, institution["name"], admin]


def test_the_log_is_read_by_the_patient_itself_and_admins_alone(api: Api, care: Care, others: Care) -> None:
    path = f"{care.path}/access-log"
    assert answer_of(api.admin.patients.get(path))["items"]
    assert_problem(api.anonymous.patients.get(path), 401, "unauthenticated")
    for user in (care.doctor, care.institution, others.doctor, others.institution):
        assert_problem(user.patients.get(path), 403, "forbidden")
    assert_problem(others.patient.patients.get(path), 404, "patient_not_found")
    assert_problem(api.admin.patients.get(f"/api/v1/patients/{uuid4()}/access-log"), 404, "patient_not_found")


def test_a_list_of_patients_is_a_look_at_each_that_it_showed(own: Care) -> None:
    answer_of(own.doctor.patients.get("/api/v1/patients", params={"limit": 1}))
    assert _deeds(_log(own))[0] == ("doctor", "read", "patient_list")
    before = len(_log(own))
    answer_of(own.doctor.patients.get("/api/v1/patients", params={"q": "nobody of this name"}))
    assert len(_log(own)) == before + 1


def test_the_log_is_walked_page_by_page_while_it_grows(own: Care) -> None:
    for number in range(6):
        answer_of(own.doctor.patients.get(own.path, headers={"X-Request-ID": f"look-{number}"}))
    path, cursor, seen = f"{own.path}/access-log", None, []
    for _ in range(10):
        page = answer_of(own.patient.patients.get(path, params={"limit": 2} | ({"cursor": cursor} if cursor else {})))
        assert len(page["items"]) <= 2
        seen += page["items"]
        if (cursor := page["next_cursor"]) is None:
            break
    assert cursor is None
    # What each page added is newer than where the walk began: it does not come up in it.
    assert _deeds(seen) == [("doctor", "read", "patient")] * 6 + [
        ("patient", "login", "account"),
        ("admin", "create", "patient"),
        ("service", "account_create", "account"),
    ]
    assert [item["request_id"] for item in seen[:6]] == [f"look-{number}" for number in (5, 4, 3, 2, 1, 0)]


def test_a_cursor_is_one_patients_and_cannot_be_made_up(api: Api, own: Care, care: Care) -> None:
    cursor = answer_of(api.admin.patients.get(f"{own.path}/access-log", params={"limit": 1}))["next_cursor"]
    for path, given in ((care.path, cursor), (own.path, cursor[:-4] + "AAA="), (own.path, "x")):
        answer = api.admin.patients.get(f"{path}/access-log", params={"limit": 1, "cursor": given})
        assert_problem(answer, 400, "invalid_cursor")
    assert_problem(api.admin.patients.get(f"{own.path}/access-log", params={"limit": 0}), 422, "validation_failed")
    assert_problem(api.admin.patients.get(f"{own.path}/access-log", params={"limt": 1}), 422, "validation_failed")


def test_a_patient_whom_no_event_concerns_has_an_empty_log(api: Api, own: Care, owner: RealDictCursor) -> None:
    owner.execute(
        """
        WITH account AS (INSERT INTO users (id, email, user_type, owner_status)
            SELECT id, id || '@example.com', 'patient', 'active' FROM gen_random_uuid() id RETURNING id)
        INSERT INTO patients (id, doctor_id, institution_id, first_name, last_name, date_of_birth)
        SELECT account.id, doctor_id, institution_id, first_name, last_name, date_of_birth FROM account, patients p
        WHERE p.id = %s RETURNING id
        """,
        (own.patient.id,),
    )
    path = f"/api/v1/patients/{owner.fetchone()['id']}/access-log"
    assert answer_of(api.admin.patients.get(path)) == {"items": [], "next_cursor": None}
    assert _deeds(answer_of(api.admin.patients.get(path))["items"]) == [("admin", "read", "access_log")]


def test_the_log_of_a_deleted_patient_is_not_there(api: Api, own: Care) -> None:
    assert api.admin.patients.delete(own.path).status_code == 204
    assert_problem(api.admin.patients.get(f"{own.path}/access-log"), 404, "patient_not_found")


# What list_accesses finds span by span: of years, seconds to either side of where a span ends, and of one instant.
_AGES = ["0", "1 hour", "1 day", "1 day 1 second", "29 days", "1 month", "40 days", "2 years", "2 years 1 second"]

_MAKE_EVENTS = """
    INSERT INTO audit_events (occurred_at, service, actor_type, action, resource, patient_ids, outcome, request_id)
    SELECT now() - age, 's', 'doctor', 'read', 'patient', array_fill(gen_random_uuid(), ARRAY[9]) || %s::uuid,
           outcome, 'r'
    FROM unnest(%s::interval[]) WITH ORDINALITY made (age, n), unnest(ARRAY['success', 'failure', 'success']) outcome
    ORDER BY n
"""


@pytest.fixture
def trail(owner: RealDictCursor) -> Iterator[RealDictCursor]:
    """Events that are gone after the test. Without the triggers: the chain would take its time."""
    owner.execute("BEGIN; SET LOCAL session_replication_role = replica")
    yield owner
    owner.execute("ROLLBACK")


@pytest.mark.parametrize(("first", "rows"), [(1, 1), (2, 2), (3, 3), (7, 7), (50, 50), (1, 50), (3, 20)])
def test_every_access_is_found_once_in_whatever_span_it_lies(trail: RealDictCursor, first: int, rows: int) -> None:
    patient_id = str(uuid4())
    trail.execute(_MAKE_EVENTS, (patient_id, _AGES))
    trail.execute(
        "SELECT occurred_at, id FROM audit_events WHERE patient_ids @> ARRAY[%s::uuid] AND outcome = 'success' "
        "ORDER BY occurred_at DESC, id DESC",
        (patient_id,),
    )
    expected = [(row["occurred_at"], row["id"]) for row in trail.fetchall()]
    assert len(expected) == 2 * len(_AGES)
    found: list[tuple[datetime, int]] = []
    place: tuple[datetime | None, int | None] = (None, None)
    limit = first
    while True:
        trail.execute("SELECT occurred_at, event_id FROM list_accesses(%s, %s, %s, %s)", (patient_id, *place, limit))
        page = [(row["occurred_at"], row["event_id"]) for row in trail.fetchall()]
        assert len(page) <= limit
        if not page:
            break
        found += page
        place, limit = page[-1], rows
    assert found == expected


def test_the_release_before_reads_the_same(trail: RealDictCursor) -> None:
    patient_id = str(uuid4())
    trail.execute(_MAKE_EVENTS, (patient_id, _AGES))
    columns = "event_id, occurred_at, actor_type, actor_id, action, resource, request_id"
    trail.execute(f"SELECT {columns} FROM list_accesses(%s, NULL, NULL, 99)", (patient_id,))
    expected = trail.fetchall()
    trail.execute(
        f"SELECT {columns} FROM access_log WHERE patient_id = %s ORDER BY occurred_at DESC, event_id DESC",
        (patient_id,),
    )
    assert trail.fetchall() == expected != []
    trail.execute("SELECT event_id FROM audit_event_patients WHERE patient_id = %s", (patient_id,))
    assert {row["event_id"] for row in trail.fetchall()} == {row["event_id"] for row in expected}


def test_a_page_of_a_long_log_reads_little_of_it_wherever_it_lies(trail: RealDictCursor, own: Care) -> None:
    ages = [f"{hours} hours" for hours in range(60_000, 0, -2)]
    trail.execute(_MAKE_EVENTS, (own.patient.id, ages))
    # What autovacuum does.
    trail.execute("SELECT brin_summarize_new_values('ix_audit_events_occurred_at')")
    trail.execute("SELECT gin_clean_pending_list('ix_audit_events_accesses'); ANALYZE audit_events")

    def blocks(statement: str, parameters: dict[str, Any]) -> int:
        trail.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statement, parameters)
        plan = trail.fetchone()["QUERY PLAN"][0]["Plan"]
        return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])

    patient_id = UUID(own.patient.id)
    event = audit.parameters("service-patients", Caller("patient", patient_id), "read", "access_log")
    caller = {"patient_id": patient_id, "caller_type": "patient", "caller_id": patient_id, "limit": 50}
    whole = blocks("SELECT request_id FROM audit_events WHERE patient_ids @> ARRAY[%(patient_id)s::uuid]", caller)
    for days in (0, 3, 300, 1000):
        place = datetime.now(UTC) - timedelta(days=days)
        after = {"after_occurred_at": place, "after_event_id": 0} if days else dict.fromkeys(PLACE)
        # (Spans are found to 128 blocks: of a log of years, to a few days.)
        assert blocks(access_log_db.LIST_ACCESSES, {**caller, **event, **after}) < whole / 2, (days, whole)
