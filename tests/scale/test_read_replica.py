"""What holds no health data comes from the replica: never older than stated, never before one's own write."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dev.fleet import Fleet
from dev.processes import wait_until

from ..support import Api, User
from .servers import Cluster, ask, freeze, thaw

STALENESS_SECONDS = 5.0  # the default
STARTING_SECONDS = 2.5


@pytest.fixture(scope="module")
def reader(replicated_api: Api) -> User:
    """Somebody who writes nothing while the replica stands still."""
    return replicated_api.new_institution()


@contextmanager
def standing_still(cluster: Cluster) -> Iterator[None]:
    """The replica takes what is written and keeps it (so commits go on), but doesn't show it."""
    ask(cluster.standby.url, "SELECT pg_wal_replay_pause()")
    try:
        yield
    finally:
        ask(cluster.standby.url, "SELECT pg_wal_replay_resume()")


def lists(user: User, institution: User) -> bool:
    """Whether the first page of institutions shows this one to the user."""
    answer = user.institutions.get("/api/v1/institutions", params={"limit": 5})
    assert answer.status_code == 200
    return institution.id in {item["id"] for item in answer.json()["items"]}


def test_a_list_comes_from_the_replica_but_not_before_ones_own_write_and_never_older_than_stated(
    cluster: Cluster, replicated: Fleet, replicated_api: Api, reader: User
) -> None:
    seen = replicated_api.new_institution()
    assert wait_until(lambda: lists(reader, seen), 10)  # the replica is in use, or would be at once
    with standing_still(cluster):
        stood_still = time.monotonic()
        created = replicated_api.new_institution()
        assert lists(replicated_api.admin, created), "its own write"
        shown_late = not lists(reader, created)
        asked = time.monotonic()
        # A busy machine may have taken longer to create it than the replica may be old.
        assert shown_late or asked - stood_still > STARTING_SECONDS, "nothing was read from the replica"
        assert wait_until(lambda: lists(reader, created), STALENESS_SECONDS + 3)
        assert time.monotonic() - stood_still < STALENESS_SECONDS + 3
    assert lists(reader, created)


def test_later_pages_are_never_older_than_the_first(
    cluster: Cluster, replicated: Fleet, replicated_api: Api, reader: User
) -> None:
    for _ in range(3):
        replicated_api.new_institution()
    first = reader.institutions.get("/api/v1/institutions", params={"limit": 1}).json()
    with standing_still(cluster):
        replicated_api.admin.institutions.put(f"/api/v1/institutions/{reader.id}", json={"name": "Clínica Nueva"})
        query = {"limit": 200, "cursor": first["next_cursor"]}
        rest = reader.institutions.get("/api/v1/institutions", params=query).json()["items"]
    assert "Clínica Nueva" in {item["name"] for item in rest}


@pytest.mark.parametrize("away", ["stopped", "frozen"])
def test_without_the_replica_the_primary_answers(away: str, cluster: Cluster, replicated: Fleet, reader: User) -> None:
    # Commits would wait for a synchronous standby; nobody writes here.
    assert reader.doctors.get("/api/v1/specialties").status_code == 200
    standby = cluster.standby
    if away == "stopped":
        standby.kill()
    else:
        freeze(standby)
    try:
        for _ in range(3):
            started = time.monotonic()
            assert reader.doctors.get("/api/v1/specialties").status_code == 200
            assert reader.institutions.get("/api/v1/institutions/geography").status_code == 200
            assert time.monotonic() - started < 2 * STALENESS_SECONDS
            time.sleep(0.5)
    finally:
        if away == "stopped":
            standby.start()
        else:
            thaw(standby)
    assert wait_until(lambda: streams(cluster), 30)


def streams(cluster: Cluster) -> bool:
    """Whether the standby is with the primary again."""
    return bool(ask(cluster.primary.url, "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"))
