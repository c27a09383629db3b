"""The scores of patients: which facts of a record they take, what the dashboard tells, what the lists keep."""

import asyncio
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from patients_app import scores, scores_db
from patients_app.db import hold_patient
from patients_app.score_inputs import Inputs
from psycopg2.extras import RealDictCursor

from dev import ROOT
from dev.fleet import Fleet
from shared.postgres import Database, Transaction
from tests.patients.conftest import Care
from tests.support import Api, User

TODAY = date(2026, 3, 1)
EMPTY: dict[str, Any] = {
    **{"date_of_birth": "1976-03-01", "sex": "female", "profile": None, "conditions": [], "observations": {}},
    **{"pressure": None, "lipids": None},
}
FIELDS = (
    *("height_cm", "weight_kg", "is_smoker", "smoking_years", "smoking_status", "quit_date", "secondhand_smoke_home"),
    *("physical_activity_minutes_weekly", "sleep_hours", "diet_score", "takes_bp_medication", "takes_lipid_medication"),
    "has_diabetes",
)


def moment(day: int, hour: int = 10) -> str:
    return f"2026-01-{day:02}T{hour:02}:00:00+00:00"


def profile(day: int = 1, **fields: Any) -> dict[str, Any]:
    """A health profile whose fields were all stated on one day."""
    return {**dict.fromkeys(FIELDS), **fields, "stated_at": dict.fromkeys(fields, moment(day))}


def observation(value: float | str, day: int, unit: str = "") -> dict[str, Any]:
    return {"value": value, "unit": unit, "at": moment(day)}


def inputs(**record: Any) -> Inputs:
    return Inputs(EMPTY | record, TODAY)


# The facts of a record.


def test_nothing_on_record_is_nothing_known() -> None:
    known, risk = inputs().for_health_score(), inputs().for_risk()
    assert [value for name, value in vars(known).items() if name != "age" and value is not None] == []
    assert (risk.is_smoker, risk.has_diabetes, risk.takes_bp_medication, risk.egfr) == (None, None, None, None)


@pytest.mark.parametrize(("day", "source", "value"), [(1, "29463-7", 82), (3, "profile", 80), (2, "profile", 80)])
def test_between_profile_and_observation_the_newer_counts(day: int, source: str, value: float) -> None:
    weight = inputs(profile=profile(day, weight_kg=80), observations={"29463-7": observation(82, 2, "kg")}).weight_kg
    assert weight and (weight.value, weight.source, weight.unit) == (value, source, "kg")


def test_a_body_mass_index_takes_the_newest_of_each_and_dates_from_the_later() -> None:
    known = inputs(profile=profile(1, height_cm=160), observations={"29463-7": observation(64, 5, "kg")})
    assert known.bmi and (known.bmi.value, known.bmi.at) == (25, datetime(2026, 1, 5, 10, tzinfo=UTC))


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"is_smoker": True}, "current"),
        ({"is_smoker": False}, "never"),
        ({"is_smoker": False, "smoking_years": 0}, "never"),
        ({"is_smoker": False, "smoking_years": 4}, "former"),
        ({"is_smoker": False, "quit_date": "2020-01-01"}, "former"),
        ({"is_smoker": False, "smoking_status": "nicotine_device"}, "nicotine_device"),
        ({"smoking_years": 4}, None),
        ({"quit_date": "2020-01-01"}, None),
        ({}, None),
    ],
)
def test_what_a_profile_says_of_smoking(fields: dict[str, Any], status: str | None) -> None:
    smoking = inputs(profile=profile(**fields)).smoking_status
    assert (smoking and smoking.value) == status


@pytest.mark.parametrize(("day", "status"), [(1, "current"), (3, "never")])
def test_a_newer_smoking_observation_displaces_the_profile(day: int, status: str) -> None:
    known = inputs(profile=profile(day, is_smoker=False), observations={"72166-2": observation("current", 2)})
    assert known.smoking_status and known.smoking_status.value == status
    risk = known.for_risk()
    assert risk.is_smoker and risk.is_smoker.value is (status == "current")


def test_a_nicotine_device_is_no_smoking_to_prevent() -> None:
    smoking = inputs(profile=profile(smoking_status="nicotine_device")).for_risk().is_smoker
    assert smoking and smoking.value is False


