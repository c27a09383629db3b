import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shared.text import Email, LicenseNumber, Name, Password, Phone, clean


def accepts(kind: object, value: object) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


def test_text_is_trimmed_and_composed() -> None:
    assert TypeAdapter(Name).validate_python("  Jose\u0301 ") == "José"


@pytest.mark.parametrize("value", ["", "   ", "a\x00b", "a\x07", "\ud800", "x" * 101, 5, None, ["a"]])
def test_what_is_no_name_is_refused(value: object) -> None:
    assert not accepts(Name, value)


def test_a_letter_has_thirty_marks_at_most() -> None:
    """To sort them takes time that grows with the square of their number: minutes for a body of a megabyte."""
    marks = "\u0323\u0301" * 15
    assert accepts(Name, f"a{marks}b{marks}")
    assert not accepts(Name, f"a{marks}\u0301")


@pytest.mark.parametrize("value", ["ana@clinica.mx", "a.b+c@example.com", "josé@ejemplo.mx"])
def test_an_email_address_is_accepted(value: str) -> None:
    assert accepts(Email, value)


@pytest.mark.parametrize(
    "value", ["ana", "ana@", "@clinica.mx", "a b@c.mx", "a@b@c.mx", "a@b\x00.mx", "a" * 250 + "@b.mx"]
)
def test_what_is_no_email_address_is_refused(value: str) -> None:
    assert not accepts(Email, value)


@pytest.mark.parametrize("value", ["+52 55 1234 5678", "(617) 638-8000", "555.311.3217", "12345"])
def test_a_phone_number_is_accepted(value: str) -> None:
    assert accepts(Phone, value)


@pytest.mark.parametrize("value", ["1234", "call me", "+++++", "1" * 31])
def test_what_is_no_phone_number_is_refused(value: str) -> None:
    assert not accepts(Phone, value)


def test_a_licence_has_a_letter_or_a_digit() -> None:
    assert accepts(LicenseNumber, "MED-123") and not accepts(LicenseNumber, "- - -")


@pytest.mark.parametrize("separators", ["\u00a0\u202f\u3000", "\u2010\u2011\u2013\u2212", "\u00ad\u200b\ufeff"])
def test_what_looks_like_a_separator_in_a_licence_is_one_or_is_left_out(separators: str) -> None:
    licence = TypeAdapter(LicenseNumber).validate_python(f"MED{separators}123")
    assert licence.replace(" ", "").replace("-", "") == "MED123"


def test_a_password_is_composed_but_never_trimmed() -> None:
    assert TypeAdapter(Password).validate_python(" Jose\u0301 ") == " José "
    assert not accepts(Password, "nul\x00")
    assert not accepts(Password, "\ud800" * 1_001), "however long it is"


@given(st.text())
def test_cleaning_twice_changes_nothing_more(value: str) -> None:
    try:
        once = clean(value)
    except Exception:
        return
    assert clean(once) == once
    once.encode("utf-8")
