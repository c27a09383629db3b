"""Creations that may be sent twice: the key of a client, and the first answer, kept in the creation's own transaction.

So there is a kept answer exactly when there is what it tells of, whatever is killed when. PostgreSQL shows each
service's role its own answers only (migration 0015).
"""

import hmac
import json
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import Request, Response
from psycopg2.extras import Json
from pydantic_core import to_jsonable_python

from .caller import Caller
from .errors import FieldError, IdempotencyKeyInUse, IdempotencyKeyReused, Problem, ValidationFailed
from .postgres import Executor, Row
from .settings import Settings

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

HEADER = "Idempotency-Key"
PATTERN = "[\x21-\x7e]{1,255}"
_KEY = re.compile(PATTERN)

FIND_ANSWER = """
    SELECT fingerprint, answer FROM idempotency_keys
    WHERE owner = current_user AND caller_id = %(caller_id)s AND key = %(key)s
      AND created_at > now() - interval '24 hours'
"""

# Another process may be keeping an answer under the same key at this moment, or have kept one: then no row.
KEEP_ANSWER = """
    INSERT INTO idempotency_keys (caller_id, key, fingerprint, answer)
    SELECT %(caller_id)s, %(key)s, %(fingerprint)s, %(answer)s
    WHERE pg_try_advisory_xact_lock(hashtextextended(concat_ws(' ', current_user, %(caller_id)s, %(key)s), 15))
    ON CONFLICT ON CONSTRAINT pk_idempotency_keys
    DO UPDATE SET fingerprint = excluded.fingerprint, answer = excluded.answer, created_at = excluded.created_at
    WHERE idempotency_keys.created_at <= now() - interval '24 hours'
"""

DELETE_EXPIRED = """
    DELETE FROM idempotency_keys WHERE (owner, caller_id, key) IN (
        SELECT owner, caller_id, key FROM idempotency_keys
        WHERE owner = current_user AND created_at <= now() - interval '24 hours'
        ORDER BY created_at LIMIT 100 FOR UPDATE SKIP LOCKED)
"""


@dataclass(frozen=True)
class _Creation:
    """A creation under way that its client gave a key. The fingerprint is keyed: the body may hold a password."""

    caller_id: UUID
    key: str
    fingerprint: bytes


_under_way: ContextVar[_Creation | None] = ContextVar("creation", default=None)


class Creations:
    """The keyed creations that this process has under way. Others' are met in PostgreSQL, where one of two wins."""

    def __init__(self, settings: Settings, service: str) -> None:
        self._secret = settings.cursor_key.get_secret_value().encode()
        self._service = service
        self._keys: set[tuple[UUID, str]] = set()

    @asynccontextmanager
    async def under_way(self, request: Request, caller: Caller, db: Executor) -> AsyncIterator[None]:
        """Let the creation of the block `find` and `keep` its answer, if the request has a key.

        Raises ValidationFailed for what is no key, IdempotencyKeyInUse while the first creation with it is under way.
        """
        key = _key_of(request)
        if key is None:
            _under_way.set(None)
            yield
            return
        claim = (caller.user_id, key)
        if claim in self._keys:
            raise IdempotencyKeyInUse
        self._keys.add(claim)
        try:
            _under_way.set(_Creation(*claim, self._fingerprint(request, await request.body())))
            yield
        except Problem as exc:
            # What is taken may have been taken by the very same creation, sent to another process.
            if exc.status == 409 and await find(db) is not None:
                raise IdempotencyKeyInUse from exc
            raise
        finally:
            self._keys.discard(claim)

    def _fingerprint(self, request: Request, body: bytes) -> bytes:
        with suppress(ValueError, RecursionError):  # what is no JSON is refused in a moment
            body = json.dumps(json.loads(body), sort_keys=True).encode()
        asked = f"idempotency\n{self._service} {request.url.path}?{request.url.query}\n".encode()
        return hmac.digest(self._secret, asked + body, "sha256")


def repeatable(handler: Handler) -> Handler:
    """The handler of a route that creates, which an Idempotency-Key lets be asked for again."""

    async def create(request: Request) -> Response:
        resources = request.app.state.resources
        async with resources.creations.under_way(request, request.state.caller, resources.db):
            return await handler(request)

    return create


async def find(executor: Executor) -> Row | None:
    """What the creation under way answered when it was sent before, None for a new one; asked once the caller may.

    In a transaction, ask after the row that such creations wait for each other at. Raises IdempotencyKeyReused.
    """
    creation = _under_way.get()
    row = await executor.fetch_one(FIND_ANSWER, vars(creation)) if creation else None
    if creation is None or row is None:
        return None
    if not hmac.compare_digest(bytes(row["fingerprint"]), creation.fingerprint):
        raise IdempotencyKeyReused
    answer: Row = row["answer"]
    return answer


async def keep(executor: Executor, answer: Row) -> None:
    """Keep the answer to the creation under way, in its transaction, before the commit, for 24 h.

    Raises IdempotencyKeyInUse when the same key has created something meanwhile: then this creates nothing.
    """
    if (creation := _under_way.get()) is None:
        return
    await executor.execute(DELETE_EXPIRED)
    kept = Json(to_jsonable_python(answer))
    if not await executor.execute(KEEP_ANSWER, {**vars(creation), "answer": kept}):
        raise IdempotencyKeyInUse


def _key_of(request: Request) -> str | None:
    lines = request.headers.getlist(HEADER)
    if not lines:
        return None
    if len(lines) > 1 or not _KEY.fullmatch(lines[0]):
        es, en = "Debe tener de 1 a 255 caracteres ASCII visibles.", "Must be 1 to 255 visible ASCII characters."
        raise ValidationFailed(FieldError(HEADER, "format", es, en))
    return lines[0]
