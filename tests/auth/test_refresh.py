"""Refresh tokens: each renews its session once, however often and whenever it is presented."""

import uuid
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from auth_app.tokens import issue_refresh_token
from psycopg2.extras import RealDictCursor
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from dev.fleet import Fleet
from shared import redis as redis_client
from shared.sessions import Refreshment, Sessions
from shared.settings import Settings
from shared.tokens import issue_service_token
from tests.support import Api, User, assert_problem

from .support import ALIVE, DEAD, at_once, log_in, refresh, statuses

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def doctor(api: Api) -> User:
    return api.new_doctor(api.new_institution())


@pytest.fixture
def pair(api: Api, doctor: User) -> dict[str, Any]:
    """A new login."""
    answer = log_in(api.urls["doctors"], doctor.email)
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document


def renewed(api: Api, token: str) -> dict[str, Any]:
    answer = refresh(api.urls["auth"], token)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def let_the_grace_pass(redis: Redis, pair: dict[str, Any]) -> None:
    """As if the last refresh were eleven seconds ago."""
    name = f"session:{pair['session_id']}"
    redis.hset(name, "refreshed_at", int(redis.hget(name, "refreshed_at")) - 11)


def assert_reuse(api: Api, owner: RealDictCursor, answer: httpx.Response, pair: dict[str, Any]) -> None:
    """The session and all its tokens have ended, and the audit trail knows."""
    assert_problem(answer, 401, "refresh_token_reused")
    assert answer.headers["www-authenticate"] == 'Bearer realm="predicthealth", error="invalid_token"'
    assert statuses(api, pair["access_token"]) == DEAD
    owner.execute("SELECT * FROM audit_events WHERE request_id = %s", [answer.headers["x-request-id"]])
    (event,) = owner.fetchall()
    assert (event["action"], event["outcome"], event["service"]) == ("refresh_reuse", "failure", "auth-jwt-service")
    assert (event["actor_type"], str(event["actor_id"])) == (pair["user_type"], pair["user_id"])
    assert event["client_address"] == "127.0.0.1"


def test_a_refresh_answers_with_a_new_pair_of_the_same_session(api: Api, pair: dict[str, Any]) -> None:
    answer = refresh(api.urls["auth"], pair["refresh_token"])
    assert answer.status_code == 200 and answer.headers["cache-control"] == "private, no-store"
    new = answer.json()
    assert set(new) == set(pair)
    changed = {name for name in pair if new[name] != pair[name]}
    assert changed == {"access_token", "refresh_token"}
    assert statuses(api, new["access_token"]) == ALIVE
    assert statuses(api, pair["access_token"]) == ALIVE, "the access token before is good until its own end"


def test_a_session_is_refreshed_again_and_again(api: Api, pair: dict[str, Any]) -> None:
    tokens = [pair["refresh_token"]]
    for _ in range(12):
        tokens.append(renewed(api, tokens[-1])["refresh_token"])
    assert len(set(tokens)) == 13
    assert statuses(api, pair["access_token"]) == ALIVE


def test_of_twenty_refreshes_at_once_all_get_the_one_successor(api: Api, pair: dict[str, Any]) -> None:
    token = pair["refresh_token"]
    for _ in range(15):
        answers = at_once(20, lambda _, token=token: refresh(api.urls["auth"], token))
        assert Counter(answer.status_code for answer in answers) == {200: 20}
        successors = {(answer.json()["access_token"], answer.json()["refresh_token"]) for answer in answers}
        assert len(successors) == 1
        ((_, successor),) = successors
        assert successor != token
        token = successor
    assert statuses(api, pair["access_token"]) == ALIVE


def test_a_lost_answer_can_be_asked_for_again_within_the_grace(api: Api, pair: dict[str, Any]) -> None:
    first, again = renewed(api, pair["refresh_token"]), renewed(api, pair["refresh_token"])
    assert (first["access_token"], first["refresh_token"]) == (again["access_token"], again["refresh_token"])
    assert renewed(api, again["refresh_token"])


