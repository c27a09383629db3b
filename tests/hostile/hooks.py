"""What schemathesis has to know of this fleet: who may call what, and which ids there are. Loaded by its command line.

`FLEET` in the environment is a JSON object: `tokens` by role, `auth` (the address of the auth service), `guest` (an
account whose sessions may end) and `ids` by path parameter.
"""

import json
import os
from typing import Any

import httpx
import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response
from schemathesis.core.failures import Failure

from shared import validation

FLEET = json.loads(os.environ["FLEET"])
# What a schema can say: a request that fits it is never refused with one of these. The other codes are rules.
STRUCTURAL = {code for code, _, _ in [*validation._MESSAGES.values(), *validation._KINDS.values()]}
STRUCTURAL -= {"email", "format", "characters"}  # checked beyond what a pattern or format of JSON Schema expresses
AUTH = httpx.Client(base_url=FLEET["auth"])


@schemathesis.auth(refresh_interval=None)
class Tokens:
    """Calls as somebody who may: where sessions end as a guest who has just logged in, so that the others' live on."""

    def get(self, case: Case, context: schemathesis.AuthContext) -> str:
        """The token of a call."""
        if case.operation.path.startswith("/auth/"):
            return str(AUTH.post("/auth/login", json=FLEET["guest"]).json()["access_token"])
        roles = case.operation.definition.raw.get("x-roles") or ["admin"]
        return str(FLEET["tokens"]["admin" if "admin" in roles else roles[0]])

    def set(self, case: Case, data: str, context: schemathesis.AuthContext) -> None:
        """Put the token where it belongs."""
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def map_path_parameters(context: HookContext, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Every other time that an id is a valid one, let it be the id of something that there is."""
    operation = context.operation
    if operation is not None and operation.method == "delete" and operation.path.count("{") == 1:
        return path_parameters  # it is still needed
    for name, value in (path_parameters or {}).items():
        if name in FLEET["ids"] and isinstance(value, str) and len(value) == 36 and int(value[-1], 16) % 2:
            path_parameters[name] = FLEET["ids"][name]
    return path_parameters


@schemathesis.hook
def filter_body(context: HookContext, body: Any) -> bool:
    """Leave out texts with spaces around them: they are trimmed before they are measured, which no schema can say."""
    if isinstance(body, dict):
        return all(filter_body(context, value) for value in body.values())
    if isinstance(body, list):
        return all(filter_body(context, value) for value in body)
    return not isinstance(body, str) or body == body.strip()


class SchemaTooWide(Failure):
    """The service asks for more than its schema says."""


@schemathesis.check
def refused_for_a_reason(ctx: CheckContext, response: Response, case: Case) -> bool | None:
    """A request that fits its schema is refused only by a rule that a schema can't express."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code not in (400, 422):
        return None
    document = response.json()
    # Of an observation, its LOINC code decides whether the value is a number or a word.
    errors = [error for error in document.get("errors", []) if not error["field"].endswith("value")]
    structural = [error for error in errors if error["code"] in STRUCTURAL]
    if structural or document["code"] in ("malformed_json", "bad_request", "empty_update"):
        raise SchemaTooWide(
            operation=case.operation.label,
            title="The service asks for more than its schema says",
            message=json.dumps(structural or document, ensure_ascii=False),
        )
    return None
