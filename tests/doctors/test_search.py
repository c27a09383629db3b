"""The doctors' list: searched and in either order."""

from typing import Any

import pytest

from tests.support import Api, User, assert_problem

DOCTORS = "/api/v1/doctors"
IN_ORDER = [("Eva", "alvarez"), ("Zoe", "Álvarez"), ("Íñigo", "ñandú"), ("Bea", "Zúñiga")]


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
