"""Which conditions the scores take for diabetes and for cardiovascular disease."""

import pytest
from patients_app import diagnoses


@pytest.mark.parametrize(
    ("key", "code", "is_diabetes"),
    [
        ("diabetes mellitus tipo 2", None, True),
        ("diabetes", None, True),
        ("retinopatia diabetica", None, True),
        ("otra cosa", "44054006", True),
        ("proteinuria due to type 2 diabetes mellitus (disorder)", "157141000119108", True),
        ("prediabetes (finding)", "714628002", False),
        ("diabetes gestacional", None, False),
        ("diabetes insipida", None, False),
        ("family history of diabetes mellitus", None, False),
        ("riesgo de diabetes", None, False),
        ("hipertension arterial", None, False),
    ],
)
def test_diabetes(key: str, code: str | None, is_diabetes: bool) -> None:
    assert diagnoses.is_diabetes(key, code) is is_diabetes


@pytest.mark.parametrize(
    "key",
    [
        *("cardiopatia isquemica", "insuficiencia cardiaca", "evento vascular cerebral"),  # of our own catalogue
        *(
            "infarto agudo de miocardio",
            "infarto del miocardio",
            "angina de pecho",
            "ictus",
            "accidente cerebrovascular",
        ),
        *("enfermedad arterial coronaria", "angioplastia coronaria", "ataque isquemico transitorio"),
        *("acute myocardial infarction", "ischemic heart disease (disorder)", "stroke", "coronary artery disease"),
        *("history of coronary artery bypass grafting (situation)", "chronic congestive heart failure (disorder)"),
        *("peripheral arterial disease", "enfermedad arterial periferica"),
    ],
)
def test_cardiovascular_disease_by_name(key: str) -> None:
    assert diagnoses.is_cardiovascular_disease(key, None)


@pytest.mark.parametrize(
    "key",
    [
        *(
            "hipertension arterial",
            "fibrilacion auricular",
            "dislipidemia",
            "heat stroke",
            "angina de ludwig",
            "herpangina",
        ),
        *("family history of stroke", "antecedente familiar de infarto de miocardio", "riesgo de infarto cerebral"),
        "abnormal findings diagnostic imaging heart+coronary circulat (finding)",
    ],
)
def test_no_cardiovascular_disease_by_name(key: str) -> None:
    assert not diagnoses.is_cardiovascular_disease(key, None)


def test_cardiovascular_disease_by_code() -> None:
    assert diagnoses.is_cardiovascular_disease("whatever it is called", "22298006")
    assert not diagnoses.is_cardiovascular_disease("whatever it is called", "59621000")
