"""What a report of pip-audit means for `./fleet check`."""

from typing import Any

import pytest

from dev.advisories import NOT_CHECKED, verdict

CLEAN = {"name": "a", "version": "1", "vulns": []}
SKIPPED = {"name": "b", "skip_reason": "Dependency not found on PyPI"}
VULNERABLE = {"name": "c", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"], "aliases": []}]}


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        ([CLEAN, CLEAN], 0, "2 packages, no known advisory"),
        ([CLEAN, SKIPPED], NOT_CHECKED, "1 of 2 packages: the index knows nothing of them"),
        ([CLEAN, SKIPPED, VULNERABLE], 1, "c 2: PYSEC-1, fixed in 2.1"),
    ],
)
def test_a_package_that_was_not_looked_at_is_no_pass(packages: list[Any], status: int, said: str) -> None:
    assert verdict({"dependencies": packages}) == (status, said)
