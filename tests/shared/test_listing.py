import pytest

from shared.errors import Forbidden
from shared.listing import own


def test_each_role_has_its_own_equality_and_who_has_no_list_gets_nothing() -> None:
    nobody = {"caller_doctor_id": None, "caller_institution_id": None}
    assert own({"caller_type": "admin", "caller_id": 1}) == nobody
    assert own({"caller_type": "doctor", "caller_id": 1}) == nobody | {"caller_doctor_id": 1}
    assert own({"caller_type": "institution", "caller_id": 1}) == nobody | {"caller_institution_id": 1}
    with pytest.raises(Forbidden):
        own({"caller_type": "patient", "caller_id": 1})
