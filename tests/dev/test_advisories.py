"""What a report of pip-audit means for `./fleet check`, and what it does without a network."""

from typing import Any

import pytest

from dev import advisories
from dev.advisories import NOT_CHECKED, verdict

CLEAN = {"name": "a", "version": "1", "vulns": []}
SKIPPED = {"name": "b", "skip_reason": "Dependency not found on PyPI"}
VULNERABLE = {"name": "c", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"], "aliases": []}]}


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        ([CLEAN, CLEAN], 0, "2 packages, no known advisory"),
        ([CLEAN, SKIPPED], NOT_CHECKED, "the index knows nothing of 1 of 2 packages asked for"),
        ([CLEAN, SKIPPED, VULNERABLE], 1, "c 2: PYSEC-1, fixed in 2.1"),
    ],
)
def test_a_package_that_was_not_looked_at_is_no_pass(packages: list[Any], status: int, said: str) -> None:
    assert verdict({"dependencies": packages}) == (status, said)


def test_without_a_network_the_check_says_so_and_does_not_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    assert advisories.main() == NOT_CHECKED
    assert capsys.readouterr().out == "PyPI can't be reached from here\n"
