"""Whom a caller may know of: the parameters of every statement about doctors."""

from typing import Any

from shared.caller import Caller


def scope_of(caller: Caller) -> dict[str, Any]:
    """The parameters by which the statements find only doctors that the caller may know of."""
    return {"caller_type": caller.user_type, "caller_id": caller.user_id}
