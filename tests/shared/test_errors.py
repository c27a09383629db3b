import inspect

import pytest

from shared import errors
from shared.errors import Problem

PROBLEMS = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, Problem)]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.__name__)
def test_every_error_has_a_title_and_a_sentence_in_both_languages(problem: type[Problem]) -> None:
    assert problem.status in errors.TITLES
    assert problem.es.endswith((".", "?")) and problem.en.endswith((".", "?"))
    assert problem.es != problem.en


def test_a_problem_document_speaks_the_language_of_the_request() -> None:
    spanish = errors.EmailTaken().document("es", "/api/v1/patients", "r-1")
    english = errors.EmailTaken().document("en", "/api/v1/patients", "r-1")
    assert spanish == {
        "type": "https://predicthealth.dev/problems/email_taken",
        "title": "Conflicto",
        "status": 409,
        "detail": "Ya existe una cuenta con ese correo electrónico.",
        "instance": "/api/v1/patients",
        "code": "email_taken",
        "request_id": "r-1",
    }
    assert english["detail"] == "An account with that e-mail address already exists."
    assert english["code"] == "email_taken"


def test_only_a_422_lists_fields() -> None:
    problem = errors.PasswordTooShort(minimum=8)
    document = problem.document("en", "/users/create", "r-1")
    message = "The password must have at least 8 characters."
    assert document["errors"] == [{"field": "password", "message": message, "code": "password_too_short"}]
    assert "errors" not in errors.NotFound().document("en", "/", "r")


def test_a_missing_token_and_a_bad_one_are_challenged_differently() -> None:
    assert errors.Unauthenticated().headers["WWW-Authenticate"] == 'Bearer realm="predicthealth"'
    assert errors.Unauthenticated(invalid_token=True).headers["WWW-Authenticate"].endswith('error="invalid_token"')


def test_every_503_says_when_to_come_back() -> None:
    for problem in (errors.DatabaseUnavailable, errors.RedisUnavailable, errors.AuthUnavailable, errors.Busy):
        assert int(problem().headers["Retry-After"]) > 0
