"""Cursor pagination: opaque, signed positions that carry their filters. A page costs the same wherever it lies."""

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, Field

from .errors import InvalidCursor
from .postgres import Row
from .settings import Settings

_SIGNATURE_BYTES = 16

Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next_cursor: str | None


class PageQuery(BaseModel):
    """The query parameters of a list; subclasses add their filters."""

    limit: int = Field(default=50, ge=1, le=200, description="Rows a page, 1-200.")
    cursor: str | None = Field(default=None, max_length=1_000, description="`next_cursor` of the page before.")

    def filters(self) -> dict[str, Any]:
        """Every parameter but the place in the list; a cursor is bound to them."""
        return self.model_dump(exclude={"limit", "cursor"}, mode="json")


class Cursors:
    """Writes and reads the cursors of one service, signed with `CURSOR_KEY`."""

    def __init__(self, settings: Settings, service: str) -> None:
        self._key = settings.cursor_key.get_secret_value().encode()
        self._service = service

    def read(self, resource: str, query: PageQuery, width: int) -> list[Any]:
        """The position after which the page begins: `width` sort keys, all None for the first page.

        Raises InvalidCursor for one that this service did not issue for this resource and these filters.
        """
        if query.cursor is None:
            return [None] * width
        try:
            raw = base64.b64decode(query.cursor.encode("ascii"), altchars=b"-_", validate=True)
            # The decoder also takes `+` and `/`, and any bits where the last character has more than its byte needs.
            if base64.urlsafe_b64encode(raw).decode() != query.cursor:
                raise InvalidCursor
            signature, payload = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
            if not hmac.compare_digest(signature, self._sign(resource, query, payload)):
                raise InvalidCursor
            position = json.loads(payload)
        except ValueError as exc:
            raise InvalidCursor from exc
        if len(position) != width:
            raise InvalidCursor
        return list(position)

    def cut(self, resource: str, query: PageQuery, rows: list[Row], keys: Sequence[str]) -> Page[Row]:
        """The page of `limit + 1` rows read; where more follow, with a cursor made of the columns `keys` of its last.

        The rows become answers in the route's own model: here they are not looked at.
        """
        items, cursor = rows[: query.limit], None
        if len(rows) > query.limit:
            payload = json.dumps([items[-1][key] for key in keys], default=str, separators=(",", ":")).encode()
            cursor = base64.urlsafe_b64encode(self._sign(resource, query, payload) + payload).decode()
        return Page[Row].model_construct(items=items, next_cursor=cursor)

    def _sign(self, resource: str, query: PageQuery, payload: bytes) -> bytes:
        bound = json.dumps([self._service, resource, query.filters()], sort_keys=True).encode()
        return hmac.digest(self._key, hashlib.sha256(bound).digest() + payload, "sha256")[:_SIGNATURE_BYTES]