@pytest.mark.parametrize(
    ("stated", "key", "lasts", "expected"),
    [
        *((None, "diabetes mellitus tipo 2", True, True), (False, "diabetes mellitus tipo 2", True, True)),
        *((False, "diabetes mellitus tipo 2", False, False), (None, "asma", True, None), (True, "asma", True, True)),
    ],
)
def test_diabetes_is_on_record_by_the_profile_or_a_lasting_condition(
    stated: bool | None, key: str, lasts: bool, expected: bool | None
) -> None:
    condition = {"name": key, "key": key, "code": None, "diagnosis_date": "2020-05-01", "lasts": lasts}
    fields = {} if stated is None else {"has_diabetes": stated}
    diabetes = inputs(profile=profile(**fields), conditions=[condition]).has_diabetes
    assert (diabetes and diabetes.value) == expected


def test_a_cardiovascular_disease_that_is_over_stays_one() -> None:
    condition = {"name": "Infarto", "key": "infarto de miocardio", "code": None, "diagnosis_date": None, "lasts": False}
    disease = inputs(conditions=[condition]).for_risk().cardiovascular_disease
    assert disease and (disease.value, disease.source) == ("Infarto", "conditions")


LIPIDS = {"total": 200.1, "hdl": 70.1, "total_at": moment(3), "hdl_at": moment(3), "unit": "mg/dL"}


@pytest.mark.parametrize(("day", "value", "source"), [(2, 130, "computed"), (3, 99, "43396-1"), (4, 99, "43396-1")])
def test_non_hdl_is_measured_or_computed_exactly_whichever_is_newer(day: int, value: float, source: str) -> None:
    known = inputs(lipids=LIPIDS, observations={"43396-1": observation(99, day, "mg/dL")}).for_health_score()
    assert known.non_hdl and (known.non_hdl.value, known.non_hdl.source) == (value, source)


@pytest.mark.parametrize(
    ("egfr_day", "creatinine_day", "sex", "source"),
    [
        *((2, 1, "female", "98979-8"), (2, 2, "female", "98979-8"), (1, 2, "female", "computed")),
        *((None, 2, "male", "computed"), (1, 2, None, None), (None, 2, "other", None), (None, None, "male", None)),
    ],
)
def test_kidney_function_is_reported_or_from_creatinine_whichever_is_newer(
    egfr_day: int | None, creatinine_day: int | None, sex: str | None, source: str | None
) -> None:
    days = {"98979-8": egfr_day, "2160-0": creatinine_day}
    observations = {code: observation(0.9, day) for code, day in days.items() if day}
    risk = inputs(sex=sex, observations=observations).for_risk()
    assert (risk.egfr and risk.egfr.source) == source
    assert ("creatinine" in risk.basis) == (source == "computed" or (source is None and creatinine_day is not None))


# What is found in the database.


@pytest.fixture
def patient(api: Api, care: Care) -> User:
    """A patient without a word about its health."""
    return api.new_patient(care.doctor, care.institution, sex_id=1)


async def record_of(database: Database, patient: User) -> Any:
    """What its scores are computed from."""
    (row,) = await scores_db.list_score_inputs(database, [UUID(patient.id)])
    return row["score_inputs"]


def observe(owner: RealDictCursor, patient: User, *rows: tuple[str, float, str]) -> None:
    for code, value, at in rows:
        owner.execute(
            "INSERT INTO observations (patient_id, code, value, unit, effective_at, recorded_by_type, created_at) "
            "SELECT %s, code, %s, unit, %s, 'service', clock_timestamp() FROM observation_codes WHERE code = %s",
            (patient.id, value, at, code),
        )


@pytest.mark.anyio
async def test_a_lone_newer_systolic_does_not_displace_a_pair(
    database: Database, owner: RealDictCursor, patient: User
) -> None:
    observe(owner, patient, ("8480-6", 118, moment(2)), ("8462-4", 76, moment(2)), ("8480-6", 150, moment(3)))
    pressure = (await record_of(database, patient))["pressure"]
    assert (pressure["systolic"], pressure["diastolic"]) == (118, 76)
    observe(owner, patient, ("8480-6", 122, moment(2)), ("8462-4", 78, moment(2)))
    pressure = (await record_of(database, patient))["pressure"]
    assert (pressure["systolic"], pressure["diastolic"]) == (122, 78), "of one moment the last recorded pair"
    observe(owner, patient, ("8462-4", 95, moment(3)))
    assert (await record_of(database, patient))["pressure"]["systolic"] == 150


