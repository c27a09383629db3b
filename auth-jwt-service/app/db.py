"""The SQL of accounts and of the audit trail."""

from typing import Any
from uuid import UUID

from shared.errors import AccountExists, EmailTaken
from shared.listing import page
from shared.postgres import ConstraintViolated, Executor, Row
from shared.prepared import Prepared
from shared.search import contains

from .errors import AccountNotFound

_ACCOUNT = """
    id, email, user_type, id AS reference_id, is_active, is_verified, owner_status, last_login_at, created_at,
    updated_at
"""

# An account whose owner has not appeared holds no e-mail, so `owner_status` decides who is found.
FIND_CREDENTIALS = """
    SELECT id, email, password_hash, user_type, owner_status, is_active
    FROM users
    WHERE lower(email) = lower(%(email)s) AND owner_status <> 'missing'
"""

FIND_CREDENTIALS_BY_ID = """
    SELECT id, email, password_hash, user_type, owner_status, is_active
    FROM users
    WHERE id = %(id)s AND owner_status <> 'missing'
"""

GET_ACCOUNT = Prepared("SELECT " + _ACCOUNT + " FROM users WHERE id = %(id)s AND owner_status <> 'missing'")

HOLD_ACCOUNT = GET_ACCOUNT + " FOR NO KEY UPDATE"

LIST_ACCOUNTS = Prepared(
    "SELECT "
    + _ACCOUNT
    + " FROM users WHERE id IN "
    + page(
        "users",
        within="""
            p.owner_status <> 'missing' [AND p.user_type = %(user_type)s] [PLAN AND p.is_active = %(is_active)s]
        """,
        matching="[PLAN AND search_key(p.email) LIKE search_key(%(q)s)]",
        position="[AND (p.created_at, p.id) < (%(after_created_at)s::timestamptz, %(after_id)s::uuid)]",
        order="p.created_at DESC, p.id DESC",
    )
    + " ORDER BY created_at DESC, id DESC LIMIT %(limit)s + 1"
)

# Whose first password may be set.
_UNACTIVATED = "password_hash IS NULL AND is_active AND owner_status = 'active'"

LIST_UNACTIVATED = "SELECT id, email, user_type FROM users WHERE " + _UNACTIVATED + " ORDER BY user_type, email"

INSERT_USER = (
    """
    INSERT INTO users (id, email, password_hash, user_type, owner_status)
    SELECT %(id)s, %(email)s, %(password_hash)s, %(user_type)s, %(owner_status)s
    WHERE NOT EXISTS (SELECT FROM users WHERE lower(email) = lower(%(email)s) AND owner_status <> 'missing')
    RETURNING """
    + _ACCOUNT
)

# Only while the password is still the one that was checked: a login that races a change of password finds no row.
UPDATE_LAST_LOGIN = """
    UPDATE users SET last_login_at = now() WHERE id = %(id)s AND password_hash = %(password_hash)s
    RETURNING owner_status, is_active
"""

UPDATE_PASSWORD_HASH = """
    UPDATE users SET password_hash = %(new_hash)s WHERE id = %(id)s AND password_hash = %(password_hash)s
"""

UPDATE_FIRST_PASSWORD = "UPDATE users SET password_hash = %(new_hash)s WHERE id = %(id)s AND " + _UNACTIVATED

UPDATE_IS_ACTIVE = (
    "UPDATE users SET is_active = %(is_active)s WHERE id = %(id)s AND owner_status <> 'missing' RETURNING " + _ACCOUNT
)

DELETE_ABANDONED_USERS = """
    DELETE FROM users WHERE owner_status = 'missing' AND created_at < now() - interval '1 hour'
"""

COUNT_ADMINS = """
    SELECT count(*) AS count FROM users WHERE user_type = 'admin'
"""

LIST_EVENTS = """
    SELECT id, occurred_at, service, actor_type, actor_id, action, resource, patient_ids, outcome, request_id,
           client_address, detail
    FROM audit_events
    WHERE (%(actor_id)s IS NULL OR actor_id = %(actor_id)s)
      AND (%(patient_id)s IS NULL OR id = ANY (ARRAY(
          SELECT id FROM audit_events WHERE outcome = 'success' AND patient_ids @> ARRAY[%(patient_id)s::uuid]
          UNION ALL
          -- Each kind has its index.
          SELECT id FROM audit_events WHERE outcome <> 'success' AND patient_ids @> ARRAY[%(patient_id)s::uuid])))
      AND (%(action)s IS NULL OR action = %(action)s)
      AND (%(from)s IS NULL OR occurred_at >= %(from)s)
      AND (%(to)s IS NULL OR occurred_at <= %(to)s)
      AND (%(after_id)s IS NULL OR id < %(after_id)s)
    ORDER BY id DESC
    LIMIT %(limit)s + 1
"""


