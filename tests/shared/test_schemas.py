from datetime import date
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import Field, ValidationError

from shared.schemas import Body
from shared.validation import field_errors


class Place(Body):
    latitude: float | None = None


class Sent(Body):
    whole: Annotated[int, Field(ge=0)] | None = None
    fee: Annotated[Decimal, Field(decimal_places=2)] | None = None
    agreed: bool | None = None
    id: UUID | None = None
    born: date | None = None
    place: Place | None = None
    places: list[Place] = []


TEXTS = ("1", "1_0", " 7 ", "1e2", "\u0665", "")
WHOLE = ("Debe ser un número entero.", "Must be a whole number.")
NUMBER = ("Debe ser un número.", "Must be a number.")
TRUTH = ("Debe ser verdadero o falso.", "Must be true or false.")


@pytest.mark.parametrize(
    ("field", "values", "sentences"),
    [("whole", (True, *TEXTS), WHOLE), ("fee", (False, *TEXTS), NUMBER), ("agreed", (1, 0, 1.0, "off", "true"), TRUTH)],
)
def test_what_only_looks_like_a_number_or_a_boolean_is_refused(
    field: str, values: tuple[Any, ...], sentences: tuple[str, str]
) -> None:
    for value in values:
        with pytest.raises(ValidationError) as caught:
            Sent.model_validate({field: value})
        found = [(error.field, error.code, error.es, error.en) for error in field_errors(caught.value.errors())]
        assert found == [(field, "type", *sentences)], value


@pytest.mark.parametrize(("field", "wrong"), [("place", {"latitude": "1"}), ("places", [{"latitude": True}])])
def test_so_it_is_in_a_body_within_a_body(field: str, wrong: Any) -> None:
    with pytest.raises(ValidationError, match="latitude"):
        Sent.model_validate({field: wrong})


def test_a_whole_number_may_be_written_with_a_point_and_ids_and_dates_as_texts() -> None:
    numbers = Sent.model_validate({"whole": 4.0, "fee": 8.5, "agreed": False, "place": {"latitude": 1}})
    assert numbers == Sent(whole=4, fee=Decimal("8.5"), agreed=False, place=Place(latitude=1.0))
    texts = Sent.model_validate({"id": str(UUID(int=1)), "born": "2000-01-31", "whole": None})
    assert texts == Sent(id=UUID(int=1), born=date(2000, 1, 31), whole=None)
