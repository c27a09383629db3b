"""Tokens that the auth service did not issue, each wrong in one way."""

import time
from collections.abc import Callable
from typing import Any

import jwt

Claims = dict[str, Any]
Forgery = Callable[[Claims, str], str]

ANOTHER_KEY = "a key that is long enough, of somebody else"


def forged(claims: Claims, key: str, *, without: str | None = None, **changes: Any) -> str:
    """A token with these claims but for the changes, rightly signed."""
    changed = {name: value for name, value in {**claims, **changes}.items() if name != without}
    return jwt.encode(changed, key, algorithm="HS256")


def expired(claims: Claims, key: str) -> str:
    """A token that was right until a minute ago."""
    now = int(time.time())
    return forged(claims, key, iat=now - 960, nbf=now - 960, exp=now - 60)


def _without(claim: str) -> Forgery:
    return lambda claims, key: forged(claims, key, without=claim)


def _with(**changes: Any) -> Forgery:
    return lambda claims, key: forged(claims, key, **changes)


def _payload_swapped(claims: Claims, key: str) -> str:
    header, _, signature = forged(claims, key).split(".")
    return f"{header}.{forged({**claims, 'user_type': 'admin'}, ANOTHER_KEY).split('.')[1]}.{signature}"


FORGERIES: dict[str, Forgery] = {
    "not signed": lambda claims, key: jwt.encode(claims, None, algorithm="none"),
    "signature cut off": lambda claims, key: forged(claims, key).rpartition(".")[0] + ".",
    "payload swapped": _payload_swapped,
    "signed with another key": lambda claims, key: forged(claims, ANOTHER_KEY),
    "signed with another algorithm": lambda claims, key: jwt.encode(claims, key * 2, algorithm="HS512"),
    "not a token": lambda claims, key: "abc",
    "three empty parts": lambda claims, key: "..",
    "for another audience": _with(aud="auth-jwt-service"),
    "from another issuer": _with(iss="service-doctors"),
    "a refresh token": _with(typ="refresh"),
    "a service's token": _with(typ="service"),
    "not valid yet": _with(nbf=int(time.time()) + 600),
    "a session id that is none": _with(sid="first"),
    "a subject that is no id": _with(sub="ana"),
    "a session id that is a number": _with(sid=7),
    **{
        f"without {claim}": _without(claim)
        for claim in ("exp", "iat", "nbf", "iss", "aud", "sub", "jti", "sid", "typ", "user_type")
    },
}
