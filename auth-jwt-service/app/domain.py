"""Logins and sessions: the rules and the use cases."""

import asyncio
import unicodedata
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

from pydantic import BaseModel, Field

from shared import errors, etag, tokens
from shared.admission import aside
from shared.caller import Caller
from shared.context import current
from shared.login import Credential, Login, LoginName
from shared.postgres import Row
from shared.schemas import Body
from shared.text import Password

from . import db, events, outcomes
from .devices import Device, describe
from .errors import SessionNotFound
from .passwords import check_rules, needs_rehash
from .resources import AuthResources
from .tokens import issue_access_token, issue_refresh_token, read_refresh_token

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


class LogoutAllAnswer(BaseModel):
    """The answer to ending every session; the caller's own is counted."""

    success: bool
    revoked_sessions: int


class LoginForm(BaseModel):
    """The form of OAuth 2's password grant (RFC 6749, section 4.3.2); what else clients send in it does not matter."""

    grant_type: Literal["password"] = "password"
    # An empty field of a form arrives as none.
    username: LoginName = Field(json_schema_extra={"minLength": 1})
    password: Credential = Field(json_schema_extra={"minLength": 1})


class Refresh(Body):
    """What refreshes a session."""

    refresh_token: str = Field(max_length=1_000)


class PasswordChange(Body):
    """A new password, confirmed by the old one."""

    current_password: str
    new_password: Password


class KeySet(BaseModel):
    """The public keys of access tokens (RFC 7517)."""

    keys: list[dict[str, Any]]


class SessionItem(BaseModel):
    """One of the caller's sessions."""

    session_id: UUID
    device: Device
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    is_current: bool


class SessionItems(BaseModel):
    """The caller's living sessions, the newest first."""

    items: list[SessionItem]


async def login(res: AuthResources, credentials: Login, introduction: tokens.ServiceToken | None) -> dict[str, Any]:
    """Check a password and open a session; counted by its outcome.

    `introduction` is the service that logs its user in, if one does, with the only user type that it serves.
    Raises TooManyAttempts before any password is looked at, InvalidCredentials (always at the cost of one hash), and
    after the right password AccountDisabled, AccountUnavailable, WrongUserType; a refused login leaves no session.
    """
    with outcomes.counted(res.logins):
        return await _login(res, credentials, introduction)


async def _login(res: AuthResources, credentials: Login, introduction: tokens.ServiceToken | None) -> dict[str, Any]:
    email = unicodedata.normalize("NFC", credentials.email).strip()
    await res.count_attempt()
    known = await db.find_credentials(res.db, email) if _is_text(email) else None
    attempt = None
    try:
        # Counted under the account's own spelling: PostgreSQL takes more letters for the same than Python does.
        async with res.guesses.attempt(known["email"] if known else email, current().client_address or "") as attempt:
            user = await _check_password(res, email, credentials.password)
    except errors.InvalidCredentials:
        await _record_failure(res, known, locked=attempt is not None and attempt.locked)
        raise
    try:
        _refuse_closed(user)
        if introduction and introduction.user_type and introduction.user_type != user["user_type"]:
            raise errors.WrongUserType
        return await _open_session(res, await _rehashed(res, user, credentials.password))
    except errors.Problem as exc:
        if exc.status == 403:
            actor = events.account_of(user)
            await events.record(res, res.db, "login", actor, outcome="failure", code=exc.code)
        raise


