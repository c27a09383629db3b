"""The main jobs of each kind of user, on the containers."""

from tests.e2e.test_main_jobs import test_a_clinic_is_set_up_and_its_people_do_their_work

__all__ = ["test_a_clinic_is_set_up_and_its_people_do_their_work"]
