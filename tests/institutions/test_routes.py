"""The institutions' routes over HTTP: who may, what comes back, what is refused."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest
from institutions_app import domain
from psycopg2.extras import RealDictCursor

from shared.errors import AuthUnavailable
from shared.resources import ClientResources
from shared.settings import ClientSettings, Settings
from tests.support import (
    PASSWORD,
    SEPARATORS,
    Api,
    User,
    assert_problem,
    doctor_body,
    institution_body,
    patient_body,
    unique,
)

INSTITUTIONS, DOCTORS, PATIENTS = (
    "/api/v1/institutions",
    "/api/v1/institutions/doctors",
    "/api/v1/institutions/patients",
)
MEXICO, UNITED_STATES, JALISCO = 484, 840, 14
ALL = {"admin", "institution", "doctor", "patient"}
ADDRESS = {"street_address": "Av. Juárez 1", "city": "Guadalajara", "region_id": JALISCO}
FIELDS = {
    *("id", "name", "institution_type_id", "institution_type_name", "website", "license_number", "is_active"),
    *("is_verified", "verification_status", "contact_email", "contact_phone", "address", "created_at", "updated_at"),
}
ADDRESS_FIELDS = {
    *("street_address", "neighborhood", "city", "region_id", "region_name", "country_id", "country_name"),
    *("postal_code", "latitude", "longitude"),
}
# Method, path (`{id}` is the institution that everybody belongs to), body, and who gets past the door.
ROUTES: list[tuple[str, str, Any, set[str]]] = [
    ("GET", INSTITUTIONS, None, ALL),
    ("POST", INSTITUTIONS, {}, {"admin"}),
    ("GET", DOCTORS, None, {"institution"}),
    ("GET", PATIENTS, None, {"institution"}),
    ("GET", INSTITUTIONS + "/{id}", None, ALL),
    ("PUT", INSTITUTIONS + "/{id}", {}, {"admin", "institution"}),
    ("DELETE", INSTITUTIONS + "/{id}", None, {"admin"}),
    ("GET", INSTITUTIONS + "/geography", None, ALL),
    ("POST", INSTITUTIONS + "/{id}/verification", {}, {"admin"}),
    ("GET", INSTITUTIONS + "/{id}/verification", None, {"admin"}),
    ("GET", INSTITUTIONS + "/{id}/accreditations", None, ALL),
    ("POST", INSTITUTIONS + "/{id}/accreditations", {}, {"admin"}),
    ("GET", INSTITUTIONS + "/{id}/statistics", None, {"admin", "institution"}),
    ("GET", "/api/v1/institution-types", None, ALL),
    ("GET", "/api/v1/countries", None, ALL),
    ("GET", "/api/v1/regions", None, ALL),
    ("GET", "/api/v1/municipalities?region_id=14", None, ALL),
]


def create(api: Api, **fields: Any) -> dict[str, Any]:
    answer = api.admin.institutions.post(INSTITUTIONS, json=institution_body(**fields))
    assert answer.status_code == 201, answer.text
    institution: dict[str, Any] = answer.json()
    return institution


def walk(client: httpx.Client, path: str, key: str, **parameters: Any) -> list[list[dict[str, Any]]]:
    """Every page of a short list."""
    pages, cursor = [], None
    for _ in range(20):  # a cursor that goes round in circles must not hang the tests
        answer = client.get(path, params=parameters | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        pages.append(answer.json()[key])
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return pages
    raise AssertionError("the list does not end")


def at_once(*calls: Callable[[], httpx.Response]) -> list[httpx.Response]:
    """The answers of calls that begin together."""
    barrier = threading.Barrier(len(calls))

    def call(one: Callable[[], httpx.Response]) -> httpx.Response:
        barrier.wait()
        return one()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


def assert_nothing_of_it(api: Api, owner: RealDictCursor, body: dict[str, Any]) -> None:
    """No row of a refused institution is left but an account that nobody can use, and its e-mail is free."""
    email = body["contact_email"]["email_address"]
    owner.execute("SELECT count(*) AS count FROM medical_institutions WHERE name = %s", (body["name"],))
    assert owner.fetchall()[0]["count"] == 0
    owner.execute(
        "SELECT count(*) AS count FROM users u WHERE lower(u.email) = lower(%s) AND u.owner_status = 'missing' AND ("
        " EXISTS (SELECT FROM emails WHERE entity_id = u.id) OR EXISTS (SELECT FROM phones WHERE entity_id = u.id)"
        " OR EXISTS (SELECT FROM addresses WHERE entity_id = u.id))",
        (email,),
    )
    assert owner.fetchall()[0]["count"] == 0
    credentials = {"email": email, "password": body["password"]}
    assert_problem(api.anonymous.institutions.post("/auth/login", json=credentials), 401, "invalid_credentials")
    again = institution_body(contact_email=body["contact_email"])
    assert api.admin.institutions.post(INSTITUTIONS, json=again).status_code == 201


# Who may


@pytest.mark.parametrize(("method", "path", "body", "allowed"), ROUTES)
def test_nobody_gets_in_without_a_token(
    api: Api, clinic: User, method: str, path: str, body: Any, allowed: set[str]
) -> None:
    answer = api.anonymous.institutions.request(method, path.format(id=clinic.id), json=body)
    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("role", sorted(ALL))
@pytest.mark.parametrize(("method", "path", "body", "allowed"), ROUTES)
def test_each_role_gets_past_its_own_doors_only(
    everybody: dict[str, User], clinic: User, role: str, method: str, path: str, body: Any, allowed: set[str]
) -> None:
    answer = everybody[role].institutions.request(method, path.format(id=clinic.id), json=body)
    if role in allowed:
        # An empty creation, an empty update and the deletion of an institution in use go no further than that.
        assert answer.status_code == {"GET": 200, "POST": 422, "PUT": 400, "DELETE": 409}[method], answer.text
    else:
        assert_problem(answer, 403, "forbidden")


def test_an_institution_changes_itself_and_no_other(api: Api, clinic: User) -> None:
    other = create(api)
    for body in ({"name": "Mía"}, {"name": 1}, {}):  # 403 comes before any look at the body
        answer = clinic.institutions.put(f"{INSTITUTIONS}/{other['id']}", json=body)
        assert_problem(answer, 403, "forbidden")
    spelled_otherwise = clinic.id.upper().replace("-", "")
    assert clinic.institutions.put(f"{INSTITUTIONS}/{spelled_otherwise}", json={"website": None}).status_code == 200
    assert_problem(clinic.institutions.put(f"{INSTITUTIONS}/me", json={"name": "Mía"}), 403, "forbidden")
    assert clinic.institutions.get(f"{INSTITUTIONS}/{other['id']}").json() == other


# Login


def test_an_institution_logs_in(api: Api) -> None:
    institution = create(api)
    credentials = {"email": institution["contact_email"].upper(), "password": PASSWORD}
    answer = api.anonymous.institutions.post("/auth/login", json=credentials)
    pair = answer.json()
    assert answer.status_code == 200 and "no-store" in answer.headers["cache-control"]
    assert pair.keys() == {
        *("access_token", "refresh_token", "token_type", "expires_in", "refresh_expires_in", "session_id"),
        *("user_id", "reference_id", "user_type", "email"),
    }
    assert pair["user_id"] == pair["reference_id"] == institution["id"]
    assert (pair["token_type"], pair["user_type"], pair["email"]) == (
        "bearer",
        "institution",
        institution["contact_email"],
    )


@pytest.mark.parametrize("role", ["admin", "doctor", "patient"])
def test_nobody_else_logs_in_here(api: Api, everybody: dict[str, User], role: str) -> None:
    user = everybody[role]
    answer = api.anonymous.institutions.post("/auth/login", json={"email": user.email, "password": user.password})
    assert_problem(answer, 403, "wrong_user_type")


def test_a_wrong_password_is_refused(api: Api, clinic: User) -> None:
    answer = api.anonymous.institutions.post("/auth/login", json={"email": clinic.email, "password": "not this one"})
    assert_problem(answer, 401, "invalid_credentials")


# Creation


def test_a_created_institution_comes_back_whole(api: Api) -> None:
    address = ADDRESS | {"neighborhood": "Centro", "postal_code": "44100", "latitude": 20.6767, "longitude": -103.3475}
    body = institution_body(website="https://clinica.mx", contact_phone="+52 33 1234 5678", address=address)
    answer = api.admin.institutions.post(INSTITUTIONS, json=body)
    institution = answer.json()
    assert answer.status_code == 201 and institution.keys() == FIELDS
    assert answer.headers["location"] == f"{INSTITUTIONS}/{institution['id']}"
    taken = ("name", "institution_type_id", "license_number", "website", "contact_phone")
    assert {field: institution[field] for field in taken} == {field: body[field] for field in taken}
    assert institution["contact_email"] == body["contact_email"]["email_address"]
    assert institution["institution_type_name"] == "Clínica"
    assert (institution["is_active"], institution["is_verified"]) == (True, False)
    assert institution["verification_status"] == "pending"
    places = {"region_name": "Jalisco", "country_id": MEXICO, "country_name": "México"}
    assert institution["address"].keys() == ADDRESS_FIELDS and institution["address"] == address | places
    assert api.admin.institutions.get(answer.headers["location"]).json() == institution
    assert api.log_in("institutions", institution["contact_email"]).id == institution["id"]


def test_what_was_not_given_is_null(api: Api) -> None:
    institution = create(api)
    assert institution.keys() == FIELDS
    assert [institution[field] for field in ("website", "contact_phone", "address")] == [None] * 3


def test_names_of_catalogues_are_in_the_language_asked_for(api: Api) -> None:
    institution = create(api, address=ADDRESS)
    path = f"{INSTITUTIONS}/{institution['id']}"
    english = api.admin.institutions.get(path, headers={"Accept-Language": "en"}).json()
    assert (english["institution_type_name"], english["address"]["country_name"]) == ("Clinic", "Mexico")


@pytest.mark.parametrize(
    ("fields", "wrong", "code"),
    [
        ({"name": ""}, "name", "too_short"),
        ({"institution_type_id": 999}, "institution_type_id", "unknown_reference"),
        ({"institution_type_id": 10**30}, "institution_type_id", "too_large"),
        ({"license_number": "A"}, "license_number", "too_short"),
        ({"website": "clinica.mx"}, "website", "format"),
        ({"contact_email": {"email_address": "nobody"}}, "contact_email.email_address", "email"),
        ({"contact_phone": "x"}, "contact_phone", "too_short"),
        ({"password": "k7#q"}, "password", "password_too_short"),
        ({"password": "ñ" * 40}, "password", "password_too_long"),
        ({"address": {"city": "Puebla"}}, "address.street_address", "required"),
        ({"address": ADDRESS | {"region_id": 99_999}}, "address.region_id", "unknown_reference"),
        ({"address": ADDRESS | {"country_id": 99_999}}, "address.country_id", "unknown_reference"),
        ({"address": ADDRESS | {"country_id": UNITED_STATES}}, "address.region_id", "region_not_in_country"),
        ({"address": ADDRESS | {"latitude": 91}}, "address.latitude", "too_large"),
        ({"is_verified": True}, "is_verified", "unknown_field"),
        ({"verification_status": "verified"}, "verification_status", "unknown_field"),
    ],
)
def test_an_invalid_creation_names_the_field_and_leaves_nothing(
    api: Api, owner: RealDictCursor, fields: dict[str, Any], wrong: str, code: str
) -> None:
    body = institution_body(contact_phone="33 1234 5678") | fields
    named = code if wrong == "password" else "validation_failed"  # the rules of passwords have codes of their own
    problem = assert_problem(api.admin.institutions.post(INSTITUTIONS, json=body), 422, named)
    assert [(error["field"], error["code"]) for error in problem["errors"]] == [(wrong, code)]
    assert str(body["password"]) not in str(problem)
    if not {"contact_email", "password"} & fields.keys():
        assert_nothing_of_it(api, owner, body)


def test_a_taken_licence_leaves_nothing_behind(api: Api, owner: RealDictCursor) -> None:
    licence = unique("ins")
    create(api, license_number=licence)
    for separator in (" ", SEPARATORS):
        same = licence.upper().replace("-", separator)
        body = institution_body(license_number=same, contact_phone="33 1234 5678", address=ADDRESS)
        assert_problem(api.admin.institutions.post(INSTITUTIONS, json=body), 409, "license_taken")
        assert_nothing_of_it(api, owner, body)


def test_a_taken_email_leaves_nothing_behind(api: Api, owner: RealDictCursor, clinic: User) -> None:
    licence = unique("INS")
    body = institution_body(contact_email={"email_address": clinic.email.upper()}, license_number=licence)
    assert_problem(api.admin.institutions.post(INSTITUTIONS, json=body), 409, "email_taken")
    owner.execute("SELECT FROM medical_institutions WHERE license_number = %s", (licence,))
    assert owner.rowcount == 0
    assert create(api, license_number=licence)["license_number"] == licence
    assert api.log_in("institutions", clinic.email).id == clinic.id


@pytest.mark.parametrize("same", ["licence", "e-mail"])
def test_of_many_equal_creations_at_once_one_succeeds(api: Api, same: str) -> None:
    bodies = [institution_body() for _ in range(8)]
    field, code = ("license_number", "license_taken") if same == "licence" else ("contact_email", "email_taken")
    for body in bodies:
        body[field] = bodies[0][field]
    answers = at_once(*(lambda b=body: api.admin.institutions.post(INSTITUTIONS, json=b) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {code}


@pytest.mark.anyio
async def test_without_the_auth_service_nothing_is_created(api: Api, owner: RealDictCursor, settings: Settings) -> None:
    nowhere = ClientSettings(**settings.model_dump(), auth_service_url="http://127.0.0.1:9")
    body = institution_body()
    resources = ClientResources.open("service-institutions", nowhere)
    try:
        with pytest.raises(AuthUnavailable):
            await domain.create_institution(resources, domain.NewInstitution.model_validate(body))
    finally:
        await resources.close()
    assert_nothing_of_it(api, owner, body)


def test_an_account_whose_creation_was_killed_midway_is_in_nobodys_way(api: Api, owner: RealDictCursor) -> None:
    body = institution_body()
    email = body["contact_email"]["email_address"]
    account = {"email": email, "password": PASSWORD, "user_type": "institution", "reference_id": str(uuid4())}
    assert api.admin.auth.post("/users/create", json=account).status_code == 201
    assert_nothing_of_it(api, owner, body)


# List


def test_the_list_is_walked_page_by_page_newest_first_each_once(api: Api) -> None:
    word = unique("Lista")
    made = [create(api, name=f"{word} {number}") for number in range(5)]
    pages = walk(api.admin.institutions, INSTITUTIONS, "items", q=word, limit=2)
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [item for page in pages for item in page] == made[::-1]


def test_a_full_last_page_has_no_next_one(api: Api) -> None:
    word = unique("Justa")
    for number in range(2):
        create(api, name=f"{word} {number}")
    answer = api.admin.institutions.get(INSTITUTIONS, params={"q": word, "limit": 2}).json()
    assert len(answer["items"]) == 2 and answer["next_cursor"] is None


def test_what_is_created_and_deleted_meanwhile_skips_and_repeats_nothing(api: Api) -> None:
    word = unique("Vaivén")
    made = [create(api, name=f"{word} {number}") for number in range(4)]
    first = api.admin.institutions.get(INSTITUTIONS, params={"q": word, "limit": 2}).json()
    create(api, name=f"{word} nueva")
    last_shown = first["items"][1]["id"]
    assert api.admin.institutions.delete(f"{INSTITUTIONS}/{last_shown}").status_code == 204
    parameters = {"q": word, "limit": 2, "cursor": first["next_cursor"]}
    second = api.admin.institutions.get(INSTITUTIONS, params=parameters).json()
    assert [item["id"] for item in second["items"]] == [made[1]["id"], made[0]["id"]]


def test_a_cursor_serves_its_own_list_and_filters_only(api: Api, clinic: User) -> None:
    word = unique("Cursor")
    for number in range(2):
        create(api, name=f"{word} {number}")
    cursor = api.admin.institutions.get(INSTITUTIONS, params={"q": word, "limit": 1}).json()["next_cursor"]
    for client, path, parameters in [
        (api.admin, INSTITUTIONS, {"cursor": cursor}),
        (api.admin, INSTITUTIONS, {"q": word, "is_verified": "false", "cursor": cursor}),
        (api.admin, INSTITUTIONS, {"q": word, "cursor": cursor[:-4] + "AAAA"}),
        (api.admin, INSTITUTIONS, {"q": word, "cursor": "ñ"}),
        (clinic, DOCTORS, {"cursor": cursor}),
        (clinic, PATIENTS, {"cursor": cursor}),
    ]:
        assert_problem(client.institutions.get(path, params=parameters), 400, "invalid_cursor")


def test_filters_narrow_the_list(api: Api, owner: RealDictCursor) -> None:
    word = unique("Óptima")
    here = create(api, name=f"{word} aquí", institution_type_id=1, address=ADDRESS | {"city": "Tepatitlán"})
    abroad = {"street_address": "1 Main St", "city": "Boston", "country_id": UNITED_STATES}
    there = create(api, name=f"{word} allá", address=abroad)
    owner.execute("UPDATE medical_institutions SET verification_status = 'verified' WHERE id = %s", (there["id"],))

    def found(**filters: Any) -> list[str]:
        answer = api.admin.institutions.get(INSTITUTIONS, params={"q": word.upper().replace("Ó", "O"), **filters})
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["items"]]

    both, first, second = [there["id"], here["id"]], [here["id"]], [there["id"]]
    assert found() == both
    assert found(institution_type_id=1) == first
    assert found(country="mx") == first and found(country="US") == second and found(country="ZZ") == []
    assert found(region="jalisco") == first
    assert found(city="TEPATITLAN") == first and found(city="Tepa") == []
    assert found(is_verified="true") == second and found(is_verified="false") == first
    assert found(verification_status="verified") == second and found(verification_status="rejected") == []
    assert found(country="US", city="Boston", is_verified="true", institution_type_id=2) == second


@pytest.mark.parametrize(
    ("path", "parameters", "field"),
    [
        (INSTITUTIONS, {"limit": 0}, "limit"),
        (INSTITUTIONS, {"limit": 201}, "limit"),
        (INSTITUTIONS, {"limit": "10" * 30}, "limit"),
        (INSTITUTIONS, {"country": "MEX"}, "country"),
        (INSTITUTIONS, {"institution_type_id": 2**31}, "institution_type_id"),
        (INSTITUTIONS, {"is_verified": "perhaps"}, "is_verified"),
        (INSTITUTIONS, {"verification_status": "lost"}, "verification_status"),
        (INSTITUTIONS, {"q": "a\x00b"}, "q"),
        (INSTITUTIONS, {"nombre": "x"}, "nombre"),
        (INSTITUTIONS + "/not-a-uuid", {}, "institution_id"),
        (DOCTORS, {"limit": -1}, "limit"),
        (PATIENTS, {"q": "x"}, "q"),
        ("/api/v1/regions", {"country": "M"}, "country"),
        ("/api/v1/municipalities", {}, "region_id"),
        ("/api/v1/countries", {"q": "x"}, "q"),
    ],
)
def test_a_wrong_parameter_is_named(clinic: User, path: str, parameters: dict[str, Any], field: str) -> None:
    problem = assert_problem(clinic.institutions.get(path, params=parameters), 422, "validation_failed")
    assert [error["field"] for error in problem["errors"]] == [field]


def test_an_unknown_parameter_is_told_the_nearest_one(clinic: User) -> None:
    answer = clinic.institutions.get(INSTITUTIONS, params={"verification": "pending"})
    assert "verification_status" in assert_problem(answer, 422, "validation_failed")["errors"][0]["message"]


# Update


def test_an_update_changes_what_it_names_and_leaves_the_rest(api: Api) -> None:
    before = create(api, website="https://antes.mx", contact_phone="33 1111 1111", address=ADDRESS)
    itself = api.log_in("institutions", before["contact_email"])
    path = f"{INSTITUTIONS}/{before['id']}"
    changes = {"name": "Clínica Nueva", "institution_type_id": 1, "license_number": unique("INS")}
    after = itself.institutions.put(path, json=changes).json()
    derived = {"institution_type_name": "Hospital", "updated_at": after["updated_at"]}
    assert after == before | changes | derived and after["updated_at"] > before["updated_at"]
    phone = api.admin.institutions.put(path, json={"contact_phone": "33 2222 2222"}).json()
    assert phone == after | {"contact_phone": "33 2222 2222", "updated_at": phone["updated_at"]}
    assert api.admin.institutions.get(path).json() == phone


def test_null_clears_what_is_optional(api: Api) -> None:
    before = create(api, website="https://antes.mx", contact_phone="33 1111 1111", address=ADDRESS)
    cleared = {"website": None, "contact_phone": None, "address": None}
    after = api.admin.institutions.put(f"{INSTITUTIONS}/{before['id']}", json=cleared).json()
    assert after == before | cleared | {"updated_at": after["updated_at"]}


def test_an_address_replaces_the_one_before_as_a_whole(api: Api) -> None:
    before = create(api, address=ADDRESS | {"neighborhood": "Centro", "postal_code": "44100"})
    address = {"street_address": "1 Main St", "city": "Boston", "country_id": UNITED_STATES}
    after = api.admin.institutions.put(f"{INSTITUTIONS}/{before['id']}", json={"address": address}).json()
    unsaid = dict.fromkeys(ADDRESS_FIELDS)
    assert after["address"] == unsaid | address | {"country_name": "Estados Unidos"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": None}, "name"),
        ({"institution_type_id": None}, "institution_type_id"),
        ({"license_number": None}, "license_number"),
        ({"institution_type_id": 999}, "institution_type_id"),
        ({"address": ADDRESS | {"country_id": UNITED_STATES}}, "address.region_id"),
        ({"address": {}}, "address.street_address"),
        ({"contact_email": {"email_address": "otra@example.com"}}, "contact_email"),
        ({"password": PASSWORD}, "password"),
        ({"is_active": False}, "is_active"),
    ],
)
def test_an_invalid_update_names_the_field_and_changes_nothing(api: Api, body: dict[str, Any], field: str) -> None:
    before = create(api, address=ADDRESS)
    path = f"{INSTITUTIONS}/{before['id']}"
    answer = api.admin.institutions.put(path, json={"website": "https://nueva.mx"} | body)
    problem = assert_problem(answer, 422, "validation_failed")
    assert problem["errors"][0]["field"] == field
    assert api.admin.institutions.get(path).json() == before


def test_an_update_of_nothing_a_taken_licence_and_an_unknown_institution_are_refused(api: Api) -> None:
    first, second = create(api), create(api)
    put = api.admin.institutions.put
    assert_problem(put(f"{INSTITUTIONS}/{first['id']}", json={}), 400, "empty_update")
    taken = {"license_number": second["license_number"].lower().replace("-", SEPARATORS)}
    assert_problem(put(f"{INSTITUTIONS}/{first['id']}", json=taken), 409, "license_taken")
    assert_problem(put(f"{INSTITUTIONS}/{uuid4()}", json={"name": "Sur"}), 404, "institution_not_found")


# Deletion


def test_a_deleted_institution_is_gone_and_its_session_ends_everywhere_at_once(api: Api) -> None:
    institution = api.new_institution()
    path = f"{INSTITUTIONS}/{institution.id}"
    before = api.admin.institutions.get(path).json()
    assert institution.institutions.get(path).status_code == 200
    assert api.admin.institutions.delete(path).status_code == 204
    assert_problem(institution.institutions.get(path), 401, "unauthenticated")
    assert_problem(institution.doctors.get("/api/v1/doctors"), 401, "unauthenticated")
    assert_problem(institution.patients.get("/api/v1/patients"), 401, "unauthenticated")
    assert institution.auth.post("/auth/session/validate").json()["valid"] is False
    assert institution.auth.post("/auth/verify-token").json()["reason"] == "revoked"
    assert_problem(api.admin.institutions.get(path), 404, "institution_not_found")
    assert_problem(api.admin.institutions.put(path, json={"name": "Sur"}), 404, "institution_not_found")
    assert_problem(api.admin.institutions.delete(path), 404, "institution_not_found")
    listed = api.admin.institutions.get(INSTITUTIONS, params={"q": before["license_number"]}).json()
    assert listed == {"items": [], "next_cursor": None}
    credentials = {"email": institution.email, "password": PASSWORD}
    assert_problem(api.anonymous.institutions.post("/auth/login", json=credentials), 401, "invalid_credentials")
    for field, taken, code in [
        ("license_number", before["license_number"], "license_taken"),
        ("contact_email", {"email_address": institution.email}, "email_taken"),
    ]:
        body = institution_body(**{field: taken})
        assert_problem(api.admin.institutions.post(INSTITUTIONS, json=body), 409, code)


def test_an_institution_in_use_is_not_deleted_until_its_people_are(api: Api) -> None:
    institution = api.new_institution()
    path = f"{INSTITUTIONS}/{institution.id}"
    doctor = api.new_doctor(institution)
    patient = api.new_patient(institution=institution)
    assert_problem(api.admin.institutions.delete(path), 409, "institution_in_use")
    assert api.admin.doctors.delete(f"/api/v1/doctors/{doctor.id}").status_code == 204
    assert_problem(api.admin.institutions.delete(path), 409, "institution_in_use")
    assert institution.institutions.get(path).status_code == 200  # nothing of it was done by halves
    assert api.admin.patients.delete(f"/api/v1/patients/{patient.id}").status_code == 204
    assert api.admin.institutions.delete(path).status_code == 204


def test_no_doctor_or_patient_ever_joins_an_institution_that_is_being_deleted(api: Api, owner: RealDictCursor) -> None:
    outcomes, contested = set(), []
    for round_number in range(40):
        institution = create(api)
        contested.append(institution["id"])

        def delete(path: str = f"{INSTITUTIONS}/{institution['id']}", head_start: int = round_number % 8) -> Any:
            for _ in range(head_start):  # creations hash a password first: let them meet the deletion at each step
                api.admin.institutions.get(path)
            return api.admin.institutions.delete(path)

        deleted, doctor, patient = at_once(
            delete,
            lambda i=institution: api.admin.doctors.post("/api/v1/doctors", json=doctor_body(i["id"])),
            lambda i=institution: api.admin.patients.post(
                "/api/v1/patients", json=patient_body(institution_id=i["id"])
            ),
        )
        joined = [answer.status_code for answer in (doctor, patient)]
        outcomes.add(deleted.status_code)
        assert deleted.status_code in (204, 409) and set(joined) <= {201, 422}, (
            deleted.text,
            doctor.text,
            patient.text,
        )
        assert (deleted.status_code == 204) == (joined == [422, 422])
    owner.execute(
        "SELECT FROM medical_institutions i WHERE id = ANY(%s::uuid[]) AND deleted_at IS NOT NULL AND ("
        " EXISTS (SELECT FROM doctors WHERE institution_id = i.id AND deleted_at IS NULL)"
        " OR EXISTS (SELECT FROM patients WHERE institution_id = i.id AND deleted_at IS NULL))",
        [contested],
    )
    assert owner.rowcount == 0
    assert outcomes == {204, 409}  # else the race was never run


# Its doctors and patients


def test_an_institution_lists_its_doctors_by_last_name(api: Api, owner: RealDictCursor) -> None:
    institution = api.new_institution()
    owner.execute("SELECT id, name_es FROM doctor_specialties ORDER BY name_es LIMIT 1")
    specialty = owner.fetchall()[0]
    cardiologist = api.new_doctor(
        institution,
        first_name="Eva",
        last_name="Álvarez",
        specialty_id=str(specialty["id"]),
        years_experience=7,
        consultation_fee=850.5,
        contact_phone="33 1234 5678",
    )
    others = [api.new_doctor(institution, last_name=name) for name in ("Zúñiga", "núñez", "Ñáñez")]
    api.new_doctor(api.new_institution())
    patients = [api.new_patient(cardiologist) for _ in range(3)]
    assert api.admin.patients.delete(f"/api/v1/patients/{patients[0].id}").status_code == 204
    owner.execute("UPDATE doctors SET professional_status = 'suspended' WHERE id = %s", (others[0].id,))
    pages = walk(institution.institutions, DOCTORS, "doctors", limit=3)
    listed = [doctor for page in pages for doctor in page]
    assert [len(page) for page in pages] == [3, 1]
    assert [doctor["last_name"] for doctor in listed] == ["Álvarez", "Ñáñez", "núñez", "Zúñiga"]
    assert listed[3]["professional_status"] == "suspended"
    license_number = listed[0].pop("medical_license")
    assert license_number.startswith("MED")
    assert listed[0] == {
        "id": cardiologist.id,
        "first_name": "Eva",
        "last_name": "Álvarez",
        "years_experience": 7,
        "consultation_fee": 850.5,
        "is_active": True,
        "professional_status": "active",
        "specialty": specialty["name_es"],
        "specialty_name": specialty["name_es"],
        "contact_email": cardiologist.email,
        "contact_phone": "33 1234 5678",
        "active_patients": 2,
    }
    assert api.admin.doctors.delete(f"/api/v1/doctors/{others[1].id}").status_code == 204
    remaining = institution.institutions.get(DOCTORS).json()["doctors"]
    assert others[1].id not in [doctor["id"] for doctor in remaining] and len(remaining) == 3


def test_an_institution_lists_its_patients_newest_first(api: Api, owner: RealDictCursor) -> None:
    institution = api.new_institution()
    doctor = api.new_doctor(institution, first_name="Eva", last_name="Álvarez")
    made = [api.new_patient(None, institution) for _ in range(3)]
    newest = api.new_patient(doctor, institution, contact_phone="33 1234 5678")
    api.new_patient(doctor)  # the doctor's own
    api.new_patient(institution=api.new_institution())
    assert api.admin.patients.delete(f"/api/v1/patients/{made[1].id}").status_code == 204
    pages = walk(institution.institutions, PATIENTS, "patients", limit=2)
    assert [[patient["id"] for patient in page] for page in pages] == [[newest.id, made[2].id], [made[0].id]]
    first = pages[0][0]
    created_at, last_login = first.pop("created_at"), first.pop("last_login")
    assert first.pop("last_activity") == max(created_at, last_login)
    assert first.pop("last_name").startswith("Núñez")
    assert first == {
        "id": newest.id,
        "first_name": "José",
        "date_of_birth": "1980-05-17",
        "contact_email": newest.email,
        "contact_phone": "33 1234 5678",
        "doctor_id": doctor.id,
        "doctor_name": "Eva Álvarez",
        "doctor_first_name": "Eva",
        "doctor_last_name": "Álvarez",
        "is_verified": False,
        "validation_status": "pending",
        "health_score": None,
        "risk_level": "unknown",
    }
    assert (
        pages[1][0].keys()
        == pages[0][1].keys()
        == first.keys() | {*("last_name", "created_at", "last_login", "last_activity")}
    )
    assert pages[1][0]["doctor_id"] is None and pages[1][0]["doctor_name"] is None


def test_the_list_of_patients_is_recorded_and_not_to_be_cached(api: Api, owner: RealDictCursor) -> None:
    institution = api.new_institution()
    patient = api.new_patient(institution=institution)
    answer = institution.institutions.get(PATIENTS, headers={"X-Request-ID": "the-request-of-this-test"})
    assert answer.headers["cache-control"] == "private, no-store"
    owner.execute("SELECT * FROM audit_events WHERE actor_id = %s AND action = 'read'", (institution.id,))
    (recorded,) = owner.fetchall()
    assert [str(patient_id) for patient_id in recorded["patient_ids"]] == [patient.id]
    assert recorded["actor_type"] == "institution"
    assert (recorded["resource"], recorded["service"]) == ("patient_list", "service-institutions")
    assert (recorded["request_id"], recorded["client_address"]) == ("the-request-of-this-test", "127.0.0.1")


# Catalogues


def test_catalogues_speak_the_language_asked_for(clinic_patient: User) -> None:
    def names(path: str, language: str) -> list[str]:
        answer = clinic_patient.institutions.get(path, headers={"Accept-Language": language})
        assert answer.status_code == 200, answer.text
        return [item["name"] for item in answer.json()["items"]]

    assert "Clínica" in names("/api/v1/institution-types", "es")
    assert "Clinic" in names("/api/v1/institution-types", "en")
    assert "Estados Unidos" in names("/api/v1/countries", "es")
    assert "United States" in names("/api/v1/countries", "en")


def test_regions_of_a_country_and_their_municipalities(clinic_patient: User) -> None:
    get = clinic_patient.institutions.get
    mexican = get("/api/v1/regions", params={"country": "mx"}).json()["items"]
    assert len(mexican) == 32
    jalisco = next(region for region in mexican if region["id"] == JALISCO)
    assert jalisco == {"id": JALISCO, "name": "Jalisco", "code": "14", "country_id": MEXICO, "country": "MX"}
    assert len(get("/api/v1/regions").json()["items"]) > len(mexican)
    assert get("/api/v1/regions", params={"country": "ZZ"}).json() == {"items": []}
    municipalities = get("/api/v1/municipalities", params={"region_id": JALISCO}).json()["items"]
    assert {"id": 14039, "name": "Guadalajara", "region_id": JALISCO} in municipalities
