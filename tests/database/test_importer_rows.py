"""Rows and files that can't be loaded are named, the rest goes on; Synthea's own files are understood."""

import re
from datetime import date
from pathlib import Path
from uuid import UUID, uuid4

from .conftest import Server
from .importing import SAMPLE, append, counts, rows_of, run, select

# The file, a line for it (with the cells of the file's first row by their names, but with an Id of its own), and what
# is said of it.
BAD_ROWS = [
    ("organizations.csv", "secret,{NAME},{ADDRESS},{CITY},MA,,,", "ID is not a UUID"),
    ("organizations.csv", "{Id},,{ADDRESS},{CITY},MA,,,", "NAME is empty"),
    ("organizations.csv", "{Id},secret", "its columns are not those of the first line"),
    ("organizations.csv", "{Id},secret,,,,,,{SOURCE_ID}", "another institution has its licence"),
    (
        "providers.csv",
        "{Id},f0000000-0000-4000-8000-000000000000,secret secret,1,Cardiology",
        "its ORGANIZATION is not loaded",
    ),
    ("providers.csv", "{Id},{ORGANIZATION},secret,1,Cardiology", "NAME is not a first and a last name"),
    (
        "providers.csv",
        "{ORGANIZATION},{ORGANIZATION},secret secret,1,Cardiology",
        "its Id is that of another kind of account",
    ),
    (
        "patients.csv",
        "{Id},2999-01-01,,secret,A,B,,,,F,,,,,",
        "BIRTHDATE lies in the future or more than 130 years back",
    ),
    ("patients.csv", "{Id},17/05/1980,,secret,A,B,,,,F,,,,,", "BIRTHDATE is not a date (YYYY-MM-DD) or a time"),
    (
        "patients.csv",
        "{Id},2000-01-01,1999-12-31,secret,A,B,,,,F,,,,,",
        "DEATHDATE lies in the future or before BIRTHDATE",
    ),
    ("patients.csv", "{Id},2000-01-01,,secret,A,se\x00cret,,,,F,,,,,", "LAST has control characters or is not UTF-8"),
    ("patients.csv", "{Id},2000-01-01,,secret,A,se\udcffcret,,,,F,,,,,", "LAST has control characters or is not UTF-8"),
    ("patients.csv", "{Id},2000-01-01,,secret," + "A" * 101 + ",B,,,,F,,,,,", "FIRST has more than 100 characters"),
    (
        "patients.csv",
        "f0000000-0000-4000-8000-000000000000,2000-01-01,,secret,A,B,,,,F,,,,,",
        "no care team or encounter ties it to a loaded provider or organisation",
    ),
    (
        "careteams.csv",
        "{Id},secret,,active,{PATIENT},{ORGANIZATION},{PROVIDERS}",
        "START is not a date (YYYY-MM-DD) or a time",
    ),
    (
        "encounters.csv",
        "{Id},{START},{STOP},{PATIENT},{PATIENT},{PATIENT},AMB,,secret",
        "neither its provider nor its organisation is loaded",
    ),
    ("conditions.csv", '2020-01-02,,{PATIENT},,1,"secret', "its columns are not those of the first line"),
    ("conditions.csv", "2020-01-02,2020-01-01,{PATIENT},,1,secret", "STOP lies before START"),
    ("conditions.csv", "2020-01-02,,{PATIENT},,1," + "x" * 301, "DESCRIPTION has more than 300 characters"),
    ("medications.csv", "2020-01-02,secret,{PATIENT},,1,secret", "STATUS is not a status of a medication"),
    ("allergies.csv", "2020-01-02,,f0000000-0000-4000-8000-000000000000,1,,secret,,", "its PATIENT is not loaded"),
    ("observations.csv", "2020-01-02,{PATIENT},,9-9,secret,1,cm,numeric", "CODE 9-9 is not in the catalogue"),
    ("observations.csv", "2020-01-02,{PATIENT},,secret,secret,1,cm,numeric", "CODE is not in the catalogue"),
    ("observations.csv", "2020-01-02,{PATIENT},,8302-2,secret,1.7,m,numeric", "UNITS is not cm, the unit of 8302-2"),
    ("observations.csv", "2020-01-02,{PATIENT},,8302-2,secret,tall,cm,numeric", "VALUE is not a number"),
    ("observations.csv", "2020-01-02,{PATIENT},,8302-2,secret,NaN,cm,numeric", "VALUE is not a number"),
    ("observations.csv", "2020-01-02,{PATIENT},,8302-2,secret,300,cm,numeric", "VALUE lies outside 30-272 cm"),
    (
        "observations.csv",
        "2020-01-02,{PATIENT},,72166-2,secret,secret,,text",
        "VALUE is not a smoking status: never, former or current",
    ),
    (
        "observations.csv",
        "2999-01-01,{PATIENT},,8302-2,secret,170,cm,numeric",
        "DATE lies in the future or before the patient's birth",
    ),
    (
        "laboratory.csv",
        "2020-01-02,{PATIENT},98979-8,secret,70,mL",
        "UNITS is not mL/min/{1.73_m2}, the unit of 98979-8",
    ),
    (
        "lifestyle.csv",
        "f0000000-0000-4000-8000-000000000000,2020-01-02,secret,,,,,,,,",
        "its PATIENT is not loaded",
    ),
    ("lifestyle.csv", "{PATIENT},2999-01-02,secret,,,,,,,,", "DATE lies in the future or before the patient's birth"),
    ("lifestyle.csv", "{PATIENT},,secret,,,,,,,,", "DATE is empty"),
    ("lifestyle.csv", "{PATIENT},2020-01-02,secret,,,,,,,,", "SLEEP_HOURS is not a number"),
    (
        "lifestyle.csv",
        "{PATIENT},2020-01-02,7.25,,,,,,,,",
        "SLEEP_HOURS lies outside 0-24 or is too exact",
    ),
    ("lifestyle.csv", "{PATIENT},2020-01-02,,17,,,,,,,", "DIET_SCORE lies outside 0-16 or is too exact"),
    (
        "lifestyle.csv",
        "{PATIENT},2020-01-02,,,-1,,,,,,",
        "PHYSICAL_ACTIVITY_MINUTES_WEEKLY lies outside 0-10080 or is too exact",
    ),
    ("lifestyle.csv", "{PATIENT},2020-01-02,,,,,secret,,,,", "SECONDHAND_SMOKE_HOME is not true or false"),
    (
        "lifestyle.csv",
        "{PATIENT},2020-01-02,,,,2020-01-03,,,,,",
        "QUIT_DATE lies after DATE or before the patient's birth",
    ),
    # The newest observation says so.
    (
        "lifestyle.csv",
        "{PATIENT},2020-01-02,,,,2019-01-02,,,,,",
        "QUIT_DATE of a patient who never smoked or smokes",
    ),
]


