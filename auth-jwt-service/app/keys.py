"""The keys that sign access tokens: a shared secret (HS256), or a private key whose public half is published."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm

from shared.keys import secret_id

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey


class SigningKeys:
    """The current key signs; the current and the previous one verify, so that a rotation logs nobody out."""

    def __init__(self, algorithm: str, keys: dict[str, tuple[Any, Any]], published: list[dict[str, Any]]) -> None:
        self.algorithm = algorithm
        self.published = published
        self._current_id = next(iter(keys))
        self._keys = keys

    @classmethod
    def of_secrets(cls, secrets: list[str]) -> "SigningKeys":
        """HS256 with these secrets, the current one first; nothing is published."""
        return cls("HS256", {secret_id(secret): (secret, secret) for secret in secrets}, [])

    @classmethod
    def of_files(cls, algorithm: str, files: list[Path]) -> "SigningKeys":
        """EdDSA or ES256 with the private keys of these PEM files, the current one first."""
        return cls.of_keys(algorithm, [read_key(str(file), file, algorithm) for file in files])

    @classmethod
    def of_keys(cls, algorithm: str, privates: list[PrivateKey]) -> "SigningKeys":
        """EdDSA or ES256 with these private keys, the current one first."""
        keys: dict[str, tuple[Any, Any]] = {}
        published = []
        for private in privates:
            document = _public_document(private)
            keys.setdefault(document["kid"], (private, private.public_key()))
            published.append(document | {"alg": algorithm, "use": "sig"})
        return cls(algorithm, keys, published)

    async def find(self, key_id: str | None) -> Any | None:
        """The verifying key of this id, or None."""
        return self._keys.get(key_id or "", (None, None))[1]

    def sign(self, claims: dict[str, Any]) -> str:
        """A token of these claims, signed with the current key."""
        private = self._keys[self._current_id][0]
        return jwt.encode(claims, private, algorithm=self.algorithm, headers={"kid": self._current_id})


def read_key(name: str, file: Path, algorithm: str) -> PrivateKey:
    """The private key of a PEM file. Raises ValueError, which names the setting, if it is not one for the algorithm."""
    try:
        pem = file.read_bytes()
    except OSError as exc:
        raise ValueError(f"{name} is no readable private key in PEM format") from exc
    return parse_key(name, pem, algorithm)


def parse_key(name: str, pem: bytes, algorithm: str) -> PrivateKey:
    """The private key of a PEM text; ValueError as above."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as exc:
        raise ValueError(f"{name} is no readable private key in PEM format") from exc
    if algorithm == "EdDSA" and isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    if algorithm == "ES256" and isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == "secp256r1":
        return key
    raise ValueError(f"{name} is no key for JWT_ALGORITHM={algorithm}")


def _public_document(key: PrivateKey) -> dict[str, Any]:
    """The JSON Web Key (RFC 7517) of the public half, its `kid` the thumbprint of RFC 7638."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        document: dict[str, Any] = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
        members = {name: document[name] for name in ("crv", "kty", "x")}
    else:
        document = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        members = {name: document[name] for name in ("crv", "kty", "x", "y")}
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()
    return {**members, "kid": thumbprint}
