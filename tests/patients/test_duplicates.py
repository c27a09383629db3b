"""The same person twice: told to whom may see the first one, and created all the same when asked."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import httpx
import pytest
from psycopg2.extras import RealDictCursor

from tests.patients.conftest import Care
from tests.support import Api, User, assert_problem, patient_body, unique

PATIENTS = "/api/v1/patients"


def create(user: User, body: dict[str, Any], **parameters: Any) -> httpx.Response:
    """Create the person of `body`, with an e-mail of its own."""
    email = {"email_address": f"{unique('gemela')}@example.com"}
    return user.patients.post(PATIENTS, json=body | {"contact_email": email}, params=parameters)


def candidates(answer: httpx.Response) -> list[str]:
    found: list[str] = assert_problem(answer, 409, "possible_duplicate")["candidates"]
    return found


@pytest.fixture
def person() -> dict[str, Any]:
    """A name that nobody else has."""
    return patient_body(first_name="José Ángel", last_name=unique("Muñoz"))


@pytest.mark.parametrize("spelling", [str, str.upper, lambda name: name.replace("é", "e").replace("ñ", "n")])
def test_the_same_name_and_birth_date_is_refused_with_the_ids_of_whom_it_may_be(
    care: Care, person: dict[str, Any], spelling: Any
) -> None:
    first = create(care.doctor, person).json()["id"]
    twin = person | {name: spelling(person[name]) for name in ("first_name", "last_name")}
    assert candidates(create(care.doctor, twin)) == [first]
    second = create(care.doctor, twin, allow_duplicate="true")
    assert second.status_code == 201, second.text
    assert candidates(create(care.doctor, twin)) == [first, second.json()["id"]]


def test_what_differs_makes_another_person(care: Care, person: dict[str, Any]) -> None:
    assert create(care.doctor, person).status_code == 201
    for difference in ({"first_name": "José"}, {"last_name": "Otra"}, {"date_of_birth": "1980-05-18"}):
        assert create(care.doctor, person | difference).status_code == 201


def test_only_who_may_see_the_first_one_learns_of_it(
    api: Api, care: Care, others: Care, person: dict[str, Any]
) -> None:
    first = create(care.institution, person | {"doctor_id": care.doctor.id}).json()["id"]
    for user in (care.institution, care.doctor):
        assert candidates(create(user, person)) == [first]
    assert candidates(create(api.admin, person | {"institution_id": others.institution.id})) == [first]
    for user in (others.institution, others.doctor):
        assert create(user, person).status_code == 201


def test_a_deleted_one_is_no_duplicate(api: Api, care: Care, person: dict[str, Any]) -> None:
    first = create(care.doctor, person).json()["id"]
    assert api.admin.patients.delete(f"{PATIENTS}/{first}").status_code == 204
    assert create(care.doctor, person).status_code == 201


def test_nothing_of_a_refused_one_is_left_and_its_email_is_free(
    api: Api, care: Care, person: dict[str, Any], owner: RealDictCursor
) -> None:
    assert create(care.doctor, person).status_code == 201
    again = person | {"contact_email": {"email_address": f"{unique('repetida')}@example.com"}}
    assert_problem(care.doctor.patients.post(PATIENTS, json=again), 409, "possible_duplicate")
    owner.execute("SELECT FROM patients WHERE last_name = %s", (person["last_name"],))
    assert owner.rowcount == 1
    answer = care.doctor.patients.post(PATIENTS, json=again, params={"allow_duplicate": "true"})
    assert answer.status_code == 201, answer.text
    assert api.log_in("patients", again["contact_email"]["email_address"]).id == answer.json()["id"]


def test_whoever_was_told_of_a_patient_is_in_the_audit_trail(
    care: Care, person: dict[str, Any], owner: RealDictCursor
) -> None:
    first = create(care.doctor, person).json()["id"]
    assert candidates(create(care.doctor, person)) == [first]
    owner.execute(
        "SELECT actor_id, action, patient_ids FROM audit_events "
        "WHERE resource = 'possible_duplicate' AND %s::uuid = ANY (patient_ids)",
        (first,),
    )
    (event,) = owner.fetchall()
    assert (str(event["actor_id"]), event["action"]) == (care.doctor.id, "read")
    assert [UUID(str(one)) for one in event["patient_ids"]] == [UUID(first)]


def test_of_the_same_person_many_times_at_once_one_is_created(care: Care) -> None:
    for _ in range(3):
        person = patient_body(last_name=unique("Prisa"))
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda _, person=person: create(care.doctor, person), range(6)))  # type: ignore[misc]
        (made,) = [answer.json()["id"] for answer in answers if answer.status_code == 201]
        for answer in answers:
            assert answer.status_code == 201 or candidates(answer) == [made]


def test_the_sentence_is_in_the_language_of_the_request(care: Care, person: dict[str, Any]) -> None:
    create(care.doctor, person)
    body = person | {"contact_email": {"email_address": f"{unique('otra')}@example.com"}}
    for language, word in (("es", "paciente"), ("en", "patient")):
        answer = care.doctor.patients.post(PATIENTS, json=body, headers={"Accept-Language": language})
        assert word in assert_problem(answer, 409, "possible_duplicate")["detail"]


def test_the_question_is_put_as_true_or_false(care: Care, person: dict[str, Any]) -> None:
    problem = assert_problem(create(care.doctor, person, allow_duplicate="perhaps"), 422, "validation_failed")
    assert [error["field"] for error in problem["errors"]] == ["allow_duplicate"]
