"""One institution with a doctor and a patient, for tests that change none of the three."""

import pytest

from tests.support import Api, User


@pytest.fixture(scope="session")
def clinic(api: Api) -> User:
    """An institution in use."""
    return api.new_institution()


@pytest.fixture(scope="session")
def clinic_doctor(api: Api, clinic: User) -> User:
    """A doctor of the institution."""
    return api.new_doctor(clinic)


@pytest.fixture(scope="session")
def clinic_patient(api: Api, clinic: User, clinic_doctor: User) -> User:
    """A patient of both."""
    return api.new_patient(clinic_doctor, clinic)


@pytest.fixture(scope="session")
def everybody(api: Api, clinic: User, clinic_doctor: User, clinic_patient: User) -> dict[str, User]:
    """One user of each role."""
    return {"admin": api.admin, "institution": clinic, "doctor": clinic_doctor, "patient": clinic_patient}
