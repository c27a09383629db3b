"""Observations: recorded one by one and in batches, listed, and as trends."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from patients_app.observations import CLOCK_SKEW, NewObservation, before_birth, faults
from patients_app.observations_db import LIST_OBSERVATIONS
from psycopg2.extras import RealDictCursor

from shared import audit
from shared.caller import Caller
from shared.prepared import Prepared
from tests.patients.conftest import Care
from tests.support import Api, User, assert_problem

PRESSURE = {"code": "8480-6", "value": 120, "unit": "mm[Hg]"}
FIELDS = {"id", "code", "name", "value", "unit", "effective_at", "recorded_by"}
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
CATALOGUE = {
    "8480-6": {"code": "8480-6", "name": "Systolic", "unit": "mm[Hg]"},
    "72166-2": {"code": "72166-2", "name": "Smoking", "unit": ""},
}


def path_of(patient: User, rest: str = "") -> str:
    return f"/api/v1/patients/{patient.id}/observations{rest}"


def record(user: User, patient: User, **body: Any) -> Any:
    answer = user.patients.post(path_of(patient), json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes_of(child)


def fields(problem: dict[str, Any]) -> list[str]:
    return [error["field"] for error in problem["errors"]]


def listed(user: User, patient: User, **query: Any) -> list[dict[str, Any]]:
    answer = user.patients.get(path_of(patient), params=query)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


@pytest.fixture
def patient(api: Api, care: Care) -> User:
    """A patient of `care`'s doctor and institution without observations."""
    return api.new_patient(care.doctor, care.institution)


# The rules, without a server.


@pytest.mark.parametrize(
    ("code", "value", "unit", "expected"),
    [
        ("8480-6", 120, "mm[Hg]", []),
        ("8480-6", 39.9, "mm[Hg]", ["x.value"]),
        ("8480-6", "never", "mm[Hg]", ["x.value"]),
        ("8480-6", 120, "mmHg", ["x.unit"]),
        ("8480-6", 120, "", ["x.unit"]),
        ("8480-6", 999, "kPa", ["x.unit", "x.value"]),
        ("72166-2", "former", "", []),
        ("72166-2", 1, "", ["x.value"]),
        ("1-1", 1, "", ["x.code"]),
    ],
)
def test_an_observation_has_a_known_code_its_unit_and_a_plausible_value(
    code: str, value: Any, unit: str, expected: list[str]
) -> None:
    new = NewObservation(code=code, value=value, unit=unit)
    assert [fault.field for fault in faults("x.", new, NOW, CATALOGUE, NOW)] == expected


def test_a_moment_is_neither_later_than_a_fast_clock_nor_before_birth() -> None:
    new = NewObservation(**PRESSURE)
    assert not list(faults("", new, NOW + CLOCK_SKEW, CATALOGUE, NOW))
    late = faults("", new, NOW + CLOCK_SKEW + timedelta(seconds=1), CATALOGUE, NOW)
    assert [(fault.field, fault.code) for fault in late] == [("effective_at", "in_the_future")]
    assert not before_birth([("", new, NOW)], NOW.date())
    assert [fault.field for fault in before_birth([("a.", new, NOW)], NOW.date() + timedelta(days=1))] == [
        "a.effective_at"
    ]


@pytest.mark.parametrize("value", [True, None, [], {}, "120", "", float("nan"), float("inf"), 10**400, "Never"])
def test_a_value_is_a_finite_number_or_a_smoking_status(value: Any) -> None:
    with pytest.raises(ValueError, match="neither a number nor a smoking status"):
        NewObservation(code="8480-6", value=value, unit="mm[Hg]")


# Who may, and what they get.


