"""Password rules and hashes: bcrypt in threads, on every core but one, behind a bounded queue."""

import asyncio
import os
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TypeVar

import bcrypt

from shared.admission import aside
from shared.errors import Busy, PasswordTooCommon, PasswordTooLong, PasswordTooShort

PRODUCT = "predicthealth"
MAX_BYTES = 72  # bcrypt reads no more; longer ones are refused, never cut

Result = TypeVar("Result")


def check_rules(password: str, email: str, minimum_length: int, field_name: str = "password") -> None:
    """Raise PasswordTooShort, PasswordTooLong or PasswordTooCommon for a password that may not be set.

    Any characters, no composition rules (NIST SP 800-63B, section 3.1.1.2); refused are the passwords that attackers
    try first, the account's own e-mail and the product's name.
    """
    if len(password) < minimum_length:
        raise PasswordTooShort(field_name, minimum=minimum_length)
    if len(password.encode()) > MAX_BYTES:
        raise PasswordTooLong(field_name)
    folded, address = password.casefold().strip(), email.casefold()
    plain = folded.rstrip("0123456789!.?*#-_ ")
    own = {address, address.partition("@")[0], PRODUCT}
    if folded in _common() or folded in own or plain in own:
        raise PasswordTooCommon(field_name)


@cache
def _common() -> frozenset[str]:
    """The most used passwords of public leaks that are long enough to be set: a file, since zxcvbn costs 13 MB.

    Those of at least 8 characters among the 30,000 that zxcvbn 4.5.0 ranks (MIT).
    """
    return frozenset((Path(__file__).parent / "common_passwords.txt").read_text(encoding="ascii").split())


def needs_rehash(password_hash: str, rounds: int) -> bool:
    """Whether a bcrypt hash was made at another cost than the one of today."""
    return password_hash.split("$")[2:3] != [f"{rounds:02d}"]


def normalised(password: str) -> bytes:
    """The bytes that are hashed: UTF-8 of the NFC form, so that two keyboards agree on `ñ`."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")


class Hasher:
    """Hashes and checks passwords, each at the cost of `rounds`. Raises Busy when more than `queue` wait."""

    def __init__(self, rounds: int, queue: int) -> None:
        # A flood of logins leaves a core to the reads of whoever shares the machine.
        self._cores = max(1, (os.cpu_count() or 1) - 1)
        self._rounds = rounds
        self._threads = ThreadPoolExecutor(self._cores, thread_name_prefix="bcrypt")
        self._capacity = self._cores + queue
        self._under_way = 0
        # Checked when there is nothing to check, so that an unknown e-mail costs the time of a wrong password.
        self._decoy = bcrypt.hashpw(os.urandom(16).hex().encode(), bcrypt.gensalt(rounds))

    async def hash(self, password: str) -> str:
        """The bcrypt hash of a password that has passed `check_rules`."""
        secret = normalised(password)
        return (await self._run(lambda: bcrypt.hashpw(secret, bcrypt.gensalt(self._rounds)))).decode()

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Whether the password belongs to the hash; the same work for None and for a password over 72 bytes."""
        # Normalising takes time that grows with the square; a thousand characters are over 72 bytes in any form.
        secret = normalised(password[:1_000])
        usable = password_hash is not None and len(secret) <= MAX_BYTES
        stored = password_hash.encode() if usable and password_hash else self._decoy
        matched = await self._run(lambda: bcrypt.checkpw(secret[:MAX_BYTES], stored))
        return usable and matched

    @property
    def waiting(self) -> int:
        """How many wait for a core."""
        return max(0, self._under_way - self._cores)

    def close(self) -> None:
        """Finish what is being hashed and end the threads. Whoever waits for one, or comes later, gets Busy."""
        self._capacity = 0
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], Result]) -> Result:
        if self._under_way >= self._capacity:
            raise Busy
        self._under_way += 1
        try:
            async with aside(clock_stops=True):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._capacity or (task and task.cancelling()):
                raise
            raise Busy from None  # it was the queue that was cancelled, not who waits in it
        finally:
            self._under_way -= 1
