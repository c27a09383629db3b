"""`./fleet demo` on the running fleet: the lines that it prints, how full the record is, and its figures, recounted.

The recounts read the tables' rows and count in Python or in SQL of their own: nothing of the services' own statements.
"""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from psycopg2.extras import RealDictCursor

from dev import ROOT
from dev.fleet import Fleet
from tests.database.importing import rows_of
from tests.support import Api, User

Rows = list[dict[str, Any]]
PATIENTS = [row["Id"] for row in rows_of("patients.csv")]


@dataclass(frozen=True)
class Demo:
    """What the command printed, its three people, and every patient's dashboard as it was then."""

    said: str
    doctor: User
    patient: User
    institution: User
    dashboards: dict[str, Any]


@pytest.fixture(scope="module")
def demo(fleet: Fleet, api: Api) -> Demo:
    done = subprocess.run(
        [sys.executable, "-m", "dev", "demo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**fleet.environ, "PREDICTHEALTH_DATA_DIR": str(fleet.data_dir)},
    )
    assert done.returncode == 0, done.stderr
    printed = re.findall(r"^The (\w+): (\S+)\n  password: (\S+)$", done.stdout, re.MULTILINE)
    logins = {role: api.log_in(f"{role}s", email, password) for role, email, password in printed}
    dashboards = {id: api.admin.patients.get(f"/api/v1/patients/{id}/dashboard").json() for id in PATIENTS}
    return Demo(done.stdout, logins["doctor"], logins["patient"], logins["institution"], dashboards)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
def test_the_printed_lines_show_each_dashboard(demo: Demo) -> None:
    blocks = re.findall(r"^TOKEN=.*?json\.tool[^\n]*$", demo.said, re.MULTILINE | re.DOTALL)
    doctor, patient, institution = (
        json.loads(subprocess.run(["bash", "-c", block], capture_output=True, check=True).stdout) for block in blocks
    )
    assert doctor["total_patients"] >= 2
    assert patient["patient"]["first_name"] and patient["conditions"] and patient["health_score_detail"]["complete"]
    assert institution["patients"]


def select(owner: RealDictCursor, statement: str, values: Any = None) -> Rows:
    """All rows of a statement, ids as text."""
    owner.execute(statement, values)
    return [{key: str(value) if isinstance(value, UUID) else value for key, value in row.items()} for row in owner]


def components(dashboard: Any) -> dict[str, Any]:
    """The scored components of a dashboard, with what each was computed from."""
    found = dashboard["health_score_detail"]["components"]
    return {name: component for name, component in found.items() if component["score"] is not None}


def test_at_least_half_of_the_patients_have_a_score_of_five_components_and_gaps_stay(demo: Demo) -> None:
    scored = Counter(len(components(dashboard)) for dashboard in demo.dashboards.values())
    assert sum(scored.values()) == 60
    assert sum(patients for number, patients in scored.items() if number >= 5) >= 30, scored
    assert sum(patients for number, patients in scored.items() if number < 8) >= 10, "nothing is ever missing"
    missing = {name for dashboard in demo.dashboards.values() for name in dashboard["health_score_detail"]["missing"]}
    assert {"diet", "sleep", "blood_lipids", "blood_glucose", "nicotine"} <= missing


def test_some_patients_have_each_of_prevents_risks_and_others_the_reason_why_not(demo: Demo) -> None:
    risks = [dashboard["cardiovascular_risk"] for dashboard in demo.dashboards.values()]
    complete = [risk for risk in risks if None not in risk["ten_year"].values()]
    assert len(complete) >= 12
    assert all(0 < probability < 1 for risk in complete for probability in risk["ten_year"].values())
    assert [risk for risk in complete if risk["thirty_year"] is None], "nobody of 60 years and more"
    assert all(risk["missing"] or risk["not_applicable"] for risk in risks if risk not in complete)
    assert {found["reason"] for risk in risks for found in risk["not_applicable"]} >= {
        *("out_of_range", "existing_disease"),
    }


def test_every_score_is_the_mean_of_its_components_and_the_lists_show_the_same(
    demo: Demo, owner: RealDictCursor
) -> None:
    stored = {
        row["id"]: (row["health_score"], row["risk_level"])
        for row in select(owner, "SELECT * FROM patients WHERE id::text = ANY (%s)", (PATIENTS,))
    }
    for patient_id, dashboard in demo.dashboards.items():
        points = [component["score"] for component in components(dashboard).values()]
        mean = sum(points) / len(points) if points else None
        score = None if mean is None else int(mean + 0.5)
        level = "unknown" if mean is None else "low" if mean >= 80 else "moderate" if mean >= 50 else "high"
        assert (dashboard["health_score"], dashboard["risk_level"]) == (score, level) == stored[patient_id]
    mine = demo.doctor.doctors.get("/api/v1/doctors/me/patients").json()["patients"]
    assert {row["id"]: (row["health_score"], row["risk_level"]) for row in mine}.items() <= stored.items()


def test_the_values_behind_the_scores_are_the_newest_on_record(demo: Demo, owner: RealDictCursor) -> None:
    found = select(
        owner,
        """
        WITH pressure AS (
            SELECT DISTINCT ON (s.patient_id) s.patient_id AS id, s.value AS systolic, d.value AS diastolic
            FROM observations s JOIN observations d USING (patient_id, effective_at)
            WHERE s.code = '8480-6' AND d.code = '8462-4'
            ORDER BY s.patient_id, effective_at DESC
        ), lipids AS (
            SELECT DISTINCT ON (t.patient_id) t.patient_id AS id, t.value - h.value AS non_hdl
            FROM observations t JOIN observations h USING (patient_id, effective_at)
            WHERE t.code = '2093-3' AND h.code = '2085-9'
            ORDER BY t.patient_id, effective_at DESC
        ), body AS (
            SELECT patient_id AS id, (array_agg(value ORDER BY effective_at DESC) FILTER (WHERE code = '29463-7'))[1]
                / ((array_agg(value ORDER BY effective_at DESC) FILTER (WHERE code = '8302-2'))[1] / 100) ^ 2 AS bmi
            FROM observations GROUP BY patient_id
        )
        SELECT p.id::text, systolic, diastolic, non_hdl, bmi, sleep_hours, diet_score
        FROM patients p JOIN health_profiles h ON h.patient_id = p.id
        LEFT JOIN pressure USING (id) LEFT JOIN lipids USING (id) LEFT JOIN body USING (id)
        WHERE p.id::text = ANY (%s)
        """,
        (PATIENTS,),
    )
    assert len(found) == 60
    for row in found:
        dashboard, scored = demo.dashboards[row["id"]], components(demo.dashboards[row["id"]])
        if dashboard["age"] < 20:
            continue
        # Heights of the profile are kept to 0.1 cm.
        assert dashboard["bmi"] == pytest.approx(float(row["bmi"]), abs=0.1)
        assert scored["blood_pressure"]["value"] == f"{float(row['systolic']):g}/{float(row['diastolic']):g}"
        for name, column in (("blood_lipids", "non_hdl"), ("sleep", "sleep_hours"), ("diet", "diet_score")):
            value = scored[name]["value"] if name in scored else None
            assert value == (row[column] if row[column] is None else pytest.approx(float(row[column]), abs=1e-3)), name


def test_the_doctors_figures_are_those_of_the_tables(demo: Demo, api: Api, owner: RealDictCursor) -> None:
    (place,) = select(
        owner,
        "SELECT r.time_zone FROM doctors d JOIN addresses a ON a.entity_id = d.institution_id AND a.is_primary "
        "JOIN regions r ON r.id = a.region_id WHERE d.id = %s",
        (demo.doctor.id,),
    )
    zone = ZoneInfo(place["time_zone"])
    assert str(zone) == "America/New_York"
    own = "SELECT * FROM patients WHERE doctor_id = %s ORDER BY id"
    first, second = (row["id"] for row in select(owner, own, (demo.doctor.id,)))
    midnight = datetime.combine(datetime.now(zone).date(), datetime.min.time(), zone)
    # The last quarter of an hour before the day, its first and last, the first after it, and one that was cancelled.
    offsets = [
        timedelta(minutes=-15),
        timedelta(),
        timedelta(days=1, minutes=-15),
        timedelta(days=1),
        timedelta(hours=9),
    ]
    for offset in offsets:
        starts_at = (midnight + offset).astimezone(UTC).isoformat()
        path = f"/api/v1/patients/{first}/appointments"
        made = demo.doctor.patients.post(path, json={"starts_at": starts_at, "duration_minutes": 15})
        assert made.status_code == 201, made.text
    moved = demo.doctor.patients.patch(f"{path}/{made.json()['id']}", json={"status": "cancelled"})
    assert moved.status_code == 200
    step = {"status": "validated_by_doctor"}
    assert demo.doctor.patients.post(f"/api/v1/patients/{second}/validation", json=step).status_code == 200

    statuses = [row["validation_status"] for row in select(owner, own, (demo.doctor.id,))]
    appointments = select(owner, "SELECT * FROM appointments WHERE doctor_id = %s", (demo.doctor.id,))
    today = [row for row in appointments if row["starts_at"].astimezone(zone).date() == datetime.now(zone).date()]
    assert len(today) == 3
    assert demo.doctor.doctors.get("/api/v1/doctors/me/dashboard").json() == {
        "total_patients": len(statuses),
        "today_appointments": len([row for row in today if row["status"] != "cancelled"]),
        "pending_reviews": statuses.count("pending"),
    }


def age_on(born: date, today: date) -> int:
    """Whole years."""
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def test_each_institutions_figures_are_those_of_the_tables(demo: Demo, api: Api, owner: RealDictCursor) -> None:
    today = datetime.now(UTC).date()
    patients_of: defaultdict[str, list[Any]] = defaultdict(list)
    for row in select(owner, "SELECT p.*, s.code AS sex FROM patients p LEFT JOIN sexes s ON s.id = p.sex_id"):
        if row["institution_id"] and row["deleted_at"] is None:
            patients_of[row["institution_id"]].append(row)
    conditions_of: defaultdict[str, list[Any]] = defaultdict(list)
    lasting = "SELECT * FROM patient_conditions c JOIN medical_conditions m ON m.id = c.condition_id"
    for row in select(owner, lasting + " WHERE abatement_date IS NULL"):
        conditions_of[row["patient_id"]].append((row["condition_id"], row["name"]))
    doctors = Counter(row["institution_id"] for row in select(owner, "SELECT * FROM doctors WHERE deleted_at IS NULL"))
    institutions = {row["Id"] for row in rows_of("organizations.csv")} & patients_of.keys()
    assert len(institutions) > 10 and demo.institution.id in institutions
    for institution in institutions:
        patients = patients_of[institution]
        bands = Counter(
            next(band for limit, band in ((18, "0-17"), (40, "18-39"), (65, "40-64"), (200, "65+")) if years < limit)
            for years in (age_on(row["date_of_birth"], today) for row in patients)
        )
        counted = Counter(found for row in patients for found in conditions_of[row["id"]])
        ranked = sorted((-count, name, id) for (id, name), count in counted.items())[:10]
        told = api.admin.institutions.get(f"/api/v1/institutions/{institution}/statistics").json()
        assert (told["patients"], told["doctors"]) == (len(patients), doctors[institution])
        for figures, column in (
            ("by_validation_status", "validation_status"),
            ("by_risk_level", "risk_level"),
            ("by_sex", "sex"),
        ):
            assert +Counter(told[figures]) == Counter(row[column] for row in patients), figures
        assert +Counter(told["by_age_band"]) == bands
        shown = [(-top["patients"], top["name"], top["id"]) for top in told["top_conditions"]]
        assert [count for count, _, _ in shown] == [count for count, _, _ in ranked]
        # The last count may be that of more conditions than there is room for.
        assert {top for top in shown if top[0] < shown[-1][0]} == {top for top in ranked if top[0] < shown[-1][0]}


def test_the_geography_is_that_of_the_tables(demo: Demo, owner: RealDictCursor) -> None:
    items = demo.doctor.institutions.get("/api/v1/institutions/geography", params={"country": "US"}).json()["items"]
    regions = select(owner, "SELECT r.* FROM regions r JOIN countries c ON c.id = r.country_id WHERE c.code = 'US'")
    assert [(item["region_id"], item["region"]) for item in items] == [
        (row["id"], row["name"]) for row in sorted(regions, key=lambda row: str(row["name"]))
    ]
    places = {
        row["id"]: row
        for row in select(
            owner,
            "SELECT i.id, i.verification_status, a.region_id FROM medical_institutions i JOIN addresses a "
            "ON a.entity_id = i.id AND a.is_primary WHERE i.deleted_at IS NULL",
        )
    }
    people = {
        kind: Counter(
            places[row["institution_id"]]["region_id"]
            for row in select(owner, f"SELECT institution_id FROM {kind} WHERE deleted_at IS NULL")
            if row["institution_id"] in places
        )
        for kind in ("doctors", "patients")
    }
    for item in items:
        here = [place for place in places.values() if place["region_id"] == item["region_id"]]
        verified = [place for place in here if place["verification_status"] == "verified"]
        assert (item["institutions"], item["verified_institutions"]) == (len(here), len(verified))
        assert {kind: item[kind] for kind in people} == {kind: people[kind][item["region_id"]] for kind in people}
    assert sum(item["patients"] for item in items) >= 60


def test_a_patients_dashboard_is_that_of_the_tables(demo: Demo, owner: RealDictCursor) -> None:
    path = f"/api/v1/patients/{demo.patient.id}"
    for days in range(7):
        starts_at = (datetime.now(UTC) + timedelta(days=40 - days)).isoformat()
        body = {"starts_at": starts_at, "duration_minutes": 20}
        assert demo.patient.patients.post(f"{path}/appointments", json=body).status_code == 201
    shown = demo.patient.patients.get(f"{path}/dashboard").json()
    (row,) = select(
        owner,
        """
        SELECT p.date_of_birth,
               ARRAY(SELECT m.name FROM patient_medications t JOIN medications m ON m.id = t.medication_id
                     WHERE t.patient_id = p.id AND t.status = 'active') AS medications,
               ARRAY(SELECT m.name FROM patient_conditions c JOIN medical_conditions m ON m.id = c.condition_id
                     WHERE c.patient_id = p.id AND c.abatement_date IS NULL) AS conditions,
               ARRAY(SELECT id::text FROM appointments WHERE patient_id = p.id AND status IN ('scheduled', 'confirmed')
                     AND ends_at > now() ORDER BY starts_at LIMIT 5) AS appointments
        FROM patients p WHERE p.id = %(id)s
        """,
        {"id": demo.patient.id},
    )
    assert shown["age"] == age_on(row["date_of_birth"], datetime.now(UTC).date())
    for entries in ("medications", "conditions"):
        assert sorted(entry["name"] for entry in shown[entries]) == sorted(row[entries]) and row[entries]
    assert [entry["id"] for entry in shown["appointments"]] == row["appointments"] and len(row["appointments"]) == 5
    (events,) = select(
        owner,
        """
        SELECT count(*) FILTER (WHERE at > %(last)s) AS newer, count(*) FILTER (WHERE at >= %(last)s) AS not_older
        FROM (SELECT DISTINCT 'observation', effective_at AS at, '' FROM observations WHERE patient_id = %(id)s
              UNION ALL SELECT 'condition', created_at, '' FROM patient_conditions WHERE patient_id = %(id)s
              UNION ALL SELECT 'medication', created_at, '' FROM patient_medications WHERE patient_id = %(id)s
              UNION ALL SELECT 'allergy', created_at, '' FROM patient_allergies WHERE patient_id = %(id)s
              UNION ALL SELECT 'validation', created_at, '' FROM patient_validations WHERE patient_id = %(id)s
              UNION ALL SELECT 'appointment', CASE WHEN status IN ('completed', 'no_show')
                                              THEN least(starts_at, updated_at) ELSE updated_at END, ''
              FROM appointments WHERE patient_id = %(id)s) AS events
        """,
        {"id": demo.patient.id, "last": shown["recent_activity"][-1]["occurred_at"]},
    )
    moments = [event["occurred_at"] for event in shown["recent_activity"]]
    assert len(moments) == 10 and moments == sorted(moments, reverse=True)
    assert events["newer"] < 10 <= events["not_older"], "an event is missing"


def test_a_doctor_finds_a_patient_adds_a_pressure_and_sees_the_score_move_and_why(demo: Demo, api: Api) -> None:
    # As it is remembered: not quite the first name, the second one's beginning, no accents.
    new = {"first_name": "María José", "last_name": "Núñez Ibáñez", "date_of_birth": "1970-02-03", "sex_id": 1}
    profile = {"height_cm": 160, "weight_kg": 64, "sleep_hours": 7, "diet_score": 12, "takes_bp_medication": False}
    api.new_patient(demo.doctor, demo.institution, **new, health_profile=profile)
    for remembered in ("jose nun", "MARIA  ibanez", "nunez", "maria josé"):
        found = demo.doctor.doctors.get("/api/v1/doctors/me/patients", params={"q": remembered}).json()
        assert [row["last_name"] for row in found["patients"]] == ["Núñez Ibáñez"], remembered
    row = found["patients"][0]
    assert (row["health_score"], row["risk_level"]) == (83, "low")  # (80 + 100 + 70) / 3
    record = demo.doctor.doctors.get(f"/api/v1/doctors/me/patients/{row['id']}/medical-record").json()
    assert record["patient_info"] == row and record["observations"] == []

    path = f"/api/v1/patients/{row['id']}"
    pressure = [
        {"code": "8480-6", "value": 152, "unit": "mm[Hg]"},
        {"code": "8462-4", "value": 96, "unit": "mm[Hg]"},
    ]
    added = demo.doctor.patients.post(f"{path}/observations", json={"observations": pressure})
    assert added.status_code == 201
    after = demo.doctor.patients.get(f"{path}/dashboard", headers={"Accept-Language": "en"}).json()
    assert (after["health_score"], after["risk_level"]) == (69, "moderate")  # (80 + 100 + 70 + 25) / 4 = 68.75
    why = components(after)["blood_pressure"]
    assert (why["score"], why["value"], why["date"]) == (25, "152/96", datetime.now(UTC).date().isoformat())
    assert [given["name"] for given in why["inputs"]] == ["systolic", "diastolic", "takes_bp_medication"]
    assert after["recent_activity"][0]["description"] == ("Measured: Diastolic blood pressure, Systolic blood pressure")
    listed = demo.doctor.doctors.get("/api/v1/doctors/me/patients", params={"q": "nunez"}).json()["patients"]
    assert [(row["health_score"], row["risk_level"]) for row in listed] == [(69, "moderate")]
    trend = demo.doctor.patients.get(f"{path}/observations/trends", params={"code": "8480-6", "bucket": "day"}).json()
    assert [(point["count"], point["last"]) for point in trend["points"]] == [(1, 152)]
