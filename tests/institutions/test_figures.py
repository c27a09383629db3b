"""Geography and statistics, recounted; and how long they are kept."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from institutions_app import figures_db
from institutions_app.errors import InstitutionNotFound
from psycopg2.extras import RealDictCursor

from shared import context
from shared.cache import counted
from shared.caller import NO_ID
from shared.context import RequestContext
from shared.keys import PublishedKeys
from shared.postgres import Database
from shared.redis import connect
from shared.resources import Resources
from shared.settings import Settings
from tests.support import Api, User, assert_problem

pytestmark = pytest.mark.anyio

GEOGRAPHY = "/api/v1/institutions/geography"
ADDRESS = {"street_address": "Calle 1", "city": "Pabellón"}
FEMALE, MALE = 1, 2
COUNT_ONE_REGION = """
    WITH here AS (
        SELECT i.id, i.verification_status FROM medical_institutions i JOIN addresses a ON a.entity_id = i.id
        WHERE a.region_id = %(region_id)s AND a.is_primary AND i.deleted_at IS NULL
    )
    SELECT (SELECT count(*) FROM here) AS institutions,
           (SELECT count(*) FROM here WHERE verification_status = 'verified') AS verified_institutions,
           (SELECT count(*) FROM doctors JOIN here ON here.id = institution_id WHERE deleted_at IS NULL) AS doctors,
           (SELECT count(*) FROM patients JOIN here ON here.id = institution_id WHERE deleted_at IS NULL) AS patients
