"""The doctors' list: searched and in either order; and the indexes that serve it at some thousand rows."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from doctors_app import db
from psycopg2.extras import RealDictCursor

from shared.search import contains
from tests.support import Api, User, assert_problem

DOCTORS = "/api/v1/doctors"
IN_ORDER = [("Eva", "alvarez"), ("Zoe", "Álvarez"), ("Íñigo", "ñandú"), ("Bea", "Zúñiga")]
ROWS = 4_000


@pytest.fixture(scope="module")
def named(api: Api) -> User:
    """An institution with doctors of known names, created out of order."""
    institution = api.new_institution()
    for number in (2, 0, 3, 1):
        first, last = IN_ORDER[number]
        api.new_doctor(institution, first_name=first, last_name=last)
    return institution


def names(user: User, **parameters: Any) -> list[tuple[str, str]]:
    """The names of the whole list, page by page."""
    found: list[tuple[str, str]] = []
    cursor: str | None = None
    for _ in range(20):  # a cursor that goes round in circles must not hang the tests
        page = user.doctors.get(DOCTORS, params=parameters | ({"cursor": cursor} if cursor else {})).json()
        found += [(item["first_name"], item["last_name"]) for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return found
    raise AssertionError("the list does not end")


@pytest.mark.parametrize("limit", [1, 3, 50])
def test_by_last_name_without_case_and_accents_each_once(named: User, limit: int) -> None:
    assert names(named, sort="last_name", limit=limit) == IN_ORDER
    assert names(named, limit=limit) == [IN_ORDER[number] for number in (1, 3, 0, 2)]


def test_a_search_keeps_the_order(named: User, api: Api) -> None:
    assert names(named, q="ALVAREZ", sort="last_name", limit=1) == IN_ORDER[:2]
    assert names(named, q="med-", sort="last_name", limit=1) == IN_ORDER  # by licence
    assert names(named, q="@EXAMPLE.com", sort="last_name", limit=1) == IN_ORDER  # by e-mail
    assert names(api.admin, q="zuñiga", institution_id=named.id) == IN_ORDER[3:]


def test_a_doctor_searches_its_colleagues(api: Api, named: User) -> None:
    colleague = api.new_doctor(named, first_name="Otto", last_name="Yáñez")
    assert ("Zoe", "Álvarez") in names(colleague, q="zoe")
    assert api.admin.doctors.delete(f"{DOCTORS}/{colleague.id}").status_code == 204


def test_a_cursor_belongs_to_its_order(named: User) -> None:
    cursor = named.doctors.get(DOCTORS, params={"limit": 1}).json()["next_cursor"]
    answer = named.doctors.get(DOCTORS, params={"limit": 1, "sort": "last_name", "cursor": cursor})
    assert_problem(answer, 400, "invalid_cursor")


@pytest.fixture
def many(owner: RealDictCursor, named: User) -> Iterator[RealDictCursor]:
    """Thousands of doctors of one institution, until the test ends."""
    owner.execute("BEGIN")
    owner.execute(
        """
        CREATE TEMPORARY TABLE made ON COMMIT DROP AS
            SELECT gen_random_uuid() AS id, n FROM generate_series(1, %(rows)s) n;
        INSERT INTO users (id, email, user_type) SELECT id, 'fila' || n || '@example.org', 'doctor' FROM made;
        INSERT INTO doctors (id, institution_id, first_name, last_name, medical_license, created_at)
            SELECT id, %(institution)s, 'Fila ' || md5(n::text), 'Número ' || md5(n::text || 'x'), 'FILA' || n,
                   now() - n * interval '1 minute'
            FROM made;
        INSERT INTO emails (entity_type, entity_id, email_address, is_primary)
            SELECT 'doctor', id, 'fila' || n || '@example.org', true FROM made;
        -- As autovacuum does before long: what is new in a trigram index waits in a list, dear to read when long.
        SELECT gin_clean_pending_list('ix_doctors_search'), gin_clean_pending_list('ix_doctors_search_license'),
               gin_clean_pending_list('ix_emails_search');
        ANALYZE users, doctors, emails
        """,
        {"rows": ROWS, "institution": named.id},
    )
    yield owner
    owner.execute("ROLLBACK")


def plan(owner: RealDictCursor, statement: str, user: User, **filters: Any) -> str:
    no_filters = dict.fromkeys(
        ("q", "specialty_id", "institution_id", "professional_status", "min_experience", "max_fee")
    ) | {"is_active": True, "language": "es", "limit": 50}
    place = {"after_created_at": None, "after_id": None, "after_last_key": None, "after_first_key": None}
    scope = {"caller_type": user.user_type, "caller_id": UUID(user.id)}
    owner.execute("EXPLAIN " + statement, no_filters | place | scope | filters)
    return "\n".join(row["QUERY PLAN"] for row in owner.fetchall())


@pytest.mark.parametrize("sort", ["created_at", "last_name"])
@pytest.mark.parametrize("word", ["Número c4ca4238", "fila1234@", "nadie se llama así"])
def test_a_rare_word_is_found_by_trigrams(many: RealDictCursor, api: Api, sort: str, word: str) -> None:
    found = plan(many, db.SEARCH_DOCTORS[sort], api.admin, q=contains(word))
    for index in ("ix_doctors_search", "ix_doctors_search_license", "ix_emails_search"):
        assert f"on {index} " in found, found
    assert "Seq Scan on doctors" not in found and "Seq Scan on emails" not in found, found


@pytest.mark.parametrize(("sort", "index"), [("created_at", "created"), ("last_name", "name")])
def test_a_page_walks_an_index_in_its_order(many: RealDictCursor, api: Api, named: User, sort: str, index: str) -> None:
    start = {
        "after_created_at": datetime.now(UTC) - timedelta(days=1),
        "after_id": uuid4(),
        "after_last_key": "n",
        "after_first_key": "f",
    }
    for user in (api.admin, named):
        found = plan(many, db.LIST_DOCTORS[sort], user, **start)
        served = (f"ix_doctors_institution_{index}", f"ix_doctors_{index}")  # nearly all are one institution's
        assert any(f"using {one} on doctors" in found for one in served), found
        assert "Seq Scan on doctors" not in found and "Sort" not in found, found
