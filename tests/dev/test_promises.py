"""The pages that promise something name the test that keeps it: it has to be there."""

import re
from collections.abc import Iterator

import pytest

from dev import ROOT

PAGES = ("security.md", "backup.md", "reliability.md")


def named(page: str) -> Iterator[tuple[str, str]]:
    """The files and names of tests on a page; `::name` and a name alone are of the file before it."""
    file = ""
    for given, name in re.findall(
        r"`([a-z_0-9/]+\.py)?(?:::)?(test_[a-z_0-9]+)?`", (ROOT / "docs" / page).read_text("utf-8")
    ):
        file = given.removeprefix("tests/") or file
        if given or name:
            yield file, name


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_a_page_names_is_there(page: str) -> None:
    missing = []
    for file, name in named(page):
        path = ROOT / "tests" / file
        if not path.exists() or f"def {name}" not in path.read_text("utf-8"):
            missing.append(f"{file}::{name}")
    assert missing == []