def test_bad_rows_are_named_and_the_rest_is_loaded(server: Server, url: str, copy: Path) -> None:
    expected = set()
    for file in {file for file, _, _ in BAD_ROWS}:
        rows = rows_of(file)
        with (copy / file).open("a", encoding="utf-8", errors="surrogateescape") as lines:
            bad_rows = [(line, reason) for name, line, reason in BAD_ROWS if name == file]
            for number, (line, reason) in enumerate(bad_rows, start=len(rows) + 2):
                lines.write(line.format(**{**rows[0], "Id": uuid4()}) + "\n")
                expected.add(f"{file}:{number}: {reason}")
    other = server.migrated()
    done = run(other, copy)
    assert done.status == 0, done.error
    assert set(re.findall(r"^\w+\.csv:\d+: .*$", done.said, re.M)) == expected
    assert f"{len(BAD_ROWS)} rows can't be loaded" in done.said
    assert "secret" not in done.said + done.error
    assert counts(other) == counts(url)


def test_many_bad_rows_of_one_kind_are_listed_by_their_lines(server: Server, copy: Path) -> None:
    patient = rows_of("patients.csv")[0]["Id"]
    append(copy / "observations.csv", *[f"2020-01-02,{patient},,9-9,x,1,cm,numeric"] * 15)
    done = run(server.migrated(), copy)
    assert "observations.csv:1992: CODE 9-9 is not in the catalogue\n" in done.said
    assert "observations.csv: CODE 9-9 is not in the catalogue: so do 5 more, lines 1993-1997\n" in done.said
    assert done.tallies["observations.csv"][4] == 15


def test_the_rows_of_a_patient_that_cannot_be_loaded_are_not_loaded_either(server: Server, copy: Path) -> None:
    url = server.migrated()
    patient = rows_of("patients.csv")[0]["Id"]
    text = (copy / "patients.csv").read_text(encoding="utf-8")
    (copy / "patients.csv").write_text(text.replace("2000-07-07", "2999-07-07"), encoding="utf-8")
    done = run(url, copy)
    assert done.tallies["patients.csv"] == (60, 59, 0, 0, 1)
    for file in ("conditions.csv", "medications.csv", "allergies.csv", "observations.csv", "lifestyle.csv"):
        assert done.tallies[file][4] == len([row for row in rows_of(file) if row["PATIENT"] == patient])
    assert run(url, SAMPLE).tallies["patients.csv"] == (60, 1, 59, 0, 0)


