"""The SQL of accounts."""

from uuid import UUID

from shared.errors import AccountExists, EmailTaken
from shared.postgres import ConstraintViolated, Executor, Row

# An account whose owner has not appeared holds no e-mail, so `owner_status` decides who is found.
FIND_USER_BY_EMAIL = """
    SELECT id, email, password_hash, user_type, owner_status, is_active
    FROM users
    WHERE lower(email) = lower(%(email)s) AND owner_status <> 'missing'
"""

INSERT_USER = """
    INSERT INTO users (id, email, password_hash, user_type, owner_status)
    SELECT %(id)s, %(email)s, %(password_hash)s, %(user_type)s, %(owner_status)s
    WHERE NOT EXISTS (SELECT FROM users WHERE lower(email) = lower(%(email)s) AND owner_status <> 'missing')
    RETURNING id, email, user_type, is_active, is_verified
"""

UPDATE_LAST_LOGIN = """
    UPDATE users SET last_login_at = now() WHERE id = %(id)s RETURNING owner_status, is_active
"""

DELETE_ABANDONED_USERS = """
    DELETE FROM users WHERE owner_status = 'missing' AND created_at < now() - interval '1 hour'
"""

COUNT_ADMINS = """
    SELECT count(*) AS count FROM users WHERE user_type = 'admin'
"""


async def find_user_by_email(executor: Executor, email: str) -> Row | None:
    """The account that may log in with this e-mail, its password hash included."""
    return await executor.fetch_one(FIND_USER_BY_EMAIL, {"email": email})


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


async def update_last_login(executor: Executor, user_id: UUID) -> Row | None:
    """Remember that the account logs in; its state, once a change of it that is under way has ended."""
    return await executor.fetch_one(UPDATE_LAST_LOGIN, {"id": user_id})


async def delete_abandoned_users(executor: Executor) -> int:
    """Sweep the accounts whose owner never appeared; how many there were."""
    return await executor.execute(DELETE_ABANDONED_USERS)


async def count_admins(executor: Executor) -> int:
    """How many admins there are."""
    row = await executor.fetch_one(COUNT_ADMINS)
    return int(row["count"]) if row else 0
