"""The first password of an account that has none, as imported ones: set with a signed token, which nothing keeps.

A token is good once by what it does: it sets a password where there is none.
"""

import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from shared.caller import STRANGER, Caller
from shared.postgres import Row
from shared.schemas import Body
from shared.text import Password
from shared.tokens import InvalidToken

from . import db, events
from .errors import AccountActive, AccountNotFound, InvalidActivation
from .passwords import check_rules
from .resources import AuthResources
from .tokens import issue_activation_token, read_activation_token

_DAY_SECONDS = 86_400


class FirstPassword(Body):
    """The first password of an account, and the token of its activation link."""

    token: str = Field(max_length=1_000)
    new_password: Password


class Activation(BaseModel):
    """What lets somebody set the first password of an account."""

    activation_token: str
    expires_at: datetime


async def activate(res: AuthResources, first: FirstPassword) -> None:
    """Set the first password of the account that the token names.

    Raises TooManyAttempts before the token is looked at, InvalidActivation for every token that is not good now,
    PasswordTooShort, PasswordTooLong, PasswordTooCommon.
    """
    await res.count_attempt()
    user = await _find_account(res, first.token)
    try:
        await _set_first_password(res, user, first.new_password)
    except InvalidActivation as exc:
        await events.record(res, res.db, "activate", events.account_of(user), outcome="failure", code=exc.code)
        raise


async def issue(res: AuthResources, caller: Caller, user_id: UUID) -> Activation:
    """An activation token; while the account is disabled or its owner deleted or suspended, it does not work.

    Raises AccountNotFound, AccountActive.
    """
    user = await db.find_credentials_by_id(res.db, user_id)
    if user is None:
        raise AccountNotFound
    if user["password_hash"] is not None:
        raise AccountActive
    await events.record(res, res.db, "activation_issue", caller, about=events.account_of(user))
    return _activation(res, user_id)


async def issue_all(res: AuthResources) -> list[dict[str, Any]]:
    """Whose first password may be set: `user_id`, `user_type`, `email` of each, and the fields of its Activation."""
    async with res.db.transaction() as tx:
        users = await db.list_unactivated(tx)
        for user in users:
            about = events.account_of(user)
            await events.record(res, tx, "activation_issue", STRANGER, about=about, by="command line")
    return [
        {"user_id": str(user["id"]), "user_type": user["user_type"], "email": user["email"]}
        | _activation(res, user["id"]).model_dump(mode="json")
        for user in users
    ]


async def _find_account(res: AuthResources, token: str) -> Row | None:
    try:
        user_id = read_activation_token(token, res.settings.refresh_token_key.get_secret_value())
    except InvalidToken:
        return None
    return await db.find_credentials_by_id(res.db, user_id)


async def _set_first_password(res: AuthResources, user: Row | None, password: str) -> None:
    if user is None or user["password_hash"] or not user["is_active"] or user["owner_status"] != "active":
        raise InvalidActivation
    check_rules(password, user["email"], res.settings.password_min_length, field_name="new_password")
    new_hash = await res.hasher.hash(password)
    async with res.db.transaction() as tx:
        if not await db.update_first_password(tx, user["id"], new_hash):
            raise InvalidActivation  # somebody was faster
        await events.record(res, tx, "activate", events.account_of(user))


def _activation(res: AuthResources, user_id: UUID) -> Activation:
    expires_at = int(time.time()) + res.settings.activation_days * _DAY_SECONDS
    token = issue_activation_token(res.settings.refresh_token_key.get_secret_value(), user_id, expires_at)
    return Activation(activation_token=token, expires_at=datetime.fromtimestamp(expires_at, UTC))
