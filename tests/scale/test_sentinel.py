"""The master of Redis goes, Sentinels name another: no answered login is lost, no logout undone."""

import asyncio
import itertools
import signal
import time
from collections.abc import Iterator

import httpx
import pytest

from dev.processes import wait_until
from shared.redis import client_of

from ..support import Api, User
from .load import Load
from .servers import Valkey, Watched

LOAD_SECONDS = 3
FAILOVER_SECONDS = 30
# From the moment that another master is named: it takes writes once its replica has found it too.
RECOVERY_SECONDS = 20


class Visitors:
    """People who log in and out."""

    def __init__(self, api: Api, user: User) -> None:
        self._api, self._user = api, user
        self._numbers = itertools.count()
        self.living: list[str] = []
        self.ended: list[str] = []

    def come_and_go(self) -> httpx.Response:
        """Log in; every second one logs out again."""
        login = {"email": self._user.email, "password": self._user.password}
        answer = self._api.anonymous.auth.post("/auth/login", json=login)
        if answer.status_code != 200:
            return answer
        token = answer.json()["access_token"]
        if next(self._numbers) % 2:
            self.living.append(token)
            return answer
        left = self._api.anonymous.auth.post("/auth/logout", headers=bearer(token))
        if left.status_code == 200:
            self.ended.append(token)
        return left


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def master(watched: Watched, api: Api) -> Iterator[Valkey]:
    """The present master, in use; afterwards all three servers are there again."""
    visitors = Visitors(api, api.admin)
    assert wait_until(lambda: visitors.come_and_go().status_code == 200, RECOVERY_SECONDS)
    yield watched.present_master()
    for server in watched.servers:
        if server.pid is None:
            server.launch()
        server.kill(signal.SIGCONT)
        server.wait_until_ready()
    assert wait_until(watched.is_whole, 30)


@pytest.mark.parametrize("end", ["killed", "frozen"])
def test_a_failover_under_load_loses_no_answered_login_and_undoes_no_logout(
    end: str, master: Valkey, watched: Watched, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    user = api.new_institution()
    visitors = Visitors(api, api.new_institution())
    idle = client_of(watched.url, timeout_seconds=1)
    with (
        asyncio.Runner() as loop,
        Load(visits=visitors.come_and_go, reads=lambda: user.doctors.get("/api/v1/specialties")) as load,
    ):
        loop.run(idle.set("mark", "old"))
        time.sleep(LOAD_SECONDS)
        gone = time.monotonic()
        master.kill(signal.SIGKILL if end == "killed" else signal.SIGSTOP)
        assert wait_until(lambda: watched.present_master() is not master, FAILOVER_SECONDS)
        named = time.monotonic()
        assert wait_until(watched.takes_writes, RECOVERY_SECONDS)
        if end == "frozen":
            # It wakes up and believes that it is the master still, of nobody, until a Sentinel tells it.
            master.kill(signal.SIGCONT)
        assert wait_until(lambda: visitors.come_and_go().status_code == 200, RECOVERY_SECONDS)
        recovered = time.monotonic()
        time.sleep(LOAD_SECONDS)
        loop.run(idle.set("mark", "new"))  # the connection that it has kept is to the former master
        loop.run(idle.aclose())
    said = load.check(started_after=recovered + 1)
    with capsys.disabled():
        print(f"\n{end}: {said}")
        print(f"another master after {named - gone:.1f} s, the last 503 {load.last_refusal() - named:.1f} s after that")
    assert visitors.living and visitors.ended
    for token in visitors.living:
        assert api.anonymous.doctors.get("/api/v1/specialties", headers=bearer(token)).status_code == 200
    for token in visitors.ended:
        assert api.anonymous.doctors.get("/api/v1/specialties", headers=bearer(token)).status_code == 401
    # The one who has been there all the time was never logged out.
    assert user.doctors.get("/api/v1/specialties").status_code == 200


def test_a_sentinel_that_is_away_or_frozen_is_passed_over(watched: Watched, api: Api, master: Valkey) -> None:
    first, second, _ = watched.sentinels
    first.kill(signal.SIGSTOP)
    second.kill()
    try:
        # Connections anew: the master drops those that it has. Two of three Sentinels are away, so it stays the master.
        master.kill()
        master.start()
        assert wait_until(lambda: api.admin.doctors.get("/api/v1/specialties").status_code == 200, 20)
    finally:
        first.kill(signal.SIGCONT)
        second.launch()


def test_a_logout_that_no_replica_has_is_not_reported_as_done(watched: Watched, api: Api, master: Valkey) -> None:
    leaving = api.new_institution()
    replicas = [server for server in watched.servers if server is not master]
    for replica in replicas:
        replica.kill(signal.SIGSTOP)
    try:
        assert leaving.auth.post("/auth/logout").status_code == 503
    finally:
        for replica in replicas:
            replica.kill(signal.SIGCONT)
    assert wait_until(lambda: leaving.auth.post("/auth/logout").status_code in (200, 401), 10)
