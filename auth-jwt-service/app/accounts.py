"""Accounts: created for an entity that is about to appear, listed, enabled and disabled by admins."""

from datetime import datetime
from functools import partial
from typing import Literal
from uuid import UUID, uuid4

from pydantic import BaseModel, Field

from shared import etag, idempotency
from shared.caller import STRANGER, Caller
from shared.pagination import Page, PageQuery
from shared.postgres import Row
from shared.schemas import Body
from shared.text import Email, Password, Search

from . import db, events
from .errors import OwnAccount
from .passwords import check_rules
from .resources import AuthResources

UserType = Literal["patient", "doctor", "institution", "admin"]


class NewAccount(Body):
    """An account for a patient, doctor or institution; `reference_id` becomes its id."""

    email: Email
    password: Password
    user_type: Literal["patient", "doctor", "institution"]
    reference_id: UUID


class Account(BaseModel):
    """An account. `owner_status` tells of whom it belongs to: `unavailable` is a suspended or retired doctor."""

    id: UUID
    email: str
    user_type: UserType
    reference_id: UUID
    is_active: bool
    is_verified: bool
    owner_status: Literal["missing", "active", "unavailable", "deleted"]
    last_login_at: datetime | None
    created_at: datetime
    updated_at: datetime


class AccountUpdate(Body):
    """What an admin may change of an account."""

    is_active: bool


class AccountQuery(PageQuery):
    """The filters of the accounts' list."""

    user_type: UserType | None = None
    is_active: bool | None = Field(default=None, description="Only the enabled accounts, or only the disabled ones.")
    q: Search | None = Field(default=None, description="Part of an e-mail, without case and accents.")


async def create_account(res: AuthResources, caller: Caller, account: NewAccount) -> Row:
    """Create the account of an entity that is about to appear; until it does, the account holds and opens nothing.

    Raises PasswordTooShort, PasswordTooLong, PasswordTooCommon, EmailTaken, AccountExists.
    """
    if (answer := await idempotency.find(res.db)) is not None:
        return answer
    check_rules(account.password, account.email, res.settings.password_min_length)
    password_hash = await res.hasher.hash(account.password)
    async with res.db.transaction() as tx:
        await db.delete_abandoned_users(tx)
        row = await db.insert_user(tx, account.reference_id, account.email, password_hash, account.user_type, "missing")
        await events.record(res, tx, "account_create", caller, about=events.account_of(row))
        await idempotency.keep(tx, row)
    return row


async def create_admin(res: AuthResources, email: str, password: str, *, only_first: bool = False) -> bool:
    """Create an admin, whose reference is its own id; with `only_first`, not when there is one: False then.

    Raises PasswordTooShort, PasswordTooLong, PasswordTooCommon, EmailTaken.
    """
    if only_first and await db.count_admins(res.db):
        return False
    check_rules(password, email, res.settings.password_min_length)
    password_hash = await res.hasher.hash(password)
    async with res.db.transaction() as tx:
        row = await db.insert_user(tx, uuid4(), email, password_hash, "admin", "active")
        await events.record(res, tx, "account_create", STRANGER, about=events.account_of(row), by="command line")
    return True


async def list_accounts(res: AuthResources, query: AccountQuery) -> Page[Row]:
    """The accounts that match, newest first."""
    after = res.cursors.read("users", query, 2)
    rows = await db.list_accounts(res.db, query.filters(), after, query.limit)
    return res.cursors.cut("users", query, rows, ("created_at", "id"))


async def get_account(res: AuthResources, user_id: UUID) -> Row:
    """An account. Raises AccountNotFound."""
    return await db.get_account(res.db, user_id)


async def update_account(res: AuthResources, caller: Caller, user_id: UUID, update: AccountUpdate) -> Row:
    """Enable or disable an account; disabling ends its sessions. Raises AccountNotFound, OwnAccount."""
    if user_id == caller.user_id and not update.is_active:
        raise OwnAccount
    async with res.db.transaction() as tx:
        await etag.guard(Account, partial(db.hold_account, tx, user_id))
        row = await db.update_is_active(tx, user_id, update.is_active)
        action = "account_enable" if update.is_active else "account_disable"
        await events.record(res, tx, action, caller, about=events.account_of(row))
        if not update.is_active:
            # Before the commit: if Redis is away nothing changes, and a login that races finds the account disabled.
            await res.sessions.end_all(user_id)
    return row
