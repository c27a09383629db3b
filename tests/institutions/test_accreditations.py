"""The accreditations of institutions: added, listed, valid, expiring, expired."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support import Api, User, assert_problem

BODY = {"body": " Consejo de Salubridad General ", "number": "CSG-1", "valid_from": "2024-01-31"}


def path(institution: User) -> str:
    return f"/api/v1/institutions/{institution.id}/accreditations"


def day(days_from_today: int) -> str:
    return str(datetime.now(UTC).date() + timedelta(days_from_today))


def add(api: Api, institution: User, **fields: Any) -> httpx.Response:
    return api.admin.institutions.post(path(institution), json=BODY | {"valid_until": day(400)} | fields)


@pytest.mark.parametrize(
    ("days_left", "status"), [(-1, "expired"), (0, "expiring"), (90, "expiring"), (91, "valid"), (3_000, "valid")]
)
def test_the_status_follows_from_the_last_day(api: Api, clinic: User, days_left: int, status: str) -> None:
    answer = add(api, clinic, valid_until=day(days_left))
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made == {
        "id": made["id"],
        "body": "Consejo de Salubridad General",
        "number": "CSG-1",
        "valid_from": "2024-01-31",
        "valid_until": day(days_left),
        "status": status,
    }
    assert api.admin.institutions.get(answer.headers["location"]).json() == made


def test_every_role_lists_them_the_last_added_first_page_by_page(api: Api, everybody: dict[str, User]) -> None:
    institution = api.new_institution()
    made = [add(api, institution, number=f"N-{number}").json() for number in range(3)]
    for user in everybody.values():
        first = user.institutions.get(path(institution), params={"limit": 2}).json()
        rest = user.institutions.get(path(institution), params={"limit": 2, "cursor": first["next_cursor"]}).json()
        assert first["items"] + rest["items"] == made[::-1] and rest["next_cursor"] is None


@pytest.mark.parametrize("valid_until", ["2024-01-31", "2024-01-30"])
def test_an_accreditation_ends_after_it_begins(api: Api, clinic: User, valid_until: str) -> None:
    problem = assert_problem(add(api, clinic, valid_until=valid_until), 422, "validation_failed")
    assert [error["field"] for error in problem["errors"]] == ["valid_until"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("body", value) for value in ("", "x" * 201, 1, None)),
        *(("number", value) for value in ("", "x" * 101, None)),
        *(("valid_from", value) for value in ("31/01/2024", 0, "2024-02-30", "2024-01-31T00:00:00Z", None)),
        *(("valid_until", value) for value in ("mañana", None)),
        ("status", "valid"),
    ],
)
def test_a_wrong_field_is_named(api: Api, clinic: User, field: str, value: Any) -> None:
    problem = assert_problem(add(api, clinic, **{field: value}), 422, "validation_failed")
    assert [error["field"] for error in problem["errors"]] == [field]


def test_only_an_admin_adds_one(clinic: User, everybody: dict[str, User]) -> None:
    for role in ("institution", "doctor", "patient"):
        assert_problem(everybody[role].institutions.post(path(clinic), json={}), 403, "forbidden")


def test_what_is_not_there_is_not_found(api: Api, clinic: User) -> None:
    other = api.new_institution()
    made = add(api, clinic).json()["id"]
    assert_problem(api.admin.institutions.get(f"{path(other)}/{made}"), 404, "accreditation_not_found")
    assert_problem(api.admin.institutions.get(f"{path(clinic)}/{uuid4()}"), 404, "accreditation_not_found")
    assert api.admin.institutions.delete(f"/api/v1/institutions/{other.id}").status_code == 204
    assert_problem(add(api, other), 404, "institution_not_found")
    assert_problem(api.admin.institutions.get(path(other)), 404, "institution_not_found")
