"""The histories of statuses: who moved what from where to where, and which moves a workflow admits."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from .errors import InvalidTransition


class StatusChange(BaseModel):
    """One step of a workflow."""

    from_status: str
    to_status: str
    actor_type: str
    actor_id: UUID
    note: str | None
    created_at: datetime


def check_move(moves: Mapping[str, Sequence[str]], current: str, wanted: str) -> None:
    """Raise InvalidTransition unless the workflow `moves` (status → those that may follow) leads there."""
    if wanted not in moves[current]:
        raise InvalidTransition(current, moves[current])
