import pytest

from shared.search import contains


@pytest.mark.parametrize(("term", "pattern"), [(None, None), ("ana", "%ana%"), ("50%_\\", "%50\\%\\_\\\\%")])
def test_a_term_is_looked_for_literally(term: str | None, pattern: str | None) -> None:
    assert contains(term) == pattern