async def refresh(res: AuthResources, token: str) -> dict[str, Any]:
    """Spend a refresh token for a new pair; within the grace the spent one gives the same pair again.

    Raises InvalidRefreshToken, or RefreshTokenReused when it was spent before: then the session has ended.
    """
    key = res.settings.refresh_token_key.get_secret_value()
    try:
        presented = read_refresh_token(token, key)
    except tokens.InvalidToken as exc:
        raise errors.InvalidRefreshToken from exc
    user_id = await res.sessions.user_of(presented.session_id)
    if user_id is None:
        raise errors.InvalidRefreshToken
    # Before the token is spent: one that was spent for a 503 would be taken for a stolen one after the grace.
    user = await db.find_credentials_by_id(res.db, user_id)
    if user is None or not user["is_active"] or user["owner_status"] != "active":
        await res.sessions.end(presented.session_id)
        raise errors.InvalidRefreshToken
    spent = await res.sessions.refresh(presented.session_id, presented.generation, res.settings.refresh_grace_seconds)
    if spent.outcome == "reused":
        actor = events.session_of(user["user_type"], user_id, presented.session_id)
        if await _end_recorded(res, "refresh_reuse", actor, presented.session_id, outcome="failure"):
            raise errors.RefreshTokenReused
    if spent.outcome != "refreshed":
        raise errors.InvalidRefreshToken
    expires_in = spent.expires_at - spent.refreshed_at
    return _pair(res, user, presented.session_id, spent.generation, spent.refreshed_at, expires_in)


async def verify_token(res: AuthResources, token: str | None) -> Verification:
    """Whether an access token is valid now: signature, time, and a living session."""
    if token is None:
        return Verification(valid=False, payload=None, reason="invalid")
    try:
        access = await tokens.read_access_token(token, res.keys)
    except tokens.InvalidToken as exc:
        return Verification(valid=False, payload=None, reason="expired" if exc.reason == "expired" else "invalid")
    if await res.sessions.touch_of(access) is None:
        return Verification(valid=False, payload=None, reason="revoked")
    return Verification(valid=True, payload=access.claims)


async def validate_session(res: AuthResources, token: str | None) -> SessionValidation:
    """The session behind an access token and whose it is."""
    invalid = SessionValidation(valid=False, message=NO_SESSION[current().language])
    try:
        access = await tokens.read_access_token(token or "", res.keys)
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
        access = await tokens.read_access_token(token, res.keys, allow_expired=True)
    except tokens.InvalidToken as exc:
        raise errors.Unauthenticated(invalid_token=True) from exc
    actor = events.session_of(access.user_type, access.user_id, access.session_id)
    await _end_recorded(res, "logout", actor, access.session_id)
    return LogoutAnswer(success=True, message=LOGGED_OUT[current().language])


async def logout_all(res: AuthResources, caller: Caller) -> LogoutAllAnswer:
    """End every session of the caller, this one too."""
    async with res.db.transaction() as tx:
        await events.record(res, tx, "logout_all", caller, sessions=len(await res.sessions.list_of(caller.user_id)))
        ended = await res.sessions.end_all(caller.user_id)
    return LogoutAllAnswer(success=True, revoked_sessions=ended)


async def list_sessions(res: AuthResources, caller: Caller) -> SessionItems:
    """The caller's living sessions and the devices behind them."""
    sessions = await res.sessions.list_of(caller.user_id)
    # In a thread: parsing user agents takes time, the first one since the start seconds; no fault, so the clock stops.
    async with aside(clock_stops=True):
        devices = await asyncio.to_thread(lambda: [describe(session.ip, session.user_agent) for session in sessions])
    items = [
        SessionItem(
            session_id=session.id,
            device=device,
            created_at=session.created_at,
            last_seen_at=session.last_seen_at,
            expires_at=session.expires_at,
            is_current=session.id == caller.session_id,
        )
        for session, device in zip(sessions, devices, strict=True)
    ]
    return SessionItems(items=items)


async def end_session(res: AuthResources, caller: Caller, session_id: UUID) -> None:
    """End one of the caller's sessions. Raises SessionNotFound."""
    own = {session.id for session in await res.sessions.list_of(caller.user_id)}
    if session_id in own:
        etag.guard_untagged()
    if session_id not in own or not await _end_recorded(res, "logout", caller, session_id):
        raise SessionNotFound


