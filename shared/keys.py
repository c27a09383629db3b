"""The keys that verify access tokens: a shared secret, or the public keys that the auth service publishes."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import jwt

from .errors import AuthUnavailable

REFRESH_SECONDS = 60  # an unknown key id asks the auth service again, at most this often


class VerificationKeys(Protocol):
    """Finds the key of a token's `kid`; the algorithm is fixed by configuration, never by the token."""

    algorithm: str

    async def find(self, key_id: str | None) -> Any | None:
        """The key, or None when no token of that id can be good."""


def secret_id(secret: str) -> str:
    """The key id of a shared secret: a digest that tells nothing of a secret of 32 random bytes."""
    return hashlib.sha256(b"predicthealth key id" + secret.encode()).hexdigest()[:16]


class SharedSecrets:
    """HS256: the current secret and, while keys rotate, the previous one."""

    algorithm = "HS256"

    def __init__(self, *secrets: str) -> None:
        self._secrets = {secret_id(secret): secret for secret in secrets}

    async def find(self, key_id: str | None) -> Any | None:
        """The secret of this id, or None."""
        return self._secrets.get(key_id or "")


class PublishedKeys:
    """The auth service's public keys: fetched when first needed and for an unknown id, kept while auth is away."""

    def __init__(self, algorithm: str, fetch: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        self.algorithm = algorithm
        self._fetch = fetch
        self._keys: dict[str, Any] = {}
        self._asked_at = float("-inf")
        self._lock = asyncio.Lock()

    async def find(self, key_id: str | None) -> Any | None:
        """The public key of this id, or None. Raises AuthUnavailable while there is no key at all."""
        if key_id is None:
            return None
        if key_id not in self._keys:
            await self._refresh()
        return self._keys.get(key_id)

    async def _refresh(self) -> None:
        came = time.monotonic()
        async with self._lock:
            # While there is no key at all, everybody asks who has not waited here for another one's answer.
            if self._asked_at < (came - REFRESH_SECONDS if self._keys else came):
                await self._load()
                self._asked_at = time.monotonic()
        if not self._keys:
            raise AuthUnavailable

    async def _load(self) -> None:
        try:
            published = await self._fetch()
        except AuthUnavailable:
            return
        ours = [key for key in published.get("keys", []) if key.get("alg") == self.algorithm]
        keys = {key["kid"]: jwt.PyJWK(key, self.algorithm).key for key in ours}
        self._keys = keys or self._keys