def test_what_a_row_can_do_without_is_left_out_and_named(server: Server, copy: Path) -> None:
    url = server.migrated()
    clinic = rows_of("organizations.csv")[0]["Id"]
    append(
        copy / "organizations.csv",
        f"{uuid4()},A,1 Street,Boston,MA,02115,call me,x-1",
        f"{uuid4()},B,{'x' * 201},Boston,MA,02115,6170000000,x-2",
    )
    append(copy / "providers.csv", f"{uuid4()},{clinic},Ann Ace,77,Alchemy")
    done = run(url, copy)
    assert "organizations.csv:86: loaded without its phone: PHONE is not a phone number\n" in done.said
    assert "organizations.csv:87: loaded without its address: ADDRESS has more than 200 characters\n" in done.said
    assert "providers.csv:225: loaded without its specialty: SPECIALITY is not in the catalogue\n" in done.said
    assert "0 rows can't be loaded" in done.said
    assert len(select(url, "SELECT 1 FROM medical_institutions")) == 86


def test_files_as_synthea_writes_them_are_understood(server: Server, tmp_path: Path) -> None:
    """Columns that the sample has are missing, others are there, times have a time of day, fields are quoted."""
    clinic, doctor, patient = (UUID(f"{n}0000000-0000-4000-8000-000000000000") for n in (1, 2, 3))
    files = {
        "organizations.csv": f"""Id,NAME,ADDRESS,CITY,STATE,ZIP,LAT,LON,PHONE,REVENUE,UTILIZATION
            {clinic},"Bay, ""The"" Clinic",1 MAIN ST,BOSTON,MA,021353602,42.35,-71.06,617-254-3800,0.0,1""",
        "providers.csv": f"""Id,ORGANIZATION,NAME,GENDER,SPECIALITY,ADDRESS,CITY,STATE,ZIP,LAT,LON,ENCOUNTERS,PROCEDURES
            {doctor},{clinic},Mary Jo Smith1,F,GENERAL PRACTICE,1 MAIN ST,BOSTON,MA,02135,42.35,-71.06,1,1""",
        "patients.csv": f"""Id,BIRTHDATE,DEATHDATE,SSN,DRIVERS,PREFIX,FIRST,MIDDLE,LAST,GENDER,ADDRESS,CITY,STATE,ZIP
            {patient},1950-02-03,,999-11-2222,S1,Mr.,Juan3,Luis,Núñez4,M,2 Side St,Springfield,Illinois,62701""",
        "careteams.csv": f"""Id,START,STOP,PATIENT,ENCOUNTER,CODE,DESCRIPTION,REASONCODE
            {uuid4()},2020-01-01T00:00:00Z,,{patient},,1,Team,""",
        "encounters.csv": f"""Id,START,STOP,PATIENT,ORGANIZATION,PROVIDER,PAYER,ENCOUNTERCLASS,CODE,DESCRIPTION
            {uuid4()},2020-01-01T10:00:00Z,2020-01-01T10:15:00Z,{patient},{clinic},{doctor},,wellness,1,Check-up""",
        "conditions.csv": f"""START,STOP,PATIENT,ENCOUNTER,SYSTEM,CODE,DESCRIPTION
            2020-01-01,,{patient},,http://snomed.info/sct,44054006,Diabetes mellitus type 2 (disorder)
            2020-01-01,2020-03-01,{patient},,http://snomed.info/sct,1,"Sprain,
            of the ankle\"""",
        "medications.csv": f"""START,STOP,PATIENT,PAYER,ENCOUNTER,CODE,DESCRIPTION
            2020-01-01T10:00:00Z,2020-02-01T10:00:00Z,{patient},,,1,Ended
            2020-01-01T10:00:00Z,,{patient},,,2,Lasting""",
        "allergies.csv": f"""START,STOP,PATIENT,ENCOUNTER,CODE,DESCRIPTION,CATEGORY,REACTION1,DESCRIPTION1,SEVERITY1
            2020-01-01,,{patient},,1,Peanuts,food,2,Hives,MILD
            2020-01-01,2021-01-01,{patient},,2,Outgrown,food,,,""",
        "observations.csv": f"""DATE,PATIENT,ENCOUNTER,CATEGORY,CODE,DESCRIPTION,VALUE,UNITS,TYPE
            2020-01-01T10:00:00Z,{patient},,vital-signs,8302-2,Body Height,171.26,cm,numeric
            2020-01-01T10:00:00Z,{patient},,survey,72166-2,Smoking,Smokes tobacco daily (finding),{{nominal}},text
            2020-01-01T10:00:00Z,{patient},,laboratory,33914-3,eGFR,88.123456,mL/min,numeric""",
    }
    for file, text in files.items():
        lines = [line.strip() for line in text.splitlines()]
        (tmp_path / file).write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    url = server.migrated()
    done = run(url, tmp_path)
    assert done.status == 0, done.error
    assert "careteams.csv has no column PROVIDERS: nothing is loaded from it" in done.said
    assert "0 rows can't be loaded" in done.said
    for statement, expected in (
        (
            "SELECT name, institution_type_id, license_number, postal_code, latitude::text "
            "FROM medical_institutions AS i JOIN addresses ON entity_id = i.id",
            [('Bay, "The" Clinic', 2, str(clinic), "02135-3602", "42.350000")],
        ),
        (
            "SELECT first_name, last_name, medical_license, name_en FROM doctors "
            "JOIN doctor_specialties AS s ON s.id = specialty_id",
            [("Mary Jo", "Smith1", str(doctor), "General Practice")],
        ),
        (
            "SELECT email, city, region_id, country_id FROM users JOIN addresses ON entity_id = users.id "
            "WHERE user_type = 'patient'",
            [("juan3.nunez4.30000000@patients.example.com", "Springfield", None, 840)],
        ),
        (
            "SELECT height_cm::text, is_smoker, smoking_status, has_diabetes FROM health_profiles",
            [("171.3", True, "current", True)],
        ),
        (
            # Since the measurement, not since the import: an observation of 2021 is newer than these.
            "SELECT key FROM health_profiles, jsonb_each_text(stated_at) "
            "WHERE value::timestamptz = '2020-01-01T10:00:00Z' ORDER BY key",
            [("height_cm",), ("is_smoker",), ("smoking_status",)],
        ),
        (
            "SELECT name, status, start_date FROM patient_medications "
            "JOIN medications ON id = medication_id ORDER BY name",
            [("Ended", "stopped", date(2020, 1, 1)), ("Lasting", "active", date(2020, 1, 1))],
        ),
        (
            "SELECT name, severity, reaction_description FROM patient_allergies JOIN allergies ON id = allergy_id",
            [("Peanuts", "mild", "Hives")],
        ),
        (
            "SELECT value::text, unit, effective_at::text FROM observations WHERE code = '33914-3'",
            [("88.12", "mL/min/{1.73_m2}", "2020-01-01 10:00:00+00")],
        ),
    ):
        assert [tuple(row.values()) for row in select(url, statement)] == expected
    assert len(select(url, "SELECT 1 FROM medical_conditions WHERE name LIKE 'Sprain,%ankle'")) == 1


