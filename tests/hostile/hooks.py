"""What schemathesis has to know of this fleet: who may call what, and which ids there are. Loaded by its command line.

`FLEET` in the environment is a JSON object: `tokens` by role, `admin` (the auth service's address and the admin's
token), `guest` (an account whose sessions may end) and `ids` by path parameter.
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


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Call as somebody who may: what ends sessions as a guest who has just logged in, so that the others' live on."""
    headers = case.headers
    admin = f"Bearer {FLEET['tokens']['admin']}"
    roles = case.operation.definition.raw.get("x-roles", [])
    if headers.get("Authorization") != admin:
        return  # a case about a missing or wrong token
    if case.operation.path.startswith("/auth/"):
        headers["Authorization"] = f"Bearer {_guest()}"
    elif roles and "admin" not in roles:
        headers["Authorization"] = f"Bearer {FLEET['tokens'][roles[0]]}"


def _guest() -> str:
    answer = AUTH.post("/auth/login", json=FLEET["guest"])
    token: str = answer.json()["access_token"]
    return token


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


class SchemaTooWide(Failure):
    """The service asks for more than its schema says."""


@schemathesis.check
def refused_for_a_reason(ctx: CheckContext, response: Response, case: Case) -> bool | None:
    """A request that fits its schema is refused only by a rule that a schema can't express."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code not in (400, 422):
        return None
    document = response.json()
    structural = [error for error in document.get("errors", []) if error["code"] in STRUCTURAL]
    if structural or document["code"] in ("malformed_json", "bad_request", "empty_update"):
        raise SchemaTooWide(
            operation=case.operation.label,
            title="The service asks for more than its schema says",
            message=json.dumps(structural or document, ensure_ascii=False),
        )
    return None
