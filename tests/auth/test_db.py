"""The SQL of accounts, on the real server."""

import re
from uuid import UUID, uuid4

import pytest
from auth_app import db
from auth_app.errors import AccountNotFound
from psycopg2.extras import RealDictCursor

from shared.errors import AccountExists, EmailTaken
from shared.postgres import Database
from tests.support import Api, unique

pytestmark = pytest.mark.anyio


def an_email() -> str:
    return f"{unique('cuenta')}@example.com"


async def insert(database: Database, email: str, status: str = "active", user_id: UUID | None = None) -> UUID:
    row = await db.insert_user(database, user_id or uuid4(), email, "a hash", "admin", status)
    return UUID(str(row["id"]))


async def test_a_new_account_is_active_and_not_verified(database: Database) -> None:
    user_id, email = uuid4(), an_email()
    row = await db.insert_user(database, user_id, email, None, "patient", "missing")
    assert row["created_at"] == row["updated_at"]
    assert row == {
        **{"id": user_id, "email": email, "user_type": "patient", "reference_id": user_id},
        **{"is_active": True, "is_verified": False, "owner_status": "missing", "last_login_at": None},
        **{"created_at": row["created_at"], "updated_at": row["updated_at"]},
    }


async def test_an_account_is_found_by_its_email_in_any_case(database: Database) -> None:
    email = an_email()
    user_id = await insert(database, email)
    found = await db.find_credentials(database, email.upper())
    assert found == {
        **{"id": user_id, "email": email, "password_hash": "a hash", "user_type": "admin"},
        **{"owner_status": "active", "is_active": True},
    }


async def test_an_unknown_email_finds_nothing(database: Database) -> None:
    assert await db.find_credentials(database, an_email()) is None


async def test_an_account_whose_owner_is_missing_is_not_found(database: Database) -> None:
    email = an_email()
    user_id = await insert(database, email, "missing")
    assert await db.find_credentials(database, email) is None
    assert await db.find_credentials_by_id(database, user_id) is None
    with pytest.raises(AccountNotFound):
        await db.get_account(database, user_id)


@pytest.mark.parametrize("status", ["active", "unavailable", "deleted"])
async def test_an_email_is_taken_in_any_case_while_it_has_an_owner(database: Database, status: str) -> None:
    email = an_email()
    await insert(database, email, status)
    with pytest.raises(EmailTaken):
        await insert(database, email.upper(), "missing")


async def test_accounts_without_owners_may_share_an_email(database: Database) -> None:
    email = an_email()
    assert await insert(database, email, "missing") != await insert(database, email, "missing")


