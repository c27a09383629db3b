"""Adding and removing a patient's contacts: exactly one primary of each kind that has any, whatever happens at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from psycopg2.extras import RealDictCursor

from tests.patients.conftest import Care
from tests.support import PASSWORD, Api, answer_of, assert_problem, unique

KINDS = ["emails", "phones", "addresses"]
every_kind = pytest.mark.parametrize("kind", KINDS)
PLACE = {
    "street_address": "Av. Juárez 10",
    "neighborhood": "Centro",
    "city": "Puebla",
    "region_id": None,
    "region_name": None,
    "country_id": None,
    "country_name": None,
    "postal_code": "72000",
}


def _fields(response: httpx.Response) -> set[str]:
    return {error["field"] for error in assert_problem(response, 422, "validation_failed")["errors"]}


def _number() -> str:
    return f"55 {uuid4().int % 10**8}"


def _body(kind: str, **fields: Any) -> dict[str, Any]:
    bodies: dict[str, Callable[[], dict[str, Any]]] = {
        "emails": lambda: {"email_address": f"{unique('otro')}@example.com"},
        "phones": lambda: {"phone_number": _number()},
        "addresses": lambda: {"street_address": unique("Calle"), "city": "Puebla"},
    }
    return bodies[kind]() | fields


def _contacts(care: Care, kind: str) -> list[dict[str, Any]]:
    """The contacts of the profile; exactly one is primary where there are any, and it comes first."""
    found: list[dict[str, Any]] = answer_of(care.patient.patients.get(f"{care.path}/profile"))[kind]
    assert [contact["is_primary"] for contact in found] == [True, *[False] * (len(found) - 1)][: len(found)]
    return found


def _add(care: Care, kind: str, **fields: Any) -> dict[str, Any]:
    answer: dict[str, Any] = answer_of(
        care.patient.patients.post(f"{care.path}/{kind}", json=_body(kind, **fields)), 201
    )
    return answer


@pytest.fixture
def own(api: Api, care: Care) -> Care:
    """A patient of this test alone: an e-mail, no phone, no address."""
    return Care(care.institution, care.doctor, api.new_patient(care.doctor, care.institution))


def test_contacts_are_added_as_the_profile_shows_them(own: Care) -> None:
    email = {"email_address": f"{unique('otro')}@example.com", "email_type": "work"}
    phone = {"phone_number": "+52 55 1234 5678", "phone_type": "home"}
    address = {name: value for name, value in PLACE.items() if not name.endswith("_name")} | {"address_type": "work"}
    for kind, body, shown in (("emails", email, email), ("phones", phone, phone), ("addresses", address, PLACE)):
        answer = own.patient.patients.post(f"{own.path}/{kind}", json=body)
        contact = answer_of(answer, 201)
        assert answer.headers["location"] == f"{own.path}/{kind}/{contact['id']}"
        assert UUID(contact["id"]) and contact["is_primary"] == (kind != "emails") and not contact["is_verified"]
        assert set(contact) == {"id", "is_primary", "is_verified", *body, *shown}
        assert (shown | body).items() <= contact.items()
        assert contact in _contacts(own, kind)


@every_kind
def test_what_is_not_said_of_a_contact_has_a_default(own: Care, kind: str) -> None:
    types = {"emails": "personal", "phones": "mobile", "addresses": "home"}
    assert _add(own, kind)[f"{kind.removesuffix('es' if kind == 'addresses' else 's')}_type"] == types[kind]


@every_kind
def test_contacts_are_changed_by_the_patient_itself_its_institution_and_an_admin(
    api: Api, own: Care, kind: str
) -> None:
    for user in (own.patient, own.institution, api.admin):
        contact = answer_of(user.patients.post(f"{own.path}/{kind}", json=_body(kind)), 201)
        assert user.patients.delete(f"{own.path}/{kind}/{contact['id']}").status_code == 204
    assert len(_contacts(own, kind)) == (kind == "emails")


@every_kind
def test_contacts_are_changed_by_nobody_else(api: Api, care: Care, others: Care, kind: str) -> None:
    for method, path, body in (
        ("POST", f"{care.path}/{kind}", _body(kind)),
        ("DELETE", f"{care.path}/{kind}/{uuid4()}", None),
    ):
        assert_problem(api.anonymous.patients.request(method, path, json=body), 401, "unauthenticated")
        for doctor in (care.doctor, others.doctor):
            assert_problem(doctor.patients.request(method, path, json=body), 403, "forbidden")
        for user in (others.patient, others.institution):
            assert_problem(user.patients.request(method, path, json=body), 404, "patient_not_found")
    unknown = f"/api/v1/patients/{uuid4()}/{kind}"
    assert_problem(api.admin.patients.post(unknown, json=_body(kind)), 404, "patient_not_found")


@every_kind
def test_the_first_is_primary_whatever_it_says_and_a_new_primary_takes_its_place(own: Care, kind: str) -> None:
    first = _contacts(own, kind)[0] if kind == "emails" else _add(own, kind, is_primary=False)
    second = _add(own, kind)
    assert [contact["id"] for contact in _contacts(own, kind)] == [first["id"], second["id"]]
    third = _add(own, kind, is_primary=True)
    assert third["is_primary"]
    assert [contact["id"] for contact in _contacts(own, kind)] == [third["id"], first["id"], second["id"]]


@every_kind
def test_when_the_primary_is_removed_the_oldest_becomes_it(own: Care, kind: str) -> None:
    first = _contacts(own, kind)[0] if kind == "emails" else _add(own, kind)
    second, third = _add(own, kind), _add(own, kind, is_primary=True)
    own.patient.patients.delete(f"{own.path}/{kind}/{third['id']}").raise_for_status()
    assert [contact["id"] for contact in _contacts(own, kind)] == [first["id"], second["id"]]
    own.patient.patients.delete(f"{own.path}/{kind}/{first['id']}").raise_for_status()
    assert [contact["id"] for contact in _contacts(own, kind)] == [second["id"]]
    last = own.patient.patients.delete(f"{own.path}/{kind}/{second['id']}")
    if kind == "emails":
        assert_problem(last, 409, "last_email")
        assert [contact["id"] for contact in _contacts(own, kind)] == [second["id"]]
    else:
        assert last.status_code == 204 and _contacts(own, kind) == []


@every_kind
def test_a_contact_is_removed_once_and_never_anothers(own: Care, care: Care, kind: str) -> None:
    contact = _add(own, kind)
    elsewhere = f"{care.path}/{kind}/{contact['id']}"
    assert_problem(care.institution.patients.delete(elsewhere), 404, "contact_not_found")
    path = f"{own.path}/{kind}/{contact['id']}"
    assert own.patient.patients.delete(path).status_code == 204
    assert_problem(own.patient.patients.delete(path), 404, "contact_not_found")
    assert _fields(own.patient.patients.delete(f"{own.path}/{kind}/1")) == {"contact_id"}


def test_the_same_email_or_phone_twice_is_a_409(own: Care) -> None:
    address, number = f"{unique('otro')}@example.com", _number()
    _add(own, "emails", email_address=address)
    _add(own, "phones", phone_number=number)
    for kind, body in (("emails", {"email_address": address.upper()}), ("phones", {"phone_number": number})):
        again = own.patient.patients.post(f"{own.path}/{kind}", json={**body, "is_primary": True})
        assert_problem(again, 409, "already_recorded")
    assert [contact["email_address"] for contact in _contacts(own, "emails")] == [own.patient.email, address]
    assert len(_contacts(own, "phones")) == 1


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        ("emails", {"email_address": "nobody"}, "email_address"),
        ("emails", {"email_address": None}, "email_address"),
        ("emails", {"email_type": "mobile"}, "email_type"),
        ("emails", {"is_primary": "yes"}, "is_primary"),
        ("emails", {"is_verified": True}, "is_verified"),
        ("phones", {"phone_number": "call me"}, "phone_number"),
        ("phones", {"phone_type": "personal"}, "phone_type"),
        ("addresses", {"street_address": ""}, "street_address"),
        ("addresses", {"city": None}, "city"),
        ("addresses", {"address_type": "mobile"}, "address_type"),
        ("addresses", {"region_id": 2_000_000_000}, "region_id"),
        ("addresses", {"country_id": 2_000_000_000}, "country_id"),
        ("addresses", {"region_id": 2**40}, "region_id"),
        ("addresses", {"postal_code": "7" * 21}, "postal_code"),
    ],
)
def test_an_invalid_contact_names_the_field(care: Care, kind: str, body: dict[str, Any], field: str) -> None:
    before = _contacts(care, kind)
    assert _fields(care.patient.patients.post(f"{care.path}/{kind}", json=_body(kind) | body)) == {field}
    assert _contacts(care, kind) == before


def test_a_region_says_its_country_and_lies_in_no_other(own: Care, owner: RealDictCursor) -> None:
    owner.execute(
        "SELECT r.id, r.name, r.country_id, c.name_en FROM regions r JOIN countries c ON c.id = r.country_id "
        "ORDER BY r.id LIMIT 1"
    )
    region = owner.fetchone()
    owner.execute("SELECT id FROM countries WHERE id <> %s ORDER BY id LIMIT 1", (region["country_id"],))
    elsewhere = owner.fetchone()["id"]
    body = _body("addresses", region_id=region["id"])
    post = own.patient.patients.post
    address = answer_of(post(f"{own.path}/addresses", json=body, headers={"Accept-Language": "en"}), 201)
    assert (address["region_name"], address["country_id"]) == (region["name"], region["country_id"])
    assert address["country_name"] == region["name_en"]
    assert _fields(post(f"{own.path}/addresses", json={**body, "country_id": elsewhere})) == {"region_id"}
    assert len(_contacts(own, "addresses")) == 1


def test_the_login_stays_the_accounts_own_email_whichever_is_primary(
    api: Api, own: Care, owner: RealDictCursor
) -> None:
    login = own.patient.email
    new = _add(own, "emails", is_primary=True)
    assert answer_of(own.patient.patients.get(own.path))["contact_email"] == new["email_address"]
    first = next(contact for contact in _contacts(own, "emails") if contact["email_address"] == login)
    assert own.patient.patients.delete(f"{own.path}/emails/{first['id']}").status_code == 204
    assert api.log_in("patients", login).id == own.patient.id
    credentials = {"email": new["email_address"], "password": PASSWORD}
    assert_problem(api.anonymous.patients.post("/auth/login", json=credentials), 401, "invalid_credentials")
    owner.execute("SELECT email FROM users WHERE id = %s", (own.patient.id,))
    assert owner.fetchone()["email"] == login


def test_clearing_the_contact_phone_promotes_the_oldest_other_one(own: Care) -> None:
    first, second, third = (_add(own, "phones")["phone_number"] for _ in range(3))
    patient = answer_of(own.patient.patients.put(own.path, json={"contact_phone": None}))
    assert patient["contact_phone"] == second
    assert [contact["phone_number"] for contact in _contacts(own, "phones")] == [second, third]
    patient = answer_of(own.patient.patients.put(own.path, json={"contact_phone": first}))
    assert patient["contact_phone"] == first
    assert [contact["phone_number"] for contact in _contacts(own, "phones")] == [first, third]


def test_the_trail_tells_who_changed_which_contact_and_no_address(api: Api, own: Care, owner: RealDictCursor) -> None:
    expected = []
    for kind, resource in (("emails", "email"), ("phones", "phone"), ("addresses", "address")):
        contact = _add(own, kind)
        assert api.admin.patients.delete(f"{own.path}/{kind}/{contact['id']}").status_code == 204
        actors = (("create", own.patient), ("delete", api.admin))
        expected += [(action, resource, user.id, {"id": contact["id"]}) for action, user in actors]
    only = _contacts(own, "emails")[0]["id"]
    assert_problem(own.patient.patients.delete(f"{own.path}/emails/{only}"), 409, "last_email")
    owner.execute(
        "SELECT action, resource, actor_id, detail FROM audit_events "
        "WHERE patient_ids @> ARRAY[%s]::uuid[] AND resource = ANY(ARRAY['email', 'phone', 'address']) ORDER BY id",
        (own.patient.id,),
    )
    assert [(r["action"], r["resource"], str(r["actor_id"]), r["detail"]) for r in owner.fetchall()] == expected


# At once.


def _at_once(calls: list[Callable[[], httpx.Response]]) -> list[int]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return sorted(answer.status_code for answer in pool.map(lambda call: call(), calls))


@every_kind
def test_of_many_first_and_primary_contacts_at_once_exactly_one_is_primary(own: Care, kind: str) -> None:
    post, path = own.patient.patients.post, f"{own.path}/{kind}"
    bodies = [_body(kind, is_primary=number % 2 == 0) for number in range(8)]
    assert _at_once([lambda body=body: post(path, json=body) for body in bodies]) == [201] * 8
    assert len(_contacts(own, kind)) == 8 + (kind == "emails")


@every_kind
def test_of_contacts_that_are_all_removed_at_once_the_last_email_stays(own: Care, kind: str) -> None:
    for _ in range(4):
        _add(own, kind)
    ids = [contact["id"] for contact in _contacts(own, kind)]
    delete = own.patient.patients.delete
    codes = _at_once([lambda one=one: delete(f"{own.path}/{kind}/{one}") for one in ids])
    assert codes == [204] * 4 + [409] * (kind == "emails")
    assert len(_contacts(own, kind)) == (kind == "emails")


@every_kind
def test_while_contacts_come_and_go_there_is_always_one_primary(own: Care, kind: str) -> None:
    kept = [_add(own, kind) for _ in range(4)]
    http, path = own.patient.patients, f"{own.path}/{kind}"
    bodies = [_body(kind, is_primary=True) for _ in range(4)]
    calls: list[Callable[[], httpx.Response]] = [
        *(lambda one=one: http.delete(f"{path}/{one['id']}") for one in kept),
        *(lambda body=body: http.post(path, json=body) for body in bodies),
    ]
    codes = {201, 204}
    if kind == "phones":  # the new number takes the place of the primary phone, which may be one that is being removed
        calls.append(lambda: http.put(own.path, json={"contact_phone": _number()}))
        codes |= {200, 404}
    assert set(_at_once(calls)) <= codes
    assert 1 <= len(_contacts(own, kind)) <= 5
