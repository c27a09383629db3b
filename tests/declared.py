"""Every answer that the tests get is one that the OpenAPI document declares: its status, its code, its schema."""

import functools
import importlib
import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import jsonschema_rs


@functools.cache
def document(service: str) -> dict[str, Any]:
    """The OpenAPI document of a service: `auth`, `doctors`, `institutions` or `patients`."""
    made: dict[str, Any] = importlib.import_module(f"{service}_app.main").app.openapi()
    return made


@functools.cache
def _paths(service: str) -> list[tuple[re.Pattern[str], str]]:
    # Fixed paths first, as the router does: `/doctors/statistics` is no `/doctors/{doctor_id}`.
    templates = sorted(document(service)["paths"], key=lambda path: path.count("{"))
    return [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), path) for path in templates]


@functools.cache
def _validator(service: str, path: str, method: str, status: str, media_type: str) -> jsonschema_rs.Validator:
    content = document(service)["paths"][path][method]["responses"][status]["content"]
    schema = {**content[media_type]["schema"], "components": document(service)["components"]}
    return jsonschema_rs.validator_for(schema, validate_formats=True)


def checked(service: str) -> Callable[[httpx.Response], None]:
    """A hook of httpx that fails on an answer of `service` that its document does not declare."""

    def check(response: httpx.Response) -> None:
        path = response.request.url.path
        template = next((template for pattern, template in _paths(service) if pattern.fullmatch(path)), None)
        if template is not None and response.request.method.lower() in document(service)["paths"][template]:
            media_type = response.headers.get("content-type", "")
            method, status = response.request.method.lower(), response.status_code
            check_answer(service, template, method, status, media_type, response.read())

    return check


def check_answer(service: str, template: str, method: str, status: int, media_type: str, body: bytes) -> None:
    """Fail unless the operation `method template` declares such an answer."""
    responses, where = document(service)["paths"][template][method]["responses"], f"{method} {template}: {status}"
    assert str(status) in responses, f"{where} is not declared: {body[:500]!r}"
    content = responses[str(status)].get("content")
    if content is None:
        assert not body, where
        return
    if "json" not in media_type:
        assert media_type in content, f"{where}: {media_type} is not declared"
        return
    answer = json.loads(body)
    _validator(service, template, method, str(status), media_type).validate(answer)
    if media_type == "application/problem+json":
        assert answer["code"] in content[media_type]["examples"], f"{where}: {answer['code']} is not declared"
