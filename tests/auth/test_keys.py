"""The keys that sign access tokens: how they are read, published and rotated, and what the start refuses."""

import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import pytest
from auth_app.keys import SigningKeys, read_key
from auth_app.settings import AuthSettings
from auth_app.tokens import issue_access_token
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from pydantic import ValidationError

from dev import ROOT
from dev.fleet import Fleet
from dev.settings import SERVICE_FOLDERS
from dev.signing import make_key, rotate
from shared.settings import DEVELOPMENT_KEYS
from shared.tokens import read_access_token
from tests.support import PASSWORD, Api, assert_problem

from .support import ALIVE, PROTECTED, ask, log_in, refresh, statuses

pytestmark = pytest.mark.anyio
SECRET, OLDER_SECRET = "a signing key that only these tests know", "the one that they knew before that one"


def pem(key: Any, encryption: Any = None) -> bytes:
    content: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
    return content


def key_file(folder: Path, key: Any) -> Path:
    path = folder / f"{uuid4()}.pem"
    path.write_bytes(pem(key))
    return path


def new_key(algorithm: str) -> Any:
    return Ed25519PrivateKey.generate() if algorithm == "EdDSA" else generate_private_key(SECP256R1())


def a_token(keys: SigningKeys) -> str:
    return issue_access_token(keys, 60_000_000, uuid4(), "doctor", "ana@example.com", uuid4(), 0, 1_750_000_000)


# Reading


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
def test_a_key_of_the_right_kind_is_read(algorithm: str, tmp_path: Path) -> None:
    assert read_key("A_NAME", key_file(tmp_path, new_key(algorithm)), algorithm)


def test_the_key_of_a_new_fleet_is_one_that_only_its_owner_reads(tmp_path: Path) -> None:
    make_key(tmp_path / "key.pem")
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    assert read_key("A_NAME", tmp_path / "key.pem", "EdDSA")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "A_NAME is no readable private key in PEM format"),
        (b"\x00\xff", "A_NAME is no readable private key in PEM format"),
        (
            Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "A_NAME is no readable private key in PEM format",
        ),
        (
            pem(Ed25519PrivateKey.generate(), BestAvailableEncryption(b"a password")),
            "A_NAME is no readable private key in PEM format",
        ),
        (pem(generate_private_key(SECP256R1())), "A_NAME is no key for JWT_ALGORITHM=EdDSA"),
        (pem(generate_rsa_key(65537, 2048)), "A_NAME is no key for JWT_ALGORITHM=EdDSA"),
    ],
    ids=["empty", "no text", "public", "encrypted", "of another algorithm", "RSA"],
)
def test_what_is_no_key_is_said_by_the_name_of_its_setting(content: bytes, line: str, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(ValueError, match=f"^{line}$"):
        read_key("A_NAME", tmp_path / "key.pem", "EdDSA")


def test_a_file_that_is_missing_and_a_curve_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="A_NAME is no readable"):
        read_key("A_NAME", tmp_path / "nowhere.pem", "EdDSA")
    with pytest.raises(ValueError, match="A_NAME is no key for JWT_ALGORITHM=ES256"):
        read_key("A_NAME", key_file(tmp_path, generate_private_key(SECP384R1())), "ES256")


# Publishing


@pytest.mark.parametrize(
    ("algorithm", "members"), [("EdDSA", {"kty": "OKP", "crv": "Ed25519"}), ("ES256", {"kty": "EC", "crv": "P-256"})]
)
def test_the_public_half_is_published_under_its_thumbprint_and_nothing_else(
    algorithm: str, members: dict[str, str], tmp_path: Path
) -> None:
    key = new_key(algorithm)
    keys = SigningKeys.of_files(algorithm, [key_file(tmp_path, key)])
    (document,) = keys.published
    coordinates = {"x"} if algorithm == "EdDSA" else {"x", "y"}
    assert set(document) == {"kty", "crv", "kid", "alg", "use"} | coordinates, "d would be the private key"
    assert members.items() <= document.items() and (document["alg"], document["use"]) == (algorithm, "sig")
    required = {name: document[name] for name in ({"kty", "crv"} | coordinates)}
    # RFC 7638, section 3.
    digest = hashlib.sha256(json.dumps(required, sort_keys=True, separators=(",", ":")).encode()).digest()
    assert document["kid"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    claims = jwt.decode(a_token(keys), jwt.PyJWK(document).key, [algorithm], audience="predicthealth")
    assert claims["user_type"] == "doctor"


def test_the_thumbprint_is_that_of_the_rfcs_own_example(tmp_path: Path) -> None:
    # RFC 8037, appendices A.1 to A.3.
    private = base64.urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    key = Ed25519PrivateKey.from_private_bytes(private)
    (document,) = SigningKeys.of_files("EdDSA", [key_file(tmp_path, key)]).published
    assert document["x"] == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    assert document["kid"] == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_a_shared_secret_is_not_published() -> None:
    assert SigningKeys.of_secrets([SECRET]).published == []


def test_the_running_fleet_publishes_its_key_to_everybody(api: Api, keys: SigningKeys) -> None:
    answer = api.anonymous.auth.get("/.well-known/jwks.json")
    assert (answer.status_code, answer.json()) == (200, {"keys": keys.published})
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()["keys"][0]) == {"kty", "crv", "x", "kid", "alg", "use"}
    header = jwt.get_unverified_header(api.admin.token)
    assert header == {"alg": "EdDSA", "typ": "JWT", "kid": keys.published[0]["kid"]}


