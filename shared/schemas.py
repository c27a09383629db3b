"""Bases of the models that cross the wire."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from .errors import EmptyUpdate
from .text import Email

# The default of a field that a PUT may leave out but not clear: it is never read, since `changes` skips what is unset.
ABSENT: Any = None

# The integer ids of catalogues; bounded, so that a huge one is a 422 and not an error of the database.
CatalogueId = Annotated[int, Field(ge=1, le=2_147_483_647)]


class Body(BaseModel):
    """A request body: unknown fields are refused, so that nobody smuggles one in."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Update(Body):
    """A PUT body: any subset of its fields. Absent ones stay, null clears an optional one."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    def changes(self) -> dict[str, Any]:
        """The fields that the client sent. Raises EmptyUpdate when it sent none."""
        if not self.model_fields_set:
            raise EmptyUpdate
        return {name: getattr(self, name) for name in self.model_fields_set}


class ContactEmail(Body):
    """The first e-mail of a new entity; it is the login too."""

    email_address: Email
