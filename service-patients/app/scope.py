"""Whom a caller may know of, and what its touch leaves in the audit trail: the parameters of every statement."""

from typing import Any
from uuid import UUID

from shared import audit
from shared.caller import Caller
from shared.resources import ClientResources


def scope_of(caller: Caller) -> dict[str, Any]:
    """The parameters by which the statements find only patients that the caller may know of."""
    return {"caller_type": caller.user_type, "caller_id": caller.user_id}


def reading(res: ClientResources, caller: Caller, resource: str) -> dict[str, Any]:
    """The event of a read, for a statement that is `audited`."""
    return audit.parameters(res.service, caller, "read", resource)


def writing(
    res: ClientResources, caller: Caller, action: str, patient_id: UUID, resource: str = "patient", **detail: Any
) -> dict[str, Any]:
    """The event of a change of a patient; `detail` holds ids, codes and names of fields, never what people wrote."""
    return audit.parameters(res.service, caller, action, resource, patient_ids=[patient_id], detail=detail)
