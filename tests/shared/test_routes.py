"""What every route of every service has in common, tried on the running fleet."""

import importlib
import re
from collections.abc import Iterator
from inspect import iscoroutinefunction

import httpx
import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from shared.routes import FleetRoute

from ..support import Api, assert_problem

SERVICES = ("auth", "doctors", "institutions", "patients")
PUBLIC = {
    "/.well-known/jwks.json",
    "/auth/login",
    "/auth/logout",
    "/auth/refresh",
    "/auth/session/validate",
    "/auth/token",
    "/auth/activate",
    "/auth/verify-token",
    "/health",
    "/health/live",
}
JSON = {"Content-Type": "application/json"}


def routes(service: str) -> list[APIRoute]:
    """Every route of a service that its OpenAPI shows."""
    router = importlib.import_module(f"{service}_app.main").router
    return [route for route in router.routes if isinstance(route, APIRoute)]


def dependants(dependant: Dependant) -> Iterator[Dependant]:
    """A route's function and all that it depends on, at any depth."""
    yield dependant
    for needed in dependant.dependencies:
        yield from dependants(needed)


def client(api: Api, service: str, token: str | None = None) -> httpx.Client:
    user = api.anonymous if token is None else api.admin
    found: httpx.Client = getattr(user, service)
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_every_route_names_its_callers_or_is_on_the_public_list(service: str) -> None:
    found = routes(service)
    assert found
    for route in found:
        assert isinstance(route, FleetRoute), route.path
        assert (route.callers is None) == (route.path in PUBLIC), route.path


@pytest.mark.parametrize("service", SERVICES)
def test_no_route_or_dependency_of_one_costs_each_request_a_thread(service: str) -> None:
    """FastAPI hands to a thread whatever is no coroutine."""
    found = [dependant for route in routes(service) for dependant in dependants(route.dependant)]
    assert len(found) > len(routes(service))
    for dependant in found:
        assert iscoroutinefunction(dependant.call) or iscoroutinefunction(type(dependant.call).__call__), dependant.call


@pytest.mark.parametrize("service", SERVICES)
def test_every_protected_route_asks_for_a_token_before_it_reads_the_body(service: str, api: Api) -> None:
    for route in routes(service):
        path = re.sub(r"\{[^}]+\}", "00000000-0000-4000-8000-000000000000", route.path)
        for method in route.methods if route.path not in PUBLIC else ():
            body = b"{not json" if method in ("POST", "PUT", "PATCH") else None
            answer = client(api, service).request(method, path + "?unknown=1", content=body, headers=JSON)
            assert_problem(answer, 401, "unauthenticated")
            assert answer.headers["www-authenticate"] == 'Bearer realm="predicthealth"'


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_is_in_the_schema_with_a_text(service: str, api: Api) -> None:
    schema = client(api, service).get("/openapi.json").json()
    app = importlib.import_module(f"{service}_app.main").app
    assert isinstance(app, FastAPI) and schema["info"]["title"] == app.title
    identifiers = [operation["operationId"] for path in schema["paths"].values() for operation in path.values()]
    assert len(identifiers) == len(set(identifiers))
    assert all(operation["description"] for path in schema["paths"].values() for operation in path.values())


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("header", ["Bearer x.y.z", "Bearer", "Basic YTpi", "Bearer \t x", "x"])
def test_a_bad_authorization_header_is_a_401(service: str, header: str, api: Api) -> None:
    path = "/users/create" if service == "auth" else f"/api/v1/{service}"
    answer = client(api, service).post(path, headers={"Authorization": header})
    assert_problem(answer, 401, "unauthenticated")


@pytest.mark.parametrize("service", SERVICES)
def test_errors_come_in_the_order_of_the_contract(service: str, api: Api) -> None:
    login = client(api, service)
    too_large = b'{"email": "' + b"x" * 1_100_000
    assert_problem(login.post("/auth/login", content=too_large, headers=JSON), 413, "body_too_large")
    chunks = (b"x" * 100_000 for _ in range(20))
    assert_problem(login.post("/auth/login", content=chunks, headers=JSON), 413, "body_too_large")
    assert_problem(login.post("/auth/login", data={"email": "a"}), 415, "unsupported_media_type")
    assert_problem(login.post("/auth/login", content=b"{", headers=JSON), 400, "malformed_json")
    refused = assert_problem(
        login.post("/auth/login", json={"email": "a", "is_verified": True}), 422, "validation_failed"
    )
    assert {error["field"] for error in refused["errors"]} == {"password", "is_verified"}
    assert_problem(login.get("/auth/login"), 405, "method_not_allowed")
    assert_problem(login.get("/nowhere"), 404, "not_found")
    assert_problem(login.get("/health", headers={"Accept": "text/html"}), 406, "not_acceptable")


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["text/html", "application/json"], 200),
        (["text/html", "image/png"], 406),
        (["application/json;q=0"], 406),
        (["application/json; charset=utf-8; Q=0.000"], 406),
        (["application/json;q=0, */*"], 406),
        (["*/*;q=0, application/json;q=0.1"], 200),
        (["application/json", "application/json;version=2;q=0"], 200),
        (["application/*;q=0.5"], 200),
        (["application/problem+json"], 200),
        ([""], 200),
    ],
)
def test_the_lines_of_accept_are_one_list_in_which_what_weighs_nothing_is_refused(
    lines: list[str], status: int, api: Api
) -> None:
    answer = client(api, "auth").get("/health", headers=[("Accept", line) for line in lines])
    assert answer.status_code == status


