"""The key that signs access tokens, made once in the data directory."""

import os
from collections.abc import Mapping
from pathlib import Path

CURRENT, PREVIOUS = "jwt-key.pem", "jwt-key.previous.pem"


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
    if (data_dir / CURRENT).exists():
        (data_dir / CURRENT).replace(data_dir / PREVIOUS)
    make_key(data_dir / CURRENT)


def make_key(path: Path) -> None:
    """Write a new Ed25519 private key (PEM, PKCS #8) that only its owner may read."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(pem)
    temporary.replace(path)
