"""Tokens that the auth service did not issue, each wrong in one way. `rightly` signs as the auth service does."""

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
from auth_app.keys import SigningKeys
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm

from shared.keys import secret_id

Claims = dict[str, Any]
Forgery = Callable[[Claims, SigningKeys], str]

ANOTHER_KEY = "a key that is long enough, of somebody else"
ANOTHER_PAIR = Ed25519PrivateKey.generate()


def forged(claims: Claims, keys: SigningKeys, *, without: str | None = None, **changes: Any) -> str:
    """A token with these claims but for the changes, rightly signed."""
    return keys.sign({name: value for name, value in {**claims, **changes}.items() if name != without})


def expired(claims: Claims, keys: SigningKeys) -> str:
    """A token that was right until a minute ago."""
    now = int(time.time())
    return forged(claims, keys, iat=now - 960, nbf=now - 960, exp=now - 60)


def by_hand(header: dict[str, Any], claims: Claims, signature: str = "") -> str:
    """A token of parts that no library would write."""
    parts = [_encoded(json.dumps(part).encode()) for part in (header, claims)]
    return ".".join([*parts, signature])


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _key_id(keys: SigningKeys) -> str:
    return str(jwt.get_unverified_header(keys.sign({}))["kid"])


def _without(claim: str) -> Forgery:
    return lambda claims, keys: forged(claims, keys, without=claim)


def _with(**changes: Any) -> Forgery:
    return lambda claims, keys: forged(claims, keys, **changes)


def _signed(key: Any, algorithm: str, **header: Any) -> Forgery:
    """Signed with another key under the right key id, or under what `header` says."""

    def forge(claims: Claims, keys: SigningKeys) -> str:
        return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": _key_id(keys), **header})

    return forge


def _payload_swapped(claims: Claims, keys: SigningKeys) -> str:
    header, _, signature = forged(claims, keys).split(".")
    return f"{header}.{forged({**claims, 'user_type': 'admin'}, keys).split('.')[1]}.{signature}"


def _header_swapped(**changes: Any) -> Forgery:
    """The right payload and signature under another header."""

    def forge(claims: Claims, keys: SigningKeys) -> str:
        header, payload, signature = forged(claims, keys).split(".")
        changed = json.loads(base64.urlsafe_b64decode(header + "==")) | changes
        return ".".join([_encoded(json.dumps(changed).encode()), payload, signature])

    return forge


def _unsigned(algorithm: Any, **header: Any) -> Forgery:
    def forge(claims: Claims, keys: SigningKeys) -> str:
        return by_hand({"alg": algorithm, "typ": "JWT", "kid": _key_id(keys), **header}, claims)

    return forge


def _hmac(secret_of: Callable[[Any], bytes]) -> Forgery:
    """HS256 with what everybody knows as the secret, the public key above all (RFC 8725, section 2.1)."""

    def forge(claims: Claims, keys: SigningKeys) -> str:
        # With a shared secret there is no public key: any will do.
        public = keys._keys[_key_id(keys)][1] if keys.published else ANOTHER_PAIR.public_key()
        unsigned = by_hand({"alg": "HS256", "typ": "JWT", "kid": _key_id(keys)}, claims)[:-1]
        # PyJWT would refuse to sign with a PEM or with nothing.
        signature = hmac.digest(secret_of(public), unsigned.encode(), "sha256")
        return f"{unsigned}.{_encoded(signature)}"

    return forge


def _document(public: Any) -> dict[str, str]:
    kind = OKPAlgorithm if isinstance(public, Ed25519PublicKey) else ECAlgorithm
    document: dict[str, str] = kind.to_jwk(public, as_dict=True)
    return document


PUBLIC: dict[str, Callable[[Any], bytes]] = {
    "PEM": lambda public: public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "PEM without its last line's end": lambda public: PUBLIC["PEM"](public).rstrip(),
    "DER": lambda public: public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    "x": lambda public: _document(public)["x"].encode(),
    "x decoded": lambda public: base64.urlsafe_b64decode(_document(public)["x"] + "=="),
    "JWK": lambda public: json.dumps(_document(public)).encode(),
}
ANOTHER_DOCUMENT = _document(ANOTHER_PAIR.public_key())

FORGERIES: dict[str, Forgery] = {
    **{f"not signed, {name!r}": _unsigned(name) for name in ("none", "None", "NONE", "", None, "HS256", "EdDSA", 7)},
    "signature cut off": lambda claims, keys: forged(claims, keys).rpartition(".")[0] + ".",
    "signature cut short": lambda claims, keys: forged(claims, keys)[:-4],
    "payload swapped": _payload_swapped,
    "another header over the right signature": _header_swapped(typ="at+jwt"),
    "signed with another secret": _signed(ANOTHER_KEY, "HS256"),
    "signed with another secret, its own id": _signed(ANOTHER_KEY, "HS256", kid=secret_id(ANOTHER_KEY)),
    "signed with the empty secret": _hmac(lambda public: b""),
    "signed with another algorithm": _signed(ANOTHER_KEY * 2, "HS512"),
    "signed with another key": _signed(ANOTHER_PAIR, "EdDSA"),
    "signed with another kind of key": _signed(generate_private_key(SECP256R1()), "ES256"),
    **{f"HS256 with the public key, {form}": _hmac(secret_of) for form, secret_of in PUBLIC.items()},
    "brings its own key": _signed(ANOTHER_PAIR, "EdDSA", jwk=ANOTHER_DOCUMENT),
    "says where its key is": _signed(ANOTHER_PAIR, "EdDSA", jku="http://127.0.0.1:1/jwks.json", x5u="file:///x"),
    "of an unknown key id": _signed(ANOTHER_PAIR, "EdDSA", kid="another"),
    "of no key id": lambda claims, keys: jwt.encode(claims, ANOTHER_PAIR, algorithm="EdDSA"),
    "of an empty key id": _signed(ANOTHER_PAIR, "EdDSA", kid=""),
    "of a key id that is a path": _unsigned("HS256", kid="../../../../dev/null"),
    "of a key id that is SQL": _unsigned("HS256", kid="' UNION SELECT 'secret"),
    **{f"of a key id that is {value!r}": _unsigned("EdDSA", kid=value) for value in (7, None, True, ["a"], {"a": 1})},
    "asks for what nobody understands": _header_swapped(crit=["b64"], b64=False),
    "not a token": lambda claims, keys: "abc",
    "three empty parts": lambda claims, keys: "..",
    "five parts": lambda claims, keys: forged(claims, keys) + ".a.b",
    "a header that is no object": lambda claims, keys: f"{_encoded(b'[]')}.{_encoded(b'{}')}.",
    "claims that are no object": lambda claims, keys: f"{forged(claims, keys).split('.')[0]}.{_encoded(b'[1]')}.",
    "a header nested deeply": lambda claims, keys: f"{_encoded(b'[' * 5_000)}.{_encoded(b'{}')}.",
    "for another audience": _with(aud="auth-jwt-service"),
    "from another issuer": _with(iss="service-doctors"),
    "a refresh token": _with(typ="refresh"),
    "a service's token": _with(typ="service"),
    "not valid yet": _with(nbf=int(time.time()) + 86_400),
    "issued tomorrow": _with(iat=int(time.time()) + 86_400),
    "without an end": _with(exp=None),
    "a session id that is none": _with(sid="first"),
    "a subject that is no id": _with(sub="ana"),
    "a session id that is a number": _with(sid=7),
    **{
        f"without {claim}": _without(claim)
        for claim in ("exp", "iat", "nbf", "iss", "aud", "sub", "jti", "sid", "typ", "user_type")
    },
}