def test_the_lines_of_accept_language_are_one_list(api: Api) -> None:
    headers = [("Accept-Language", language) for language in ("fr", "es;q=0.5", "en;q=0.8")]
    assert client(api, "auth").get("/nowhere", headers=headers).headers["content-language"] == "en"


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    "body",
    [
        b'{"email": "\\ud800", "password": "\\u0000"}',
        b'{"email": NaN, "password": 1e999}',
        b'{"email": "a", "password": ' + b"9" * 5_000 + b"}",
        b"[" * 100_000,
        b'{"email": "\xff\xfe", "password": "x"}',
        '{"email": "a", "password": "b"}'.encode("utf-16"),
        b'"text"',
        b"null",
        b"[]",
    ],
    ids=range(9),
)
def test_a_hostile_body_is_the_clients_error(service: str, body: bytes, api: Api) -> None:
    answer = client(api, service).post("/auth/login", content=body, headers=JSON)
    assert answer.status_code in (400, 401, 422), answer.text
    assert_problem(answer, answer.status_code, answer.json()["code"])


@pytest.mark.parametrize("service", SERVICES)
def test_the_request_id_is_the_callers_if_it_is_a_good_one(service: str, api: Api) -> None:
    own = client(api, service).get("/health/live", headers={"X-Request-ID": "Req-1.a_B"})
    assert own.headers["x-request-id"] == "Req-1.a_B"
    for bad in ("a b", "x" * 129, "ñ".encode(), b"a\xff", ""):
        answer = client(api, service).get("/nowhere", headers={"X-Request-ID": bad})
        assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["x-request-id"])


@pytest.mark.parametrize("service", SERVICES)
def test_errors_speak_the_clients_language_and_spanish_without_one(service: str, api: Api) -> None:
    for header, language, sentence in (
        ({}, "es", "No se encontró lo que busca."),
        ({"Accept-Language": "fr"}, "es", "No se encontró lo que busca."),
        ({"Accept-Language": "en-GB"}, "en", "What you are looking for was not found."),
    ):
        answer = client(api, service).get("/nowhere", headers=header)
        assert answer.json()["detail"] == sentence
        assert answer.headers["content-language"] == language


@pytest.mark.parametrize("service", SERVICES)
def test_an_unknown_parameter_is_refused_with_the_nearest_known_one(service: str, api: Api) -> None:
    if service == "auth":
        answer = api.admin.auth.post("/users/create?reference=1", json={})
    else:
        answer = getattr(api.admin, service).get(f"/api/v1/{service}?limt=1")
        assert "limit" in answer.text
    assert assert_problem(answer, 422, "validation_failed")["errors"][0]["code"] == "unknown_parameter"


@pytest.mark.parametrize("service", SERVICES)
def test_health_tells_of_the_servers_and_needs_no_token(service: str, api: Api) -> None:
    health = client(api, service).get("/health")
    document = health.json()
    assert health.status_code == 200
    assert document["status"] == "healthy" and document["version"]
    assert set(document["checks"]) == {"postgres", "redis"}
    assert all(check["status"] == "up" and check["latency_ms"] > 0 for check in document["checks"].values())
    assert client(api, service).get("/health/live").json() == {"status": "alive"}


@pytest.mark.parametrize("service", SERVICES)
def test_the_interactive_docs_load_nothing_from_elsewhere(service: str, api: Api) -> None:
    page = client(api, service).get("/docs")
    assert page.status_code == 200
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert loaded and all(address.startswith("/") for address in loaded)
    for address in loaded:
        assert client(api, service).get(address).status_code == 200


@pytest.mark.parametrize("service", SERVICES)
def test_answers_are_not_to_be_kept_by_caches(service: str, api: Api) -> None:
    answer = client(api, service).post("/auth/login", json={"email": "a", "password": "b"})
    assert answer.headers["cache-control"] == "private, no-store"


LOGIN = b'{"email": "a@example.com", "password": "x", "email": "b@example.com"}'


@pytest.mark.parametrize("body", [LOGIN, '{"email": "a", "password": "x"}'.encode("utf-16"), b"[" * 100_000])
def test_a_body_that_others_may_read_otherwise_is_no_json(api: Api, body: bytes) -> None:
    answer = api.anonymous.auth.post("/auth/login", content=body, headers=JSON)
    assert_problem(answer, 400, "malformed_json")


def test_405_names_every_method_of_the_path(api: Api) -> None:
    answer = api.admin.institutions.request("OPTIONS", f"/api/v1/institutions/{api.admin.id}")
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "DELETE, GET, PUT"


def test_a_path_of_its_own_is_not_an_id_for_other_methods(api: Api) -> None:
    answer = api.admin.doctors.put("/api/v1/doctors/statistics", json={})
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET"


def test_an_answer_names_no_more_than_a_thousand_fields(api: Api) -> None:
    """A body of 1 MiB has room for 90,000 that do not exist, and an answer that named them all would take 7 MiB."""
    body = {f"colour_{number}": 1 for number in range(3_000)}
    fields = [error["field"] for error in api.anonymous.auth.post("/auth/login", json=body).json()["errors"]]
    assert len(fields) == 1_000 and {"email", "password"} <= set(fields)
    query = "&".join(f"q{number}" for number in range(3_000))
    assert len(api.anonymous.auth.get(f"/health?{query}").json()["errors"]) == 1_000
