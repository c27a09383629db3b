"""Accounts, logins and sessions: the rules and the use cases."""

import unicodedata
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

from pydantic import BaseModel

from shared import errors, tokens
from shared.context import current
from shared.login import Login
from shared.postgres import Row
from shared.schemas import Body
from shared.text import Email, Password

from . import db
from .passwords import check_rules
from .resources import AuthResources
from .tokens import issue_access_token

LOGGED_OUT = {"es": "La sesión se cerró.", "en": "The session has ended."}
NO_SESSION = {"es": "La sesión no es válida o ya terminó.", "en": "The session is not valid or has ended."}


class Verification(BaseModel):
    """Whether an access token is valid, and its claims."""

    valid: bool
    payload: dict[str, Any] | None
    reason: Literal["expired", "revoked", "invalid"] | None = None


class SessionUser(BaseModel):
    """Whose session it is."""

    user_id: UUID
    user_type: str
    email: str
    reference_id: UUID


class SessionTimes(BaseModel):
    """A living session."""

    session_id: UUID
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


class SessionValidation(BaseModel):
    """Whether the session behind a token lives."""

    valid: bool
    user: SessionUser | None = None
    session: SessionTimes | None = None
    message: str | None = None


class LogoutAnswer(BaseModel):
    """The answer to a logout, the first and every further one."""

    success: bool
    message: str


class NewAccount(Body):
    """An account for a patient, doctor or institution; `reference_id` becomes its id."""

    email: Email
    password: Password
    user_type: Literal["patient", "doctor", "institution"]
    reference_id: UUID


class Account(BaseModel):
    """An account."""

    id: UUID
    email: str
    user_type: str
    reference_id: UUID
    is_active: bool
    is_verified: bool


async def login(res: AuthResources, credentials: Login, introduction: tokens.ServiceToken | None) -> dict[str, Any]:
    """Check a password and open a session.

    `introduction` is the service that logs its user in, if one does: which user type it serves, where the user is.
    Raises InvalidCredentials (always at the cost of one hash), and after the right password AccountDisabled,
    AccountUnavailable, WrongUserType; a refused login leaves no session.
    """
    email = unicodedata.normalize("NFC", credentials.email).strip()
    user = await db.find_user_by_email(res.db, email) if _is_text(email) else None
    matches = await res.hasher.matches(credentials.password, user["password_hash"] if user else None)
    if user is None or not matches or user["owner_status"] == "deleted":
        raise errors.InvalidCredentials
    _refuse_closed(user)
    if introduction and introduction.user_type and introduction.user_type != user["user_type"]:
        raise errors.WrongUserType
    return await _open_session(res, user, introduction)


async def verify_token(res: AuthResources, token: str | None) -> Verification:
    """Whether an access token is valid now: signature, time, and a living session."""
    if token is None:
        return Verification(valid=False, payload=None, reason="invalid")
    try:
        access = tokens.read_access_token(token, res.settings)
    except tokens.InvalidToken as exc:
        return Verification(valid=False, payload=None, reason="expired" if exc.reason == "expired" else "invalid")
    if await res.sessions.touch_of(access) is None:
        return Verification(valid=False, payload=None, reason="revoked")
    return Verification(valid=True, payload=access.claims)


async def validate_session(res: AuthResources, token: str | None) -> SessionValidation:
    """The session behind an access token and whose it is."""
    invalid = SessionValidation(valid=False, message=NO_SESSION[current().language])
    try:
        access = tokens.read_access_token(token or "", res.settings)
    except tokens.InvalidToken:
        return invalid
    session = await res.sessions.touch_of(access)
    if session is None:
        return invalid
    email = str(access.claims.get("email", ""))
    user = SessionUser(user_id=session.user_id, user_type=session.user_type, email=email, reference_id=session.user_id)
    times = SessionTimes(
        session_id=session.id,
        created_at=session.created_at,
        last_seen_at=session.last_seen_at,
        expires_at=session.expires_at,
    )
    return SessionValidation(valid=True, user=user, session=times)


async def logout(res: AuthResources, token: str) -> LogoutAnswer:
    """End the session of an access token, an expired one too; again gives the same answer. Raises Unauthenticated."""
    try:
        access = tokens.read_access_token(token, res.settings, allow_expired=True)
    except tokens.InvalidToken as exc:
        raise errors.Unauthenticated(invalid_token=True) from exc
    await res.sessions.end(access.session_id)
    return LogoutAnswer(success=True, message=LOGGED_OUT[current().language])


async def create_account(res: AuthResources, account: NewAccount) -> Row:
    """Create the account of an entity that is about to appear; until it does, the account holds and opens nothing.

    Raises PasswordTooShort, PasswordTooLong, EmailTaken, AccountExists.
    """
    check_rules(account.password, res.settings.password_min_length)
    password_hash = await res.hasher.hash(account.password)
    async with res.db.transaction() as tx:
        await db.delete_abandoned_users(tx)
        row = await db.insert_user(tx, account.reference_id, account.email, password_hash, account.user_type, "missing")
    return {**row, "reference_id": row["id"]}


async def create_admin(res: AuthResources, email: str, password: str, *, only_first: bool = False) -> bool:
    """Create an admin, whose reference is its own id; with `only_first`, not when there is one: False then.

    Raises PasswordTooShort, PasswordTooLong, EmailTaken.
    """
    if only_first and await db.count_admins(res.db):
        return False
    check_rules(password, res.settings.password_min_length)
    password_hash = await res.hasher.hash(password)
    async with res.db.transaction() as tx:
        await db.insert_user(tx, uuid4(), email, password_hash, "admin", "active")
    return True


async def _open_session(res: AuthResources, user: Row, introduction: tokens.ServiceToken | None) -> dict[str, Any]:
    request = current()
    address = introduction.client_address if introduction else request.client_address
    agent = introduction.user_agent if introduction else request.user_agent
    session_id = await res.sessions.create(user["id"], user["user_type"], address, agent)
    try:
        # A deactivation or deletion that went on meanwhile ended the sessions that it saw: this one checks for itself.
        async with res.db.transaction() as tx:
            state = await db.update_last_login(tx, user["id"])
            if state is None or state["owner_status"] == "deleted":
                raise errors.InvalidCredentials
            _refuse_closed(state)
    except BaseException:
        await res.sessions.end(session_id)
        raise
    return {
        "access_token": issue_access_token(res.settings, user["id"], user["user_type"], user["email"], session_id),
        "refresh_token": None,
        "token_type": "bearer",
        "expires_in": res.settings.access_token_ttl_seconds,
        "refresh_expires_in": None,
        "session_id": session_id,
        "user_id": user["id"],
        "reference_id": user["id"],
        "user_type": user["user_type"],
        "email": user["email"],
    }


def _refuse_closed(user: Row) -> None:
    if not user["is_active"]:
        raise errors.AccountDisabled
    if user["owner_status"] == "unavailable":
        raise errors.AccountUnavailable


def _is_text(value: str) -> bool:
    """What PostgreSQL can compare: no NUL, no lone surrogate."""
    return "\x00" not in value and value.isprintable()
