"""Entity tags (RFC 9110, section 8.8.3) and the preconditions that they state: If-Match, If-None-Match.

A tag is a hash of the representation, in its language: whatever changes what a client would be shown changes the tag.
A change is guarded in its own transaction: the use case holds the row, reads the same representation and compares.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel

from .errors import PreconditionFailed

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

_DIGEST_BYTES = 16
_ITEM = re.compile(r'[ \t]*+(?:(W/)?("[\x21\x23-\x7e\x80-\xff]*"))?[ \t]*+(?:,|$)')


@dataclass(frozen=True)
class Tags:
    """What If-Match or If-None-Match names: strong and weak tags, or whatever there is (`*`)."""

    anything: bool
    strong: frozenset[str]
    weak: frozenset[str]

    @classmethod
    def read(cls, lines: Sequence[str]) -> "Tags | None":
        """The tags of a header's lines, None without any. What is no list of tags names none: it matches nothing."""
        if not lines:
            return None
        value, place = ",".join(lines), 0
        found: dict[bool, set[str]] = {True: set(), False: set()}
        while place < len(value):
            item = _ITEM.match(value, place)
            if item is None:
                return cls(value.strip() == "*", frozenset(), frozenset())
            if item[2]:
                found[item[1] is None].add(item[2])
            place = item.end()
        return cls(False, frozenset(found[True]), frozenset(found[False]))

    def names(self, tag: str | None, *, weakly: bool = False) -> bool:
        """Whether a strong tag (None: no tag was ever given) is named; weak ones count in the weak comparison alone."""
        return self.anything or tag in self.strong or (weakly and tag in self.weak)


@dataclass(frozen=True)
class Preconditions:
    """What a request states about the resource as its client knows it."""

    if_match: Tags | None
    if_none_match: Tags | None

    @classmethod
    def of(cls, request: Request) -> "Preconditions":
        """The preconditions of a request."""
        lines = request.headers.getlist
        return cls(Tags.read(lines("if-match")), Tags.read(lines("if-none-match")))

    def __bool__(self) -> bool:
        return self.if_match is not None or self.if_none_match is not None

    def misses(self, tag: str | None) -> bool:
        """Whether If-Match is meant for another version than the one with this tag."""
        return self.if_match is not None and not self.if_match.names(tag)

    def knows(self, tag: str | None) -> bool:
        """Whether If-None-Match names the version with this tag."""
        return self.if_none_match is not None and self.if_none_match.names(tag, weakly=True)

    def check(self, tag: str | None) -> None:
        """Raise PreconditionFailed when the version with this tag is not one that a change is meant for."""
        if self.misses(tag) or self.knows(tag):
            raise PreconditionFailed


_NOTHING = Preconditions(None, None)
_stated: ContextVar[Preconditions] = ContextVar("preconditions", default=_NOTHING)


def enter(request: Request) -> None:
    """Bind what the request states to the running task: the use case checks it where it holds the row."""
    _stated.set(Preconditions.of(request))


def tag_of(body: bytes) -> str:
    """The strong tag of a representation."""
    return f'"{hashlib.sha256(body).hexdigest()[: 2 * _DIGEST_BYTES]}"'


async def guard(model: type[BaseModel], read: Callable[[], Awaitable[Any]]) -> None:
    """Check the request's If-Match and If-None-Match against a resource that a change is about to touch.

    `read` holds the row until the transaction ends and gives what a GET of the URL would be answered with, of `model`;
    it is not called when nothing is stated. Raises PreconditionFailed, and what `read` raises.
    """
    stated = _stated.get()
    if stated:
        stated.check(tag_of(model.model_validate(await read()).model_dump_json(by_alias=True).encode()))


def guard_untagged() -> None:
    """Check them against a resource for which no tag is ever given: `*` alone matches it. Raises PreconditionFailed."""
    _stated.get().check(None)


def tagged(handler: Handler) -> Handler:
    """The handler of a route that answers with one resource, with its tag; a 304 when the client of a GET has it."""

    async def answer(request: Request) -> Response:
        return _answer(request, await handler(request))

    return answer


def _answer(request: Request, response: Response) -> Response:
    tag = tag_of(bytes(response.body))
    response.headers["ETag"] = tag
    response.headers.add_vary_header("Accept-Language")
    if request.method != "GET":  # what a change states was checked before it was made
        return response
    stated = _stated.get()
    if stated.misses(tag):
        raise PreconditionFailed
    if stated.knows(tag):
        return Response(status_code=304, headers={name: response.headers[name] for name in ("ETag", "Vary")})
    return response