def test_a_missing_file_is_named_and_the_others_are_loaded(server: Server, copy: Path) -> None:
    (copy / "allergies.csv").unlink()
    (copy / "careteams.csv").unlink()
    done = run(server.migrated(), copy)
    assert done.status == 0
    assert "allergies.csv is not there: nothing is loaded from it\n" in done.said
    assert done.tallies["patients.csv"] == (60, 60, 0, 0, 0)


def test_a_directory_without_the_files_is_one_line(url: str, tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "nowhere"):
        done = run(url, directory)
        assert (done.status, done.said) == (1, "")
        assert done.error == f"importer: {directory} has none of organizations.csv, providers.csv, patients.csv\n"


def test_a_file_of_bad_rows_alone_is_a_failure(server: Server, tmp_path: Path) -> None:
    (tmp_path / "organizations.csv").write_text("Id,NAME\nx,y\n", encoding="utf-8")
    done = run(server.migrated(), tmp_path)
    assert done.status == 1
    assert "organizations.csv:2: ID is not a UUID\n" in done.said
    assert done.error == "importer: nothing could be loaded\n"


def test_a_database_that_cannot_be_used_is_one_line(server: Server) -> None:
    silent = run("postgresql://somebody:secret@127.0.0.1:1/db", SAMPLE)
    assert silent.status == 1 and silent.error.count("\n") == 1 and "secret" not in silent.error
    bare = run(server.empty(), SAMPLE)
    assert (bare.status, bare.error) == (1, "importer: the database has no tables yet: run the migrations first\n")
