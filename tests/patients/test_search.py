"""The patients' list: searched, filtered, in either order, walked while others write."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import Api, User, assert_problem, unique

PATIENTS = "/api/v1/patients"
NAMES = [
    *(("Zoe", "Álvarez"), ("Eva", "alvarez"), ("Ana", "Núñez")),
    *(("Ana", "Nunez"), ("Íñigo", "ñandú"), ("Bea", "Zúñiga")),
]
IN_ORDER = ["Eva alvarez", "Zoe Álvarez", "Íñigo ñandú", "Ana Núñez", "Ana Nunez", "Bea Zúñiga"]


def walk(user: User, **parameters: Any) -> Iterator[list[dict[str, Any]]]:
    """The list page by page, each fetched when it is asked for."""
    cursor: str | None = None
    for _ in range(30):  # a cursor that goes round in circles must not hang the tests
        answer = user.patients.get(PATIENTS, params=parameters | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        yield answer.json()["items"]
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return
    raise AssertionError("the list does not end")


def names(pages: Iterator[list[dict[str, Any]]]) -> list[str]:
    return [f"{item['first_name']} {item['last_name']}" for page in pages for item in page]


@pytest.fixture(scope="module")
def named(api: Api) -> User:
    """An institution with patients of known names."""
    institution = api.new_institution()
    for number, (first, last) in enumerate(NAMES):
        birth = f"198{number}-05-17"  # two of them have the same name
        api.new_patient(institution=institution, first_name=first, last_name=last, date_of_birth=birth)
    return institution


@pytest.mark.parametrize("limit", [1, 2, 5, 6, 50])
def test_by_last_name_without_case_and_accents_each_once(named: User, limit: int) -> None:
    found = names(walk(named, sort="last_name", limit=limit))
    assert sorted(found) == sorted(IN_ORDER)
    twins = {"Ana Núñez", "Ana Nunez"}  # alike: their ids decide
    assert [name for name in found if name not in twins] == [name for name in IN_ORDER if name not in twins]
    assert {found.index(name) for name in twins} == {3, 4}


def test_newest_first_unless_told_otherwise(named: User) -> None:
    newest_first = [f"{first} {last}" for first, last in reversed(NAMES)]
    assert names(walk(named, limit=2)) == names(walk(named, limit=2, sort="created_at")) == newest_first


def test_a_search_keeps_the_order(named: User) -> None:
    assert names(walk(named, q="ALVAREZ", sort="last_name", limit=1)) == ["Eva alvarez", "Zoe Álvarez"]
    assert names(walk(named, q="alvarez", limit=1)) == ["Eva alvarez", "Zoe Álvarez"]
    assert set(names(walk(named, q="nunez", sort="last_name", limit=1))) == {"Ana Núñez", "Ana Nunez"}
    assert len(names(walk(named, q="example.com", sort="last_name", limit=2))) == len(NAMES)


@pytest.mark.parametrize("term", ["nunez ana", "ANA nún", "example.com Núñez An", "Núñez, Ana", "nú - a"])
def test_each_word_may_stand_anywhere_in_name_or_email(named: User, term: str) -> None:
    assert {"Ana Núñez", "Ana Nunez"} <= set(names(walk(named, q=term)))


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("NU", {"Ana Núñez", "Ana Nunez"}),
        ("z", {"Zoe Álvarez", "Bea Zúñiga"}),
        ("al z", {"Zoe Álvarez"}),
        ("ez", set()),
        ("ex nu", {"Ana Núñez", "Ana Nunez"}),  # of `…@example.com`
        ("(n", {"Ana Núñez", "Ana Nunez", "Íñigo ñandú"}),
        (".", set(IN_ORDER)),
        ("b_", set()),
        ("b%", set()),
    ],
)
def test_one_or_two_letters_begin_a_word(named: User, term: str, found: set[str]) -> None:
    assert set(names(walk(named, q=term))) == found


@pytest.mark.parametrize("word", ["a(", "a)", "b[", "a*+", "z{2", "Á|", "^a$", "a'", "ñ\\", "a（", "z［", "ﬁ＊"])
def test_no_sign_is_more_than_itself(named: User, word: str) -> None:
    assert names(walk(named, q=word)) == names(walk(named, q=f"{word} {word}")) == []


def test_signs_alone_count_as_little_as_spaces(named: User) -> None:
    assert len(names(walk(named, q="%"))) == len(names(walk(named, q="- _"))) == len(NAMES)


def test_a_search_knows_what_has_changed(api: Api) -> None:
    patient = api.new_patient(institution=api.new_institution())
    path, word, address = f"{PATIENTS}/{patient.id}", unique("Nombre"), f"{unique('otra')}@example.net"
    assert api.admin.patients.put(path, json={"first_name": word}).status_code == 200
    new = {"email_address": address, "is_primary": True}
    assert api.admin.patients.post(f"{path}/emails", json=new).status_code == 201
    for term, found in ((word, 1), (address, 1), (patient.email, 0)):
        assert len(names(walk(api.admin, q=term))) == found, term


def test_a_cursor_belongs_to_its_order(named: User) -> None:
    cursor = named.patients.get(PATIENTS, params={"limit": 1}).json()["next_cursor"]
    answer = named.patients.get(PATIENTS, params={"limit": 1, "sort": "last_name", "cursor": cursor})
    assert_problem(answer, 400, "invalid_cursor")
    problem = assert_problem(named.patients.get(PATIENTS, params={"sort": "age"}), 422, "validation_failed")
    assert [error["field"] for error in problem["errors"]] == ["sort"]


@pytest.mark.parametrize("sort", ["created_at", "last_name"])
def test_each_row_once_and_none_skipped_while_others_write(api: Api, sort: str) -> None:
    institution = api.new_institution()
    ours = [api.new_patient(institution=institution, last_name=unique("M")).id for _ in range(6)]
    seen: list[str] = []
    for number, page in enumerate(walk(institution, sort=sort, limit=2)):
        seen += [item["id"] for item in page]
        if number < 3:
            for last_name in (unique("A"), unique("Z")):
                api.new_patient(institution=institution, last_name=last_name)
            first_seen = f"{PATIENTS}/{seen[0]}"
            assert api.admin.patients.put(first_seen, json={"contact_phone": f"55 0000 000{number}"}).status_code == 200
    assert len(seen) == len(set(seen)) and set(ours) <= set(seen)
