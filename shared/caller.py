"""Who calls."""

from dataclasses import dataclass
from uuid import UUID

NO_ID = UUID(int=0)  # the id of who has no account: a service, a stranger


@dataclass(frozen=True)
class Caller:
    """An authenticated caller. `user_type` is `patient`, `doctor`, `institution`, `admin` or `service`.

    An account has the id of what it belongs to, so `user_id` is the doctor's, patient's or institution's id as well.
    A service has the nil UUID and no session; so has a stranger, whose type is `anonymous`.
    """

    user_type: str
    user_id: UUID
    session_id: UUID | None = None

    @property
    def account_id(self) -> UUID | None:
        """The account's id, None for who has none."""
        return None if self.user_id == NO_ID else self.user_id

    @property
    def is_admin(self) -> bool:
        """Whether the caller may act on everything."""
        return self.user_type == "admin"


STRANGER = Caller("anonymous", NO_ID)
