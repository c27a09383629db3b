"""`POST /auth/login`, here and delegated by the other services: who gets in, and that nobody learns why not."""

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from psycopg2.extras import RealDictCursor
from redis import Redis

from dev.fleet import Fleet
from tests.support import PASSWORD, Api, User, assert_problem, doctor_body, unique

from .support import DEAD, statuses

SERVICES = ("auth", "doctors", "institutions", "patients")
FIELDS = {
    *("access_token", "refresh_token", "token_type", "expires_in", "refresh_expires_in"),
    *("session_id", "user_id", "reference_id", "user_type", "email"),
}


@pytest.fixture(scope="module")
def institution(api: Api) -> User:
    return api.new_institution()


@pytest.fixture(scope="module")
def doctor(api: Api, institution: User) -> User:
    return api.new_doctor(institution)


def attempt(api: Api, service: str, email: str, password: str, **headers: str) -> httpx.Response:
    client: httpx.Client = getattr(api.anonymous, service)
    answer: httpx.Response = client.post("/auth/login", json={"email": email, "password": password}, headers=headers)
    return answer


def sessions_of(redis: Redis, user_id: str) -> set[str]:
    return set(redis.zrange(f"sessions-of:{user_id}", 0, -1))


def test_a_login_answers_with_every_field_of_the_contract(api: Api, doctor: User) -> None:
    answer = attempt(api, "auth", doctor.email, PASSWORD)
    assert answer.status_code == 200
    pair = answer.json()
    assert set(pair) == FIELDS
    assert pair["user_id"] == pair["reference_id"] == doctor.id
    assert (pair["user_type"], pair["email"], pair["token_type"]) == ("doctor", doctor.email, "bearer")
    assert pair["expires_in"] == 3_600 and UUID(pair["session_id"])
    assert pair["refresh_token"] and pair["refresh_expires_in"] == 3_600
    assert answer.headers["cache-control"] == "private, no-store"


def test_each_user_type_logs_in_at_its_own_service_and_an_admin_at_auth(
    api: Api, doctor: User, institution: User
) -> None:
    patient = api.new_patient(doctor)
    for service, user in (("doctors", doctor), ("institutions", institution), ("patients", patient)):
        pair = attempt(api, service, user.email, PASSWORD).json()
        assert set(pair) == FIELDS
        assert (pair["user_id"], pair["user_type"]) == (user.id, user.user_type)
    assert api.admin.user_type == "admin"


def test_a_login_is_remembered(doctor: User, api: Api, owner: RealDictCursor) -> None:
    owner.execute("UPDATE users SET last_login_at = NULL WHERE id = %s", [doctor.id])
    assert attempt(api, "doctors", doctor.email, PASSWORD).status_code == 200
    owner.execute("SELECT last_login_at FROM users WHERE id = %s", [doctor.id])
    assert owner.fetchone()["last_login_at"]


def test_a_session_remembers_where_its_user_is_also_through_another_service(
    api: Api, doctor: User, redis: Redis
) -> None:
    for service in ("auth", "doctors"):
        pair = attempt(api, service, doctor.email, PASSWORD, **{"User-Agent": "a browser"}).json()
        session = redis.hgetall(f"session:{pair['session_id']}")
        assert (session["user_agent"], session["ip"]) == ("a browser", "127.0.0.1")


def test_an_email_is_the_same_in_any_case_and_between_spaces(api: Api, doctor: User) -> None:
    for email in (doctor.email.upper(), f"  {doctor.email} \n"):
        assert attempt(api, "auth", email, PASSWORD).status_code == 200


def test_an_email_and_a_password_are_the_same_composed_or_not(api: Api, institution: User) -> None:
    email = f"{unique('muñoz')}@example.com"
    api.new_doctor(institution, contact_email={"email_address": email}, password="contrasen\u0303a segura")
    for name, password in ((email, "contraseña segura"), (email.replace("ñ", "n\u0303"), "contrasen\u0303a segura")):
        assert attempt(api, "doctors", name, password).status_code == 200


def test_a_password_is_never_trimmed(api: Api, institution: User) -> None:
    doctor = api.new_doctor(institution, password=" with spaces ")
    assert attempt(api, "auth", doctor.email, " with spaces ").status_code == 200
    assert_problem(attempt(api, "auth", doctor.email, "with spaces"), 401, "invalid_credentials")


def test_a_refused_login_says_so_in_the_language_of_the_client(api: Api) -> None:
    answers = {
        language: attempt(api, "doctors", "nobody@example.com", "x", **{"Accept-Language": language}).json()["detail"]
        for language in ("es", "en", "fr")
    }
    assert answers["en"] == "The e-mail or the password is not correct."
    assert answers["es"] == answers["fr"] == "El correo o la contraseña no son correctos."


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "ana@example.com"}, "password"),
        ({"password": "x"}, "email"),
        ({"email": "ana@example.com", "password": 12345678}, "password"),
        ({"email": None, "password": "x"}, "email"),
        ({"email": "ana@example.com", "password": "x", "user_type": "admin"}, "user_type"),
    ],
)
def test_a_login_is_two_texts_and_nothing_else(service: str, body: dict[str, Any], field: str, api: Api) -> None:
    answer = getattr(api.anonymous, service).post("/auth/login", json=body)
    document = assert_problem(answer, 422, "validation_failed")
    assert [error["field"] for error in document["errors"]] == [field]
    assert "12345678" not in answer.text


