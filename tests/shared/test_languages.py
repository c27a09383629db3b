"""Everything that people read is in Spanish and in English: errors, findings about fields, catalogues, indicators."""

import importlib
import inspect
import string
from types import ModuleType

import pytest
from patients_app import indicators
from psycopg2.extras import RealDictCursor

from shared import errors, validation
from shared.errors import Problem

SERVICES = ("auth", "doctors", "institutions", "patients")
BASES = (errors.Problem, errors.ValidationFailed, errors.FieldRejected, errors.Unavailable)


def problems(module: ModuleType) -> list[type[Problem]]:
    found = [value for value in vars(module).values() if inspect.isclass(value) and issubclass(value, Problem)]
    return [problem for problem in found if problem.__module__ == module.__name__ and problem not in BASES]


PROBLEMS = [problem for service in SERVICES for problem in problems(importlib.import_module(f"{service}_app.errors"))]


def placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: f"{problem.__module__}.{problem.__name__}")
def test_every_error_of_every_service_speaks_both_languages(problem: type[Problem]) -> None:
    assert problem.status in errors.TITLES
    assert problem.es and problem.en and problem.es != problem.en
    assert problem.es.endswith(".") and problem.en.endswith(".")
    assert placeholders(problem.es) == placeholders(problem.en)


def test_every_title_is_in_both_languages() -> None:
    for spanish, english in errors.TITLES.values():
        assert spanish and english and spanish != english


def test_every_finding_about_a_field_is_in_both_languages() -> None:
    for _, spanish, english in (*validation._MESSAGES.values(), *validation._KINDS.values(), validation._OTHER):
        assert spanish and english and spanish != english
        assert placeholders(spanish) == placeholders(english)


def test_a_refused_move_names_what_may_follow_in_both_languages() -> None:
    problem = errors.InvalidTransition("pending", ["verified", "rejected"])
    for language in ("es", "en"):
        document = problem.document(language, "/", "r")
        assert "verified, rejected" in document["detail"] and "pending" in document["detail"]
        assert document["allowed"] == ["verified", "rejected"] and "{" not in document["detail"]
    assert errors.InvalidTransition("retired", []).document("en", "/", "r")["allowed"] == []


def test_every_class_of_the_body_mass_index_has_a_label_in_both_languages() -> None:
    for bmi in (17, 22, 27, 32, 37, 42):
        found = indicators.bmi_class(bmi, 40)  # type: ignore[arg-type]
        spanish, english = (indicators.bmi_classification(found, language) for language in ("es", "en"))
        assert spanish and english
        assert spanish != english or spanish == "Normal"


def test_every_name_of_every_catalogue_is_in_both_languages(owner: RealDictCursor) -> None:
    owner.execute(
        "SELECT table_name, left(column_name, -3) AS stem FROM information_schema.columns "
        "WHERE table_schema = 'public' AND column_name LIKE '%\\_es'"
    )
    found = owner.fetchall()
    assert len(found) >= 7
    for row in found:
        table, spanish, english = row["table_name"], row["stem"] + "_es", row["stem"] + "_en"
        owner.execute(
            f"SELECT count(*) AS missing FROM {table} "
            f"WHERE coalesce(btrim({spanish}), '') = '' OR coalesce(btrim({english}), '') = ''"
        )
        assert owner.fetchone() == {"missing": 0}, table
        owner.execute(f"SELECT FROM {table} WHERE {spanish} <> {english} LIMIT 1")
        assert owner.rowcount == 1, f"{table}: one language twice"