@pytest.mark.anyio
async def test_total_and_hdl_cholesterol_are_of_one_day(
    database: Database, owner: RealDictCursor, patient: User
) -> None:
    observe(owner, patient, ("2093-3", 200, moment(2, 8)), ("2085-9", 50, moment(3, 8)), ("2093-3", 260, moment(4)))
    assert (await record_of(database, patient))["lipids"] is None
    observe(owner, patient, ("2085-9", 55, moment(2, 9)))
    lipids = (await record_of(database, patient))["lipids"]
    assert (lipids["total"], lipids["hdl"]) == (200, 55)


@pytest.mark.anyio
async def test_of_each_code_the_newest_is_found_and_of_one_moment_the_last_recorded(
    database: Database, owner: RealDictCursor, patient: User
) -> None:
    observe(owner, patient, ("4548-4", 5.1, moment(3)), ("4548-4", 9.9, moment(2)), ("4548-4", 5.4, moment(3)))
    found = (await record_of(database, patient))["observations"]
    assert found == {"4548-4": {"value": 5.4, "unit": "%", "at": moment(3)}}


def test_a_profile_knows_since_when_each_field_is_stated(owner: RealDictCursor, patient: User, care: Care) -> None:
    stated = "SELECT stated_at FROM health_profiles WHERE patient_id = %s"
    path = f"/api/v1/patients/{patient.id}/health-profile"
    assert care.doctor.patients.put(path, json={"weight_kg": 80, "notes": "Camina."}).status_code == 200
    owner.execute(stated, (patient.id,))
    first = owner.fetchone()["stated_at"]
    assert set(first) == {"weight_kg"}
    assert care.doctor.patients.put(path, json={"sleep_hours": 7}).status_code == 200
    owner.execute(stated, (patient.id,))
    second = owner.fetchone()["stated_at"]
    assert (set(second), second["weight_kg"]) == ({"weight_kg", "sleep_hours"}, first["weight_kg"])
    # The same value again is a new word: it was so then, and it is so now.
    assert care.doctor.patients.put(path, json={"weight_kg": 80}).status_code == 200
    owner.execute(stated, (patient.id,))
    assert owner.fetchone()["stated_at"]["weight_kg"] > first["weight_kg"]


def test_who_inserts_a_profile_may_say_since_when_a_field_is_known(owner: RealDictCursor, patient: User) -> None:
    owner.execute("DELETE FROM health_profiles WHERE patient_id = %s", (patient.id,))
    owner.execute(
        """INSERT INTO health_profiles (patient_id, height_cm, weight_kg, stated_at)
           VALUES (%s, 170, 70, '{"height_cm": "2001-02-03T00:00:00+00:00"}') RETURNING stated_at""",
        (patient.id,),
    )
    stated_at = owner.fetchone()["stated_at"]
    assert stated_at["height_cm"] == "2001-02-03T00:00:00+00:00"
    assert datetime.fromisoformat(stated_at["weight_kg"]).date() == datetime.now(UTC).date()


# What doctors, institutions and patients see.


def dashboard_of(patient: User, language: str = "es") -> Any:
    answer = patient.patients.get(f"/api/v1/patients/{patient.id}/dashboard", headers={"Accept-Language": language})
    assert answer.status_code == 200, answer.text
    return answer.json()


def listed(care: Care, patient: User) -> dict[tuple[Any, ...], int]:
    """The score and the risk level of a patient, as its doctor's and its institution's lists have them."""
    lists = (
        care.doctor.doctors.get("/api/v1/doctors/me/patients", params={"limit": 200}),
        care.institution.institutions.get("/api/v1/institutions/patients", params={"limit": 200}),
    )
    found = [row for answer in lists for row in answer.json()["patients"] if row["id"] == patient.id]
    assert len(found) == 2
    return {(row["health_score"], row["risk_level"]) for row in found}  # type: ignore[return-value]


def post(who: User, patient: User, *observations: tuple[str, Any, str]) -> None:
    rows = [{"code": code, "value": value, "unit": unit} for code, value, unit in observations]
    answer = who.patients.post(f"/api/v1/patients/{patient.id}/observations", json={"observations": rows})
    assert answer.status_code == 201, answer.text


