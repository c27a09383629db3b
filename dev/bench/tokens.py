"""Sessions with their token pairs, opened as a login does but without its hash: `python -m dev.bench.tokens`.

Runs in the auth service's folder with its environment. Accounts come in as JSON, [id, user type, e-mail] each; pairs go
out in their order, and the CPU time of checking such a token.
"""

import asyncio
import importlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from shared.settings import load
from shared.tokens import read_access_token

CHECKS = 500


@dataclass(frozen=True)
class Pair:
    """The two tokens of a session."""

    access: str
    refresh: str


async def open_sessions(accounts: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    """A session for each account, in turn; and what its check costs, in µs of CPU time."""
    issuing = importlib.import_module("app.tokens")
    settings = load(importlib.import_module("app.settings").AuthSettings)
    resources = importlib.import_module("app.resources").AuthResources.open("auth-jwt-service", settings)
    key, pairs = settings.refresh_token_key.get_secret_value(), []
    for user_id, user_type, email in accounts:
        session, began = await resources.sessions.create(UUID(user_id), user_type, None, "bench")
        lifetime = settings.access_token_ttl_seconds
        whose = (UUID(user_id), user_type, email, session, 0, began)
        access = issuing.issue_access_token(resources.keys, lifetime, *whose)
        pairs.append(Pair(access, issuing.issue_refresh_token(key, session, 0)))
    cost = await _cost_of_check(resources, pairs[0].access)
    await resources.close()
    return {"pairs": [asdict(pair) for pair in pairs], "cost": cost}


async def _cost_of_check(resources: Any, token: str) -> Mapping[str, float]:
    """Of verifying the signature and claims, and of touching the session in Redis."""
    access = await read_access_token(token, resources.keys)
    began = time.process_time()
    for _ in range(CHECKS):
        await read_access_token(token, resources.keys)
    verified = time.process_time()
    for _ in range(CHECKS):
        await resources.sessions.touch_of(access)
    touched = time.process_time()
    micro = 1e6 / CHECKS
    return {"signature_us": round((verified - began) * micro, 1), "session_us": round((touched - verified) * micro, 1)}


if __name__ == "__main__":
    json.dump(asyncio.run(open_sessions(json.load(sys.stdin))), sys.stdout)
