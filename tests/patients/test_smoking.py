"""What a health profile says about smoking: the newest word counts, and nothing contradicts it."""

import itertools
from datetime import date
from typing import Any

import pytest
from patients_app import smoking
from patients_app.errors import SmokingContradiction

QUIT = date(2015, 2, 28)
STATUSES = [None, "never", "former", "current", "nicotine_device"]


def _profile(status: str | None = None, is_smoker: bool | None = None, quit_date: date | None = None) -> dict[str, Any]:
    return {"smoking_status": status, "is_smoker": is_smoker, "quit_date": quit_date}


@pytest.mark.parametrize(
    ("profile", "field"),
    [
        (_profile("never", True), "is_smoker"),
        (_profile("former", True), "is_smoker"),
        (_profile("current", False), "is_smoker"),
        (_profile("never", None, QUIT), "quit_date"),
        (_profile("current", True, QUIT), "quit_date"),
    ],
)
def test_a_contradiction_names_its_field(profile: dict[str, Any], field: str) -> None:
    with pytest.raises(SmokingContradiction) as caught:
        smoking.refuse_contradictions(profile, "health_profile.")
    assert [error.field for error in caught.value.errors] == [f"health_profile.{field}"]
    with pytest.raises(SmokingContradiction) as caught:
        smoking.settle({}, profile)
    assert [error.field for error in caught.value.errors] == [field]


@pytest.mark.parametrize(
    "profile",
    [
        _profile(),
        _profile("former", False, QUIT),
        _profile("former", None, QUIT),
        _profile("nicotine_device", True, QUIT),
        _profile("nicotine_device", False),
        _profile(None, True, QUIT),
        _profile("current", True),
        _profile("never", False),
    ],
)
def test_what_agrees_stays_as_it_is(profile: dict[str, Any]) -> None:
    smoking.refuse_contradictions(profile)
    assert smoking.settle({}, profile) == profile


@pytest.mark.parametrize(
    ("stored", "changes", "settled"),
    [
        # A new status decides.
        (_profile("former", False, QUIT), {"smoking_status": "current"}, {"is_smoker": True, "quit_date": None}),
        (_profile("current", True), {"smoking_status": "former", "quit_date": QUIT}, {"is_smoker": False}),
        (_profile(None, True), {"smoking_status": "never"}, {"is_smoker": False}),
        (_profile("former", False, QUIT), {"smoking_status": "nicotine_device"}, {}),
        (_profile("former", False, QUIT), {"smoking_status": None}, {}),
        # A new is_smoker goes against a stored status.
        (_profile("never", False), {"is_smoker": True}, {"smoking_status": "current"}),
        (_profile("former", False, QUIT), {"is_smoker": True}, {"smoking_status": "current", "quit_date": None}),
        (_profile("current", True), {"is_smoker": False}, {"smoking_status": None}),
        (_profile("current", True), {"is_smoker": None}, {}),
        # What has nothing to do with it changes nothing of it.
        (_profile("former", False, QUIT), {"sleep_hours": 7}, {}),
    ],
)
def test_what_was_stored_against_the_new_word_gives_way(
    stored: dict[str, Any], changes: dict[str, Any], settled: dict[str, Any]
) -> None:
    assert smoking.settle(stored, changes) == {**changes, **settled}


@pytest.mark.parametrize("status", ["never", "current"])
def test_a_quit_date_against_what_is_known_is_refused(status: str) -> None:
    with pytest.raises(SmokingContradiction) as caught:
        smoking.settle(_profile(status), {"quit_date": QUIT})
    assert [error.field for error in caught.value.errors] == ["quit_date"]


def test_whatever_is_settled_does_not_contradict_itself() -> None:
    words = [_profile(*word) for word in itertools.product(STATUSES, [None, False, True], [None, QUIT])]
    settled = 0
    for stored, word in itertools.product(words, words):
        for names in ({"smoking_status"}, {"is_smoker"}, {"quit_date"}, set(word)):
            try:
                smoking.refuse_contradictions(stored)
                changes = smoking.settle(stored, {name: word[name] for name in names})
            except SmokingContradiction:
                continue
            smoking.refuse_contradictions({**stored, **changes})
            settled += 1
    assert settled > 500
