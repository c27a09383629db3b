"""Which numbers an observation may have: the edges of each rule."""

from decimal import Decimal

import pytest

from shared.plausibility import contradictions, is_plausible

LIMITS = {
    **{"8302-2": (30, 272), "29463-7": (0.3, 650), "8480-6": (40, 300), "8462-4": (20, 200), "4548-4": (2, 20)},
    **dict.fromkeys(("2093-3", "2085-9", "18262-6", "43396-1", "1558-6", "2339-0", "2345-7"), (10, 2000)),
    **{"93832-4": (0, 24), "8867-4": (0, 1_000_000)},
}


@pytest.mark.parametrize(("code", "limits"), LIMITS.items())
def test_the_limits_themselves_are_plausible_and_nothing_beyond(code: str, limits: tuple[float, float]) -> None:
    for limit, outside in zip(limits, (-0.01, 0.01), strict=True):
        assert is_plausible(code, limit) and is_plausible(code, Decimal(str(limit)))
        assert not is_plausible(code, round(limit + outside, 2))


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ([("8480-6", 120), ("8462-4", 80)], []),
        ([("8480-6", 80), ("8462-4", 80)], [(0, 1)]),
        ([("8462-4", 81), ("8480-6", 80)], [(1, 0)]),
        ([("2093-3", 50), ("2085-9", 50)], []),
        ([("2093-3", 50), ("2085-9", 50.1)], [(0, 1)]),
        ([("8480-6", 120), ("8480-6", 90), ("8462-4", 80), ("8462-4", 95)], [(1, 3)]),
        ([("8480-6", 50), ("2085-9", 60), ("8462-4", 40)], []),
        ([], []),
    ],
)
def test_two_of_one_moment_that_contradict_each_other_are_found(
    measured: list[tuple[str, float]], expected: list[tuple[int, int]]
) -> None:
    assert list(contradictions(measured)) == expected