def pressure(systolic: int, diastolic: int) -> tuple[tuple[str, int, str], ...]:
    return ("8480-6", systolic, "mm[Hg]"), ("8462-4", diastolic, "mm[Hg]")


def test_a_patient_without_data_has_no_score_and_an_unknown_risk(patient: User, care: Care) -> None:
    dashboard = dashboard_of(patient)
    assert (dashboard["health_score"], dashboard["risk_level"]) == (None, "unknown")
    assert len(dashboard["health_score_detail"]["missing"]) == 8
    assert dashboard["cardiovascular_risk"]["ten_year"] == dict.fromkeys(("total_cvd", "ascvd", "heart_failure"))
    assert listed(care, patient) == {(None, "unknown")}


def test_a_new_pressure_moves_the_score_and_the_dashboard_tells_why(patient: User, care: Care) -> None:
    post(care.doctor, patient, *pressure(118, 76))
    assert listed(care, patient) == {(100, "low")}
    post(care.doctor, patient, *pressure(142, 88))
    assert listed(care, patient) == {(25, "high")}
    dashboard = dashboard_of(patient, "en")
    component = dashboard["health_score_detail"]["components"]["blood_pressure"]
    today = datetime.now(UTC).date().isoformat()
    assert (dashboard["health_score"], dashboard["risk_level"]) == (25, "high")
    assert (component["label"], component["score"], component["value"]) == ("Blood pressure", 25, "142/88")
    assert (component["unit"], component["date"], component["unknown"]) == ("mm[Hg]", today, ["takes_bp_medication"])
    assert component["inputs"][0] == {
        **{"name": "systolic", "value": 142, "unit": "mm[Hg]", "date": today, "source": "8480-6"}
    }


def test_every_change_of_an_input_reaches_the_lists_at_once(api: Api, care: Care) -> None:
    patient = api.new_patient(care.doctor, care.institution, health_profile={"sleep_hours": 6})
    path = f"/api/v1/patients/{patient.id}"
    assert listed(care, patient) == {(70, "moderate")}
    care.doctor.patients.put(f"{path}/health-profile", json={"sleep_hours": 8})
    assert listed(care, patient) == {(100, "low")}
    post(care.doctor, patient, ("4548-4", 6.9, "%"))
    assert listed(care, patient) == {(100, "low")}, "a diabetic value without diabetes on record is not scored"
    added = care.doctor.patients.post(f"{path}/conditions", json={"name": "Diabetes mellitus tipo 2"})
    assert listed(care, patient) == {(70, "moderate")}
    condition = f"{path}/conditions/{added.json()['id']}"
    care.doctor.patients.put(condition, json={"abatement_date": "2020-01-01"})
    assert listed(care, patient) == {(100, "low")}
    care.doctor.patients.put(condition, json={"abatement_date": None})
    care.doctor.patients.delete(condition)
    assert listed(care, patient) == {(100, "low")}
    youth = f"{datetime.now(UTC).year - 19}-01-01"
    assert api.admin.patients.put(path, json={"date_of_birth": youth}).status_code == 200
    assert listed(care, patient) == {(None, "unknown")}
    assert dashboard_of(patient)["health_score_detail"]["components"]["sleep"]["reason"] == "under_20"


def test_the_published_example_comes_out_on_the_dashboard(api: Api, care: Care) -> None:
    birth = f"{datetime.now(UTC).year - 50}-01-01"
    profile = {
        **{"height_cm": 200, "weight_kg": 140, "is_smoker": False, "has_diabetes": True},
        **{"takes_bp_medication": True, "takes_lipid_medication": False},
    }
    patient = api.new_patient(care.doctor, date_of_birth=birth, sex_id=1, health_profile=profile)
    lipids = (("2093-3", 200, "mg/dL"), ("2085-9", 45, "mg/dL"))
    post(care.doctor, patient, *pressure(160, 90), *lipids, ("98979-8", 90, "mL/min/{1.73_m2}"))
    risk = dashboard_of(patient)["cardiovascular_risk"]
    assert (risk["model"], risk["missing"], risk["not_applicable"]) == ("AHA PREVENT 2023 base", [], [])
    ten, thirty = {"total_cvd": 0.14684, "ascvd": 0.09195, "heart_failure": 0.08056}, risk["thirty_year"]
    assert risk["ten_year"] == pytest.approx(ten, abs=1e-5)
    assert thirty == pytest.approx({"total_cvd": 0.52985, "ascvd": 0.35426, "heart_failure": 0.3896}, abs=1e-5)
    care.doctor.patients.post(f"/api/v1/patients/{patient.id}/conditions", json={"name": "Insuficiencia cardíaca"})
    risk = dashboard_of(patient, "en")["cardiovascular_risk"]
    assert set(risk["ten_year"].values()) == {None}
    (found,) = risk["not_applicable"]
    assert (found["reason"], found["message"]) == (
        "existing_disease",
        "The model is for people without cardiovascular disease.",
    )


