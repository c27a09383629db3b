"""Which numbers an observation may have, by LOINC code. Outside of these one is a slip of the pen.

Every limit is itself still plausible; what is not listed may be anything up to a million.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal

HEIGHT, WEIGHT, SMOKING_STATUS = "8302-2", "29463-7", "72166-2"
SYSTOLIC, DIASTOLIC, TOTAL_CHOLESTEROL, HDL_CHOLESTEROL = "8480-6", "8462-4", "2093-3", "2085-9"
HBA1C, SLEEP = "4548-4", "93832-4"
_OTHER_CHOLESTEROL, _GLUCOSE = ("18262-6", "43396-1"), ("1558-6", "2339-0", "2345-7")

Number = Decimal | int | float

_LIMITS: dict[str, tuple[Decimal | int, Decimal | int]] = {
    **{HEIGHT: (30, 272), WEIGHT: (Decimal("0.3"), 650)},
    **{SYSTOLIC: (40, 300), DIASTOLIC: (20, 200), HBA1C: (2, 20), SLEEP: (0, 24)},
    **dict.fromkeys((TOTAL_CHOLESTEROL, HDL_CHOLESTEROL, *_OTHER_CHOLESTEROL, *_GLUCOSE), (10, 2000)),
}
_ANYTHING = (0, 1_000_000)

# Of one moment, the first is the greater one (HDL is a part of the total: it may be all of it).
_PAIRS = ((SYSTOLIC, DIASTOLIC), (TOTAL_CHOLESTEROL, HDL_CHOLESTEROL))
PAIRED = frozenset(code for pair in _PAIRS for code in pair)


def limits(code: str) -> tuple[Decimal | int, Decimal | int]:
    """The least and the greatest plausible number of a code."""
    return _LIMITS.get(code, _ANYTHING)


def is_plausible(code: str, value: Number) -> bool:
    """Whether a measurement of `code` may have this number."""
    low, high = limits(code)
    return low <= (Decimal(str(value)) if isinstance(value, float) else value) <= high


def contradictions(measured: Iterable[tuple[str, float]]) -> Iterator[tuple[int, int]]:
    """Of the (code, number) pairs of one moment, the places of two that contradict each other.

    A systolic pressure lies above the diastolic one, HDL not above total cholesterol.
    """
    values = list(enumerate(measured))
    for greater, lesser in _PAIRS:
        least = min(((number, place) for place, (code, number) in values if code == greater), default=None)
        for place, (code, number) in values:
            if code == lesser and least and (least[0] < number or (least[0] == number and greater == SYSTOLIC)):
                yield least[1], place
