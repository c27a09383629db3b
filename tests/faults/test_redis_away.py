"""Redis away: whatever needs a session is a 503, never a 401 and never a 200; all is well by itself afterwards.

Valkey is stopped, frozen, full and killed.
"""

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from redis import Redis

from dev.fleet import Fleet
from dev.servers import EmbeddedValkey

from ..conftest import ADMIN_EMAIL, ADMIN_PASSWORD
from ..support import Api, User, assert_problem
from .support import SERVICES, health

# The contract says 2 s. Here a guard against hanging, with room for a busy machine.
LONGEST_SECONDS = 5
CREDENTIALS = {"email": ADMIN_EMAIL, "password": ADMIN_PASSWORD}
Ask = Callable[[Api], httpx.Response]

# One of each way in which a request needs Redis.
ASKED: dict[str, Ask] = {
    "a session at auth": lambda api: api.admin.auth.get("/auth/sessions"),
    "a session at doctors": lambda api: api.admin.doctors.get("/api/v1/specialties"),
    "a session at institutions": lambda api: api.admin.institutions.get("/api/v1/institution-types"),
    "a session at patients": lambda api: api.admin.patients.get("/api/v1/blood-types"),
    "no token": lambda api: api.anonymous.patients.get("/api/v1/blood-types"),
    "a forged token": lambda api: api.anonymous.doctors.get(
        "/api/v1/specialties", headers={"Authorization": f"Bearer {api.admin.token[:-4]}AAAA"}
    ),
    "verify-token": lambda api: api.admin.auth.post("/auth/verify-token"),
    "session/validate": lambda api: api.admin.auth.get("/auth/session/validate"),
    "a login": lambda api: api.anonymous.auth.post("/auth/login", json=CREDENTIALS),
    "a login with a wrong password": lambda api: api.anonymous.auth.post(
        "/auth/login", json={**CREDENTIALS, "password": "wrong"}
    ),
    "a login by form": lambda api: api.anonymous.auth.post(
        "/auth/token", data={"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD}
    ),
    "a delegated login": lambda api: api.anonymous.doctors.post("/auth/login", json=CREDENTIALS),
    "a refresh": lambda api: api.anonymous.auth.post("/auth/refresh", json={"refresh_token": "rt.AAAA"}),
}
ANSWERED = {"no token": 401, "a forged token": 401, "a delegated login": 403, "a refresh": 401}
ANSWERED |= {"a login with a wrong password": 401}


@pytest.fixture(params=["stopped", "frozen", "full"])
def away(request: pytest.FixtureRequest, fleet: Fleet, api: Api) -> Iterator[Callable[[], None]]:
    """Valkey away, or of no use; calling it brings Valkey back. Every service has had connections open."""
    valkey, redis = valkey_of(fleet), Redis.from_url(fleet.redis_url)
    assert_all_answered(api)
    if request.param == "stopped":
        valkey.stop()
    elif request.param == "full":
        redis.config_set("maxmemory", 1)
    else:
        valkey.child.kill(signal.SIGSTOP)

    def bring_back() -> None:
        valkey.child.kill(signal.SIGCONT)
        if valkey.pid is None:
            valkey.start()
        redis.config_set("maxmemory", 0)

    yield bring_back
    bring_back()
    redis.close()


def assert_all_answered(api: Api) -> None:
    """Every request gets the answer that it gets when all is well, at the first try."""
    for name, ask in ASKED.items():
        assert ask(api).status_code == ANSWERED.get(name, 200), name


def valkey_of(fleet: Fleet) -> EmbeddedValkey:
    assert fleet.valkey is not None
    return fleet.valkey


def alive(user: User) -> set[int]:
    """What the four services answer to the user's token."""
    return {
        user.auth.get("/auth/sessions").status_code,
        user.doctors.get("/api/v1/specialties").status_code,
        user.institutions.get("/api/v1/institution-types").status_code,
        user.patients.get("/api/v1/blood-types").status_code,
    }


def test_without_redis_everything_that_needs_a_session_is_a_503_and_the_first_request_afterwards_succeeds(
    away: Callable[[], None], api: Api, record_property: Callable[[str, object], None]
) -> None:
    slowest = 0.0
    for name, ask in ASKED.items():
        started = time.monotonic()
        answer = ask(api)
        seconds = time.monotonic() - started
        code = "auth_unavailable" if name == "a delegated login" else "sessions_unavailable"
        assert_problem(answer, 503, code)
        assert int(answer.headers["retry-after"]) >= 1, name
        assert seconds < LONGEST_SECONDS, name
        slowest = max(slowest, seconds)
    record_property("slowest_seconds", round(slowest, 2))
    print(f"slowest of {len(ASKED)}: {slowest:.2f} s")
    away()
    assert_all_answered(api)


def test_without_redis_many_at_once_are_refused_as_soon(away: Callable[[], None], api: Api) -> None:
    asked = [ASKED["a session at doctors"], ASKED["a login"], ASKED["no token"], ASKED["verify-token"]] * 25

    def timed(ask: Ask) -> tuple[int, float]:
        started = time.monotonic()
        return ask(api).status_code, time.monotonic() - started

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(timed, asked))
    assert {status for status, _ in answers} == {503}
    print(f"slowest of {len(answers)}: {max(seconds for _, seconds in answers):.2f} s")
    assert max(seconds for _, seconds in answers) < LONGEST_SECONDS
    away()
    with ThreadPoolExecutor(20) as threads:
        assert {status for status, _ in threads.map(timed, asked)} <= {200, 401}


