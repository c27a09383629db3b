"""Who calls."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class Caller:
    """An authenticated caller. `user_type` is `patient`, `doctor`, `institution`, `admin` or `service`.

    An account has the id of what it belongs to, so `user_id` is the doctor's, patient's or institution's id as well.
    A service has the nil UUID and no session.
    """

    user_type: str
    user_id: UUID
    session_id: UUID | None = None

    @property
    def is_admin(self) -> bool:
        """Whether the caller may act on everything."""
        return self.user_type == "admin"