def test_a_patient_its_doctor_and_an_admin_record_the_institution_reads(api: Api, care: Care, patient: User) -> None:
    for user in (patient, care.doctor, api.admin):
        recorded = record(user, patient, **PRESSURE)
        assert set(recorded) == FIELDS
        assert recorded["recorded_by"] == {"actor_type": user.user_type, "actor_id": user.id}
    assert_problem(care.institution.patients.post(path_of(patient), json=PRESSURE), 403, "forbidden")
    assert len({str(listed(user, patient)) for user in (patient, care.doctor, care.institution, api.admin)}) == 1
    assert len(listed(care.institution, patient)) == 3


def test_a_patient_of_another_is_not_there(api: Api, others: Care, patient: User) -> None:
    for user in (others.patient, others.doctor):
        assert_problem(user.patients.post(path_of(patient), json=PRESSURE), 404, "patient_not_found")
    record(patient, patient, **PRESSURE)
    for user in (others.patient, others.doctor, others.institution):
        for rest in ("", "/trends?code=8480-6", f"/{uuid4()}"):
            assert_problem(user.patients.get(path_of(patient, rest)), 404, "patient_not_found")
    nobody = f"/api/v1/patients/{uuid4()}/observations"
    assert_problem(api.admin.patients.post(nobody, json=PRESSURE), 404, "patient_not_found")
    # What is wrong with the request by itself comes first.
    assert_problem(api.admin.patients.post(nobody, json=PRESSURE | {"unit": "kPa"}), 422, "validation_failed")
    for method, rest in (("GET", ""), ("POST", ""), ("GET", "/trends"), ("GET", f"/{uuid4()}")):
        assert_problem(api.anonymous.patients.request(method, path_of(patient, rest)), 401, "unauthenticated")


def test_one_is_answered_by_itself_and_found_where_the_location_says(care: Care, patient: User) -> None:
    body = PRESSURE | {"effective_at": "2026-01-31T08:30:00-06:00"}
    answer = care.doctor.patients.post(path_of(patient), json=body, headers={"Accept-Language": "en"})
    assert answer.status_code == 201
    assert {key: answer.json()[key] for key in ("code", "name", "value", "unit", "effective_at")} == {
        **PRESSURE,
        "name": "Systolic blood pressure",
        "effective_at": "2026-01-31T14:30:00Z",
    }
    found = care.doctor.patients.get(answer.headers["location"], headers={"Accept-Language": "en"})
    assert (found.status_code, found.json()) == (200, answer.json())
    assert found.headers["cache-control"] == "private, no-store"
    assert_problem(patient.patients.get(path_of(patient, f"/{uuid4()}")), 404, "observation_not_found")


def test_without_a_moment_it_is_now_for_all_of_a_batch(patient: User) -> None:
    before = datetime.now(UTC)
    items = record(patient, patient, observations=[PRESSURE, {"code": "72166-2", "value": "never"}])["items"]
    assert [item["value"] for item in items] == [120, "never"]
    (moment,) = {item["effective_at"] for item in items}
    assert before <= datetime.fromisoformat(moment) <= datetime.now(UTC)


def test_a_thousand_are_recorded_together_and_one_more_is_too_many(patient: User) -> None:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    many = [PRESSURE | {"effective_at": (start + timedelta(hours=n)).isoformat()} for n in range(1_001)]
    answer = patient.patients.post(path_of(patient), json={"observations": many})
    assert fields(assert_problem(answer, 422, "validation_failed")) == ["observations"]
    items = record(patient, patient, observations=many[:1_000])["items"]
    assert [datetime.fromisoformat(item["effective_at"]) for item in items] == [
        start + timedelta(hours=n) for n in range(1_000)
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, ["code", "value"]),
        (PRESSURE | {"value": 301}, ["value"]),
        (PRESSURE | {"unit": "kPa"}, ["unit"]),
        (PRESSURE | {"code": "0-0"}, ["code"]),
        (PRESSURE | {"effective_at": "2999-01-01T00:00:00Z"}, ["effective_at"]),
        (PRESSURE | {"effective_at": "1980-05-16T23:59:59Z"}, ["effective_at"]),
        (PRESSURE | {"effective_at": "2026-01-01T00:00:00"}, ["effective_at"]),
        (PRESSURE | {"recorded_by": {}}, ["recorded_by"]),
        ({"observations": []}, ["observations"]),
        ({"observations": [PRESSURE], "code": "8480-6"}, ["code"]),
        (
            {"observations": [PRESSURE, PRESSURE | {"value": 0}, PRESSURE | {"code": "x"}]},
            ["observations.1.value", "observations.2.code"],
        ),
        ({"observations": [PRESSURE, PRESSURE | {"value": "high"}]}, ["observations.1.value"]),
    ],
)
def test_a_422_names_each_field_and_records_nothing(patient: User, body: dict[str, Any], expected: list[str]) -> None:
    answer = patient.patients.post(path_of(patient), json=body)
    assert fields(assert_problem(answer, 422, "validation_failed")) == expected
    assert listed(patient, patient) == []