async def test_an_email_that_is_taken_at_the_same_moment_is_taken(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The condition of the statement does not see what others have not committed: the index decides then.
    monkeypatch.setattr(db, "INSERT_USER", db.INSERT_USER.replace("WHERE NOT EXISTS", "WHERE true OR NOT EXISTS"))
    email = an_email()
    await insert(database, email)
    with pytest.raises(EmailTaken):
        await insert(database, email.upper())


async def test_one_id_has_one_account(database: Database) -> None:
    user_id = await insert(database, an_email())
    with pytest.raises(AccountExists):
        await insert(database, an_email(), "missing", user_id)


async def test_a_login_is_remembered_and_is_no_change_of_the_account(database: Database, owner: RealDictCursor) -> None:
    user_id = await insert(database, an_email())
    owner.execute("SELECT updated_at FROM users WHERE id = %s", [user_id])
    before = owner.fetchone()
    assert await db.update_last_login(database, user_id, "a hash") == {"owner_status": "active", "is_active": True}
    owner.execute("SELECT last_login_at, updated_at FROM users WHERE id = %s", [user_id])
    after = owner.fetchone()
    assert after["last_login_at"] and after["updated_at"] == before["updated_at"]


async def test_the_login_of_no_account_is_not_remembered(database: Database) -> None:
    assert await db.update_last_login(database, uuid4(), "a hash") is None


async def test_the_login_with_a_password_that_was_changed_meanwhile_is_not_remembered(database: Database) -> None:
    user_id = await insert(database, an_email())
    assert await db.update_password_hash(database, user_id, "a hash", "another")
    assert not await db.update_password_hash(database, user_id, "a hash", "a third")
    assert await db.update_last_login(database, user_id, "a hash") is None
    assert await db.update_last_login(database, user_id, "another")


async def test_the_first_password_is_set_where_there_is_none_and_the_account_is_open(
    database: Database, owner: RealDictCursor
) -> None:
    async def without_password(status: str, is_active: bool = True) -> UUID:
        row = await db.insert_user(database, uuid4(), an_email(), None, "patient", status)
        await database.execute("UPDATE users SET is_active = %(to)s WHERE id = %(id)s", {"to": is_active, **row})
        return UUID(str(row["id"]))

    others = [await without_password(status) for status in ("missing", "unavailable", "deleted")]
    others += [await without_password("active", is_active=False), await insert(database, an_email())]
    waiting = await without_password("active")
    listed = [row["id"] for row in await db.list_unactivated(database)]
    assert waiting in listed and not set(others) & set(listed)
    assert not any([await db.update_first_password(database, user_id, "a first") for user_id in others])
    assert await db.update_first_password(database, waiting, "a first")
    assert not await db.update_first_password(database, waiting, "a second")
    owner.execute("SELECT password_hash FROM users WHERE id = ANY(%s)", [[waiting, *others]])
    assert sorted(str(row["password_hash"]) for row in owner.fetchall()) == ["None"] * 4 + ["a first", "a hash"]


async def test_only_abandoned_accounts_older_than_an_hour_are_swept(database: Database, owner: RealDictCursor) -> None:
    young, old, owned = [await insert(database, an_email(), status) for status in ("missing", "missing", "active")]
    for user_id, age in ((young, "59 minutes"), (old, "61 minutes"), (owned, "2 days")):
        owner.execute("UPDATE users SET created_at = now() - %s::interval WHERE id = %s", [age, user_id])
    assert await db.delete_abandoned_users(database) == 1
    owner.execute("SELECT id FROM users WHERE id = ANY(%s)", [[young, old, owned]])
    assert {row["id"] for row in owner.fetchall()} == {young, owned}


async def test_admins_are_counted(database: Database, api: Api) -> None:
    before = await db.count_admins(database)
    await insert(database, an_email())
    assert before >= 1
    assert await db.count_admins(database) == before + 1


def test_the_events_of_a_patient_are_found_without_reading_the_trail(owner: RealDictCursor) -> None:
    patient_id = uuid4()
    owner.execute("BEGIN")
    # Without the triggers: the chain would take its time, and nothing of this is kept.
    owner.execute("SET LOCAL session_replication_role = replica")
    owner.execute(
        """
        INSERT INTO audit_events (service, actor_type, action, resource, patient_ids, outcome, request_id)
        SELECT 's', 'doctor', 'read', 'patient',
               ARRAY[CASE mod(n, 1000) WHEN 0 THEN %s::uuid ELSE gen_random_uuid() END],
               CASE mod(n, 4000) WHEN 0 THEN 'failure' ELSE 'success' END, 'r'
        FROM generate_series(1, 20000) n
        """,
        (str(patient_id),),
    )
    owner.execute("ANALYZE audit_events")
    nothing = dict.fromkeys(("actor_id", "action", "from", "to", "after_id"))
    owner.execute("EXPLAIN (ANALYZE, TIMING OFF) " + db.LIST_EVENTS, {**nothing, "patient_id": patient_id, "limit": 50})
    plan = "\n".join(row["QUERY PLAN"] for row in owner.fetchall())
    owner.execute("ROLLBACK")
    assert max(int(rows) for rows in re.findall(r"actual rows=(\d+)", plan)) == 20, plan
    assert "Rows Removed" not in plan, plan
