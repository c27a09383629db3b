"""The secrets file, fleet.env and the addresses."""

import stat
from pathlib import Path

import pytest

from dev import FleetError
from dev.settings import SECRET_NAMES, free_port, load_secrets, read_env_file, url_host, write_env_file


def test_secrets_are_made_once_are_long_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    first = load_secrets(tmp_path, {})
    assert load_secrets(tmp_path, {}) == first
    assert all(len(first[name]) >= 43 for name in SECRET_NAMES if name != "ADMIN_PASSWORD")
    assert len(first["ADMIN_PASSWORD"]) >= 16
    assert len({first[name] for name in SECRET_NAMES}) == len(SECRET_NAMES)
    assert stat.S_IMODE((tmp_path / "secrets.env").stat().st_mode) == 0o600


def test_the_environment_overrides_a_secret_and_is_not_written_down(tmp_path: Path) -> None:
    kept = load_secrets(tmp_path, {})
    chosen = load_secrets(tmp_path, {"JWT_SECRET_KEY": "mine", "ADMIN_EMAIL": "root@clinic.mx", "CURSOR_KEY": ""})
    assert (chosen["JWT_SECRET_KEY"], chosen.admin_email) == ("mine", "root@clinic.mx")
    assert chosen["CURSOR_KEY"] == kept["CURSOR_KEY"]
    assert "mine" not in (tmp_path / "secrets.env").read_text(encoding="utf-8")


def test_a_secret_that_a_newer_version_needs_is_added_to_an_older_file(tmp_path: Path) -> None:
    write_env_file(tmp_path / "secrets.env", {"JWT_SECRET_KEY": "old"})
    assert load_secrets(tmp_path, {})["JWT_SECRET_KEY"] == "old"
    assert set(read_env_file(tmp_path / "secrets.env")) == {"ADMIN_EMAIL", *SECRET_NAMES}


def test_an_env_file_gives_back_what_a_shell_would_read(tmp_path: Path) -> None:
    values = {"A": "postgres://u:p@h/db?a=1&b=2", "B": "it's $HOME", "C": ""}
    write_env_file(tmp_path / "f.env", values)
    assert read_env_file(tmp_path / "f.env") == values


def test_a_spoilt_env_file_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "f.env").write_text("# comment\n\nA=1\nnonsense\n", encoding="utf-8")
    with pytest.raises(FleetError, match=r"f\.env:4 is not a KEY=value line"):
        read_env_file(tmp_path / "f.env")


def test_a_host_for_all_interfaces_is_reached_by_loopback() -> None:
    assert [url_host(host) for host in ("0.0.0.0", "127.0.0.2", "::1")] == ["127.0.0.1", "127.0.0.2", "[::1]"]


def test_no_port_is_given_twice() -> None:
    # Of 10,000 ports, 500 picks without memory would coincide with near certainty.
    ports = [free_port() for _ in range(500)]
    assert len(set(ports)) == len(ports)