def test_an_implausible_value_is_told_in_both_languages(patient: User) -> None:
    for language, sentence in (("es", "Debe estar entre 40 y 300"), ("en", "Must lie between 40 and 300")):
        headers = {"Accept-Language": language}
        answer = patient.patients.post(path_of(patient), json=PRESSURE | {"value": 301}, headers=headers)
        assert sentence in assert_problem(answer, 422, "validation_failed")["errors"][0]["message"]


def test_a_pressure_of_one_moment_is_a_pair_also_with_what_was_recorded_before(patient: User) -> None:
    moment = "2026-01-31T08:30:00Z"
    systolic = PRESSURE | {"effective_at": moment}
    diastolic = {"code": "8462-4", "value": 120, "unit": "mm[Hg]", "effective_at": moment}
    together = patient.patients.post(path_of(patient), json={"observations": [systolic, diastolic]})
    assert fields(assert_problem(together, 422, "validation_failed")) == [
        "observations.0.value",
        "observations.1.value",
    ]
    record(patient, patient, **systolic)
    later = patient.patients.post(path_of(patient), json=diastolic)
    assert fields(assert_problem(later, 422, "validation_failed")) == ["value"]
    record(patient, patient, **diastolic | {"value": 119.9})
    record(patient, patient, **diastolic | {"effective_at": "2026-01-31T08:31:00Z"})


def test_of_two_that_contradict_each_other_and_race_one_is_refused(patient: User) -> None:
    for day in range(1, 9):
        moment = f"2026-02-0{day}T10:00:00Z"
        bodies = [
            {"code": "2093-3", "value": 150, "unit": "mg/dL", "effective_at": moment},
            {"code": "2085-9", "value": 151, "unit": "mg/dL", "effective_at": moment},
        ]
        with ThreadPoolExecutor(2) as threads:
            answers = threads.map(lambda body: patient.patients.post(path_of(patient), json=body).status_code, bodies)
            assert sorted(answers) == [201, 422]


# The list.


