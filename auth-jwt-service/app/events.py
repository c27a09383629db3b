"""Security events of the audit trail: who tried what, and how it ended."""

from typing import Any
from uuid import UUID

from shared import audit
from shared.caller import STRANGER, Caller
from shared.postgres import Executor, Row

from .resources import AuthResources


async def record(
    res: AuthResources,
    executor: Executor,
    action: str,
    actor: Caller,
    *,
    about: Caller | None = None,
    outcome: str = "success",
    **detail: Any,
) -> None:
    """Write one event of `actor` about its own account or another's; `detail` holds codes and ids, never an e-mail."""
    account = about or actor
    patients = [account.user_id] if account.user_type == "patient" else []
    subject = {"account_id": str(about.user_id)} if about else {}
    event = audit.parameters(
        res.service, actor, action, "account", patient_ids=patients, outcome=outcome, detail={**subject, **detail}
    )
    await audit.record(executor, event)


def account_of(user: Row | None) -> Caller:
    """The account as an actor; a stranger where there is none."""
    return Caller(user["user_type"], user["id"]) if user else STRANGER


def session_of(user_type: str, user_id: UUID, session_id: UUID) -> Caller:
    """An account acting in one of its sessions."""
    return Caller(user_type, user_id, session_id)