def test_a_replay_after_the_grace_ends_the_session(
    api: Api, pair: dict[str, Any], redis: Redis, owner: RealDictCursor
) -> None:
    new = renewed(api, pair["refresh_token"])
    let_the_grace_pass(redis, pair)
    assert_reuse(api, owner, refresh(api.urls["auth"], pair["refresh_token"]), pair)
    assert statuses(api, new["access_token"]) == DEAD
    for token in (new["refresh_token"], pair["refresh_token"]):
        assert_problem(refresh(api.urls["auth"], token), 401, "invalid_refresh_token")


def test_a_token_of_an_older_generation_ends_the_session_at_any_time(
    api: Api, pair: dict[str, Any], owner: RealDictCursor
) -> None:
    second = renewed(api, pair["refresh_token"])
    third = renewed(api, second["refresh_token"])
    assert_reuse(api, owner, refresh(api.urls["auth"], pair["refresh_token"]), third)


def test_a_token_of_a_generation_to_come_ends_the_session(
    api: Api, pair: dict[str, Any], fleet: Fleet, owner: RealDictCursor
) -> None:
    # Only who has the key can make one: then nothing of the session is to be trusted.
    key = fleet.environments["auth"]["REFRESH_TOKEN_KEY"]
    token = issue_refresh_token(key, UUID(pair["session_id"]), 5)
    assert_reuse(api, owner, refresh(api.urls["auth"], token), pair)


def test_a_reuse_ends_no_other_session(api: Api, pair: dict[str, Any], doctor: User, redis: Redis) -> None:
    other = log_in(api.urls["auth"], doctor.email).json()
    renewed(api, pair["refresh_token"])
    let_the_grace_pass(redis, pair)
    assert_problem(refresh(api.urls["auth"], pair["refresh_token"]), 401, "refresh_token_reused")
    assert statuses(api, other["access_token"]) == ALIVE
    assert renewed(api, other["refresh_token"])


def test_of_refreshes_and_reuses_at_once_the_session_ends_for_all(
    api: Api, doctor: User, redis: Redis, owner: RealDictCursor
) -> None:
    for _ in range(10):
        pair = log_in(api.urls["auth"], doctor.email).json()
        new = renewed(api, pair["refresh_token"])
        let_the_grace_pass(redis, pair)
        tokens = (pair["refresh_token"], new["refresh_token"])
        answers = at_once(12, lambda number, tokens=tokens: refresh(api.urls["auth"], tokens[number % 2]))
        for answer in answers:
            assert answer.status_code == 200 or answer.json()["code"].endswith(("_reused", "invalid_refresh_token"))
        reused = [answer for answer in answers if answer.json().get("code") == "refresh_token_reused"]
        assert len(reused) == 1
        assert_reuse(api, owner, reused[0], pair)
        for answer in answers:
            if answer.status_code == 200:
                assert statuses(api, answer.json()["access_token"]) == DEAD


def test_a_token_is_not_spent_while_its_account_can_not_be_read(
    api: Api, pair: dict[str, Any], redis: Redis, owner: RealDictCursor
) -> None:
    owner.execute("BEGIN")
    try:
        owner.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        assert_problem(refresh(api.urls["auth"], pair["refresh_token"]), 503, "database_unavailable")
    finally:
        owner.execute("ROLLBACK")
    let_the_grace_pass(redis, pair)
    assert renewed(api, pair["refresh_token"])


# What is no refresh token


def test_what_the_auth_service_did_not_issue_refreshes_nothing(api: Api, pair: dict[str, Any], fleet: Fleet) -> None:
    session, token = UUID(pair["session_id"]), pair["refresh_token"]
    for other in (
        *("", "rt.", "x" * 1_000, token[:-2], token + "AA", token.upper(), "nul\x00", "ñ"),
        pair["access_token"],
        issue_service_token(fleet.environment["FLEET_INTERNAL_KEY"], "service-doctors", "auth-jwt-service"),
        issue_refresh_token(fleet.environment["FLEET_INTERNAL_KEY"], session, 0),
        issue_refresh_token(fleet.environments["auth"]["REFRESH_TOKEN_KEY"], uuid.uuid4(), 0),
    ):
        answer = refresh(api.urls["auth"], other)
        assert_problem(answer, 401, "invalid_refresh_token")
        assert other == "" or other not in answer.text
    assert renewed(api, token)