@pytest.mark.parametrize("service", SERVICES)
def test_the_length_of_an_email_counts_in_characters(service: str, api: Api) -> None:
    answer = getattr(api.anonymous, service).post("/auth/login", json={"email": "a" * 1_001, "password": "x"})
    (error,) = assert_problem(answer, 422, "validation_failed")["errors"]
    message = "No puede pasar de 1000 caracteres."
    assert (error["field"], error["code"], error["message"]) == ("email", "too_long", message)


def test_a_disabled_account_is_told_so_only_after_the_right_password(
    api: Api, institution: User, owner: RealDictCursor, redis: Redis
) -> None:
    doctor = api.new_doctor(institution)
    before = sessions_of(redis, doctor.id)
    owner.execute("UPDATE users SET is_active = false WHERE id = %s", [doctor.id])
    for service in ("auth", "doctors"):
        assert_problem(attempt(api, service, doctor.email, PASSWORD), 403, "account_disabled")
        assert_problem(attempt(api, service, doctor.email, "wrong password"), 401, "invalid_credentials")
    assert sessions_of(redis, doctor.id) == before


@pytest.mark.parametrize("status", ["suspended", "retired"])
def test_a_suspended_or_retired_doctor_is_told_so_only_after_the_right_password(
    status: str, api: Api, institution: User, owner: RealDictCursor, redis: Redis
) -> None:
    doctor = api.new_doctor(institution)
    before = sessions_of(redis, doctor.id)
    owner.execute("UPDATE doctors SET professional_status = %s WHERE id = %s", [status, doctor.id])
    for service in ("auth", "doctors"):
        assert_problem(attempt(api, service, doctor.email, PASSWORD), 403, "account_unavailable")
        assert_problem(attempt(api, service, doctor.email, "wrong password"), 401, "invalid_credentials")
    assert sessions_of(redis, doctor.id) == before
    owner.execute("UPDATE doctors SET professional_status = 'active' WHERE id = %s", [doctor.id])
    assert attempt(api, "doctors", doctor.email, PASSWORD).status_code == 200


def test_a_deleted_and_disabled_account_is_an_unknown_one(api: Api, institution: User, owner: RealDictCursor) -> None:
    doctor = api.new_doctor(institution)
    assert institution.doctors.delete(f"/api/v1/doctors/{doctor.id}").status_code == 204
    owner.execute("UPDATE users SET is_active = false WHERE id = %s", [doctor.id])
    assert_problem(attempt(api, "auth", doctor.email, PASSWORD), 401, "invalid_credentials")


def test_a_service_refuses_the_users_of_another_and_leaves_no_session(
    api: Api, doctor: User, institution: User, redis: Redis
) -> None:
    patient = api.new_patient(doctor)
    users = {"doctors": doctor, "institutions": institution, "patients": patient}
    for service in users:
        for user in (*users.values(), api.admin):
            if user is users[service]:
                continue
            before = sessions_of(redis, user.id)
            assert_problem(attempt(api, service, user.email, user.password), 403, "wrong_user_type")
            assert_problem(attempt(api, service, user.email, "wrong password"), 401, "invalid_credentials")
            assert sessions_of(redis, user.id) == before


def test_the_account_of_nobody_opens_and_holds_nothing(api: Api, institution: User, owner: RealDictCursor) -> None:
    email, orphan = f"{unique('doctora')}@example.com", str(uuid4())
    body = {"email": email, "password": "the orphan's own", "user_type": "doctor", "reference_id": orphan}
    assert api.admin.auth.post("/users/create", json=body).status_code == 201
    assert_problem(attempt(api, "auth", email, "the orphan's own"), 401, "invalid_credentials")

    doctor = api.new_doctor(institution, contact_email={"email_address": email})
    assert attempt(api, "auth", email, PASSWORD).json()["user_id"] == doctor.id
    assert_problem(attempt(api, "auth", email, "the orphan's own"), 401, "invalid_credentials")


def test_after_a_deletion_no_token_of_the_doctor_works_however_the_logins_race(
    api: Api, institution: User, fleet: Fleet
) -> None:
    for _ in range(12):
        body = doctor_body(institution.id)
        created = api.admin.doctors.post("/api/v1/doctors", json=body)
        assert created.status_code == 201
        path = f"/api/v1/doctors/{created.json()['id']}"
        tokens, refused = logins_during(
            lambda path=path: api.admin.doctors.delete(path),  # type: ignore[misc]
            fleet.urls,
            body["contact_email"]["email_address"],
        )
        assert tokens and refused, "the deletion fell into the middle of the logins"
        for token in tokens:
            assert statuses(api, token) == DEAD


def logins_during(action: Callable[[], httpx.Response], urls: dict[str, str], email: str) -> tuple[list[str], int]:
    """Log in from several threads until the first refusal, `action` (a deletion) in between; tokens and refusals."""
    tokens: list[str] = []
    refusals: list[int] = []
    some = threading.Event()

    def log_in(url: str) -> None:
        with httpx.Client(base_url=url, timeout=20) as client:
            for _ in range(500):
                answer = client.post("/auth/login", json={"email": email, "password": PASSWORD})
                if answer.status_code != 200:
                    refusals.append(answer.status_code)
                    return
                tokens.append(answer.json()["access_token"])
                some.set()

    threads = [threading.Thread(target=log_in, args=[urls[name]]) for name in ("auth", "doctors") * 2]
    for thread in threads:
        thread.start()
    assert some.wait(20)
    assert action().status_code == 204
    for thread in threads:
        thread.join()
    assert set(refusals) == {401}
    return tokens, len(refusals)
