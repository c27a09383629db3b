"""Remembers every personal value that the tests create, and looks for each in what the fleet says of its work."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx

from dev.fleet import Fleet

# Ids, times, codes and single plain words say nothing about anybody, or would be found by chance.
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_HARMLESS = re.compile(rf"{_UUID}|\d{{4}}-\d\d-\d\d.*|[A-Za-z_/-]*|.{{0,5}}", re.DOTALL)
# What differs in every line without being anybody's; the rest of a log is then a few hundred different lines.
_EACH_LINES_OWN = ("time", "trace_id", "span_id", "duration_ms", "caller_id")


class PersonalValues:
    """The values, and where they must not show."""

    def __init__(self) -> None:
        self._values: set[str] = set()

    def note(self, document: Any) -> None:
        """Remember every telling text in a body."""
        self._values.update(text for text in _texts(document) if not _HARMLESS.fullmatch(text))

    def shown_in(self, text: str) -> list[str]:
        """Those that a text shows: as they are, or as JSON or a URL would spell them."""
        return sorted(value for value in self._values if any(form in text for form in _forms(value)))

    def note_exchange(self, response: httpx.Response) -> None:
        """An event hook of a client: what it successfully sends is noted, and the tokens that it gets."""
        if not response.is_success or response.request.method == "GET":
            return
        with contextlib.suppress(ValueError, httpx.RequestNotRead):  # no JSON, or a stream
            self.note(json.loads(response.request.content))
        if response.request.url.path.startswith(("/auth/", "/users/")):
            answer = json.loads(response.read() or b"{}")
            self.note([answer.get(name, "") for name in ("access_token", "refresh_token", "activation_token")])


CREATED = PersonalValues()


def series(metrics: str) -> str:
    """The names and labels of Prometheus's text; the numbers behind them hold the digits of anything by chance."""
    return re.sub(r" \S+$", "", metrics, flags=re.MULTILINE)


def spoken(fleet: Fleet) -> dict[str, str]:
    """What a running fleet's logs and metrics say, each different line once."""
    said = {path.name: _condensed(path) for path in sorted(Path(fleet.data_dir / "logs").iterdir())}
    with contextlib.suppress(httpx.TransportError):  # a test that broke off may have left a service stopped
        said |= {f"{url}/metrics": series(httpx.get(f"{url}/metrics", timeout=20).text) for url in fleet.urls.values()}
    return said


def leaks(fleet: Fleet, values: PersonalValues = CREATED) -> list[str]:
    """Every place where a fleet shows a personal value."""
    return [f"{place} shows {value!r}" for place, text in spoken(fleet).items() for value in values.shown_in(text)]


def _condensed(path: Path) -> str:
    lines = {_without_own(line) for line in path.read_text(encoding="utf-8", errors="replace").splitlines()}
    return "\n".join(lines)


def _without_own(line: str) -> str:
    if not line.startswith("{"):
        return line
    fields = json.loads(line)
    kept = {name: value for name, value in fields.items() if name not in _EACH_LINES_OWN}
    if re.fullmatch(_UUID, str(kept.get("request_id"))):
        del kept["request_id"]
    return json.dumps(kept)


def _forms(value: str) -> set[str]:
    signed = value.split(".")[1:2] if value.count(".") == 2 and value.startswith("eyJ") else []
    return {value, json.dumps(value)[1:-1], quote(value), quote_plus(value), *signed}


def _texts(document: Any) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict):
        for value in document.values():
            yield from _texts(value)
    elif isinstance(document, list):
        for value in document:
            yield from _texts(value)
