"""Editing the record: the health profile and the entries; who may, what is refused, what the trail keeps."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest
from psycopg2.extras import RealDictCursor

from tests.patients.conftest import HEALTH_PROFILE, Care
from tests.support import Api, User, answer_of, assert_problem, patient_body, unique

TOMORROW = "2999-01-01"

# Of each kind: its path, its catalogue, the body's field for an item, a whole body without one, and a change.
KINDS: dict[str, dict[str, Any]] = {
    "conditions": {
        "catalogue": "medical-conditions",
        "item": "condition_id",
        "resource": "condition",
        "body": {"diagnosis_date": "2020-01-02", "abatement_date": "2021-03-04", "notes": "Controlada."},
        "change": {"notes": "Descontrolada."},
        "clear": {"diagnosis_date": None, "abatement_date": None, "notes": None},
    },
    "medications": {
        "catalogue": "medications",
        "item": "medication_id",
        "resource": "medication",
        "body": {"dosage": "850 mg", "frequency": "cada 12 h", "start_date": "2024-03-01", "status": "active"},
        "change": {"status": "stopped"},
        "clear": {"dosage": None, "frequency": None, "start_date": None},
    },
    "allergies": {
        "catalogue": "allergies",
        "item": "allergy_id",
        "resource": "allergy",
        "body": {"severity": "moderate", "reaction_description": "Urticaria."},
        "change": {"severity": "severe"},
        "clear": {"severity": None, "reaction_description": None},
    },
    "family-history": {
        "catalogue": "medical-conditions",
        "item": "condition_id",
        "resource": "family_history",
        "body": {"relative_type": "mother", "notes": "Desde los 50."},
        "change": {"notes": "Desde los 60."},
        "clear": {"relative_type": None, "notes": None},
    },
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def _fields(response: httpx.Response) -> set[str]:
    return {error["field"] for error in assert_problem(response, 422, "validation_failed")["errors"]}


def _items(user: User, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer_of(user.patients.get(f"/api/v1/{KINDS[kind]['catalogue']}"))["items"]
    return found


def _shown(kind: str, item: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """An entry as the record shows it; of the family's history without its own id."""
    if kind == "family-history":
        return {"condition_name": item["name"], **body}
    return {"id": item["id"], "name": item["name"], **body}


def _entries(user: User, care: Care, kind: str) -> list[dict[str, Any]]:
    record = answer_of(user.patients.get(f"{care.path}/medical-record"))
    found: list[dict[str, Any]] = record[kind.replace("-", "_")]
    return found


def _events(owner: RealDictCursor, care: Care, resource: str) -> list[tuple[Any, ...]]:
    owner.execute(
        "SELECT actor_type, actor_id, action, detail FROM audit_events "
        "WHERE patient_ids @> ARRAY[%s]::uuid[] AND resource = %s ORDER BY id",
        (care.patient.id, resource),
    )
    return [(row["actor_type"], str(row["actor_id"]), row["action"], row["detail"]) for row in owner.fetchall()]


@pytest.fixture
def own(api: Api, care: Care) -> Care:
    """A patient of this test alone."""
    patient = api.new_patient(care.doctor, care.institution, health_profile=HEALTH_PROFILE)
    return Care(care.institution, care.doctor, patient)


# The health profile.


def test_a_health_profile_is_changed_by_the_patient_itself_its_doctor_and_an_admin(api: Api, own: Care) -> None:
    for user, weight in ((own.patient, 80), (own.doctor, 79.5), (api.admin, 79)):
        profile = answer_of(user.patients.put(f"{own.path}/health-profile", json={"weight_kg": weight}))
        assert profile == HEALTH_PROFILE | {"blood_type": "O+", "weight_kg": weight}


def test_a_health_profile_is_not_changed_by_others(api: Api, care: Care, others: Care) -> None:
    path, body = f"{care.path}/health-profile", {"weight_kg": 80}
    assert_problem(api.anonymous.patients.put(path, json=body), 401, "unauthenticated")
    for institution in (care.institution, others.institution):
        assert_problem(institution.patients.put(path, json=body), 403, "forbidden")
    for stranger in (others.patient, others.doctor):
        assert_problem(stranger.patients.put(path, json=body), 404, "patient_not_found")
    unknown = f"/api/v1/patients/{uuid4()}/health-profile"
    assert_problem(api.admin.patients.put(unknown, json=body), 404, "patient_not_found")


