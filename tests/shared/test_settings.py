import pytest

from shared.settings import DEVELOPMENT_KEYS, Settings, load

KEYS = {name.upper(): "x" * 32 for name in DEVELOPMENT_KEYS}


def test_development_needs_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(Settings).app_env == "development"


def test_production_takes_its_own_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**KEYS, "APP_ENV": "production"}.items():
        monkeypatch.setenv(name, value)
    assert load(Settings).app_env == "production"


@pytest.mark.parametrize("name", list(KEYS))
@pytest.mark.parametrize("value", [None, "", "short"])
def test_production_refuses_a_missing_published_or_short_key(
    name: str, value: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for key, good in {**KEYS, "APP_ENV": "production"}.items():
        monkeypatch.setenv(key, good)
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as stopped:
        load(Settings)
    assert stopped.value.code == 78
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and name in line


def test_a_wrong_value_is_named_but_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_POOL_SIZE", "hunter2")
    with pytest.raises(SystemExit):
        load(Settings)
    line = capsys.readouterr().err
    assert "DATABASE_POOL_SIZE" in line and "hunter2" not in line


def test_no_secret_shows_when_settings_are_printed() -> None:
    settings = Settings(jwt_secret_key="hunter2" * 5, database_url="postgresql://u:hunter2@h/d")
    assert "hunter2" not in repr(settings) + str(settings)


def test_origins_are_listed() -> None:
    assert Settings(cors_origins=" https://a.mx, https://b.mx ,").allowed_origins == ["https://a.mx", "https://b.mx"]
