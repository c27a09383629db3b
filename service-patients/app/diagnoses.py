"""Which conditions of a record mean diabetes or cardiovascular disease for the scores.

A condition counts by its SNOMED CT code, or by its name (in Spanish or English, without case and accents: that is how
people write down what a catalogue lacks). A word about risk, family or screening is no diagnosis.
"""

import re

_DIABETES_CODES = frozenset({"44054006", "46635009", "73211009"})  # type 2, type 1, not specified
_DIABETES = re.compile(r"\bdiabet(es|ic)")
_NO_DIABETES = re.compile(r"gesta[ct]ional|pregnan|embarazo|insipid")

# Coronary disease and its operations, stroke and transient ischaemic attack, heart failure, arterial disease elsewhere:
# the PREVENT equations were made for people without them. Atrial fibrillation and hypertension are no such disease.
_CARDIOVASCULAR_CODES = frozenset(
    {
        *("22298006", "57054005", "401303003", "401314000", "399211009"),  # myocardial infarction, and its history
        *("414545008", "53741008", "194828000", "413838009", "413439005"),  # ischaemic heart disease, angina
        *("399261000", "415070008", "232717009", "429639007"),  # coronary bypass, angioplasty
        *("230690007", "422504002", "266257000", "275526006", "274100004"),  # stroke, transient ischaemic attack
        *("84114007", "88805009", "42343007", "85232009", "417996009", "418304008"),  # heart failure
        *("400047006", "399957001", "840580004"),  # peripheral arterial disease
    }
)
_CARDIOVASCULAR = re.compile(
    r"infarto (agudo )?(de |del )?miocardi|myocardial infarct|heart attack|cardiopatia isquemica|isch(a)?emic heart"
    r"|\bangina (de pecho|pectoris)|angor pectoris|\b(un)?stable angina|angina (in)?estable"
    r"|(enfermedad|arteriopatia) (arterial )?coronaria|coronary (artery|arterio|heart)"
    r"|(bypass|revascularizacion|derivacion|angioplastia|stent).*coronari|coronary.*(bypass|graft|stent|angioplast)"
    r"|evento (vascular )?cerebr|(accidente|enfermedad) (vascular cerebral|cerebrovascular)|\bictus\b|\bstrokes?\b"
    r"|infarto cerebral|hemorragia cerebral|cerebrovascular (accident|disease)|cerebral infarct"
    r"|ataque isquemico transitorio|transient isch(a)?emic|insuficiencia cardiaca|(heart|cardiac) failure"
    r"|(enfermedad|arteriopatia|insuficiencia) (arterial|vascular) periferica|peripheral (arter|vascular dis)"
)
_NO_DIAGNOSIS = re.compile(
    r"family history|antecedente[s]? (heredo)?familiar|historia familiar|\brisk\b|\briesgo\b|screening|tamiz|suspected"
    r"|sospecha|heat stroke|fear of|miedo a"
)


def is_diabetes(key: str, code: str | None) -> bool:
    """Whether a condition means that the patient has diabetes. `key` is its name in lower case, without accents."""
    if code in _DIABETES_CODES:
        return True
    return bool(_DIABETES.search(key)) and not _NO_DIABETES.search(key) and not _NO_DIAGNOSIS.search(key)


def is_cardiovascular_disease(key: str, code: str | None) -> bool:
    """Whether a condition means cardiovascular disease, past or present. `key`: lower case, without accents."""
    if code in _CARDIOVASCULAR_CODES:
        return True
    return bool(_CARDIOVASCULAR.search(key)) and not _NO_DIAGNOSIS.search(key)