def test_only_the_auth_service_is_told_what_signs(fleet: Fleet) -> None:
    for name, environment in fleet.environments.items():
        private = {"JWT_PRIVATE_KEY_FILE", "REFRESH_TOKEN_KEY"} & environment.keys()
        assert bool(private) == (name == "auth")
        assert "JWT_SECRET_KEY" not in environment


# Rotation


@pytest.mark.parametrize("algorithm", ["HS256", "EdDSA", "ES256"])
async def test_the_current_key_signs_and_the_previous_one_verifies(algorithm: str, tmp_path: Path) -> None:
    if algorithm == "HS256":
        old, both, new = (SigningKeys.of_secrets(k) for k in ([OLDER_SECRET], [SECRET, OLDER_SECRET], [SECRET]))
    else:
        former, current = (key_file(tmp_path, new_key(algorithm)) for _ in range(2))
        old, both, new = (SigningKeys.of_files(algorithm, k) for k in ([former], [current, former], [current]))
    assert await read_access_token(a_token(old), both)
    assert await read_access_token(a_token(both), both)
    assert await read_access_token(a_token(both), new), "the current one signs"
    with pytest.raises(Exception, match="invalid"):
        await read_access_token(a_token(old), new)
    with pytest.raises(Exception, match="invalid"):
        await read_access_token(a_token(both), old)


def test_rotating_keeps_the_key_before_and_forgets_the_one_before_that(tmp_path: Path) -> None:
    contents = []
    for _ in range(3):
        rotate(tmp_path)
        contents.append((tmp_path / "jwt-key.pem").read_bytes())
    assert len(set(contents)) == 3
    assert (tmp_path / "jwt-key.previous.pem").read_bytes() == contents[1]
    assert {path.name for path in tmp_path.iterdir()} == {"jwt-key.pem", "jwt-key.previous.pem"}


def test_a_rotation_logs_nobody_out(tmp_path: Path) -> None:
    environment = {"ADMIN_EMAIL": "admin@example.com", "ADMIN_PASSWORD": PASSWORD, "BCRYPT_ROUNDS": "4"}
    fleet = Fleet(tmp_path / "fleet", extra_env=environment)
    fleet.start()
    try:
        before = log_in(fleet.urls["auth"], "admin@example.com").json()
        fleet.stop()
        rotate(fleet.data_dir)
        fleet.start()
        api = Api(fleet.urls, "admin@example.com", PASSWORD)
        assert_lives(api, before["access_token"])
        renewed = refresh(fleet.urls["auth"], before["refresh_token"])
        assert renewed.status_code == 200
        assert_lives(api, renewed.json()["access_token"])
        published = api.anonymous.auth.get("/.well-known/jwks.json").json()["keys"]
        signed_with = [jwt.get_unverified_header(pair["access_token"])["kid"] for pair in (renewed.json(), before)]
        assert [key["kid"] for key in published] == signed_with and len(set(signed_with)) == 2
        api.close()
    finally:
        fleet.remove()


def assert_lives(api: Api, token: str) -> None:
    """An admin's token opens every service; what it is asked for matters less."""
    assert all(ask(api, service, token).status_code in (200, 422) for service in PROTECTED)


