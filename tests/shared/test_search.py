import pytest

from shared.search import contains


@pytest.mark.parametrize(
    ("term", "pattern"),
    [(None, None), ("ana", "%ana%"), ("50%_\\", "%50\\%\\_\\\\%"), ("jos  nún", "%jos%nún%"), ("a % b", "%a%\\%%b%")],
)
def test_the_words_of_a_term_are_looked_for_literally_and_in_their_order(term: str | None, pattern: str | None) -> None:
    assert contains(term) == pattern
