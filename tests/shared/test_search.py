import pytest

from shared.search import contains, words


@pytest.mark.parametrize(
    ("term", "pattern"),
    [(None, None), ("ana", "%ana%"), ("50%_\\", "%50\\%\\_\\\\%"), ("jos  nún", "%jos%nún%"), ("a % b", "%a%\\%%b%")],
)
def test_the_words_of_a_term_are_looked_for_literally_and_in_their_order(term: str | None, pattern: str | None) -> None:
    assert contains(term) == pattern


@pytest.mark.parametrize(
    ("term", "patterns"),
    [
        (None, []),
        ("", []),
        (" jos  50% ", ["%jos%", "%50\\%%"]),
        ("uno dos tres cuatro cinco seis", ["%uno%", "%dos%", "%tres%", "%cuatro%", "%cinco%seis%"]),
    ],
)
def test_each_word_of_a_term_is_looked_for_on_its_own(term: str | None, patterns: list[str]) -> None:
    assert [pattern for pattern in words(term).values() if pattern] == patterns