def test_the_others_answer_while_the_auth_service_is_down(fleet: Fleet, api: Api) -> None:
    doctor = api.new_doctor(api.new_institution())
    assert statuses(api, doctor.token) == ALIVE
    fleet.services["auth"].stop()
    try:
        for service in ("doctors", "institutions", "patients"):
            assert ask(api, service, doctor.token).status_code == 200
            # An unknown key can't be asked for: the token is refused like any other that is not good.
            forged = jwt.encode({"sub": "x"}, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": "new"})
            assert_problem(ask(api, service, forged), 401, "unauthenticated")
        assert_problem(log_in(api.urls["doctors"], doctor.email), 503, "auth_unavailable")
    finally:
        fleet.services["auth"].start()
    assert statuses(api, doctor.token) == ALIVE


# The start in production

RANDOM = {
    name.upper(): f"Vq{number}-8sKd7fGh2_mXv91LwsTb04RnYcJa5{number}" for number, name in enumerate(DEVELOPMENT_KEYS)
}


def start(service: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Load a service as uvicorn does, in an environment that has nothing else."""
    return subprocess.run(
        [sys.executable, "-c", "import app.main; print('started')"],
        cwd=ROOT / SERVICE_FOLDERS[service],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "APP_ENV": "production"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def good_keys(service: str) -> dict[str, str]:
    own = {"REFRESH_TOKEN_KEY": "Nf5-9pLs6dQe3_wZc82KvrMa15TjXbUg7"} if service == "auth" else {}
    return {**RANDOM, **own}


@pytest.mark.parametrize(
    ("service", "name"), [("auth", name) for name in good_keys("auth")] + [("patients", "FLEET_INTERNAL_KEY")]
)
def test_a_start_in_production_without_a_key_ends_with_one_clear_line(service: str, name: str) -> None:
    others = {key: value for key, value in good_keys(service).items() if key != name}
    done = start(service, **others, JWT_ALGORITHM="HS256")
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == f"settings: {name} must be set in production\n"


@pytest.mark.parametrize("service", ["auth", "patients"])
def test_a_start_in_production_with_keys_of_its_own_succeeds(service: str) -> None:
    done = start(service, **good_keys(service), JWT_ALGORITHM="HS256")
    assert (done.returncode, done.stdout.splitlines()[-1:], done.stderr) == (0, ["started"], "")


@pytest.mark.parametrize("name", [*good_keys("auth"), "JWT_PREVIOUS_SECRET_KEY"])
def test_production_refuses_a_key_that_is_short_or_known(name: str) -> None:
    good = {key.lower(): value for key, value in good_keys("auth").items()}
    assert AuthSettings(_env_file=None, app_env="production", **good)
    for value, why in (
        ("Vq0-8sKd7fGh2", "must have at least 32 bytes"),
        ("changeme-changeme-changeme-changeme", "looks like an example, not like a random key"),
        ("your_super_secret_jwt_key_for_this_app", "looks like an example, not like a random key"),
        ("0" * 64, "looks like an example, not like a random key"),
        *((known, "must be set in production") for known in DEVELOPMENT_KEYS.values()),
    ):
        with pytest.raises(ValidationError) as raised:
            AuthSettings(_env_file=None, app_env="production", **{**good, name.lower(): value})
        assert [error["msg"] for error in raised.value.errors()] == [f"Value error, {name} {why}"]


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (None, "JWT_PRIVATE_KEY_FILE must be set for JWT_ALGORITHM=EdDSA"),
        (lambda path: None, "JWT_PRIVATE_KEY_FILE is no readable private key in PEM format"),
        (lambda path: path.write_text("x"), "JWT_PRIVATE_KEY_FILE is no readable private key in PEM format"),
        (
            lambda path: path.write_bytes(pem(generate_private_key(SECP256R1()))),
            "JWT_PRIVATE_KEY_FILE is no key for JWT_ALGORITHM=EdDSA",
        ),
    ],
)
def test_the_auth_service_does_not_start_without_its_key_file(
    make: Callable[[Path], Any] | None, line: str, tmp_path: Path
) -> None:
    settings = {**RANDOM, "REFRESH_TOKEN_KEY": RANDOM["CURSOR_KEY"] + "x", "JWT_ALGORITHM": "EdDSA"}
    if make:
        make(tmp_path / "key.pem")
        settings["JWT_PRIVATE_KEY_FILE"] = str(tmp_path / "key.pem")
    done = start("auth", **settings)
    assert (done.returncode, done.stdout, done.stderr) == (78, "", f"settings: {line}\n")


def test_the_other_services_start_without_any_signing_key(tmp_path: Path) -> None:
    keys = {name: RANDOM[name] for name in ("FLEET_INTERNAL_KEY", "CURSOR_KEY")}
    done = start("doctors", **keys, JWT_ALGORITHM="EdDSA")
    assert (done.returncode, done.stderr) == (0, "")
