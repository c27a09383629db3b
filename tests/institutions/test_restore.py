"""Deleted institutions come back whole, their login included."""

from uuid import uuid4

from psycopg2.extras import RealDictCursor

from tests.support import PASSWORD, Api, User, assert_problem, institution_body


def path(institution_id: str) -> str:
    return f"/api/v1/institutions/{institution_id}"


def test_a_restored_institution_is_the_whole_again_and_logs_in(api: Api) -> None:
    institution = api.new_institution(address={"street_address": "Calle 1", "city": "León", "region_id": 11})
    before = api.admin.institutions.get(path(institution.id)).json()
    assert api.admin.institutions.delete(path(institution.id)).status_code == 204
    # Until then its e-mail and licence stay taken.
    same_email = institution_body(contact_email={"email_address": institution.email})
    assert_problem(api.admin.institutions.post("/api/v1/institutions", json=same_email), 409, "email_taken")
    same_licence = institution_body(license_number=before["license_number"])
    assert_problem(api.admin.institutions.post("/api/v1/institutions", json=same_licence), 409, "license_taken")
    credentials = {"email": institution.email, "password": PASSWORD}
    refused = api.anonymous.institutions.post("/auth/login", json=credentials)
    assert_problem(refused, 401, "invalid_credentials")

    answer = api.admin.institutions.post(path(institution.id) + "/restore")
    assert answer.status_code == 200 and answer.json() | {"updated_at": None} == before | {"updated_at": None}
    assert api.admin.institutions.get(path(institution.id)).json() == answer.json()
    assert api.log_in("institutions", institution.email).id == institution.id
    # The sessions of before stay ended.
    assert_problem(institution.institutions.get(path(institution.id)), 401, "unauthenticated")


def test_one_that_is_not_deleted_is_answered_as_it_is(api: Api, clinic: User, owner: RealDictCursor) -> None:
    before = api.admin.institutions.get(path(clinic.id)).json()
    answer = api.admin.institutions.post(path(clinic.id) + "/restore")
    assert (answer.status_code, answer.json()) == (200, before)
    owner.execute(
        "SELECT FROM audit_events WHERE action = 'restore' AND detail ->> 'institution_id' = %s", (clinic.id,)
    )
    assert owner.rowcount == 0


def test_an_unknown_one_is_not_found(api: Api) -> None:
    assert_problem(api.admin.institutions.post(path(str(uuid4())) + "/restore"), 404, "institution_not_found")


def test_nobody_else_restores(clinic: User, everybody: dict[str, User]) -> None:
    for role in ("institution", "doctor", "patient"):
        assert_problem(everybody[role].institutions.post(path(clinic.id) + "/restore"), 403, "forbidden")


def test_a_restoration_is_in_the_audit_trail(api: Api, owner: RealDictCursor) -> None:
    institution = api.new_institution()
    api.admin.institutions.delete(path(institution.id))
    api.admin.institutions.post(path(institution.id) + "/restore")
    owner.execute(
        "SELECT actor_id FROM audit_events WHERE action = 'restore' AND detail ->> 'institution_id' = %s",
        (institution.id,),
    )
    assert [str(row["actor_id"]) for row in owner.fetchall()] == [api.admin.id]
