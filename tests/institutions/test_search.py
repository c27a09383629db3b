"""The institutions' list: searched and in either order."""

from typing import Any

import pytest

from tests.support import Api, User, assert_problem, unique

INSTITUTIONS = "/api/v1/institutions"


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