def test_without_redis_the_services_say_so_and_stay_alive(away: Callable[[], None], api: Api) -> None:
    for service in ("auth", "doctors", "institutions", "patients"):
        client: httpx.Client = getattr(api.anonymous, service)
        health = client.get("/health")
        assert health.status_code == 503
        assert health.json()["status"] == "unhealthy"
        assert health.json()["checks"]["redis"] == {"status": "down", "latency_ms": None}
        assert health.json()["checks"]["postgres"]["status"] == "up"
        assert client.get("/health/live").status_code == 200
        assert client.get("/docs").status_code == 200
    away()
    for service in ("auth", "doctors", "institutions", "patients"):
        assert getattr(api.anonymous, service).get("/health").status_code == 200


REFUSALS = {
    "full": (["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "SET", "maxmemory", "0"]),
    "without its replicas": (
        ["CONFIG", "SET", "min-replicas-to-write", "1"],
        ["CONFIG", "SET", "min-replicas-to-write", "0"],
    ),
    "a replica": (["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"]),
}


@pytest.mark.parametrize("way", REFUSALS)
def test_a_redis_that_answers_and_takes_no_writes_is_down(way: str, fleet: Fleet, api: Api) -> None:
    refuse, allow = REFUSALS[way]
    with Redis.from_url(fleet.redis_url) as redis:
        redis.execute_command(*refuse)
        try:
            assert alive(api.admin) == {503}
            for service in SERVICES:
                document = health(api, service)
                assert document["checks"]["redis"] == {"status": "down", "latency_ms": None}
                assert document["checks"]["postgres"]["status"] == "up"
        finally:
            redis.execute_command(*allow)
    assert {health(api, service)["status"] for service in SERVICES} == {"healthy"}
    assert_all_answered(api)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_sessions_survive_a_restart_of_redis(fleet: Fleet, api: Api, end: str) -> None:
    valkey = valkey_of(fleet)
    users = [api.log_in("auth", ADMIN_EMAIL, ADMIN_PASSWORD) for _ in range(3)]
    ended = api.log_in("auth", ADMIN_EMAIL, ADMIN_PASSWORD)
    assert ended.auth.post("/auth/logout").status_code == 200
    if end == "kill":
        time.sleep(1.5)  # appendfsync everysec: what is older than a second is on the disk
        valkey.child.kill(signal.SIGKILL)
    else:
        valkey.stop()
    assert alive(users[0]) == {503}
    valkey.start()
    for user in (api.admin, *users):
        assert alive(user) == {200}
    assert alive(ended) == {401}


def test_a_logout_that_redis_did_not_take_is_not_reported_as_done(fleet: Fleet, api: Api) -> None:
    valkey, leaving = valkey_of(fleet), api.log_in("auth", ADMIN_EMAIL, ADMIN_PASSWORD)
    valkey.stop()
    for path in ("/auth/logout", "/auth/logout-all"):
        assert_problem(leaving.auth.post(path), 503, "sessions_unavailable")
    valkey.start()
    assert alive(leaving) == {200}
    assert leaving.auth.post("/auth/logout").status_code == 200
    assert alive(leaving) == {401}


def test_a_revocation_that_redis_did_not_take_is_not_reported_as_done(fleet: Fleet, api: Api) -> None:
    """A deactivation whose sessions can't be ended changes nothing: no account is half closed."""
    valkey, institution = valkey_of(fleet), api.new_institution()
    valkey.stop()
    refused = api.admin.auth.patch(f"/users/{institution.id}", json={"is_active": False})
    assert_problem(refused, 503, "sessions_unavailable")
    valkey.start()
    assert institution.doctors.get("/api/v1/specialties").status_code == 200
    assert api.admin.auth.get(f"/users/{institution.id}").json()["is_active"] is True
