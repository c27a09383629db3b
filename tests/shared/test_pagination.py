import base64
import string
from datetime import UTC, datetime
from itertools import product
from uuid import uuid4

import pytest

from shared.errors import InvalidCursor
from shared.pagination import Cursors, PageQuery
from shared.settings import Settings


class Query(PageQuery):
    q: str | None = None


def cursors(service: str = "service-x", key: str = "k" * 32) -> Cursors:
    return Cursors(Settings(cursor_key=key), service)


def next_cursor(query: Query, of: Cursors | None = None) -> str:
    rows = [{"at": datetime(2026, 1, 1, tzinfo=UTC), "id": uuid4()} for _ in range(query.limit + 1)]
    cursor = (of or cursors()).cut("things", query, rows, ("at", "id")).next_cursor
    assert cursor
    return cursor


def test_the_first_page_has_no_position() -> None:
    assert cursors().read("things", Query(), 2) == [None, None]


def test_the_last_page_has_no_cursor() -> None:
    page = cursors().cut("things", Query(limit=2), [{"id": 1}, {"id": 2}], ("id",))
    assert (page.items, page.next_cursor) == ([{"id": 1}, {"id": 2}], None)


def test_a_cursor_leads_to_the_last_row_of_its_page() -> None:
    page = cursors().cut("things", Query(limit=2), [{"id": 1}, {"id": 2}, {"id": 3}], ("id",))
    assert page.items == [{"id": 1}, {"id": 2}]
    assert cursors().read("things", Query(limit=50, cursor=page.next_cursor), 1) == [2]


def test_a_cursor_belongs_to_its_filters_its_list_its_service_and_its_key() -> None:
    cursor = next_cursor(Query(limit=1, q="ana"))
    assert cursors().read("things", Query(cursor=cursor, q="ana"), 2)
    for service, key, resource, q in (
        ("service-x", "k" * 32, "things", "eva"),
        ("service-x", "k" * 32, "things", None),
        ("service-x", "k" * 32, "others", "ana"),
        ("service-y", "k" * 32, "things", "ana"),
        ("service-x", "j" * 32, "things", "ana"),
    ):
        with pytest.raises(InvalidCursor):
            cursors(service, key).read(resource, Query(cursor=cursor, q=q), 2)


def test_no_byte_of_a_cursor_can_be_changed() -> None:
    raw = base64.urlsafe_b64decode(next_cursor(Query(limit=1)))
    for place in range(len(raw)):
        forged = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        with pytest.raises(InvalidCursor):
            cursors().read("things", Query(cursor=base64.urlsafe_b64encode(forged).decode()), 2)


def test_no_character_of_a_cursor_can_be_changed() -> None:
    reader = cursors()
    for length in range(3):  # in two of the three, the last character has bits that belong to no byte
        row = {"id": "a" * length}
        cursor = reader.cut("things", Query(limit=1), [row, row], ("id",)).next_cursor
        assert cursor and reader.read("things", Query(cursor=cursor), 1) == [row["id"]]
        for place, character in product(range(len(cursor)), string.ascii_letters + string.digits + "-_+/="):
            forged = cursor[:place] + character + cursor[place + 1 :]
            if forged != cursor:
                with pytest.raises(InvalidCursor):
                    reader.read("things", Query(cursor=forged), 1)


@pytest.mark.parametrize("cursor", ["", "x", "ñ", "AAAA", "=" * 8, "A" * 1000, "null", "\ud800"])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        cursors().read("things", Query.model_construct(cursor=cursor, limit=1, q=None), 2)