async def change_password(res: AuthResources, caller: Caller, change: PasswordChange) -> None:
    """Set a new password; the caller's other sessions end. Guesses at the current one count like those at a login.

    Raises WrongPassword, TooManyAttempts, PasswordTooShort, PasswordTooLong, PasswordTooCommon.
    """
    user = await db.find_credentials_by_id(res.db, caller.user_id)
    if user is None:
        raise errors.Unauthenticated(invalid_token=True)
    check_rules(change.new_password, user["email"], res.settings.password_min_length, field_name="new_password")
    async with res.guesses.attempt(user["email"], current().client_address or ""):
        if not await res.hasher.matches(change.current_password, user["password_hash"]):
            await events.record(res, res.db, "password_change", caller, outcome="failure", code="wrong_password")
            raise errors.WrongPassword
    new_hash = await res.hasher.hash(change.new_password)
    async with res.db.transaction() as tx:
        if not await db.update_password_hash(tx, caller.user_id, user["password_hash"], new_hash):
            raise errors.WrongPassword  # it was changed meanwhile
        await events.record(res, tx, "password_change", caller)
        await res.sessions.end_all(caller.user_id, keep=caller.session_id)


async def _end_recorded(
    res: AuthResources, action: str, actor: Caller, session_id: UUID, outcome: str = "success"
) -> bool:
    """End a session and record that, both or neither; False when it had ended already."""
    try:
        async with res.db.transaction() as tx:
            await events.record(res, tx, action, actor, outcome=outcome, session_id=str(session_id))
            if not await res.sessions.end(session_id):
                raise SessionNotFound
    except SessionNotFound:
        return False
    return True


async def _check_password(res: AuthResources, email: str, password: str) -> Row:
    user = await db.find_credentials(res.db, email) if _is_text(email) else None
    matches = await res.hasher.matches(password, user["password_hash"] if user else None)
    if user is None or not matches or user["owner_status"] == "deleted":
        raise errors.InvalidCredentials
    return user


async def _record_failure(res: AuthResources, user: Row | None, *, locked: bool) -> None:
    actor = events.account_of(user)
    await events.record(res, res.db, "login", actor, outcome="failure", code="invalid_credentials")
    if locked:
        await events.record(res, res.db, "login_lock", actor)


async def _rehashed(res: AuthResources, user: Row, password: str) -> Row:
    """The account with its password hashed at today's cost. Raises InvalidCredentials if it was changed meanwhile."""
    if not needs_rehash(user["password_hash"], res.settings.bcrypt_rounds):
        return user
    new_hash = await res.hasher.hash(password)
    if await db.update_password_hash(res.db, user["id"], user["password_hash"], new_hash):
        return {**user, "password_hash": new_hash}
    # Another login was faster, or the password is another one by now.
    latest = await db.find_credentials_by_id(res.db, user["id"])
    if latest is None or not await res.hasher.matches(password, latest["password_hash"]):
        raise errors.InvalidCredentials
    return latest


async def _open_session(res: AuthResources, user: Row) -> dict[str, Any]:
    request, session_id = current(), uuid4()
    try:
        async with res.db.transaction() as tx:
            # Holds the account: a change of it comes before, and is seen, or after, and ends this session, too.
            state = await db.update_last_login(tx, user["id"], user["password_hash"])
            if state is None or state["owner_status"] == "deleted":
                raise errors.InvalidCredentials
            _refuse_closed(state)
            actor = events.session_of(user["user_type"], user["id"], session_id)
            await events.record(res, tx, "login", actor, session_id=str(session_id))
            # Last: it ends the user's oldest session if there are too many.
            _, began = await res.sessions.create(
                user["id"], user["user_type"], request.client_address, request.user_agent, session_id
            )
    except BaseException:
        await res.sessions.end(session_id)
        raise
    expires_in = min(res.settings.session_idle_seconds, res.settings.session_max_seconds)
    return _pair(res, user, session_id, 0, began, expires_in)


def _pair(
    res: AuthResources, user: Row, session_id: UUID, generation: int, issued_at: int, refresh_expires_in: int
) -> dict[str, Any]:
    ttl, key = res.settings.access_token_ttl_seconds, res.settings.refresh_token_key.get_secret_value()
    return {
        "access_token": issue_access_token(
            res.keys, ttl, user["id"], user["user_type"], user["email"], session_id, generation, issued_at
        ),
        "refresh_token": issue_refresh_token(key, session_id, generation),
        "token_type": "bearer",
        "expires_in": ttl,
        "refresh_expires_in": refresh_expires_in,
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
