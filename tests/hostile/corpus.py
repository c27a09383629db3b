"""Hostile requests for every operation of an OpenAPI document: so a new route is covered by itself.

Each attack starts from a request that is well-formed by the document's examples and spoils one thing. `MARKER` is in
every text that is sent: an answer must never hold it.
"""

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import getitem
from typing import Any
from urllib.parse import quote

MARKER = "m4rk3r"
JSON = "application/json"

# Values by name; as JSON text where JSON has no word for them, and so that nothing is normalised on the way.
TEXTS = {
    "nul": f"{MARKER}\x00",
    "control": f"{MARKER}\x1b[2J\x85",
    "empty": "",
    "blank": " \u3000",
    "megabyte": MARKER + "a" * 1_000_000,
    "right-to-left": f"{MARKER}\u202e\u2066",
    "sql": f"{MARKER}' OR 1=1; DROP TABLE patients; --",
    "template": f"{MARKER}{{0}}%s%(x)s${{7*7}}{{{{7*7}}}}",
    "emoji": f"{MARKER}\U0001f469\u200d⚕" + "\u0301" * 50,
    "braces": "{7d9f1f4e-5f1b-4a7e-9a57-0d6f9a1c2b3e}",
    "urn": "urn:uuid:7d9f1f4e-5f1b-4a7e-9a57-0d6f9a1c2b3e",
    "year 1": "0001-01-01",
    "year 9999": "9999-12-31",
    "moment 1": "0001-01-01T00:00:00+14:00",
    "moment 9999": "9999-12-31T23:59:59-14:00",
    "number": "9" * 400,
}
RAW_VALUES = {
    "heap of marks": '"' + MARKER + "\u0301" * 50_000 + "\u0316" * 50_000 + '"',
    "lone surrogate": f'"{MARKER}\\ud800"',
    "lone surrogates": '"' + "\\ud800" * 2_000 + '"',
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "1e999": "1e999",
    "400 digits": "9" * 400,
    "400 decimals": "0." + "1" * 400,
    "-1": "-1",
    "2^63": "9223372036854775808",
    "2^31": "2147483648",
    "true": "true",
    "null": "null",
    "array": f'["{MARKER}"]',
    "object": f'{{"$ne": {{"a": "{MARKER}"}}}}',
    **{name: json.dumps(text) for name, text in TEXTS.items() if name != "megabyte"},
}
# By the type of the example: what pydantic would take for one, and JSON does not.
WRONG_TYPES: dict[type, tuple[str, ...]] = {
    bool: ("1", "0", '"off"', '"true"'),
    int: ("true", '"1"', '"1_0"', '" 7 "', '"\u0665"'),
    float: ("true", '"1"', '"1e2"', '"\u0665"'),
}
QUERY_VALUES = {
    **{name: quote(text) for name, text in TEXTS.items() if name != "megabyte"},
    "not UTF-8": "%ff%fe" + MARKER,
    "surrogate": "%ed%a0%80",
    "half an escape": "%",
    "NaN": "nan",
    "1e999": "1e999",
    "-1": "-1",
    "2^63": "9223372036854775808",
}
PATH_VALUES = {name: value for name, value in QUERY_VALUES.items() if value} | {"dots": "..%2f..%2fetc%2fpasswd"}


@dataclass(frozen=True)
class Attack:
    """One hostile request; `must_fail` when no answer of success can be right, `mistyped` the field that is why."""

    name: str
    method: str
    target: str
    headers: Mapping[str, str | bytes] = field(default_factory=dict)
    body: bytes = b""
    must_fail: bool = False
    mistyped: str = ""