def test_what_the_model_was_not_made_for_is_told_in_both_languages(api: Api, care: Care) -> None:
    patient = api.new_patient(care.doctor, date_of_birth=f"{datetime.now(UTC).year - 60}-01-01", sex_id=1)
    post(care.doctor, patient, *pressure(185, 90))
    for language, sentence in (
        ("es", "Fuera del intervalo del modelo: 90-180."),
        ("en", "Outside of the model's range: 90-180."),
    ):
        risk = dashboard_of(patient, language)["cardiovascular_risk"]
        assert risk["thirty_year"] is None
        assert [(found["input"], found["horizon"]) for found in risk["not_applicable"]] == [
            ("systolic", None),
            ("age", "30yr"),
        ]
        assert risk["not_applicable"][0]["message"] == sentence


def test_a_dashboard_shows_the_newest_height_and_weight_that_its_index_is_made_of(api: Api, care: Care) -> None:
    patient = api.new_patient(care.doctor, health_profile={"height_cm": 160, "weight_kg": 60})
    post(care.doctor, patient, ("29463-7", 64, "kg"))
    dashboard = dashboard_of(patient)
    assert (dashboard["patient"]["height_cm"], dashboard["patient"]["weight_kg"]) == (160, 64)
    assert (dashboard["bmi"], dashboard["bmi_class"]) == (25, "overweight")


def test_a_score_is_no_change_of_the_patient(patient: User, care: Care) -> None:
    path = f"/api/v1/patients/{patient.id}"
    before = patient.patients.get(path).json()["updated_at"]
    post(care.doctor, patient, *pressure(118, 76))
    assert patient.patients.get(path).json()["updated_at"] == before
    patient.patients.put(path, json={"contact_phone": "55 1234 5678"})
    assert patient.patients.get(path).json()["updated_at"] > before


def test_of_many_changes_at_once_the_list_keeps_the_sum(patient: User, care: Care) -> None:
    changes: list[tuple[tuple[str, Any, str], ...]] = [
        *(pressure(118, 76), (("43396-1", 200, "mg/dL"),), (("1558-6", 90, "mg/dL"),), (("93832-4", 5.5, "h"),)),
        *(((("8302-2", 170, "cm"), ("29463-7", 70, "kg"))), (("72166-2", "current", ""),)),
    ]
    with ThreadPoolExecutor(len(changes)) as pool:
        list(pool.map(lambda rows: post(care.doctor, patient, *rows), changes))
    # 100 + 20 + 100 + 40 + 100 + 0, of six.
    assert listed(care, patient) == {(60, "moderate")}
    assert dashboard_of(patient)["health_score"] == 60


RECORD_SLEEP = """
    INSERT INTO observations (patient_id, code, value, unit, effective_at, recorded_by_type)
    VALUES (%(patient_id)s, '93832-4', 8, 'h', now(), 'service')
"""
RECORD_NON_HDL = """
    INSERT INTO observations (patient_id, code, value, unit, effective_at, recorded_by_type)
    VALUES (%(patient_id)s, '43396-1', 200, 'mg/dL', now(), 'service')
"""


@pytest.mark.anyio
async def test_who_holds_a_patient_second_scores_what_both_wrote(database: Database, patient: User, care: Care) -> None:
    async def change(tx: Transaction, statement: str) -> None:
        await hold_patient(tx, UUID(patient.id), {"caller_type": "admin", "caller_id": None})
        await tx.execute(statement, {"patient_id": UUID(patient.id)})
        await scores.refresh(tx, UUID(patient.id))

    async def record_sleep() -> None:
        async with database.transaction() as tx:
            await change(tx, RECORD_SLEEP)

    async with database.transaction() as first:
        await change(first, RECORD_NON_HDL)
        second = asyncio.create_task(record_sleep())
        # It may not get through; that it has begun to wait shows in the server's list of locks.
        waiting = "SELECT pg_sleep(0.01), count(*) AS count FROM pg_locks WHERE NOT granted"
        while not second.done() and not (await database.fetch_all(waiting))[0]["count"]:
            pass
        assert not second.done()
    await second
    assert listed(care, patient) == {(60, "moderate")}  # 20 and 100