def test_the_list_is_newest_first_and_walked_page_by_page_while_others_write(patient: User) -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    # Three of each moment, so that pages end within one.
    batch = [PRESSURE | {"effective_at": (start + timedelta(days=n // 3)).isoformat()} for n in range(20)]
    recorded = {item["id"] for item in record(patient, patient, observations=batch)["items"]}
    seen, cursor = [], None
    while True:
        query = {"limit": 7, **({"cursor": cursor} if cursor else {})}
        page = patient.patients.get(path_of(patient), params=query).json()
        seen += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        record(patient, patient, **PRESSURE)
    moments = [item["effective_at"] for item in seen]
    assert moments == sorted(moments, reverse=True)
    assert [item["id"] for item in seen if item["id"] in recorded] == [item["id"] for item in seen]
    assert len(seen) == len(recorded)


def test_the_filters_are_inclusive_and_bind_the_cursor(patient: User) -> None:
    days = ("2026-01-01", "2026-01-02", "2026-01-03")
    batch = [PRESSURE | {"effective_at": f"{day}T10:00:00Z"} for day in days]
    weight = {"code": "29463-7", "value": 70, "unit": "kg", "effective_at": "2026-01-02T12:00:00Z"}
    record(patient, patient, observations=[*batch, weight])

    def hours(**query: str) -> list[str]:
        return [item["effective_at"][8:13] for item in listed(patient, patient, **query)]

    assert hours() == ["03T10", "02T12", "02T10", "01T10"]
    assert hours(code="8480-6") == ["03T10", "02T10", "01T10"]
    assert hours(**{"from": "2026-01-02T10:00:00Z", "to": "2026-01-02T12:00:00Z"}) == ["02T12", "02T10"]
    assert hours(**{"from": "2026-01-02", "to": "2026-01-02"}) == ["02T12", "02T10"]
    assert hours(**{"from": "2026-01-03T11:00:00Z"}) == hours(code="8462-4") == []
    cursor = patient.patients.get(path_of(patient), params={"limit": 1}).json()["next_cursor"]
    for other in ({"code": "8480-6"}, {"from": "2026-01-01"}):
        answer = patient.patients.get(path_of(patient), params={"limit": 1, "cursor": cursor, **other})
        assert_problem(answer, 400, "invalid_cursor")
    bad = patient.patients.get(path_of(patient), params={"from": "yesterday", "to": "2026-01-01T00:00:00"})
    assert fields(assert_problem(bad, 422, "validation_failed")) == ["from", "to"]


def test_a_cursor_of_one_patient_does_not_serve_another(api: Api, patient: User, care: Care) -> None:
    record(patient, patient, observations=[PRESSURE, PRESSURE])
    cursor = patient.patients.get(path_of(patient), params={"limit": 1}).json()["next_cursor"]
    answer = api.admin.patients.get(path_of(care.patient), params={"limit": 1, "cursor": cursor})
    assert_problem(answer, 400, "invalid_cursor")


# Trends.


def test_a_trend_is_what_its_observations_are(patient: User, owner: RealDictCursor) -> None:
    given = [("2024-12-31T23:59:59Z", 110), ("2025-01-01T00:00:00Z", 120), ("2025-01-31T12:00:00Z", 135)]
    given += [("2025-01-31T18:00:00Z", 125), ("2025-03-01T00:00:00Z", 130)]
    record(patient, patient, observations=[PRESSURE | {"effective_at": at, "value": value} for at, value in given])
    weight = {"code": "29463-7", "value": 70, "unit": "kg", "effective_at": "2025-01-31T12:00:00Z"}
    record(patient, patient, **weight)

    def trend(**query: str) -> Any:
        answer = patient.patients.get(
            path_of(patient, "/trends"), params={"code": "8480-6", **query}, headers={"Accept-Language": "en"}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def point(start: str, count: int, least: float, mean: float, most: float, last: float) -> dict[str, Any]:
        numbers = {"min": least, "mean": pytest.approx(mean), "max": most, "last": last}
        return {"start": f"{start}T00:00:00Z", "count": count, **numbers}

    by_month = trend(bucket="month")
    points = by_month.pop("points")
    assert by_month == {**{"code": "8480-6", "name": "Systolic blood pressure", "unit": "mm[Hg]", "bucket": "month"}}
    january = point("2025-01-01", 3, 120, 380 / 3, 135, 125)
    first, march = point("2024-12-01", 1, 110, 110, 110, 110), point("2025-03-01", 1, 130, 130, 130, 130)
    assert points == [first, january, march] == trend()["points"]
    assert [entry["count"] for entry in trend(bucket="day")["points"]] == [1, 1, 2, 1]
    assert trend(bucket="year")["points"] == [
        point("2024-01-01", 1, 110, 110, 110, 110),
        point("2025-01-01", 4, 120, 127.5, 135, 130),
    ]
    assert trend(**{"bucket": "month", "from": "2025-01-01", "to": "2025-01-31"})["points"] == [january]
    assert trend(**{"from": "2026-01-01"})["points"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "code"),
        ({"code": "0-0"}, "code"),
        ({"code": "72166-2"}, "code"),
        ({"code": "8480-6", "bucket": "week"}, "bucket"),
    ],
)
def test_a_trend_is_of_a_known_measurement(patient: User, query: dict[str, str], field: str) -> None:
    answer = patient.patients.get(path_of(patient, "/trends"), params=query)
    assert fields(assert_problem(answer, 422, "validation_failed")) == [field]


# What is left behind.


def test_every_touch_is_in_the_audit_trail_without_values(care: Care, patient: User, owner: RealDictCursor) -> None:
    observation = record(care.doctor, patient, **PRESSURE)
    for rest in ("", "/trends?code=8480-6", f"/{observation['id']}"):
        assert care.institution.patients.get(path_of(patient, rest)).status_code == 200
    assert_problem(care.doctor.patients.post(path_of(patient), json=PRESSURE | {"value": 1}), 422, "validation_failed")
    owner.execute(
        "SELECT actor_type, action, resource, detail FROM audit_events "
        "WHERE patient_ids @> ARRAY[%s::uuid] AND resource LIKE 'observation%%' ORDER BY id",
        [patient.id],
    )
    assert [tuple(row.values()) for row in owner.fetchall()] == [
        ("doctor", "create", "observations", {"codes": ["8480-6"], "count": 1}),
        ("institution", "read", "observations", {}),
        ("institution", "read", "observation_trends", {}),
        ("institution", "read", "observations", {}),
    ]


def test_a_page_costs_the_same_however_many_there_are(owner: RealDictCursor, patient: User) -> None:
    """The list's own index gives the page in its order: nothing is sorted, nothing is read that is not shown."""
    owner.execute(
        "INSERT INTO observations (patient_id, code, value, unit, effective_at, recorded_by_type) "
        "SELECT %s, '8480-6', 120, 'mm[Hg]', now() - n * interval '1 hour', 'service' FROM generate_series(1, 5000) n",
        [patient.id],
    )
    owner.execute("ANALYZE observations")
    middle = datetime.now(UTC) - timedelta(hours=2_500)
    filters = {"code": None, "from": None, "to": None, "after_effective_at": middle, "after_id": str(uuid4())}
    event = audit.parameters("tests", Caller("admin", UUID(patient.id)), "read", "observations")
    place = {"patient_id": patient.id, "limit": 50, "caller_type": "admin", "caller_id": None, "language": "es"}
    # Whatever else lies in the table: that the index can serve the page, not what the planner thinks of so small a one.
    owner.execute("SET enable_seqscan = off; SET enable_bitmapscan = off; SET plan_cache_mode = force_generic_plan")
    parameters = {**filters, **event, **place}
    statement = LIST_OBSERVATIONS.given(parameters)
    assert isinstance(statement, Prepared)
    owner.execute(statement.preparation)
    owner.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + statement.execution, parameters)
    plan = owner.fetchone()["QUERY PLAN"][0]["Plan"]  # type: ignore[index]
    scans = [node for node in nodes_of(plan) if node.get("Relation Name") == "observations"]
    assert [(scan["Index Name"], scan["Actual Rows"]) for scan in scans] == [("ix_observations_patient", 51)]


def test_the_day_of_birth_is_the_first(api: Api, care: Care) -> None:
    born = api.new_patient(care.doctor, date_of_birth=date(2020, 2, 29).isoformat())
    weight = {"code": "29463-7", "value": 3.2, "unit": "kg"}
    record(born, born, **weight, effective_at="2020-02-29T00:00:00Z")
    answer = born.patients.post(path_of(born), json=weight | {"effective_at": "2020-02-28T23:59:59Z"})
    assert fields(assert_problem(answer, 422, "validation_failed")) == ["effective_at"]
