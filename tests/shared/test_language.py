import pytest

from shared.language import negotiate


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "es"),
        ("", "es"),
        ("en", "en"),
        ("es-MX", "es"),
        ("en-US,en;q=0.9,es;q=0.8", "en"),
        ("en;q=0.1, es;q=0.2", "es"),
        ("fr, de", "es"),
        ("fr, en;q=0.3", "en"),
        ("en;q=0", "es"),
        ("en;q=abc", "es"),
        ("en; x=1; Q=0, es;q=0.1", "es"),
        ("*", "es"),
        (";;;,,,=", "es"),
    ],
)
def test_the_best_liked_language_that_we_speak_is_chosen(header: str | None, language: str) -> None:
    assert negotiate(header, "es") == language


def test_the_default_is_a_setting() -> None:
    assert negotiate("fr", "en") == "en"
