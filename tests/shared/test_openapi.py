"""The OpenAPI documents of the four services are complete, and what they say of the service is true of every answer."""

import importlib
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

SERVICES = ("auth", "doctors", "institutions", "patients")


@pytest.fixture(scope="module", params=SERVICES)
def document(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The document of each service."""
    made: dict[str, Any] = importlib.import_module(f"{request.param}_app.main").app.openapi()
    return made


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def _check(document: dict[str, Any], schema: dict[str, Any], value: Any) -> str | None:
    try:
        jsonschema_rs.validate({**schema, "components": document["components"]}, value, validate_formats=True)
    except jsonschema_rs.ValidationError as exc:
        return exc.message
    return None


def test_the_document_is_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_every_field_has_a_description_and_an_example_that_fits(document: dict[str, Any]) -> None:
    wrong = []
    for model, schema in document["components"]["schemas"].items():
        for name, described in schema.get("properties", {}).items():
            if not described.get("description"):
                wrong.append(f"{model}.{name} has no description")
            for example in described.get("examples") or [None]:
                if (message := _check(document, described, example)) or example is None:
                    wrong.append(f"{model}.{name}: the example {example!r}: {message}")
    assert wrong == []


def test_a_field_that_has_a_unit_says_which(document: dict[str, Any]) -> None:
    units = {"_cm": "cm", "_kg": "kg", "_minutes": "minutes", "_weekly": "minutes", "_ms": "millisecond", "_hours": "h"}
    units |= {"expires_in": "seconds", "years_experience": "years", "smoking_years": "years", "age": "years"}
    for model, schema in document["components"]["schemas"].items():
        for name, described in schema.get("properties", {}).items():
            for ending, unit in units.items():
                if name == ending.strip("_") or (ending.startswith("_") and name.endswith(ending)):
                    assert unit in described["description"], f"{model}.{name}"


def test_every_operation_says_what_it_is_for_whom_and_how_it_can_end(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, operation in _operations(document)]
    assert len(set(ids)) == len(ids)
    for name, operation in _operations(document):
        assert operation["operationId"].isidentifier(), name
        assert operation["summary"] and operation["description"] and len(operation["tags"]) == 1, name
        assert ("Roles: " in operation["description"]) == bool(operation["x-roles"]), name
        for parameter in operation.get("parameters", []):
            assert parameter["description"], f"{name}: {parameter['name']}"
            assert _check(document, parameter["schema"], parameter["example"]) is None, f"{name}: {parameter['name']}"
        assert {"406", "413", "422"} <= set(operation["responses"]), name
        if operation.get("security") == [{"PredictHealth": []}]:
            assert "unauthenticated" in operation["responses"]["401"]["content"]["application/problem+json"]["examples"]
        for status, answer in operation["responses"].items():
            assert "X-Request-ID" in answer["headers"], name
            if status.startswith(("4", "5")):
                content = answer["content"]["application/problem+json"]
                for example in content["examples"].values():
                    assert example["value"]["status"] == int(status)
                    assert _check(document, content["schema"], example["value"]) is None, name


def test_what_the_framework_says_of_its_own_errors_is_gone(document: dict[str, Any]) -> None:
    assert not {"HTTPValidationError", "ValidationError"} & set(document["components"]["schemas"])
    assert all("default" not in operation["responses"] for _, operation in _operations(document))


def test_a_term_that_no_field_has_is_no_longer_in_a_glossary() -> None:
    glossary = importlib.import_module("shared.glossary")
    used: set[str] = set()
    for service in SERVICES:
        document = importlib.import_module(f"{service}_app.main").app.openapi()
        names = {
            key
            for model, schema in document["components"]["schemas"].items()
            for name in schema.get("properties", {})
            for key in (name, f"{model}.{name}")
        }
        names |= {p["name"] for _, operation in _operations(document) for p in operation.get("parameters", [])}
        own = importlib.import_module(f"{service}_app.glossary").GLOSSARY
        assert set(own.terms) <= names, service
        used |= names
    assert set(glossary.TERMS) <= used
