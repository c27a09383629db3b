"""The use cases of accounts and sessions, in this process: what can't be seen, or not be timed, over HTTP."""

import asyncio
from dataclasses import replace
from uuid import UUID, uuid4

import psycopg2
import pytest
from auth_app import accounts, domain
from auth_app.passwords import Hasher
from auth_app.resources import AuthResources
from psycopg2.extras import RealDictCursor
from pydantic import ValidationError
from redis import Redis

from dev.fleet import Fleet
from shared import errors
from shared.caller import NO_ID, Caller
from shared.errors import Problem
from shared.login import Login
from tests.support import PASSWORD, Api, unique

pytestmark = pytest.mark.anyio
SERVICE = Caller("service", NO_ID)


class CountingHasher(Hasher):
    """Counts the hashes that it is asked to check."""

    def __init__(self) -> None:
        super().__init__(rounds=4, queue=10)
        self.checks = 0

    async def matches(self, password: str, password_hash: str | None) -> bool:
        self.checks += 1
        return await super().matches(password, password_hash)


async def an_account(resources: AuthResources, owner: RealDictCursor, status: str = "active") -> tuple[UUID, str]:
    """An account as it is when its doctor is `status`."""
    user_id, email = uuid4(), f"{unique('doctora')}@example.com"
    new = accounts.NewAccount(email=email, password=PASSWORD, user_type="doctor", reference_id=user_id)
    await accounts.create_account(resources, SERVICE, new)
    owner.execute("UPDATE users SET owner_status = %s WHERE id = %s", [status, user_id])
    return user_id, email


@pytest.mark.parametrize(
    "change",
    [
        {"user_type": "admin"},
        {"user_type": "service"},
        {"is_active": True},
        {"is_verified": True},
        {"id": str(uuid4())},
        {"email": "no address"},
        {"reference_id": "1"},
        {"password": "nul\x00nul\x00"},
        {"password": None},
    ],
)
def test_a_new_account_takes_nothing_but_its_four_fields(change: dict[str, object]) -> None:
    fields = {"email": "ana@example.com", "password": PASSWORD, "user_type": "doctor", "reference_id": str(uuid4())}
    assert accounts.NewAccount.model_validate(fields)
    with pytest.raises(ValidationError):
        accounts.NewAccount.model_validate(fields | change)


@pytest.mark.parametrize(
    ("email", "password"),
    [
        (None, "wrong password"),
        (None, ""),
        (None, "x" * 73),
        (None, "\x00"),
        ("nobody@example.com", PASSWORD),
        ("", PASSWORD),
        ("nul\x00@example.com", PASSWORD),
        ("surrogate\ud800@example.com", PASSWORD),
    ],
)
async def test_every_wrong_pair_costs_one_hash(
    resources: AuthResources, owner: RealDictCursor, email: str | None, password: str
) -> None:
    _, known = await an_account(resources, owner)
    counting = CountingHasher()
    credentials = Login.model_construct(email=known if email is None else email, password=password)
    with pytest.raises(errors.InvalidCredentials):
        await domain.login(replace(resources, hasher=counting), credentials, None)
    assert counting.checks == 1


@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        ("missing", errors.InvalidCredentials),
        ("deleted", errors.InvalidCredentials),
        ("unavailable", errors.AccountUnavailable),
    ],
)
async def test_an_account_that_is_not_active_opens_no_session(
    resources: AuthResources, owner: RealDictCursor, redis: Redis, status: str, refusal: type[Problem]
) -> None:
    user_id, email = await an_account(resources, owner, status)
    with pytest.raises(refusal):
        await domain.login(resources, Login(email=email, password=PASSWORD), None)
    assert not redis.exists(f"sessions-of:{user_id}")


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ("is_active = false", errors.AccountDisabled),
        ("owner_status = 'unavailable'", errors.AccountUnavailable),
        ("owner_status = 'deleted'", errors.InvalidCredentials),
    ],
)
async def test_an_account_that_closes_during_a_login_opens_no_session(
    resources: AuthResources, owner: RealDictCursor, redis: Redis, fleet: Fleet, change: str, refusal: type[Problem]
) -> None:
    user_id, email = await an_account(resources, owner)
    connection = psycopg2.connect(fleet.database_url)
    try:
        connection.cursor().execute(f"UPDATE users SET {change} WHERE id = %s", [user_id])
        login = asyncio.create_task(domain.login(resources, Login(email=email, password=PASSWORD), None))
        while not waits_for_the_account(owner):
            assert not login.done()
            await asyncio.sleep(0.002)
        connection.commit()
        with pytest.raises(refusal):
            await login
    finally:
        connection.close()
    assert not redis.exists(f"sessions-of:{user_id}")


def waits_for_the_account(owner: RealDictCursor) -> bool:
    owner.execute(
        "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%SET last_login_at%'"
        " AND datname = current_database() AND pid <> pg_backend_pid()"
    )
    return owner.fetchone() is not None


async def test_a_login_that_can_not_be_remembered_opens_no_session_and_ends_none(
    resources: AuthResources, owner: RealDictCursor, redis: Redis, fleet: Fleet
) -> None:
    user_id, email = await an_account(resources, owner)
    most = resources.settings.sessions_per_user
    own = {(await resources.sessions.create(user_id, "doctor", None, None))[0] for _ in range(most)}
    connection = psycopg2.connect(fleet.database_url)
    try:
        connection.cursor().execute("SELECT FROM users WHERE id = %s FOR UPDATE", [user_id])
        with pytest.raises(errors.DatabaseUnavailable):  # after DATABASE_LOCK_TIMEOUT_SECONDS
            await domain.login(resources, Login(email=email, password=PASSWORD), None)
    finally:
        connection.close()
    assert {session.id for session in await resources.sessions.list_of(user_id)} == own


async def test_creating_an_account_sweeps_the_abandoned_ones(resources: AuthResources, owner: RealDictCursor) -> None:
    young, _ = await an_account(resources, owner, "missing")
    old, _ = await an_account(resources, owner, "missing")
    owner.execute("UPDATE users SET created_at = now() - interval '61 minutes' WHERE id = %s", [old])
    await an_account(resources, owner)
    owner.execute("SELECT id FROM users WHERE id IN (%s, %s)", [young, old])
    assert [row["id"] for row in owner.fetchall()] == [young]


async def test_an_admin_is_its_own_reference_and_logs_in(resources: AuthResources, api: Api) -> None:
    email = f"{unique('admin')}@example.com"
    assert await accounts.create_admin(resources, email, PASSWORD)
    answer = api.anonymous.auth.post("/auth/login", json={"email": email, "password": PASSWORD}).json()
    assert answer["user_type"] == "admin" and answer["user_id"] == answer["reference_id"]


async def test_an_admin_has_a_good_password_and_an_email_of_its_own(resources: AuthResources) -> None:
    email = f"{unique('admin')}@example.com"
    with pytest.raises(errors.PasswordTooShort):
        await accounts.create_admin(resources, email, "short")
    assert await accounts.create_admin(resources, email, PASSWORD)
    with pytest.raises(errors.EmailTaken):
        await accounts.create_admin(resources, email.upper(), PASSWORD)


async def test_the_first_admin_is_created_only_once(resources: AuthResources, api: Api, owner: RealDictCursor) -> None:
    email = f"{unique('admin')}@example.com"
    assert not await accounts.create_admin(resources, email, PASSWORD, only_first=True)
    owner.execute("SELECT FROM users WHERE email = %s", [email])
    assert not owner.fetchall()