@pytest.mark.parametrize("field", HEALTH_PROFILE)
def test_null_clears_a_field_of_the_health_profile_and_the_others_stay(own: Care, field: str) -> None:
    profile = answer_of(own.doctor.patients.put(f"{own.path}/health-profile", json={field: None}))
    before = HEALTH_PROFILE | {"blood_type": "O+", field: None}
    assert profile == (before | {"blood_type": None} if field == "blood_type_id" else before)
    assert answer_of(own.doctor.patients.get(own.path))["health_profile"] == profile


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"height_cm": 29.9}, "height_cm"),
        ({"weight_kg": 650.1}, "weight_kg"),
        ({"physical_activity_minutes_weekly": 10_081}, "physical_activity_minutes_weekly"),
        ({"diet_score": 17}, "diet_score"),
        ({"is_smoker": "yes"}, "is_smoker"),
        ({"smoking_status": "sometimes"}, "smoking_status"),
        ({"blood_type_id": 99}, "blood_type_id"),
        ({"blood_type": "O+"}, "blood_type"),
        ({"health_score": 100}, "health_score"),
        ({"quit_date": TOMORROW}, "quit_date"),
        ({"quit_date": "1980-05-16"}, "quit_date"),
        ({"smoking_status": "never", "quit_date": "2015-02-28"}, "quit_date"),
        ({"smoking_status": "never", "is_smoker": True}, "is_smoker"),
    ],
)
def test_an_implausible_health_profile_names_the_field_and_changes_nothing(
    care: Care, body: dict[str, Any], field: str
) -> None:
    both = {"sleep_hours": 1, **body}
    assert _fields(care.patient.patients.put(f"{care.path}/health-profile", json=both)) == {field}
    assert answer_of(care.patient.patients.get(care.path))["health_profile"]["sleep_hours"] == 7.5


def test_an_empty_change_of_a_health_profile_is_a_400(care: Care) -> None:
    assert_problem(care.patient.patients.put(f"{care.path}/health-profile", json={}), 400, "empty_update")


def test_what_contradicts_the_new_word_about_smoking_gives_way(own: Care) -> None:
    changed = own.doctor.patients.put(f"{own.path}/health-profile", json={"smoking_status": "current"})
    assert answer_of(changed) == HEALTH_PROFILE | {
        "blood_type": "O+",
        "smoking_status": "current",
        "is_smoker": True,
        "quit_date": None,
    }


@pytest.mark.parametrize(
    ("profile", "field"),
    [
        ({"smoking_status": "current", "is_smoker": False}, "health_profile.is_smoker"),
        ({"quit_date": "1980-05-16"}, "health_profile.quit_date"),
    ],
)
def test_a_new_patients_profile_keeps_the_same_rules(care: Care, profile: dict[str, Any], field: str) -> None:
    body = patient_body(health_profile=profile)
    assert _fields(care.doctor.patients.post("/api/v1/patients", json=body)) == {field}


def test_a_patient_without_a_profile_gets_one_with_its_first_change(own: Care, owner: RealDictCursor) -> None:
    owner.execute("DELETE FROM health_profiles WHERE patient_id = %s", (own.patient.id,))
    profile = answer_of(own.patient.patients.put(f"{own.path}/health-profile", json={"height_cm": 170}))
    assert {name for name, value in profile.items() if value is not None} == {"height_cm"}


def test_changes_of_a_health_profile_at_once_are_all_kept(own: Care) -> None:
    bodies = [{"weight_kg": 70}, {"height_cm": 170}, {"sleep_hours": 8}, {"diet_score": 12}, {"smoking_years": 9}]
    with ThreadPoolExecutor(len(bodies)) as pool:
        answers = pool.map(lambda body: own.doctor.patients.put(f"{own.path}/health-profile", json=body), bodies)
        assert [answer.status_code for answer in answers] == [200] * len(bodies)
    changed = {name: value for body in bodies for name, value in body.items()}
    profile = answer_of(own.patient.patients.get(own.path))["health_profile"]
    assert profile == HEALTH_PROFILE | {"blood_type": "O+"} | changed