def test_a_body_is_one_text(api: Api, pair: dict[str, Any]) -> None:
    post = api.anonymous.auth.post
    for body in ({}, {"refresh_token": None}, {"refresh_token": 7}, {"refresh_token": "x" * 1_001}):
        assert_problem(post("/auth/refresh", json=body), 422, "validation_failed")
    token = pair["refresh_token"]
    assert_problem(post("/auth/refresh", json={"refresh_token": token, "user_type": "admin"}), 422, "validation_failed")
    assert_problem(post("/auth/refresh", headers={"Authorization": f"Bearer {token}"}), 422, "validation_failed")


def test_a_refresh_token_is_no_bearer_token(api: Api, pair: dict[str, Any]) -> None:
    assert statuses(api, pair["refresh_token"]) == DEAD
    answer = api.anonymous.auth.post("/auth/logout", headers={"Authorization": f"Bearer {pair['refresh_token']}"})
    assert_problem(answer, 401, "unauthenticated")


# Ended sessions and closed accounts


def test_after_a_logout_nothing_is_refreshed(api: Api, pair: dict[str, Any]) -> None:
    headers = {"Authorization": f"Bearer {pair['access_token']}"}
    assert api.anonymous.auth.post("/auth/logout", headers=headers).status_code == 200
    assert_problem(refresh(api.urls["auth"], pair["refresh_token"]), 401, "invalid_refresh_token")


@pytest.mark.parametrize("change", ["is_active = false", "owner_status = 'deleted'", "owner_status = 'unavailable'"])
def test_a_closed_account_refreshes_nothing_and_its_session_ends(
    change: str, api: Api, owner: RealDictCursor, redis: Redis
) -> None:
    user = api.new_doctor(api.new_institution())
    pair = log_in(api.urls["auth"], user.email).json()
    owner.execute(f"UPDATE users SET {change} WHERE id = %s", [user.id])
    assert_problem(refresh(api.urls["auth"], pair["refresh_token"]), 401, "invalid_refresh_token")
    assert not redis.exists(f"session:{pair['session_id']}")


# Redis


def test_no_value_in_redis_is_a_credential(api: Api, pair: dict[str, Any], redis: Redis, fleet: Fleet) -> None:
    new = renewed(api, pair["refresh_token"])
    secrets = {pair["access_token"], pair["refresh_token"], new["access_token"], new["refresh_token"]}
    secrets |= {token.rpartition(".")[2] for token in secrets}
    for key in redis.scan_iter("*"):
        read = {"hash": redis.hgetall, "string": redis.get, "zset": lambda key: redis.zrange(key, 0, -1)}[
            redis.type(key)
        ]
        kept = f"{key} {read(key)}"
        assert not any(secret in kept for secret in secrets)


@pytest.fixture
async def connected(settings: Settings) -> AsyncIterator[AsyncRedis]:
    client = redis_client.connect(settings)
    yield client
    await client.aclose()


async def test_a_script_that_the_driver_repeats_has_the_effect_of_once(
    connected: AsyncRedis, settings: Settings
) -> None:
    sessions = Sessions(connected, settings)
    session_id, began = await sessions.create(uuid.uuid4(), "doctor", None, None)
    first = await sessions.refresh(session_id, 0, 10)
    assert first == Refreshment("refreshed", 1, first.refreshed_at, first.refreshed_at + 3_600)
    assert began <= first.refreshed_at <= began + 2
    assert await sessions.refresh(session_id, 0, 10) == first
    assert (await sessions.refresh(session_id, 1, 10)).generation == 2


async def test_a_refresh_lasts_no_longer_than_its_session(connected: AsyncRedis, settings: Settings) -> None:
    sessions = Sessions(connected, settings.model_copy(update={"session_max_seconds": 1_000}))
    session_id, began = await sessions.create(uuid.uuid4(), "doctor", None, None)
    spent = await sessions.refresh(session_id, 0, 10)
    assert spent.expires_at == began + 1_000
    assert await connected.ttl(f"session:{session_id}") <= 1_000
