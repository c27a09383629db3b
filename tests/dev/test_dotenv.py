"""`./fleet secrets`: what it writes, once, without any package."""

import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dev import ROOT
from dev.settings import read_env_file


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The command file and what it needs."""
    shutil.copytree(ROOT / "dev", tmp_path / "dev", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "fleet", tmp_path)
    return tmp_path


def secrets(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Isolated and without site-packages: a bare Python.
    command = [sys.executable, "-S", "-E", str(checkout / "fleet"), "secrets", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_it_writes_fresh_secrets_once_for_the_owner_alone(checkout: Path) -> None:
    made = secrets(checkout)
    assert (made.returncode, made.stderr) == (0, "")
    assert "Next: docker compose up -d --wait" in made.stdout
    assert not (checkout / ".venv").exists()
    file = checkout / ".env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    content = file.read_text(encoding="utf-8")
    again = secrets(checkout)
    assert (again.returncode, again.stderr) == (1, f"fleet: {file} exists and is left as it is\n")
    assert file.read_text(encoding="utf-8") == content


def test_each_secret_is_another_one_and_fits_into_a_url(checkout: Path) -> None:
    shown = [secrets(checkout, "print").stdout for _ in range(2)]
    values = []
    for number, text in enumerate(shown):
        (checkout / str(number)).write_text(text, encoding="utf-8")
        values.append(read_env_file(checkout / str(number)))
        del values[-1]["ADMIN_EMAIL"]
    every = [value for found in values for value in found.values()]
    assert len(set(every)) == len(every)
    for name, value in values[0].items():
        assert name == "JWT_PRIVATE_KEY" or re.fullmatch(r"[A-Za-z0-9_-]{16,}", value), name
    assert not (checkout / ".env").exists()


def test_what_compose_asks_for_is_what_is_written_and_explained(checkout: Path) -> None:
    asked = set(
        re.findall(r"\$\{(\w+):\?run ./fleet secrets first\}", (ROOT / "docker-compose.yml").read_text("utf-8"))
    )
    written = set(re.findall(r"^(\w+)=", secrets(checkout, "print").stdout, re.MULTILINE))
    explained = set(re.findall(r"^(\w+)=", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE))
    assert written - {"ADMIN_EMAIL"} == asked
    assert explained == written


def test_other_words_are_one_line(checkout: Path) -> None:
    refused = secrets(checkout, "now")
    assert (refused.returncode, refused.stderr) == (1, "fleet: usage: ./fleet secrets [print]\n")