def test_the_trail_tells_who_changed_which_fields_of_a_profile_and_no_values(own: Care, owner: RealDictCursor) -> None:
    body = {"notes": "Muy privado.", "smoking_status": "current"}
    answer_of(own.doctor.patients.put(f"{own.path}/health-profile", json=body))
    _fields(own.doctor.patients.put(f"{own.path}/health-profile", json={"blood_type_id": 99}))
    detail = {"fields": ["is_smoker", "notes", "quit_date", "smoking_status"]}
    assert _events(owner, own, "health_profile") == [("doctor", own.doctor.id, "update", detail)]


# The entries of the record.


@every_kind
def test_an_entry_is_recorded_by_its_doctor_or_an_admin_and_shown_in_the_record(api: Api, own: Care, kind: str) -> None:
    body, item = KINDS[kind]["body"], KINDS[kind]["item"]
    for user, found in zip((own.doctor, api.admin), _items(own.doctor, kind), strict=False):
        answer = user.patients.post(f"{own.path}/{kind}", json={item: found["id"], **body})
        entry = answer_of(answer, 201)
        assert answer.headers["location"] == f"{own.path}/{kind}/{entry['id']}"
        assert _shown(kind, found, body).items() <= entry.items()
        assert set(entry) == {"id", *_shown(kind, found, body)}
        assert entry in _entries(own.patient, own, kind)


@every_kind
def test_the_least_entry_leaves_the_rest_unknown(own: Care, kind: str) -> None:
    found = _items(own.doctor, kind)[0]
    entry = answer_of(own.doctor.patients.post(f"{own.path}/{kind}", json={KINDS[kind]["item"]: found["id"]}), 201)
    unknown = dict.fromkeys(KINDS[kind]["body"]) | ({"status": "active"} if kind == "medications" else {})
    assert _shown(kind, found, unknown).items() <= entry.items()


@every_kind
def test_the_record_is_edited_by_nobody_else(api: Api, care: Care, others: Care, kind: str) -> None:
    item, entry = KINDS[kind]["item"], uuid4() if kind == "family-history" else 1
    for method, path, body in (
        ("POST", f"{care.path}/{kind}", {item: 1}),
        ("PUT", f"{care.path}/{kind}/{entry}", KINDS[kind]["change"]),
        ("DELETE", f"{care.path}/{kind}/{entry}", None),
    ):
        assert_problem(api.anonymous.patients.request(method, path, json=body), 401, "unauthenticated")
        for user in (care.patient, care.institution, others.patient, others.institution):
            assert_problem(user.patients.request(method, path, json=body), 403, "forbidden")
        assert_problem(others.doctor.patients.request(method, path, json=body), 404, "patient_not_found")
    assert _entries(care.patient, care, kind) == []


@every_kind
def test_a_new_name_joins_the_catalogue_once_whatever_its_case_accents_and_spaces(own: Care, kind: str) -> None:
    name = unique("Síndrome Única")
    twins = [name, name.upper(), name.lower().replace("í", "i").replace("ú", "u"), f"  {name.replace(' ', '   ')} "]
    others = [{"relative_type": relative} for relative in ("mother", "father", "sibling", "child")]
    first = answer_of(own.doctor.patients.post(f"{own.path}/{kind}", json={"name": name}), 201)
    for twin, fields in zip(twins, others, strict=True):
        again = own.doctor.patients.post(
            f"{own.path}/{kind}", json={"name": twin, **(fields if kind == "family-history" else {})}
        )
        if kind == "family-history":
            assert answer_of(again, 201)["condition_name"] == name
        else:
            assert_problem(again, 409, "already_recorded")
    assert [item["name"] for item in _items(own.doctor, kind) if item["name"].lower().endswith(name[-12:])] == [name]
    assert first.get("name", first.get("condition_name")) == name


@every_kind
def test_a_name_of_the_catalogue_is_found_without_case_and_accents(own: Care, kind: str) -> None:
    found = next(item for item in _items(own.doctor, kind) if not item["name"].isascii())
    entry = answer_of(own.doctor.patients.post(f"{own.path}/{kind}", json={"name": found["name"].upper()}), 201)
    assert _shown(kind, found, {}).items() <= entry.items()