"""


def born_years_ago(years: int, days: int = 0) -> str:
    """The birth date of who turns `years` today, or `days` later."""
    today = datetime.now(UTC).date()
    birth = today.replace(year=today.year - years, day=min(today.day, 28))
    return str(birth + timedelta(days=days + (today.day - birth.day)))


@pytest.fixture(scope="module")
def counted_institution(api: Api) -> User:
    """Two doctors and five patients, one more of each deleted."""
    institution = api.new_institution(address=ADDRESS | {"region_id": 1})
    doctor, gone = api.new_doctor(institution), api.new_doctor(institution)
    api.new_doctor(institution)
    for sex_id, born in (
        (FEMALE, born_years_ago(18, days=1)),
        (FEMALE, born_years_ago(18)),
        (MALE, born_years_ago(40)),
        (None, born_years_ago(65)),
    ):
        api.new_patient(institution=institution, date_of_birth=born, sex_id=sex_id)
    api.new_patient(doctor, institution, date_of_birth=born_years_ago(65, days=1), sex_id=4)
    api.new_patient(doctor)  # the doctor's, not the institution's
    deleted = api.new_patient(institution=institution)
    assert api.admin.patients.delete(f"/api/v1/patients/{deleted.id}").status_code == 204
    assert api.admin.doctors.delete(f"/api/v1/doctors/{gone.id}").status_code == 204
    return institution


def give_conditions(owner: RealDictCursor, institution: User) -> None:
    """All five patients have asthma, two of them diabetes, and one had anaemia."""
    owner.execute(
        "SELECT id FROM patients WHERE institution_id = %s AND deleted_at IS NULL ORDER BY created_at",
        (institution.id,),
    )
    ids = [row["id"] for row in owner.fetchall()]
    for name, some, abated in (
        ("Asma", ids, None),
        ("Diabetes mellitus tipo 2", ids[:2], None),
        ("Anemia", ids[:1], date(2020, 1, 1)),
    ):
        owner.execute(
            "INSERT INTO patient_conditions (patient_id, condition_id, abatement_date) "
            "SELECT p.id, c.id, %s FROM patients p, medical_conditions c WHERE p.id = ANY (%s::uuid[]) AND c.name = %s",
            (abated, [str(one) for one in some], name),
        )
    for number, status in enumerate(("validated_by_doctor", "validated_by_institution", "full_access")):
        owner.execute("UPDATE patients SET validation_status = %s WHERE id = %s", (status, ids[number]))
    for number, (score, level) in enumerate(((80, "low"), (50, "moderate"), (49, "high"))):
        owner.execute(
            "UPDATE patients SET health_score = %s, risk_level = %s WHERE id = %s", (score, level, ids[number])
        )


async def test_an_institution_is_counted(
    database: Database, api: Api, owner: RealDictCursor, counted_institution: User
) -> None:
    give_conditions(owner, counted_institution)
    path = f"/api/v1/institutions/{counted_institution.id}/statistics"
    answer = counted_institution.institutions.get(path)
    assert answer.status_code == 200, answer.text
    figures = answer.json()
    names = {entry["name"]: entry["patients"] for entry in figures.pop("top_conditions")}
    assert list(names.items()) == [("Asma", 5), ("Diabetes mellitus tipo 2", 2)]
    assert datetime.now(UTC) - datetime.fromisoformat(figures.pop("as_of")) < timedelta(minutes=1)
    assert figures == {
        "patients": 5,
        "doctors": 2,
        "by_validation_status": {
            **{"pending": 2, "validated_by_doctor": 1, "validated_by_institution": 1, "full_access": 1}
        },
        "by_risk_level": {"low": 1, "moderate": 1, "high": 1, "unknown": 2},
        "by_age_band": {"0-17": 1, "18-39": 1, "40-64": 2, "65+": 1},
        "by_sex": {"female": 2, "male": 1, "other": 0, "unknown": 2},
    }
    assert api.admin.institutions.get(path).json()["patients"] == 5


async def test_an_empty_institution_counts_nobody(database: Database, api: Api) -> None:
    institution = api.new_institution()
    figures = institution.institutions.get(f"/api/v1/institutions/{institution.id}/statistics").json()
    assert (figures["patients"], figures["doctors"], figures["top_conditions"]) == (0, 0, [])
    for groups in ("by_validation_status", "by_risk_level", "by_age_band", "by_sex"):
        assert set(figures[groups].values()) == {0}


async def test_an_institution_sees_its_own_figures_and_an_unknown_one_has_none(
    database: Database, api: Api, clinic: User, counted_institution: User
) -> None:
    answer = clinic.institutions.get(f"/api/v1/institutions/{counted_institution.id}/statistics")
    assert_problem(answer, 403, "forbidden")
    assert_problem(api.admin.institutions.get(f"/api/v1/institutions/{NO_ID}/statistics"), 404, "institution_not_found")
    with pytest.raises(InstitutionNotFound):
        await figures_db.count_institution(database, NO_ID)


async def test_geography_has_every_region_and_counts_people_where_their_institution_is(
    database: Database, owner: RealDictCursor, counted_institution: User
) -> None:
    items = counted_institution.institutions.get(GEOGRAPHY).json()["items"]
    owner.execute(
        "SELECT r.id, r.name, c.code, c.name_es FROM regions r JOIN countries c ON c.id = r.country_id "
        "ORDER BY c.code, search_key(r.name)"
    )
    assert [(item["region_id"], item["region"], item["country"], item["country_name"]) for item in items] == [
        tuple(row.values()) for row in owner.fetchall()
    ]
    rows = await figures_db.count_regions(database, None)
    for row in rows:
        owner.execute(COUNT_ONE_REGION, row)
        assert owner.fetchone().items() <= row.items()
    assert {row["region_id"]: row["patients"] for row in rows}[1] >= 5
    assert 0 in [row["institutions"] for row in rows]


async def test_geography_of_a_country_holds_its_regions_alone(database: Database, clinic: User) -> None:
    items = clinic.institutions.get(GEOGRAPHY, params={"country": "us"}).json()["items"]
    assert items and {item["country"] for item in items} == {"US"}
    assert clinic.institutions.get(GEOGRAPHY, params={"country": "ZZ"}).json()["items"] == []
    assert_problem(clinic.institutions.get(GEOGRAPHY, params={"country": "USA"}), 422, "validation_failed")


async def test_geography_speaks_the_language_of_the_request_also_when_kept(database: Database, clinic: User) -> None:
    for language, name in (("es", "México"), ("en", "Mexico"), ("es", "México")):
        answer = clinic.institutions.get(GEOGRAPHY, params={"country": "MX"}, headers={"Accept-Language": language})
        assert answer.json()["items"][0]["country_name"] == name


async def test_a_moved_or_deleted_institution_leaves_its_region(
    database: Database, api: Api, owner: RealDictCursor
) -> None:
    async def in_colima() -> tuple[int, int]:
        rows = await figures_db.count_regions(database, "MX")
        return next((row["institutions"], row["doctors"]) for row in rows if row["region_id"] == 6)

    before = await in_colima()
    institution = api.new_institution(address=ADDRESS | {"region_id": 6})
    doctor = api.new_doctor(institution)
    assert await in_colima() == (before[0] + 1, before[1] + 1)
    api.admin.doctors.delete(f"/api/v1/doctors/{doctor.id}")
    assert await in_colima() == (before[0] + 1, before[1])
    api.admin.institutions.delete(f"/api/v1/institutions/{institution.id}")
    assert await in_colima() == before


async def test_figures_are_kept_for_their_time_and_no_longer(settings: Settings) -> None:
    context.enter(RequestContext(language="en"))
    kept = settings.model_copy(update={"statistics_max_age_seconds": 60})
    calls = 0

    async def no_keys() -> dict[str, Any]:
        return {"keys": []}

    async def count() -> dict[str, Any]:
        nonlocal calls
        calls += 1
        return {"calls": calls}

    for chosen, expected in ((kept, [1, 1]), (settings.model_copy(update={"statistics_max_age_seconds": 0}), [2, 3])):
        res = Resources.build("tests", chosen, PublishedKeys("EdDSA", no_keys))
        name = "kept" if chosen is kept else "not kept"
        assert [(await counted(res, name, count))["calls"] for _ in range(2)] == expected
        redis = connect(chosen)
        assert await redis.ttl(f"figures:tests:en:{name}") == (60 if chosen is kept else -2)
        await redis.aclose()
        await res.close()


async def test_figures_are_told_with_the_time_of_their_counting(database: Database, clinic: User) -> None:
    first = clinic.institutions.get(GEOGRAPHY, params={"country": "MX"}).json()["as_of"]
    second = clinic.institutions.get(GEOGRAPHY, params={"country": "MX"}).json()["as_of"]
    assert datetime.fromisoformat(first) <= datetime.fromisoformat(second)
