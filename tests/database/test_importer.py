"""The importer loads what the files have, recounted here from the files, and a second run changes nothing."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import psycopg2
from email_validator import validate_email

from dev import ROOT

from .conftest import Server
from .importing import SAMPLE, append, command, counts, fingerprint, rows_of, run, select, waiting_for

# What lifestyle.csv says of a health profile, in columns of the same names.
ANSWERS = (
    *("sleep_hours", "diet_score", "physical_activity_minutes_weekly", "quit_date", "secondhand_smoke_home"),
    *("consumes_alcohol", "takes_bp_medication", "takes_lipid_medication", "has_diabetes"),
)


def test_every_row_of_the_sample_is_accounted_for(server: Server) -> None:
    done = run(server.migrated(), SAMPLE)
    assert (done.status, done.error) == (0, "")
    assert "0 rows can't be loaded" in done.said
    assert set(done.tallies) == {path.name for path in SAMPLE.glob("*.csv")}
    for file, (rows, *parts) in done.tallies.items():
        assert rows == len(rows_of(file)) == sum(parts), file
        assert f"{file}: {rows} rows read" in done.said


def test_the_database_has_what_the_files_have(url: str) -> None:
    conditions = {(row["PATIENT"], row["DESCRIPTION"]) for row in rows_of("conditions.csv")}
    medications = {(row["PATIENT"], row["DESCRIPTION"].lower()) for row in rows_of("medications.csv")}
    allergies = {(row["PATIENT"], row["DESCRIPTION"]) for row in rows_of("allergies.csv") if not row["STOP"]}
    observations = {
        tuple(row[column] for column in ("PATIENT", "DATE", "CODE", "VALUE"))
        for file in ("observations.csv", "laboratory.csv")
        for row in rows_of(file)
    }
    patients = len(rows_of("patients.csv"))
    expected = {
        "medical_institutions": len(rows_of("organizations.csv")),
        "doctors": len(rows_of("providers.csv")),
        **{"patients": patients, "health_profiles": patients, "audit_events": patients},
        **{"patient_conditions": len(conditions), "patient_medications": len(medications)},
        **{"patient_allergies": len(allergies), "observations": len(observations)},
    }
    found = {table: select(url, f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in expected}
    assert found == expected


def test_institutions_are_those_of_the_file(url: str) -> None:
    types = {"hospital": 1, "primary_care": 3, "urgent_care": 6, "longterm": 7}
    columns = ("Id", "NAME", "SOURCE_ID", "ADDRESS", "PHONE")
    expected = {
        (*(row[column] for column in columns), types[row["SOURCE_ID"].rsplit("-", 1)[0]])
        for row in rows_of("organizations.csv")
    }
    found = select(
        url,
        "SELECT i.id::text, name, license_number, street_address, phone_number, institution_type_id, region_id, "
        "country_id "
        "FROM medical_institutions i JOIN addresses a ON a.entity_id = i.id AND a.is_primary "
        "JOIN phones p ON p.entity_id = i.id AND p.is_primary",
    )
    assert {tuple(row.values())[:6] for row in found} == expected
    assert {(row["region_id"], row["country_id"]) for row in found} == {(840025, 840)}


def test_doctors_are_those_of_the_file(url: str) -> None:
    expected = {
        (row["Id"], row["ORGANIZATION"], row["NAME"], row["NPI"], row["SPECIALITY"]) for row in rows_of("providers.csv")
    }
    found = select(
        url,
        "SELECT d.id::text, institution_id::text, first_name || ' ' || last_name AS name, medical_license, name_en "
        "FROM doctors d JOIN doctor_specialties s ON s.id = specialty_id",
    )
    assert {tuple(row.values()) for row in found} == expected


def test_patients_belong_to_the_provider_of_their_last_care_team_or_encounter(url: str) -> None:
    ties = [
        (row["PATIENT"], row["START"], row["PROVIDERS"], row["ORGANIZATION"]) for row in rows_of("careteams.csv")
    ] + [(row["PATIENT"], row["START"], row["PROVIDER"], row["ORGANIZATION"]) for row in rows_of("encounters.csv")]
    last = {tie[0]: tie[2:] for tie in sorted(ties, key=lambda tie: tie[1])}
    columns = ("FIRST", "LAST", "BIRTHDATE", "DEATHDATE", "GENDER")
    expected = {
        (row["Id"], *last[row["Id"]], *(row[column] or None for column in columns)) for row in rows_of("patients.csv")
    }
    found = select(
        url,
        "SELECT p.id::text, doctor_id::text, institution_id::text, first_name, last_name, date_of_birth::text, "
        "deceased_date::text, upper(left(code, 1)) AS gender FROM patients p JOIN sexes s ON s.id = sex_id",
    )
    assert {tuple(row.values()) for row in found} == expected


def test_accounts_have_their_own_address_and_no_password(url: str) -> None:
    accounts = select(
        url,
        "SELECT * FROM users JOIN (SELECT entity_id AS id, email_address FROM emails WHERE is_primary) AS e USING (id)",
    )
    assert len(accounts) == sum(len(rows_of(f"{file}.csv")) for file in ("organizations", "providers", "patients"))
    for account in accounts:
        assert account["password_hash"] is None and account["owner_status"] == "active" and account["is_active"]
        assert account["email"] == account["email_address"]
        assert validate_email(account["email"], check_deliverability=False).normalized == account["email"]
    assert len({account["email"] for account in accounts}) == len(accounts)


def test_a_condition_is_the_last_time_that_it_was_diagnosed(url: str) -> None:
    last = {}
    for row in sorted(rows_of("conditions.csv"), key=lambda row: row["START"]):
        last[row["PATIENT"], row["DESCRIPTION"]] = (row["CODE"], row["START"], row["STOP"] or None)
    found = select(
        url,
        "SELECT patient_id::text, name, code, diagnosis_date::text, abatement_date::text "
        "FROM patient_conditions JOIN medical_conditions ON id = condition_id",
    )
    assert {(row["patient_id"], row["name"]): tuple(row.values())[2:] for row in found} == last


def test_the_health_profile_is_made_of_the_newest_observations_and_guesses_nothing(url: str) -> None:
    newest: dict[tuple[str, str], str] = {}
    for row in sorted(rows_of("observations.csv"), key=lambda row: row["DATE"]):
        newest[row["PATIENT"], row["CODE"]] = row["VALUE"]
    statuses = {"Never smoked tobacco (finding)": "never", "Ex-smoker (finding)": "former"}
    diabetics = {
        row["PATIENT"]
        for row in rows_of("conditions.csv")
        if "diabetes mellitus" in row["DESCRIPTION"].lower()
        and (not row["STOP"] or row["STOP"] > datetime.now(UTC).date().isoformat())
    }
    answers = {row["PATIENT"]: row for row in rows_of("lifestyle.csv")}
    profiles = select(url, "SELECT patient_id::text AS id, * FROM health_profiles")
    for profile in profiles:
        assert float(profile["height_cm"]) == round(float(newest[profile["id"], "8302-2"]), 1)
        assert float(profile["weight_kg"]) == float(newest[profile["id"], "29463-7"])
        assert profile["smoking_status"] == statuses[newest[profile["id"], "72166-2"]]
        assert profile["is_smoker"] is False
        assert profile["blood_type_id"] is profile["notes"] is None
        answered = {column.lower(): text for column, text in answers.get(profile["id"], {}).items()}
        if profile["id"] in diabetics:
            answered["has_diabetes"] = "true"
        for field in ANSWERS:
            text = "" if profile[field] is None else str(profile[field]).lower().removesuffix(".0")
            assert text == answered.get(field, ""), (profile["id"], field)
            if field in answered and answered[field] and answered.get("date"):
                assert profile["stated_at"][field].startswith(answered["date"])
    assert diabetics and len(answers) < len(profiles)


def test_the_invented_answers_do_not_contradict_the_sample() -> None:
    answers = {row["PATIENT"]: row for row in rows_of("lifestyle.csv")}
    for row in rows_of("medications.csv"):
        if row["STATUS"] == "active" and row["DESCRIPTION"].startswith(("lisinopril", "Hydrochlorothiazide")):
            assert answers[row["PATIENT"]]["TAKES_BP_MEDICATION"] == "true"
    for row in rows_of("patients.csv"):
        if row["DEATHDATE"] and row["Id"] in answers:
            assert answers[row["Id"]]["DATE"] < row["DEATHDATE"]
    for field in ANSWERS:
        given = {answer[field.upper()] for answer in answers.values()}
        assert "" in given and len(given) > 2, f"{field} is the same for everybody, or known of everybody"


def test_observations_are_in_the_units_of_the_catalogue(url: str) -> None:
    wrong = select(url, "SELECT 1 FROM observations o JOIN observation_codes c USING (code) WHERE o.unit <> c.unit")
    assert wrong == []
    assert {row["value_code"] for row in select(url, "SELECT DISTINCT value_code FROM observations")} == {
        None,
        "never",
        "former",
    }


def test_the_audit_trail_tells_of_every_patient(url: str) -> None:
    events = select(url, "SELECT * FROM audit_events")
    assert len({event["request_id"] for event in events}) == 1
    assert sorted(UUID(row["Id"]) for row in rows_of("patients.csv")) == sorted(
        patient for event in events for patient in event["patient_ids"]
    )
    assert {(e["service"], e["actor_type"], e["action"], e["resource"], e["outcome"]) for e in events} == {
        ("importer", "service", "create", "import", "success")
    }


def test_the_social_security_number_is_nowhere(url: str) -> None:
    numbers = [row["SSN"] for row in rows_of("patients.csv")]
    anywhere = [f"%{number}%" for written in numbers for number in (written, written.replace("-", ""))]
    tables = select(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert len(tables) > 20
    for table in (row["tablename"] for row in tables):
        assert select(url, f"SELECT 1 FROM {table} AS t WHERE t::text LIKE ANY(%s)", anywhere) == [], table


def test_a_second_run_changes_nothing(server: Server) -> None:
    url = server.migrated()
    run(url, SAMPLE)
    before = fingerprint(url)
    again = run(url, SAMPLE)
    assert again.status == 0
    assert "\n  0 new; 0 rows can't be loaded." in again.said
    assert fingerprint(url) == before


def test_what_people_have_changed_since_stays(server: Server) -> None:
    url = server.migrated()
    run(url, SAMPLE)
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute("UPDATE patients SET first_name = 'Renamed', doctor_id = NULL")
        cursor.execute("UPDATE doctors SET professional_status = 'retired'")
        cursor.execute("UPDATE medical_institutions SET name = 'Renamed'")
        cursor.execute("UPDATE health_profiles SET height_cm = 150")
        cursor.execute("DELETE FROM phones")
        cursor.execute("UPDATE patient_conditions SET notes = 'seen'")
    connection.close()
    before = fingerprint(url)
    again = run(url, SAMPLE)
    # Nobody new is given to a retired doctor; those that have one are known.
    assert again.tallies["patients.csv"] == (60, 0, 60, 0, 0)
    assert fingerprint(url) == before


def test_new_rows_of_a_known_patient_are_added_and_audited_and_its_profile_stays(server: Server, copy: Path) -> None:
    url, lifestyle = server.migrated(), copy / "lifestyle.csv"
    patient, silent = (row["PATIENT"] for row in rows_of("lifestyle.csv")[:2])
    header, *rows = lifestyle.read_text(encoding="utf-8").splitlines()
    rows = [row for row in rows if not row.startswith((patient, silent))]
    # Of several answers the last counts, wherever it stands.
    lines = [f"{patient},2024-02-01,7.5,,,,,,,,", f"{patient},2024-01-01,4,9,,,,,,,"]
    lifestyle.write_text("\n".join([header, *rows, *lines, ""]), encoding="utf-8")
    first = run(url, copy)
    assert first.tallies["lifestyle.csv"] == (len(rows) + 2, len(rows) + 1, 0, 1, 0)
    profiles = "SELECT * FROM health_profiles ORDER BY patient_id"
    before = select(url, profiles)
    (profile,) = [row for row in before if str(row["patient_id"]) == patient]
    assert (float(profile["sleep_hours"]), profile["diet_score"]) == (7.5, None)

    append(lifestyle, f"{silent},2024-01-01,6,9,,,,,,,")
    append(copy / "observations.csv", f"2020-02-29,{patient},,8302-2,Height,171.5,cm,numeric")
    again = run(url, copy)
    assert "\n  1 new; 0 rows can't be loaded." in again.said
    assert again.tallies["lifestyle.csv"] == (len(rows) + 3, 0, len(rows) + 2, 1, 0)
    assert select(url, profiles) == before
    assert select(url, "SELECT detail FROM audit_events ORDER BY id DESC LIMIT 1") == [{"detail": {"observations": 1}}]
    assert len(select(url, "SELECT 1 FROM audit_events")) == 61


def test_a_run_that_is_killed_leaves_whole_patients_and_the_next_one_goes_on(server: Server, url: str) -> None:
    other = server.migrated()
    patients = rows_of("patients.csv")
    with waiting_for(other, patients[30]["Id"], SAMPLE):
        pass
    loaded = {row["id"] for row in select(other, "SELECT id::text FROM patients")}
    assert loaded == {patient["Id"] for patient in patients[:30]}
    unfinished = select(other, "SELECT id FROM patients WHERE id NOT IN (SELECT patient_id FROM health_profiles)")
    assert unfinished == []

    assert run(other, SAMPLE).status == 0
    assert counts(other) == counts(url)


def test_two_imports_at_once_load_everything_once(server: Server, url: str) -> None:
    other = server.migrated()
    processes = [
        subprocess.Popen(command(SAMPLE), cwd=ROOT, env={"DATABASE_URL": other}, stdout=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert [process.wait(120) for process in processes] == [0, 0]
    assert counts(other) == counts(url)