@every_kind
def test_one_new_name_for_many_patients_at_once_is_one_item(
    api: Api, care: Care, owner: RealDictCursor, kind: str
) -> None:
    name = unique("Síndrome Simultáneo")
    patients = [api.new_patient(care.doctor).id for _ in range(6)]
    with ThreadPoolExecutor(len(patients)) as pool:
        answers = list(
            pool.map(
                lambda one: care.doctor.patients.post(f"/api/v1/patients/{one[1]}/{kind}", json={"name": one[0]}),
                zip([name, name.upper()] * 3, patients, strict=True),
            )
        )
    assert [answer.status_code for answer in answers] == [201] * len(patients), [a.text for a in answers]
    table = KINDS[kind]["catalogue"].replace("-", "_")
    owner.execute(f"SELECT count(*) AS n FROM {table} WHERE search_key(name) = search_key(%s)", (name,))
    assert owner.fetchone()["n"] == 1


@every_kind
def test_an_entry_twice_is_a_409_also_at_once(own: Care, kind: str) -> None:
    body = {KINDS[kind]["item"]: _items(own.doctor, kind)[0]["id"]}
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: own.doctor.patients.post(f"{own.path}/{kind}", json=body), range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    assert_problem(next(answer for answer in answers if answer.status_code == 409), 409, "already_recorded")
    assert len(_entries(own.doctor, own, kind)) == 1


def test_the_same_condition_of_two_relatives_is_two_entries(own: Care) -> None:
    path, item = f"{own.path}/family-history", _items(own.doctor, "family-history")[0]["id"]
    for relative in ("mother", "father", None):
        answer_of(own.doctor.patients.post(path, json={"condition_id": item, "relative_type": relative}), 201)
    again = own.doctor.patients.post(path, json={"condition_id": item, "relative_type": "mother"})
    assert_problem(again, 409, "already_recorded")
    assert len(_entries(own.doctor, own, "family-history")) == 3


@every_kind
def test_an_entry_names_exactly_one_item_that_there_is(care: Care, kind: str) -> None:
    item, path = KINDS[kind]["item"], f"{care.path}/{kind}"
    for body in ({}, {item: None}, {item: 1, "name": "Asma"}, {item: None, "name": None}):
        assert _fields(care.doctor.patients.post(path, json=body)) == {item, "name"}
    for number in (2_000_000_000, 0, -1, 2**31, 2**70, "x", 1.5):
        assert _fields(care.doctor.patients.post(path, json={item: number})) == {item}
    for name in ("", "   ", "---", "\u0301", "x" * 301, "a\x00b", 7):
        assert _fields(care.doctor.patients.post(path, json={"name": name})) == {"name"}
    assert _fields(care.doctor.patients.post(path, json={item: 1, "verified": True})) == {"verified"}
    assert _entries(care.doctor, care, kind) == []


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        ("conditions", {"diagnosis_date": TOMORROW}, "diagnosis_date"),
        ("conditions", {"diagnosis_date": "1980-05-16"}, "diagnosis_date"),
        ("conditions", {"diagnosis_date": "2020-02-30"}, "diagnosis_date"),
        ("conditions", {"abatement_date": TOMORROW}, "abatement_date"),
        ("conditions", {"abatement_date": "1980-05-16"}, "abatement_date"),
        ("conditions", {"diagnosis_date": "2020-01-02", "abatement_date": "2020-01-01"}, "abatement_date"),
        ("conditions", {"notes": "x" * 2_001}, "notes"),
        ("medications", {"start_date": TOMORROW}, "start_date"),
        ("medications", {"start_date": "1980-05-16"}, "start_date"),
        ("medications", {"status": "paused"}, "status"),
        ("medications", {"status": None}, "status"),
        ("medications", {"dosage": ""}, "dosage"),
        ("allergies", {"severity": "terrible"}, "severity"),
        ("family-history", {"relative_type": "cousin"}, "relative_type"),
    ],
)
def test_an_implausible_entry_names_the_field(own: Care, kind: str, body: dict[str, Any], field: str) -> None:
    item = {KINDS[kind]["item"]: _items(own.doctor, kind)[0]["id"]}
    path = f"{own.path}/{kind}"
    assert _fields(own.doctor.patients.post(path, json={**item, **body})) == {field}
    entry = answer_of(own.doctor.patients.post(path, json=item), 201)
    assert _fields(own.doctor.patients.put(f"{path}/{entry['id']}", json=body)) == {field}
    assert _entries(own.doctor, own, kind) == [entry]


