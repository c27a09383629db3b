"""The verification of institutions: its workflow, its history, who may."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from institutions_app.verification import MOVES
from psycopg2.extras import RealDictCursor

from shared.errors import InvalidTransition
from shared.history import check_move
from tests.support import Api, User, assert_problem

STATUSES = ("pending", "verified", "rejected")
LEGAL = {("pending", "verified"), ("pending", "rejected"), ("rejected", "pending"), ("verified", "rejected")}


def path(institution: User) -> str:
    return f"/api/v1/institutions/{institution.id}/verification"


def step(api: Api, institution: User, status: str, **fields: Any) -> Any:
    return api.admin.institutions.post(path(institution), json={"verification_status": status, **fields})


def put_at(owner: RealDictCursor, institution: User, status: str) -> None:
    owner.execute(
        "UPDATE medical_institutions SET verification_status = %s WHERE id = %s::uuid", (status, institution.id)
    )


@pytest.mark.parametrize("current", STATUSES)
@pytest.mark.parametrize("wanted", STATUSES)
def test_the_workflow_has_the_moves_of_the_contract_and_no_others(current: str, wanted: str) -> None:
    if (current, wanted) in LEGAL:
        check_move(MOVES, current, wanted)
    else:
        with pytest.raises(InvalidTransition) as caught:
            check_move(MOVES, current, wanted)
        assert caught.value.members["allowed"] == list(MOVES[current])


@pytest.mark.parametrize("current", STATUSES)
@pytest.mark.parametrize("wanted", STATUSES)
def test_each_step_answers_the_institution_or_a_409_that_names_what_may_follow(
    api: Api, owner: RealDictCursor, clinic: User, current: str, wanted: str
) -> None:
    put_at(owner, clinic, current)
    answer = step(api, clinic, wanted)
    shown = clinic.institutions.get(f"/api/v1/institutions/{clinic.id}").json()
    if (current, wanted) in LEGAL:
        assert answer.status_code == 200 and answer.json() == shown
        assert (shown["verification_status"], shown["is_verified"]) == (wanted, wanted == "verified")
    else:
        problem = assert_problem(answer, 409, "invalid_transition")
        assert problem["allowed"] == list(MOVES[current]) and problem["current_status"] == current
        assert all(status in problem["detail"] for status in MOVES[current])
        assert shown["verification_status"] == current


def test_the_history_tells_who_moved_what_and_when_newest_first(api: Api) -> None:
    institution = api.new_institution()
    notes = ["Cédula revisada", None, "De nuevo"]
    for status, note in zip(("verified", "rejected", "pending"), notes, strict=True):
        assert step(api, institution, status, **({"note": note} if note else {})).status_code == 200
    assert step(api, institution, "pending").status_code == 409  # leaves no trace
    first = api.admin.institutions.get(path(institution), params={"limit": 2}).json()
    second = api.admin.institutions.get(path(institution), params={"limit": 2, "cursor": first["next_cursor"]}).json()
    items = first["items"] + second["items"]
    assert second["next_cursor"] is None
    assert [(item["from_status"], item["to_status"], item["note"]) for item in items] == [
        ("rejected", "pending", "De nuevo"),
        ("verified", "rejected", None),
        ("pending", "verified", "Cédula revisada"),
    ]
    for item in items:
        assert set(item) == {"from_status", "to_status", "actor_type", "actor_id", "note", "created_at"}
        assert (item["actor_type"], item["actor_id"]) == ("admin", api.admin.id)


def test_a_cursor_of_one_history_is_none_of_another(api: Api, clinic: User) -> None:
    institution = api.new_institution()
    for status in ("verified", "rejected"):
        step(api, institution, status)
    cursor = api.admin.institutions.get(path(institution), params={"limit": 1}).json()["next_cursor"]
    answer = api.admin.institutions.get(path(clinic), params={"limit": 1, "cursor": cursor})
    assert_problem(answer, 400, "invalid_cursor")


def test_of_many_equal_steps_at_once_one_is_made(api: Api) -> None:
    institution = api.new_institution()
    rounds = ("verified", "rejected", "pending") * 3
    for made, status in enumerate(rounds, start=1):
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _, status=status: step(api, institution, status).status_code, range(8)))  # type: ignore[misc]
        assert sorted(answers) == [200] + [409] * 7
        assert len(api.admin.institutions.get(path(institution)).json()["items"]) == made


def test_nobody_else_takes_part(api: Api, clinic: User, everybody: dict[str, User]) -> None:
    for role in ("institution", "doctor", "patient"):
        client = everybody[role].institutions
        assert_problem(client.post(path(clinic), json={"verification_status": "verified"}), 403, "forbidden")
        assert_problem(client.get(path(clinic)), 403, "forbidden")


@pytest.mark.parametrize("body", [{}, {"verification_status": "approved"}, {"verification_status": None}])
def test_a_step_says_where_to(api: Api, clinic: User, body: dict[str, Any]) -> None:
    problem = assert_problem(api.admin.institutions.post(path(clinic), json=body), 422, "validation_failed")
    assert [error["field"] for error in problem["errors"]] == ["verification_status"]


def test_an_unknown_or_deleted_institution_is_not_found(api: Api) -> None:
    gone = api.new_institution()
    assert api.admin.institutions.delete(f"/api/v1/institutions/{gone.id}").status_code == 204
    for where in (path(gone), f"/api/v1/institutions/{uuid4()}/verification"):
        body = {"verification_status": "verified"}
        assert_problem(api.admin.institutions.post(where, json=body), 404, "institution_not_found")
        assert_problem(api.admin.institutions.get(where), 404, "institution_not_found")


def test_a_step_is_in_the_audit_trail(api: Api, owner: RealDictCursor) -> None:
    institution = api.new_institution()
    step(api, institution, "rejected", note="secreta")
    owner.execute(
        "SELECT actor_id, action, detail FROM audit_events "
        "WHERE resource = 'verification' AND detail ->> 'institution_id' = %s",
        (institution.id,),
    )
    event = owner.fetchone()
    assert event is not None and (str(event["actor_id"]), event["action"]) == (api.admin.id, "update")
    expected = {"institution_id": institution.id, "from_status": "pending", "to_status": "rejected"}
    assert event["detail"] == expected
