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
        (None, {}),
        ("", {}),
        (" nún  50%_abc ", {"word_0": "%nún%", "word_1": "%50\\%\\_abc%"}),
        ("Núñez, Ana;Eva", {"word_0": "%Núñez%", "word_1": "%Ana%", "word_2": "%Eva%"}),
        ("jo Ñ r.g 5_%", {f"beginning_{n}": p for n, p in enumerate(["jo", "Ñ", "r.g", "5_%"])}),
        ("% _ - ¡! \\", {}),
        ("¿@an? (+o'", {"beginning_0": "an?", "beginning_1": "o'"}),
        ("Ana - 7", {"word_0": "%Ana%", "beginning_1": "7"}),
        (
            "uno dos tres cua cin seis",
            {f"word_{n}": f"%{w}%" for n, w in enumerate(["uno", "dos", "tres", "cua", "cin%seis"])},
        ),
        ("a b c d e f", {f"beginning_{n}": word for n, word in enumerate(["a", "b", "c", "d", "e f"])}),
    ],
)
def test_each_word_of_a_term_is_looked_for_on_its_own(term: str | None, patterns: dict[str, str]) -> None:
    assert {name: pattern for name, pattern in words(term).items() if pattern} == patterns