def test_the_day_of_birth_is_not_before_birth(own: Care) -> None:
    body = {"name": unique("Congénita"), "diagnosis_date": "1980-05-17", "abatement_date": "1980-05-17"}
    answer_of(own.doctor.patients.post(f"{own.path}/conditions", json=body), 201)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/conditions", {"name": "Asma", "diagnosis_date": "2001-03-04"}),
        ("POST", "/conditions", {"name": "Asma", "abatement_date": "2001-03-04"}),
        ("POST", "/medications", {"name": "Losartán", "start_date": "2001-03-04"}),
        (
            *("POST", "/observations"),
            {"code": "29463-7", "value": 81.5, "unit": "kg", "effective_at": "2001-03-04T23:30:00Z"},
        ),
        ("PUT", "/health-profile", {"smoking_status": "former", "quit_date": "2001-03-04"}),
    ],
)
def test_nobody_is_born_after_what_the_record_says(api: Api, care: Care, method: str, path: str, body: Any) -> None:
    own = Care(care.institution, care.doctor, api.new_patient(care.doctor, care.institution))
    assert own.doctor.patients.request(method, own.path + path, json=body).is_success
    change = own.doctor.patients.put(own.path, json={"date_of_birth": "2001-03-05"})
    (error,) = assert_problem(change, 422, "validation_failed")["errors"]
    assert (error["field"], error["code"]) == ("date_of_birth", "before_birth")
    for day in ("2001-03-04", "1990-01-01"):
        assert answer_of(own.doctor.patients.put(own.path, json={"date_of_birth": day}))["date_of_birth"] == day


@every_kind
def test_an_entry_is_changed_field_by_field(api: Api, own: Care, kind: str) -> None:
    case, found = KINDS[kind], _items(own.doctor, kind)[0]
    entry = answer_of(
        own.doctor.patients.post(f"{own.path}/{kind}", json={case["item"]: found["id"], **case["body"]}), 201
    )
    path = f"{own.path}/{kind}/{entry['id']}"
    changed = answer_of(own.doctor.patients.put(path, json=case["change"]))
    assert changed == entry | case["change"]
    assert answer_of(api.admin.patients.put(path, json=case["clear"])) == changed | case["clear"]
    assert _entries(own.patient, own, kind) == [changed | case["clear"]]
    assert_problem(own.doctor.patients.put(path, json={}), 400, "empty_update")


@every_kind
def test_an_entry_can_become_one_of_another_item_but_not_of_one_that_is_recorded(own: Care, kind: str) -> None:
    case, (first, second, third) = KINDS[kind], _items(own.doctor, kind)[:3]
    path, item = f"{own.path}/{kind}", case["item"]
    entry = answer_of(own.doctor.patients.post(path, json={item: first["id"], **case["body"]}), 201)
    answer_of(own.doctor.patients.post(path, json={item: second["id"], **case["body"]}), 201)
    moved = answer_of(own.doctor.patients.put(f"{path}/{entry['id']}", json={item: third["id"]}))
    assert moved == entry | _shown(kind, third, {})
    moved = answer_of(own.doctor.patients.put(f"{path}/{moved['id']}", json={"name": first["name"].upper()}))
    assert moved == entry
    place = f"{path}/{entry['id']}"
    assert_problem(own.doctor.patients.put(place, json={"name": second["name"]}), 409, "already_recorded")
    assert _fields(own.doctor.patients.put(place, json={item: 1, "name": "Asma"})) == {item, "name"}
    assert _fields(own.doctor.patients.put(place, json={item: None})) == {item}
    assert _fields(own.doctor.patients.put(place, json={"name": None})) == {"name"}
    assert _fields(own.doctor.patients.put(place, json={item: 2_000_000_000})) == {item}


