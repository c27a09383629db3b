"""Bases of the models that cross the wire."""

from decimal import Decimal
from functools import cache
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticKnownError

from .errors import EmptyUpdate
from .text import Email

# The default of a field that a PUT may leave out but not clear: it is never read, since `changes` skips what is unset.
ABSENT: Any = None

# The integer ids of catalogues; bounded, so that a huge one is a 422 and not an error of the database.
CatalogueId = Annotated[int, Field(ge=1, le=2_147_483_647)]


# What JSON has types of its own for, and pydantic's name of what is none.
_JSON_TYPES: dict[Any, Any] = {bool: "bool_type", int: "int_type", float: "float_type", Decimal: "decimal_type"}


class Body(BaseModel):
    """A request body: unknown fields are refused, so that nobody smuggles one in, and so is `"1"` or true for 1."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    # pydantic's strict mode would refuse the texts of ids and dates as well.
    @field_validator("*", mode="before")
    @classmethod
    def _as_json_has_it(cls, value: Any, info: ValidationInfo) -> Any:
        own = _json_types(cls, info.field_name or "")
        if not own or not isinstance(value, str | bool | int | float):
            return value
        numeric = not isinstance(value, str | bool)
        if bool in own if isinstance(value, bool) else numeric and own - {bool}:
            return value
        raise PydanticKnownError(_JSON_TYPES[next(iter(own))])


@cache
def _json_types(model: type[BaseModel], field: str) -> frozenset[type]:
    """Those of `_JSON_TYPES` that a field takes; none if it takes others, too."""
    types = _types(model.model_fields[field].annotation)
    return types if types <= _JSON_TYPES.keys() else frozenset()


def _types(annotation: Any) -> frozenset[type]:
    """The types of an annotation but None; those of a union, and of what stands in `Annotated`."""
    parts = get_args(annotation)
    if get_origin(annotation) is Annotated:
        parts = parts[:1]
    if not parts:
        return frozenset() if annotation is NoneType else frozenset({annotation})
    return frozenset[type]().union(*map(_types, parts))


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