class Operation:
    """One operation of a document, with a request that fits it."""

    def __init__(self, document: dict[str, Any], path: str, method: str, ids: Mapping[str, str]) -> None:
        self.path, self.method = path, method
        self.declared: dict[str, Any] = document["paths"][path][method]
        self.roles: list[str] = self.declared["x-roles"]
        self._schemas = document["components"]["schemas"]
        parameters = self.declared.get("parameters", [])
        examples = {parameter["name"]: parameter["example"] for parameter in parameters}
        self.path_parameters = {
            p["name"]: str(ids.get(p["name"], p["example"])) for p in parameters if p["in"] == "path"
        }
        self.query_parameters = [p["name"] for p in parameters if p["in"] == "query"]
        required = [p["name"] for p in parameters if p["in"] == "query" and p.get("required")]
        self.query = "&".join(f"{name}={quote(str(examples[name]))}" for name in required)
        content = self.declared.get("requestBody", {}).get("content", {})
        self.takes_json = JSON in content
        self.body: Any = self._example(content[JSON]["schema"], ids) if self.takes_json else None

    def _example(self, schema: dict[str, Any], ids: Mapping[str, str]) -> Any:
        schema = (schema.get("anyOf") or schema.get("oneOf") or [schema])[0]
        model = self._schemas[schema["$ref"].rpartition("/")[2]]
        if "examples" in model:
            return model["examples"][0]
        return {name: ids.get(name, inner["examples"][0]) for name, inner in model["properties"].items()}

    def target(self, query: str | None = None, **path_parameters: str) -> str:
        """The path with its parameters, and the query."""
        path = self.path
        for name, value in {**self.path_parameters, **path_parameters}.items():
            path = path.replace(f"{{{name}}}", value)
        query = self.query if query is None else query
        return f"{path}?{query}" if query else path

    def attacks(self) -> Iterator[Attack]:
        """Every attack on this operation."""
        yield from self._on_parameters()
        yield from self._on_the_request()
        if self.takes_json:
            yield from self._on_fields()
            yield from self._on_the_body()

    def _attack(self, name: str, target: str | None = None, **others: Any) -> Attack:
        headers, body = others.pop("headers", {}), others.pop("body", None)
        if body is None and self.takes_json:
            body = json.dumps(self.body).encode()
        if body is not None and "Content-Type" not in headers:
            headers = {"Content-Type": JSON, **headers}
        method = others.pop("method", self.method.upper())
        return Attack(name, method, target or self.target(), headers, body or b"", **others)

    def _on_parameters(self) -> Iterator[Attack]:
        for name in self.path_parameters:
            for kind, value in PATH_VALUES.items():
                yield self._attack(f"path {name}: {kind}", self.target(**{name: value}))
        for name in self.query_parameters:
            rest = "&".join(part for part in self.query.split("&") if part and not part.startswith(f"{name}="))
            for kind, value in QUERY_VALUES.items():
                yield self._attack(f"query {name}: {kind}", self.target(f"{name}={value}&{rest}".strip("&")))
            yield self._attack(f"query {name} twice", self.target(f"{name}=1&{name}={MARKER}&{rest}".strip("&")))
        for unknown in ("limt", "limit%00", "%ff", "constructor[prototype]", "q" * 5_000):
            query = f"{self.query}&{unknown}={MARKER}".strip("&")
            yield self._attack("an unknown parameter", self.target(query), must_fail=True)

    def _on_the_request(self) -> Iterator[Attack]:
        for name, value in {
            "Accept": "application/xml",
            "Accept-Language": f"{MARKER}-" * 1_000,
            "X-Request-ID": f"{MARKER} ñ",
            "User-Agent": MARKER * 1_500,
            "If-Match": f'"{MARKER}"',
            "Idempotency-Key": MARKER * 1_500,
            "X-Forwarded-For": f"{MARKER}, ::1, 999.1.1.1",
            "Cookie": f"token={MARKER};" * 700,
            "X-Padding": MARKER * 1_600,
        }.items():
            yield self._attack(f"header {name}", headers={name: value})
        for method in ("TRACE", "PROPFIND", "HEAD", "PURGE"):
            yield self._attack(f"method {method}", method=method, must_fail=True)

    def _on_fields(self) -> Iterator[Attack]:
        for place in _places(self.body):
            path = ".".join(map(str, place))
            spoilt = copy.deepcopy(self.body)
            _put(spoilt, place, "@@@")
            text = json.dumps(spoilt)
            for kind, raw in RAW_VALUES.items():
                body = text.replace('"@@@"', raw, 1).encode()
                yield self._attack(f"field {path}: {kind}", body=body)
            for raw in WRONG_TYPES.get(type(_get(self.body, place)), ()):
                body = text.replace('"@@@"', raw, 1).encode()
                yield self._attack(f"field {path}: {raw}", body=body, must_fail=True, mistyped=path)

    def _on_the_body(self) -> Iterator[Attack]:
        good = json.dumps(self.body)
        nested = "[" * 100_000 + "]" * 100_000
        first = next(iter(self.body))
        for name, body in {
            "nothing": b"",
            "100,000 arrays": nested.encode(),
            "100,000 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
            "100,000 arrays in a field": f'{{"{first}": {nested}}}'.encode(),
            "cut off": good[:-1].encode(),
            "not UTF-8": good.replace('"', '"\xff', 1).encode("latin-1"),
            "UTF-16": good.encode("utf-16"),
            "UTF-32": good.encode("utf-32"),
            "NUL": b"\x00" * 100,
            "a string": json.dumps(MARKER).encode(),
            "a number": b"9" * 5_000,
            "null": b"null",
            "array": b"[" + good.encode() + b"]",
            "unknown field": json.dumps({**self.body, "colour": MARKER}).encode(),
            "unknown field of surrogates": f'{{"\\ud800": 1, {good[1:]}'.encode(),
            "smuggled": json.dumps({**self.body, "is_verified": True, "__proto__": {}, "": MARKER}).encode(),
            "the same field twice": f'{{"{first}": "{MARKER}", {good[1:]}'.encode(),
            "a megabyte of text": json.dumps({**self.body, first: MARKER + "a" * 1_000_000}).encode(),
            "2 MiB": good.encode() + b" " * 2_097_152,
        }.items():
            yield self._attack(f"body: {name}", body=body, must_fail=True)
        form = "application/x-www-form-urlencoded"
        for media_type in ("text/plain", form, "multipart/form-data; boundary=x", "application/xml", MARKER):
            yield self._attack(f"sent as {media_type}", headers={"Content-Type": media_type}, must_fail=True)
        yield self._attack("compressed", headers={"Content-Encoding": "gzip"}, body=b"\x1f\x8b" + MARKER.encode())


def operations(document: dict[str, Any], ids: Mapping[str, str]) -> list[Operation]:
    """Every operation of a document."""
    return [Operation(document, path, method, ids) for path, methods in document["paths"].items() for method in methods]


def _places(body: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a body has values: fields, their fields, the first items of their lists."""
    items = (
        list(body.items()) if isinstance(body, dict) else list(enumerate(body[:1])) if isinstance(body, list) else []
    )
    for key, value in items:
        yield (*place, key)
        yield from _places(value, (*place, key))


def _get(body: Any, place: tuple[Any, ...]) -> Any:
    return reduce(getitem, place, body)


def _put(body: Any, place: tuple[Any, ...], value: Any) -> None:
    for key in place[:-1]:
        body = body[key]
    body[place[-1]] = value
