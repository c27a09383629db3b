"""How often each route goes to PostgreSQL and Redis, as its line in the log tells: more must not happen unnoticed."""

import json
from pathlib import Path

import pytest

from dev.fleet import Fleet
from dev.processes import wait_until

from .test_permissions import ACTORS, ROWS, Row, World, ask, world  # noqa: F401 (a fixture)

# Round trips for one good request: to PostgreSQL, BEGIN and COMMIT included, and to Redis. Not counted: what a
# connection does once (to open, to prepare a statement).
TABLE = """
auth         POST   /auth/login                                                                 6 4
auth         POST   /auth/token                                                                 6 4
auth         POST   /auth/verify-token                                                          0 2
auth         POST   /auth/session/validate                                                      0 2
auth         GET    /auth/session/validate                                                      0 2
auth         GET    /.well-known/jwks.json                                                      0 0
auth         POST   /auth/refresh                                                               1 3
auth         POST   /auth/logout                                                                3 2
auth         POST   /auth/logout-all                                                            3 3
auth         GET    /auth/sessions                                                              0 2
auth         DELETE /auth/sessions/{session_id}                                                 3 3
auth         POST   /auth/change-password                                                       5 4
auth         POST   /users/create                                                               5 1
auth         GET    /users                                                                      1 1
auth         GET    /users/{user_id}                                                            1 1
auth         PATCH  /users/{user_id}                                                            4 1
auth         POST   /auth/activate                                                              5 2
auth         POST   /users/{user_id}/activation                                                 2 1
auth         GET    /api/v1/audit                                                               2 1
doctors      POST   /auth/login                                                                 0 0
doctors      GET    /api/v1/doctors/me/dashboard                                                1 1
doctors      GET    /api/v1/doctors/me/profile                                                  1 1
doctors      PUT    /api/v1/doctors/me/profile                                                  4 1
doctors      GET    /api/v1/doctors/me/institution                                              1 1
doctors      GET    /api/v1/doctors/me/patients                                                 1 1
doctors      GET    /api/v1/doctors/me/patients/{patient_id}/medical-record                     1 1
doctors      GET    /api/v1/doctors/me/appointments                                             1 1
doctors      GET    /api/v1/doctors                                                             1 1
doctors      POST   /api/v1/doctors                                                             9 1
doctors      GET    /api/v1/doctors/statistics                                                  1 3
doctors      GET    /api/v1/doctors/{doctor_id}                                                 1 1
doctors      PUT    /api/v1/doctors/{doctor_id}                                                 4 1
doctors      DELETE /api/v1/doctors/{doctor_id}                                                 4 2
doctors      POST   /api/v1/doctors/{doctor_id}/restore                                         6 1
doctors      POST   /api/v1/doctors/{doctor_id}/professional-status                             7 2
doctors      POST   /api/v1/doctors/{doctor_id}/license-status                                  7 1
doctors      GET    /api/v1/doctors/{doctor_id}/status-changes                                  2 1
doctors      GET    /api/v1/specialties                                                         1 1
institutions POST   /auth/login                                                                 0 0
institutions GET    /api/v1/institutions                                                        1 1
institutions POST   /api/v1/institutions                                                        8 1
institutions GET    /api/v1/institutions/doctors                                                1 1
institutions GET    /api/v1/institutions/patients                                               1 1
institutions GET    /api/v1/institutions/geography                                              1 3
institutions GET    /api/v1/institutions/{institution_id}                                       1 1
institutions PUT    /api/v1/institutions/{institution_id}                                       4 1
institutions DELETE /api/v1/institutions/{institution_id}                                       4 2
institutions POST   /api/v1/institutions/{institution_id}/restore                               4 1
institutions GET    /api/v1/institutions/{institution_id}/statistics                            1 3
institutions GET    /api/v1/institutions/{institution_id}/verification                          2 1
institutions POST   /api/v1/institutions/{institution_id}/verification                          7 1
institutions GET    /api/v1/institutions/{institution_id}/accreditations                        2 1
institutions POST   /api/v1/institutions/{institution_id}/accreditations                        5 1
institutions GET    /api/v1/institutions/{institution_id}/accreditations/{accreditation_id}     2 1
institutions GET    /api/v1/institution-types                                                   1 1
institutions GET    /api/v1/countries                                                           1 1
institutions GET    /api/v1/regions                                                             1 1
institutions GET    /api/v1/municipalities                                                      1 1
patients     POST   /auth/login                                                                 0 0
patients     GET    /api/v1/patients                                                            1 1
patients     POST   /api/v1/patients                                                           17 1
patients     GET    /api/v1/patients/{patient_id}                                               1 1
patients     PUT    /api/v1/patients/{patient_id}                                               7 1
patients     DELETE /api/v1/patients/{patient_id}                                               5 2
patients     POST   /api/v1/patients/{patient_id}/restore                                       7 1
patients     GET    /api/v1/patients/{patient_id}/dashboard                                     1 1
patients     GET    /api/v1/patients/{patient_id}/medical-record                                1 1
patients     GET    /api/v1/patients/{patient_id}/health-profile                                1 1
patients     GET    /api/v1/patients/{patient_id}/care-team                                     1 1
patients     GET    /api/v1/patients/{patient_id}/profile                                       1 1
patients     PUT    /api/v1/patients/{patient_id}/health-profile                                9 1
patients     POST   /api/v1/patients/{patient_id}/emails                                        6 1
patients     DELETE /api/v1/patients/{patient_id}/emails/{contact_id}                           5 1
patients     POST   /api/v1/patients/{patient_id}/phones                                        6 1
patients     DELETE /api/v1/patients/{patient_id}/phones/{contact_id}                           5 1
patients     POST   /api/v1/patients/{patient_id}/addresses                                     6 1
patients     DELETE /api/v1/patients/{patient_id}/addresses/{contact_id}                        5 1
patients     POST   /api/v1/patients/{patient_id}/conditions                                   10 1
patients     PUT    /api/v1/patients/{patient_id}/conditions/{entry_id}                         8 1
patients     DELETE /api/v1/patients/{patient_id}/conditions/{entry_id}                         7 1
patients     POST   /api/v1/patients/{patient_id}/medications                                   8 1
patients     PUT    /api/v1/patients/{patient_id}/medications/{entry_id}                        6 1
patients     DELETE /api/v1/patients/{patient_id}/medications/{entry_id}                        5 1
patients     POST   /api/v1/patients/{patient_id}/allergies                                     8 1
patients     PUT    /api/v1/patients/{patient_id}/allergies/{entry_id}                          6 1
patients     DELETE /api/v1/patients/{patient_id}/allergies/{entry_id}                          5 1
patients     POST   /api/v1/patients/{patient_id}/family-history                                8 1
patients     PUT    /api/v1/patients/{patient_id}/family-history/{entry_id}                     6 1
patients     DELETE /api/v1/patients/{patient_id}/family-history/{entry_id}                     5 1
patients     GET    /api/v1/patients/{patient_id}/observations                                  1 1
patients     POST   /api/v1/patients/{patient_id}/observations                                  8 1
patients     GET    /api/v1/patients/{patient_id}/observations/trends                           2 1
patients     GET    /api/v1/patients/{patient_id}/observations/{observation_id}                 1 1
patients     POST   /api/v1/patients/{patient_id}/validation                                    7 1
patients     GET    /api/v1/patients/{patient_id}/validation                                    1 1
patients     GET    /api/v1/patients/{patient_id}/appointments                                  1 1
patients     POST   /api/v1/patients/{patient_id}/appointments                                  8 1
patients     GET    /api/v1/patients/{patient_id}/appointments/{appointment_id}                 1 1
patients     PATCH  /api/v1/patients/{patient_id}/appointments/{appointment_id}                 7 1
patients     GET    /api/v1/patients/{patient_id}/access-log                                    1 1
patients     GET    /api/v1/blood-types                                                         1 1
patients     GET    /api/v1/sexes                                                               1 1
patients     GET    /api/v1/genders                                                             1 1
patients     GET    /api/v1/medical-conditions                                                  1 1
patients     GET    /api/v1/medications                                                         1 1
patients     GET    /api/v1/allergies                                                           1 1
"""
EXPECTED = {
    f"{service} {method} {path}": (int(postgresql), int(redis))
    for service, method, path, postgresql, redis in map(str.split, filter(None, TABLE.splitlines()))
}


def trips(fleet: Fleet, service: str, request_id: str) -> tuple[int, int]:
    """What the service's log says of a request."""
    log = Path(fleet.data_dir) / "logs" / f"{service}.log"
    found: list[dict[str, int]] = []

    def has_line() -> bool:
        lines = (line for line in log.read_text(encoding="utf-8").splitlines() if request_id in line)
        found.extend(entry for entry in map(json.loads, lines) if "redis_trips" in entry)
        return bool(found)

    assert wait_until(has_line, 10)
    return found[0]["postgresql_trips"], found[0]["redis_trips"]


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ROWS])
def test_a_route_takes_no_more_round_trips_than_it_did(row: Row, world: World, fleet: Fleet) -> None:  # noqa: F811
    actor = ACTORS[row.answers.index("ok", 1)]
    answer = ask(world, row, actor, allowed=True)
    assert answer.is_success, answer.text
    postgresql, redis = trips(fleet, row.service, answer.headers["x-request-id"])
    assert row.name in EXPECTED
    most_postgresql, most_redis = EXPECTED[row.name]
    assert postgresql <= most_postgresql and redis <= most_redis, (postgresql, redis)
