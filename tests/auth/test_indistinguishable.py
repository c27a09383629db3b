"""Nobody learns from a refused login whether the account exists: same body, same headers, same time."""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bcrypt
import httpx
import pytest
from psycopg2.extras import RealDictCursor
from redis import Redis

from dev.fleet import Fleet
from tests.support import PASSWORD, Api, User, assert_problem, unique

from .support import another_auth_service

SERVICES = ("auth", "doctors", "institutions", "patients")
LONG_PASSWORD = "x" * 72


@pytest.fixture(scope="module")
def known(api: Api) -> User:
    return api.new_doctor(api.new_institution(), password=LONG_PASSWORD)


@pytest.fixture(scope="module")
def deleted(api: Api) -> User:
    user = api.new_doctor(api.new_institution())
    assert api.admin.doctors.delete(f"/api/v1/doctors/{user.id}").status_code == 204
    return user


@pytest.fixture
def forget(redis: Redis) -> Callable[[], None]:
    """Forget the wrong passwords of the tests so far."""

    def forget() -> None:
        for key in redis.scan_iter("guesses:*"):
            redis.delete(key)

    return forget


def pairs_of(known: User, deleted: User) -> dict[str, tuple[str, str]]:
    return {
        "wrong": (known.email, "wrong password"),
        "unknown": (f"{unique('nobody')}@example.com", PASSWORD),
        "empty password": (known.email, ""),
        "empty e-mail": ("", PASSWORD),
        "no e-mail": ("no e-mail", PASSWORD),
        "longer than bcrypt reads": (known.email, LONG_PASSWORD + "x"),
        "much longer": (known.email, "x" * 500_000),
        "much longer, of marks to put in order": (known.email, "a" + "\u0301\u0323" * 40_000),
        "NUL in the password": (known.email, "x" * 71 + "\x00"),
        "NUL in the e-mail": (known.email + "\x00", LONG_PASSWORD),
        "lone surrogate in the password": (known.email, "\ud800"),
        "lone surrogate in the e-mail": ("\udfff" + known.email, LONG_PASSWORD),
        "deleted": (deleted.email, PASSWORD),
        "wildcard": ("%", PASSWORD),
    }


@pytest.mark.parametrize("service", SERVICES)
def test_every_refusal_looks_the_same(
    service: str, api: Api, known: User, deleted: User, forget: Callable[[], None]
) -> None:
    client: httpx.Client = getattr(api.anonymous, service)
    seen = {}
    for name, pair in pairs_of(known, deleted).items():
        forget()
        seen[name] = seen_of(client, *pair)
    for name, what in seen.items():
        assert what == seen["wrong"], name
    forget()
    answer = client.post("/auth/login", json={"email": known.email, "password": "wrong"})
    assert_problem(answer, 401, "invalid_credentials")


@pytest.mark.parametrize("service", SERVICES)
def test_every_wait_looks_the_same(
    service: str, api: Api, known: User, deleted: User, forget: Callable[[], None]
) -> None:
    client: httpx.Client = getattr(api.anonymous, service)
    seen = {}
    for name, (email, password) in pairs_of(known, deleted).items():
        forget()
        for _ in range(5):
            assert seen_of(client, email, password)[0] == 401, name
        status, document, headers = seen_of(client, email, password)
        assert status == 429, name
        # A second may pass between the wait's begin and the answer.
        assert 28 <= int(headers["retry-after"]) <= 30
        for name_of_time in ("retry-after", "ratelimit-reset", "content-length"):
            headers.pop(name_of_time)
        document.pop("detail")
        seen[name] = (document, headers)
    for name, what in seen.items():
        assert what == seen["wrong"], name


def seen_of(client: httpx.Client, email: str, password: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    """What the client sees of a login, but for the request's id and the time."""
    # Python's JSON writes a lone surrogate as an escape; httpx's own would refuse it.
    body = json.dumps({"email": email, "password": password})
    answer = client.post("/auth/login", content=body, headers={"Content-Type": "application/json"})
    document = {name: value for name, value in answer.json().items() if name != "request_id"}
    headers = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "date")}
    return answer.status_code, document, headers


def test_every_refusal_takes_the_same_time(
    fleet: Fleet, known: User, deleted: User, forget: Callable[[], None], owner: RealDictCursor, tmp_path: Path
) -> None:
    # A hash that takes a good deal longer than all else (60 ms), so that one left out would show: the median of its
    # path would be a tenth of the others'. Samples interleaved, medians compared, a factor of three allowed as noise: a
    # machine that is busy with other things slows all paths down, though not all at the same moment.
    for user, password in ((known, LONG_PASSWORD), (deleted, PASSWORD)):
        stored = bcrypt.hashpw(password.encode(), bcrypt.gensalt(10)).decode()
        owner.execute("UPDATE users SET password_hash = %s WHERE id = %s", [stored, user.id])
    slow = another_auth_service(fleet, tmp_path, BCRYPT_ROUNDS="10")
    try:
        with httpx.Client(base_url=slow.url, timeout=30) as client:
            # Not the bodies whose way alone takes longer than a hash.
            pairs = {name: pair for name, pair in pairs_of(known, deleted).items() if "much longer" not in name}
            times: dict[str, list[float]] = {name: [] for name in pairs}
            for _ in range(5):
                for name, pair in pairs.items():
                    forget()
                    began = time.perf_counter()
                    assert seen_of(client, *pair)[0] == 401
                    times[name].append(time.perf_counter() - began)
    finally:
        slow.stop()
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    usual = statistics.median(medians.values())
    for name, median in medians.items():
        assert usual / 3 < median < usual * 3, (name, medians)
