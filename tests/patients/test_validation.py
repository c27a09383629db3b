"""The validation of patients: whose step it is, which are skipped, what is refused, and what the history keeps."""

from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any
from uuid import uuid4

import httpx
import pytest
from patients_app.validation import check_step, next_status
from psycopg2.extras import RealDictCursor

from shared.errors import Forbidden, InvalidTransition
from tests.patients.conftest import Care
from tests.support import Api, User, assert_problem

STATUSES = ("pending", "validated_by_doctor", "validated_by_institution", "full_access")
STEPS = {"doctor": "validated_by_doctor", "institution": "validated_by_institution", "admin": "full_access"}


def step(user: User, patient: User, status: str, **more: Any) -> httpx.Response:
    return user.patients.post(f"/api/v1/patients/{patient.id}/validation", json={"status": status, **more})


def history(user: User, patient: User) -> list[dict[str, Any]]:
    answer = user.patients.get(f"/api/v1/patients/{patient.id}/validation")
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


@pytest.fixture
def patient(api: Api, care: Care) -> User:
    """A new patient of `care`'s doctor and institution."""
    return api.new_patient(care.doctor, care.institution)


# The rules, without a server.


@pytest.mark.parametrize(
    ("has_doctor", "has_institution", "order"),
    [
        (True, True, ["validated_by_doctor", "validated_by_institution", "full_access", "pending"]),
        (False, True, ["validated_by_institution", "validated_by_institution", "full_access", "pending"]),
        (True, False, ["validated_by_doctor", "full_access", "full_access", "pending"]),
        (False, False, ["full_access", "full_access", "full_access", "pending"]),
    ],
)
def test_a_step_whose_actor_the_patient_lacks_is_skipped(
    has_doctor: bool, has_institution: bool, order: list[str]
) -> None:
    assert [next_status(status, has_doctor, has_institution) for status in STATUSES] == order  # type: ignore[arg-type]


def test_of_all_steps_only_the_next_one_by_its_own_actor_and_the_way_back_are_allowed() -> None:
    allowed = {
        (user_type, status, wanted)
        for user_type, status, wanted in product(STEPS, STATUSES, STATUSES)
        if _passes(user_type, wanted, status)
    }
    assert allowed == {
        ("doctor", "pending", "validated_by_doctor"),
        ("institution", "validated_by_doctor", "validated_by_institution"),
        ("admin", "validated_by_institution", "full_access"),
        *(("admin", status, "pending") for status in STATUSES[1:]),
    }


def _passes(user_type: str, wanted: Any, status: Any) -> bool:
    try:
        check_step(user_type, wanted, status, has_doctor=True, has_institution=True)
    except (Forbidden, InvalidTransition):
        return False
    return True


# The workflow.


def test_a_patient_passes_through_every_status_and_the_history_keeps_each_step(
    api: Api, care: Care, patient: User
) -> None:
    actors = (care.doctor, care.institution, api.admin)
    for actor in actors:
        after = step(actor, patient, STEPS[actor.user_type], note=f"Visto: {actor.user_type}").json()
        assert after["validation_status"] == STEPS[actor.user_type]
        assert after["is_verified"] is (actor is api.admin)
        assert after == actor.patients.get(f"/api/v1/patients/{patient.id}").json()
    back = step(api.admin, patient, "pending", note="Falta un documento").json()
    assert (back["validation_status"], back["is_verified"]) == ("pending", False)
    items = history(patient, patient)
    assert all(items == history(user, patient) for user in actors)
    assert [(item["from_status"], item["to_status"], item["actor_type"], item["actor_id"]) for item in items] == [
        ("full_access", "pending", "admin", api.admin.id),
        *(
            (before, STEPS[actor.user_type], actor.user_type, actor.id)
            for before, actor in reversed(list(zip(STATUSES, actors, strict=False)))
        ),
    ]
    assert items[0]["note"] == "Falta un documento"
    assert set(items[0]) == {"from_status", "to_status", "actor_type", "actor_id", "note", "created_at"}
    assert step(care.doctor, patient, "validated_by_doctor").status_code == 200


def test_the_wrong_order_is_a_409_that_names_the_allowed_status(api: Api, care: Care, patient: User) -> None:
    for status in ("pending", "validated_by_doctor", "validated_by_institution", "full_access"):
        following = next_status(status, True, True)  # type: ignore[arg-type]
        for actor in (care.doctor, care.institution, api.admin):
            wanted = STEPS[actor.user_type]
            if wanted != following:
                problem = assert_problem(step(actor, patient, wanted), 409, "invalid_transition")
                assert following in problem["detail"] and problem["allowed"] == [following]
        for actor in (care.doctor, care.institution, api.admin):
            if STEPS[actor.user_type] == following:
                assert step(actor, patient, following).status_code == 200
    assert step(api.admin, patient, "pending", note="Otra vez").status_code == 200
    again = assert_problem(step(api.admin, patient, "pending", note="Otra vez"), 409, "invalid_transition")
    assert again["allowed"] == ["validated_by_doctor"]


