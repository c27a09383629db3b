"""The key that signs access tokens, made once in the data directory."""

import base64
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from dev import FleetError

CURRENT, PREVIOUS = "jwt-key.pem", "jwt-key.previous.pem"
ED25519_HEADER = bytes.fromhex("302e020100300506032b657004220420")


def key_files(data_dir: Path) -> Mapping[str, str]:
    """The settings that name the key files of a data directory; the current key is made if there is none."""
    if not (data_dir / CURRENT).exists():
        make_key(data_dir / CURRENT)
    files = {"JWT_PRIVATE_KEY_FILE": str(data_dir / CURRENT)}
    if (data_dir / PREVIOUS).exists():
        files["JWT_PREVIOUS_KEY_FILE"] = str(data_dir / PREVIOUS)
    return files


def rotate(data_dir: Path) -> None:
    """Make a new current key; what was the current one becomes the previous one, which is still accepted."""
    made = write_key(data_dir / CURRENT)
    with suppress(FileNotFoundError):
        (data_dir / CURRENT).replace(data_dir / PREVIOUS)
    made.replace(data_dir / CURRENT)


def make_key(path: Path) -> None:
    """Write a new private key that only its owner may read."""
    write_key(path).replace(path)


def write_key(path: Path) -> Path:
    """Write a new private key beside `path`, whose name it is to take; its place."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(new_key())
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise FleetError(f"can't write {path}: {(error.strerror or str(error)).lower()}") from error
    return temporary


def new_key() -> str:
    """A new Ed25519 private key in PEM: 32 random bytes behind RFC 8410's header, so that no package is needed."""
    text = base64.b64encode(ED25519_HEADER + secrets.token_bytes(32)).decode()
    return f"-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n"