async def find_credentials(executor: Executor, email: str) -> Row | None:
    """The account that may log in with this e-mail, its password hash included."""
    return await executor.fetch_one(FIND_CREDENTIALS, {"email": email})


async def find_credentials_by_id(executor: Executor, user_id: UUID) -> Row | None:
    """The account of this id, its password hash included."""
    return await executor.fetch_one(FIND_CREDENTIALS_BY_ID, {"id": user_id})


async def get_account(executor: Executor, user_id: UUID) -> Row:
    """An account. Raises AccountNotFound."""
    return _found(await executor.fetch_one(GET_ACCOUNT, {"id": user_id}))


async def hold_account(executor: Executor, user_id: UUID) -> Row:
    """An account that nobody else changes until the transaction ends. Raises AccountNotFound."""
    return _found(await executor.fetch_one(HOLD_ACCOUNT, {"id": user_id}))


async def list_accounts(executor: Executor, filters: dict[str, Any], after: list[Any], limit: int) -> list[Row]:
    """Up to `limit` + 1 accounts, newest first, after the position `[created_at, id]`."""
    place = {"after_created_at": after[0], "after_id": after[1], "limit": limit}
    return await executor.fetch_all(LIST_ACCOUNTS, {**filters, "q": contains(filters["q"]), **place})


async def list_unactivated(executor: Executor) -> list[Row]:
    """The accounts whose first password may be set, by type and e-mail."""
    return await executor.fetch_all(LIST_UNACTIVATED, {})


async def insert_user(
    executor: Executor, user_id: UUID, email: str, password_hash: str | None, user_type: str, owner_status: str
) -> Row:
    """Create an account. Raises EmailTaken, AccountExists."""
    parameters = {
        **{"id": user_id, "email": email, "password_hash": password_hash},
        **{"user_type": user_type, "owner_status": owner_status},
    }
    try:
        row = await executor.fetch_one(INSERT_USER, parameters)
    except ConstraintViolated as exc:
        raise (EmailTaken if exc.constraint == "uq_users_email" else AccountExists) from exc
    if row is None:
        raise EmailTaken
    return row


async def update_last_login(executor: Executor, user_id: UUID, password_hash: str) -> Row | None:
    """Remember that the account logs in; its state, once a change under way has ended; None if its password changed."""
    return await executor.fetch_one(UPDATE_LAST_LOGIN, {"id": user_id, "password_hash": password_hash})


async def update_password_hash(executor: Executor, user_id: UUID, password_hash: str, new_hash: str) -> bool:
    """Replace a password hash; False when it is no longer the one given."""
    parameters = {"id": user_id, "password_hash": password_hash, "new_hash": new_hash}
    return await executor.execute(UPDATE_PASSWORD_HASH, parameters) == 1


async def update_first_password(executor: Executor, user_id: UUID, new_hash: str) -> bool:
    """Set the hash of an account's first password; False when it has one by now, is disabled or its owner is away."""
    return await executor.execute(UPDATE_FIRST_PASSWORD, {"id": user_id, "new_hash": new_hash}) == 1


async def update_is_active(executor: Executor, user_id: UUID, is_active: bool) -> Row:
    """Enable or disable an account. Raises AccountNotFound."""
    return _found(await executor.fetch_one(UPDATE_IS_ACTIVE, {"id": user_id, "is_active": is_active}))


async def delete_abandoned_users(executor: Executor) -> int:
    """Sweep the accounts whose owner never appeared; how many there were."""
    return await executor.execute(DELETE_ABANDONED_USERS)


async def count_admins(executor: Executor) -> int:
    """How many admins there are."""
    row = await executor.fetch_one(COUNT_ADMINS)
    return int(row["count"]) if row else 0


async def list_events(executor: Executor, filters: dict[str, Any], after: list[Any], limit: int) -> list[Row]:
    """Up to `limit` + 1 events of the audit trail, newest first, after the position `[id]`."""
    return await executor.fetch_all(LIST_EVENTS, {**filters, "after_id": after[0], "limit": limit})


def _found(row: Row | None) -> Row:
    if row is None:
        raise AccountNotFound
    return row