def test_anothers_step_is_a_403_and_a_strangers_patient_a_404(
    api: Api, care: Care, others: Care, patient: User
) -> None:
    for actor in (care.doctor, care.institution, api.admin):
        for status in {*STEPS.values(), "pending"} - {STEPS[actor.user_type]}:
            if (actor, status) != (api.admin, "pending"):
                assert_problem(step(actor, patient, status), 403, "forbidden")
    for status in STATUSES:
        assert_problem(step(patient, patient, status), 403, "forbidden")
        assert_problem(step(api.anonymous, patient, status), 401, "unauthenticated")
        for stranger in (others.doctor, others.institution):
            assert_problem(step(stranger, patient, status, note="x"), 404, "patient_not_found")
    for stranger in (others.patient, others.doctor, others.institution):
        answer = stranger.patients.get(f"/api/v1/patients/{patient.id}/validation")
        assert_problem(answer, 404, "patient_not_found")
    answer = api.admin.patients.post(f"/api/v1/patients/{uuid4()}/validation", json={"status": "full_access"})
    assert_problem(answer, 404, "patient_not_found")
    assert history(patient, patient) == []


def test_steps_are_skipped_for_who_has_no_doctor_or_no_institution(api: Api, care: Care) -> None:
    of_doctor, of_institution = api.new_patient(care.doctor), api.new_patient(institution=care.institution)
    assert step(care.doctor, of_doctor, "validated_by_doctor").status_code == 200
    assert step(api.admin, of_doctor, "full_access").json()["is_verified"] is True
    too_soon = assert_problem(step(api.admin, of_institution, "full_access"), 409, "invalid_transition")
    assert too_soon["allowed"] == ["validated_by_institution"]
    assert step(care.institution, of_institution, "validated_by_institution").status_code == 200
    assert step(api.admin, of_institution, "full_access").json()["is_verified"] is True


def test_a_deleted_or_retired_doctor_s_step_is_skipped_a_suspended_one_s_is_not(api: Api, care: Care) -> None:
    path = "/api/v1/doctors"
    for change, expected in (("suspended", 409), ("retired", 200), (None, 200)):
        doctor = api.new_doctor(care.institution)
        patient = api.new_patient(doctor, care.institution)
        if change is None:
            assert api.admin.doctors.delete(f"{path}/{doctor.id}").status_code == 204
        else:
            body = {"professional_status": change}
            assert api.admin.doctors.post(f"{path}/{doctor.id}/professional-status", json=body).status_code == 200
        assert step(care.institution, patient, "validated_by_institution").status_code == expected, change


def test_the_way_back_needs_a_note(api: Api, care: Care, patient: User) -> None:
    assert step(care.doctor, patient, "validated_by_doctor").status_code == 200
    for body in ({}, {"note": None}, {"note": "  "}):
        problem = assert_problem(step(api.admin, patient, "pending", **body), 422, "validation_failed")
        assert [error["field"] for error in problem["errors"]] == ["note"]
    for status, fields in (("done", ["status"]), (None, ["status"])):
        problem = assert_problem(step(api.admin, patient, status or "", extra=1), 422, "validation_failed")
        assert [error["field"] for error in problem["errors"]] == [*fields, "extra"]


# Races and traces.


def test_of_two_who_make_the_same_step_at_once_one_does(api: Api, care: Care) -> None:
    for _ in range(6):
        patient = api.new_patient(care.doctor, care.institution)
        with ThreadPoolExecutor(4) as threads:
            made = [threads.submit(step, care.doctor, patient, "validated_by_doctor") for _ in range(4)]
            assert sorted(answer.result().status_code for answer in made) == [200, 409, 409, 409]
        assert len(history(patient, patient)) == 1


def test_who_moves_on_and_who_sends_back_at_once_leave_one_story(api: Api, care: Care, patient: User) -> None:
    for _ in range(6):
        assert step(care.doctor, patient, "validated_by_doctor").status_code == 200
        with ThreadPoolExecutor(2) as threads:
            on = threads.submit(step, care.institution, patient, "validated_by_institution")
            back = threads.submit(step, api.admin, patient, "pending", note="Otra vez")
            assert back.result().status_code == 200
            assert on.result().status_code in (200, 409)
        steps = [(item["from_status"], item["to_status"]) for item in reversed(history(patient, patient))]
        assert [to for _, to in steps[:-1]] == [before for before, _ in steps[1:]]
        assert steps[-1][1] == patient.patients.get(f"/api/v1/patients/{patient.id}").json()["validation_status"]


def test_the_history_is_walked_page_by_page(api: Api, care: Care, patient: User) -> None:
    for number in range(3):
        assert step(care.doctor, patient, "validated_by_doctor").status_code == 200
        assert step(api.admin, patient, "pending", note=str(number)).status_code == 200
    path, seen, cursor = f"/api/v1/patients/{patient.id}/validation", [], None
    for _ in range(3):
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = patient.patients.get(path, params=query).json()
        seen += page["items"]
        cursor = page["next_cursor"]
    assert cursor is None and seen == history(patient, patient) and len(seen) == 6
    assert_problem(patient.patients.get(path, params={"cursor": "x"}), 400, "invalid_cursor")


def test_every_touch_is_in_the_audit_trail_without_the_note(care: Care, patient: User, owner: RealDictCursor) -> None:
    assert step(care.doctor, patient, "validated_by_doctor", note="secreto").status_code == 200
    assert step(care.doctor, patient, "validated_by_doctor").status_code == 409
    history(care.institution, patient)
    owner.execute(
        "SELECT actor_type, action, detail FROM audit_events "
        "WHERE patient_ids @> ARRAY[%s::uuid] AND resource = 'validation' ORDER BY id",
        [patient.id],
    )
    assert [tuple(row.values()) for row in owner.fetchall()] == [
        ("doctor", "update", {"from": "pending", "to": "validated_by_doctor"}),
        ("institution", "read", {}),
    ]
