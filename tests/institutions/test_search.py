"""The institutions' list: searched and in either order; and the indexes that serve it at some thousand rows."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from institutions_app import db
from psycopg2.extras import RealDictCursor

from shared.search import contains
from tests.support import Api, User, assert_problem, unique

INSTITUTIONS = "/api/v1/institutions"
ROWS = 4_000


@pytest.fixture(scope="module")
def word(api: Api) -> str:
    """The first word of the names of four institutions, created out of order."""
    first = unique("Orden")
    for name in ("Ñandú", "ángel", "Zeta", "Abeja"):
        api.new_institution(name=f"{first} {name}")
    return first


def names(user: User, word: str, **parameters: Any) -> list[str]:
    """The last words of the names of the whole list, page by page."""
    found: list[str] = []
    cursor: str | None = None
    for _ in range(20):  # a cursor that goes round in circles must not hang the tests
        query = {"q": word} | parameters | ({"cursor": cursor} if cursor else {})
        page = user.institutions.get(INSTITUTIONS, params=query).json()
        found += [item["name"].rpartition(" ")[2] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return found
    raise AssertionError("the list does not end")


@pytest.mark.parametrize("limit", [1, 3, 50])
def test_by_name_without_case_and_accents_each_once(clinic: User, word: str, limit: int) -> None:
    assert names(clinic, word, sort="name", limit=limit) == ["Abeja", "ángel", "Ñandú", "Zeta"]
    assert names(clinic, word, limit=limit) == ["Abeja", "Zeta", "ángel", "Ñandú"]


def test_the_whole_list_is_sorted_without_a_search(clinic: User, word: str) -> None:
    first = clinic.institutions.get(INSTITUTIONS, params={"sort": "name", "limit": 3}).json()
    rest = clinic.institutions.get(
        INSTITUTIONS, params={"sort": "name", "limit": 3, "cursor": first["next_cursor"]}
    ).json()
    ids = [item["id"] for item in first["items"] + rest["items"]]
    assert len(first["items"]) == 3 and len(ids) == len(set(ids))


def test_a_cursor_belongs_to_its_order(clinic: User, word: str) -> None:
    cursor = clinic.institutions.get(INSTITUTIONS, params={"limit": 1}).json()["next_cursor"]
    answer = clinic.institutions.get(INSTITUTIONS, params={"limit": 1, "sort": "name", "cursor": cursor})
    assert_problem(answer, 400, "invalid_cursor")


@pytest.fixture
def many(owner: RealDictCursor) -> Iterator[RealDictCursor]:
    """Thousands of institutions, until the test ends."""
    owner.execute("BEGIN")
    owner.execute(
        """
        CREATE TEMPORARY TABLE made ON COMMIT DROP AS
            SELECT gen_random_uuid() AS id, n FROM generate_series(1, %s) n;
        INSERT INTO users (id, email, user_type) SELECT id, 'fila' || n || '@example.org', 'institution' FROM made;
        INSERT INTO medical_institutions (id, name, institution_type_id, license_number, created_at)
            SELECT id, 'Fila ' || md5(n::text), 1, 'FILA' || n, now() - n * interval '1 minute' FROM made;
        INSERT INTO emails (entity_type, entity_id, email_address, is_primary)
            SELECT 'institution', id, 'fila' || n || '@example.org', true FROM made;
        -- As autovacuum does before long: what is new in a trigram index waits in a list, dear to read when long.
        SELECT gin_clean_pending_list('ix_medical_institutions_search'), gin_clean_pending_list('ix_emails_search'),
               gin_clean_pending_list('ix_medical_institutions_search_license');
        ANALYZE users, medical_institutions, emails
        """,
        (ROWS,),
    )
    yield owner
    owner.execute("ROLLBACK")


def plan(owner: RealDictCursor, statement: str, **filters: Any) -> str:
    columns = ("q", "institution_type_id", "country", "region", "city", "is_verified", "verification_status")
    place = {"after_created_at": None, "after_id": None, "after_name_key": None, "limit": 50, "language": "es"}
    owner.execute("EXPLAIN " + statement, dict.fromkeys(columns) | place | filters)
    return "\n".join(row["QUERY PLAN"] for row in owner.fetchall())


@pytest.mark.parametrize("sort", ["created_at", "name"])
@pytest.mark.parametrize("term", ["Fila c4ca4238", "fila1234@", "nadie se llama así"])
def test_a_rare_word_is_found_by_trigrams(many: RealDictCursor, sort: str, term: str) -> None:
    found = plan(many, db.SEARCH_INSTITUTIONS[sort], q=contains(term))
    for index in ("ix_medical_institutions_search", "ix_medical_institutions_search_license", "ix_emails_search"):
        assert f"on {index} " in found, found
    assert "Seq Scan on medical_institutions" not in found and "Seq Scan on emails" not in found, found


@pytest.mark.parametrize("sort", ["created_at", "name"])
def test_a_page_walks_an_index_in_its_order(many: RealDictCursor, sort: str) -> None:
    start = {"after_created_at": datetime.now(UTC) - timedelta(days=1), "after_id": uuid4(), "after_name_key": "fila 8"}
    found = plan(many, db.LIST_INSTITUTIONS[sort], **start)
    index = "ix_medical_institutions_" + ("created" if sort == "created_at" else "name")
    assert f"using {index} on medical_institutions" in found, found
    assert "Seq Scan on medical_institutions" not in found and "Sort" not in found, found