@every_kind
def test_an_entry_is_removed_once_and_never_anothers(api: Api, own: Care, care: Care, kind: str) -> None:
    body = {KINDS[kind]["item"]: _items(own.doctor, kind)[0]["id"]}
    entry = answer_of(own.doctor.patients.post(f"{own.path}/{kind}", json=body), 201)
    # Their doctor is the same: the entry is not one of the other patient all the same.
    elsewhere = f"{care.path}/{kind}/{entry['id']}"
    for method, change in (("PUT", KINDS[kind]["change"]), ("DELETE", None)):
        assert_problem(care.doctor.patients.request(method, elsewhere, json=change), 404, "entry_not_found")
    path = f"{own.path}/{kind}/{entry['id']}"
    assert own.doctor.patients.delete(path).status_code == 204
    assert _entries(own.doctor, own, kind) == []
    assert_problem(api.admin.patients.delete(path), 404, "entry_not_found")
    assert_problem(api.admin.patients.put(path, json=KINDS[kind]["change"]), 404, "entry_not_found")
    assert answer_of(own.doctor.patients.post(f"{own.path}/{kind}", json=body), 201)


@every_kind
def test_an_id_that_is_none_is_a_422(care: Care, kind: str) -> None:
    wrong = ["x", "1"] if kind == "family-history" else ["x", str(uuid4()), "0", "-1", str(2**40)]
    for entry in wrong:
        assert _fields(care.doctor.patients.delete(f"{care.path}/{kind}/{entry}")) == {"entry_id"}


@every_kind
def test_the_trail_tells_who_changed_which_entry_and_never_what_was_written(
    api: Api, own: Care, owner: RealDictCursor, kind: str
) -> None:
    case, found = KINDS[kind], _items(own.doctor, kind)[0]
    entry = answer_of(
        own.doctor.patients.post(f"{own.path}/{kind}", json={case["item"]: found["id"], **case["body"]}), 201
    )
    path = f"{own.path}/{kind}/{entry['id']}"
    answer_of(own.doctor.patients.put(path, json=case["change"]))
    _fields(own.doctor.patients.post(f"{own.path}/{kind}", json={case["item"]: 2_000_000_000}))
    assert api.admin.patients.delete(path).status_code == 204
    doctor, admin = ("doctor", own.doctor.id), ("admin", api.admin.id)
    assert _events(owner, own, case["resource"]) == [
        (*doctor, "create", {"id": entry["id"], "item": found["id"]}),
        (*doctor, "update", {"id": entry["id"], "fields": list(case["change"])}),
        (*admin, "delete", {"id": entry["id"]}),
    ]


def test_a_patients_former_doctor_edits_its_record_no_more(api: Api, own: Care) -> None:
    another = api.new_doctor(own.institution)
    answer_of(own.institution.patients.put(own.path, json={"doctor_id": another.id}))
    body = {"name": "Asma"}
    assert_problem(own.doctor.patients.post(f"{own.path}/conditions", json=body), 404, "patient_not_found")
    answer_of(another.patients.post(f"{own.path}/conditions", json=body), 201)
    assert_problem(
        own.doctor.patients.put(f"{own.path}/health-profile", json={"sleep_hours": 8}), 404, "patient_not_found"
    )


def test_nobody_edits_the_record_of_a_deleted_patient(api: Api, own: Care) -> None:
    assert api.admin.patients.delete(own.path).status_code == 204
    for user in (own.doctor, api.admin):
        for kind, case in KINDS.items():
            answer = user.patients.post(f"{own.path}/{kind}", json={case["item"]: 1})
            assert_problem(answer, 404, "patient_not_found")
        change = user.patients.put(f"{own.path}/health-profile", json={"sleep_hours": 8})
        assert_problem(change, 404, "patient_not_found")


def test_a_problem_of_the_record_is_told_in_the_language_of_the_request(care: Care) -> None:
    for language, sentence in (("es", "Indique condition_id o name"), ("en", "Give condition_id or name")):
        answer = care.doctor.patients.post(f"{care.path}/conditions", json={}, headers={"Accept-Language": language})
        assert assert_problem(answer, 422, "validation_failed")["errors"][0]["message"].startswith(sentence)
