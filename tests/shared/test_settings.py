"""What a service refuses to start with: one line on standard error that names the setting and never shows a value."""

import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from auth_app.settings import AuthSettings
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key

from dev import ROOT
from dev.settings import SERVICE_FOLDERS, read_env_file
from dev.signing import make_key, new_key
from shared.settings import DEVELOPMENT_KEYS, ClientSettings, Settings, load

SHARED_KEYS = [name.upper() for name in DEVELOPMENT_KEYS]
PRODUCTION = {
    "APP_ENV": "production",
    **{name: secrets.token_urlsafe(32) for name in (*SHARED_KEYS, "REFRESH_TOKEN_KEY")},
}


@pytest.fixture(autouse=True)
def production(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A service in production with everything that it needs, far from any .env file."""
    monkeypatch.chdir(tmp_path)
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)


def refusal(settings_class: type[Settings], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which the start is refused."""
    with pytest.raises(SystemExit) as stopped:
        load(settings_class)
    assert stopped.value.code == 78
    line = capsys.readouterr().err
    assert line.startswith("settings: ") and line.count("\n") == 1
    return line


def test_development_needs_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PRODUCTION:
        monkeypatch.delenv(name)
    assert load(Settings).app_env == load(AuthSettings).app_env == "development"


def test_production_takes_its_own_keys() -> None:
    assert load(Settings).app_env == load(AuthSettings).app_env == "production"


@pytest.mark.parametrize("name", [*SHARED_KEYS, "REFRESH_TOKEN_KEY", "JWT_PREVIOUS_SECRET_KEY"])
@pytest.mark.parametrize(
    "value",
    [
        *(None, "", "short", "x" * 31, "x" * 32, "abcdefg" * 10),
        *("development-only-jwt-secret-key-0000", "development-only-refresh-token-key-0"),
        *("your-super-secret-jwt-key-change-this-in-production", "CHANGE_ME_3f9a8b7c6d5e4f3a2b1c0d9e"),
        *("example-key-3f9a8b7c6d5e4f3a2b1c0d9e8f", "MyPassword3f9a8b7c6d5e4f3a2b1c0d9e"),
    ],
)
def test_production_refuses_a_missing_published_or_short_key(
    name: str, value: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if value is None:
        monkeypatch.delenv(name, raising=False)
    else:
        monkeypatch.setenv(name, value)
    if name == "JWT_PREVIOUS_SECRET_KEY" and not value:
        assert load(AuthSettings).jwt_previous_secret_key is None
        return
    line = refusal(AuthSettings, capsys)
    assert name in line and (not value or value not in line)


def test_a_private_key_needs_no_shared_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JWT_SECRET_KEY")
    monkeypatch.setenv("JWT_ALGORITHM", "EdDSA")
    assert load(Settings).jwt_algorithm == "EdDSA"
    make_key(tmp_path / "key.pem")
    monkeypatch.setenv("JWT_PRIVATE_KEY_FILE", str(tmp_path / "key.pem"))
    assert load(AuthSettings).jwt_private_key_file == tmp_path / "key.pem"


def test_a_private_key_may_come_as_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("JWT_ALGORITHM", "EdDSA")
    current, previous = new_key(), new_key()
    monkeypatch.setenv("JWT_PRIVATE_KEY", current)
    monkeypatch.setenv("JWT_PREVIOUS_KEY", previous)
    keys = load(AuthSettings).private_keys()
    pem, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    texts = [key.private_bytes(pem, private, serialization.NoEncryption()).decode() for key in keys]
    assert texts == [current, previous]
    for name in ("JWT_PREVIOUS_KEY", "JWT_PRIVATE_KEY"):
        monkeypatch.setenv(name, "hunter2")
        line = refusal(AuthSettings, capsys)
        assert f"{name} is no readable private key" in line and "hunter2" not in line


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
@pytest.mark.parametrize("name", ["JWT_PRIVATE_KEY_FILE", "JWT_PREVIOUS_KEY_FILE"])
@pytest.mark.parametrize("content", ["missing", "empty", "text", "public", "other", "locked"])
def test_a_key_file_that_is_none_is_refused(
    algorithm: str,
    name: str,
    content: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pem, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    wrong = generate_private_key(SECP384R1())
    locked = serialization.BestAvailableEncryption(b"hunter2")
    contents = {
        "empty": b"",
        "text": b"hunter2" * 10,
        "public": wrong.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo),
        "other": wrong.private_bytes(pem, private, serialization.NoEncryption()),
        "locked": wrong.private_bytes(pem, private, locked),
    }
    if content in contents:
        (tmp_path / "wrong.pem").write_bytes(contents[content])
    monkeypatch.setenv("JWT_ALGORITHM", algorithm)
    if name == "JWT_PREVIOUS_KEY_FILE":
        good = tmp_path / "good.pem"
        make_key(good)
        if algorithm == "ES256":
            monkeypatch.setenv("JWT_ALGORITHM", "EdDSA")
        monkeypatch.setenv("JWT_PRIVATE_KEY_FILE", str(good))
    monkeypatch.setenv(name, str(tmp_path / "wrong.pem"))
    line = refusal(AuthSettings, capsys)
    assert name in line and "hunter2" not in line


def test_signing_with_a_private_key_asks_for_its_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JWT_ALGORITHM", "EdDSA")
    assert "JWT_PRIVATE_KEY_FILE must be set for JWT_ALGORITHM=EdDSA" in refusal(AuthSettings, capsys)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_POOL_SIZE", "hunter2"),
        ("JWT_ALGORITHM", "none"),
        ("JWT_ALGORITHM", "RS256"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, hunter2"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("REQUEST_RATE_PER_CLIENT", "0/minute"),
        ("REQUEST_RATE_PER_CLIENT", "hunter2"),
        ("LOGIN_RATE_PER_IP", "30 per minute"),
        ("BCRYPT_ROUNDS", "3"),
        ("APP_ENV", "prod"),
        ("DATABASE_URL", "postgres//u:hunter2@127.0.0.1/d"),
        ("DATABASE_URL", "postgresql://u:hunter2%zz@127.0.0.1/d"),
        ("DATABASE_URL", "postgresql://u:hunter2/x@127.0.0.1:5432/d"),
        ("DATABASE_URL", "postgresql://u:x@hunter2@127.0.0.1:5432/d"),
        ("DATABASE_READ_URL", "postgres//u:hunter2@127.0.0.1/d"),
        ("REDIS_URL", "rediss//:hunter2@127.0.0.1:6379/0"),
        ("REDIS_URL", "redis://:hunter2/x@127.0.0.1:6379/0"),
        ("REDIS_URL", "redis+sentinel://:x@127.0.0.1:26379,127.0.0.1:hunter2/mymaster/0"),
    ],
)
def test_a_wrong_value_is_named_but_not_shown(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    line = refusal(AuthSettings, capsys)
    assert name in line and "hunter2" not in line


@pytest.mark.parametrize("folder", SERVICE_FOLDERS.values())
def test_no_service_starts_in_production_with_published_keys(folder: str) -> None:
    started = subprocess.run(
        [sys.executable, "-c", "import app.main"],
        cwd=ROOT / folder,
        env={"APP_ENV": "production", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert started.returncode == 78
    assert started.stderr.startswith("settings: ") and started.stderr.count("\n") == 1
    assert "must be set in production" in started.stderr


@pytest.mark.parametrize(("service", "folder"), SERVICE_FOLDERS.items())
def test_the_env_file_of_a_service_has_each_of_its_settings_and_no_secret(service: str, folder: str) -> None:
    values = read_env_file(ROOT / folder / ".env")
    settings_class = AuthSettings if service == "auth" else ClientSettings
    settings = settings_class(**{name.lower(): value for name, value in values.items() if value})
    secret = {name.upper() for name in settings.secret_names()}
    assert {name.upper() for name in settings_class.model_fields} == set(values) | secret
    assert not any(values.get(name) for name in secret)
    assert f"//predicthealth_{service}@" in values["DATABASE_URL"]


def test_no_secret_shows_when_settings_are_printed() -> None:
    settings = Settings(jwt_secret_key=f"hunter2{PRODUCTION['CURSOR_KEY']}", database_url="postgresql://u:hunter2@h/d")
    assert "hunter2" not in repr(settings) + str(settings)


def test_origins_are_listed() -> None:
    settings = Settings(cors_origins=" https://a.mx, https://b.mx ,", fleet_origins="http://127.0.0.1:8000")
    assert settings.allowed_origins == ["https://a.mx", "https://b.mx", "http://127.0.0.1:8000"]


def test_no_proxy_is_trusted_unless_it_is_named() -> None:
    assert Settings().trusted_networks == []
    assert [str(network) for network in Settings(trusted_proxies="10.0.0.0/8, ::1").trusted_networks] == [
        "10.0.0.0/8",
        "::1/128",
    ]