# Computing them all anew.


def spoil(owner: RealDictCursor, patient: User) -> None:
    """Give a patient the score of an older model."""
    owner.execute(
        "UPDATE patients SET health_score = 1, risk_level = 'high', score_model = 'older', scored_at = now() "
        "WHERE id = %s",
        (patient.id,),
    )


@pytest.mark.anyio
async def test_computing_anew_puts_every_score_right_also_of_who_was_deleted(
    database: Database, owner: RealDictCursor, api: Api, care: Care, monkeypatch: pytest.MonkeyPatch
) -> None:
    patients = [api.new_patient(care.doctor, health_profile={"sleep_hours": 8}) for _ in range(3)]
    owner.execute("UPDATE patients SET deleted_at = now() WHERE id = %s", (patients[0].id,))
    for patient in patients:
        spoil(owner, patient)
    monkeypatch.setattr(scores, "BATCH", 2)
    numbers = [number async for number in scores.recompute(database)]
    owner.execute("SELECT count(*) AS count FROM patients")
    assert sum(numbers) == owner.fetchone()["count"]
    assert max(numbers) == 2
    ids = [patient.id for patient in patients]
    owner.execute("SELECT health_score, risk_level, score_model FROM patients WHERE id = ANY (%s::uuid[])", (ids,))
    assert {tuple(row.values()) for row in owner.fetchall()} == {(100, "low", scores.SCORE_MODEL)}
    owner.execute(
        "SELECT count(DISTINCT changed) AS count FROM audit_events, unnest(patient_ids) changed "
        "WHERE resource = 'health_score' AND action = 'update' AND changed = ANY (%s::uuid[])",
        (ids,),
    )
    assert owner.fetchone()["count"] == 3


@pytest.mark.anyio
async def test_what_was_computed_before_an_interruption_stays(
    database: Database, owner: RealDictCursor, api: Api, care: Care, monkeypatch: pytest.MonkeyPatch
) -> None:
    for patient in (api.new_patient(care.doctor, health_profile={"sleep_hours": 8}) for _ in range(2)):
        spoil(owner, patient)
    monkeypatch.setattr(scores, "BATCH", 1)
    spoilt = "SELECT count(*) AS count FROM patients WHERE score_model = 'older'"
    before = 2
    async for _ in scores.recompute(database):
        owner.execute(spoilt)
        if owner.fetchone()["count"] < before:
            break
    owner.execute(spoilt)
    assert owner.fetchone()["count"] == 1
    assert [number async for number in scores.recompute(database)]
    owner.execute(spoilt)
    assert owner.fetchone()["count"] == 0


@pytest.mark.anyio
async def test_a_score_that_stays_the_same_leaves_no_trace(
    database: Database, owner: RealDictCursor, care: Care
) -> None:
    events = "SELECT count(*) AS count FROM audit_events WHERE resource = 'health_score'"
    assert [number async for number in scores.recompute(database)]
    owner.execute(events)
    before = owner.fetchone()["count"]
    assert [number async for number in scores.recompute(database)]
    owner.execute(events)
    assert owner.fetchone()["count"] == before


def test_the_fleets_own_verb_computes_the_running_fleets_scores(
    fleet: Fleet, owner: RealDictCursor, patient: User, care: Care
) -> None:
    spoil(owner, patient)
    assert listed(care, patient) == {(1, "high")}
    done = subprocess.run(
        [sys.executable, "-m", "dev", "scores", "recompute"],
        **{"cwd": ROOT, "capture_output": True, "text": True, "timeout": 60, "check": False},
        env={"PATH": os.environ["PATH"], "PREDICTHEALTH_DATA_DIR": str(fleet.data_dir)},
    )
    owner.execute("SELECT count(*) AS count FROM patients")
    assert (done.returncode, done.stdout) == (0, f"scores computed: {owner.fetchone()['count']}\n"), done.stderr
    assert listed(care, patient) == {(None, "unknown")}
