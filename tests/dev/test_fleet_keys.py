"""`./fleet keys rotate` and `./fleet audit verify`: what they do, and what they refuse."""

import os
import resource
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dev import ROOT
from dev.fleet import Fleet, lock
from dev.settings import make_data_dir
from dev.signing import CURRENT, PREVIOUS, key_files


def run(
    data_dir: Path, *arguments: str, before: Callable[[], object] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a verb to its end; `before` runs in its process first."""
    return subprocess.run(
        [sys.executable, "-m", "dev", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PREDICTHEALTH_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=before,
    )


def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    made = key_files(tmp_path)
    assert made == {"JWT_PRIVATE_KEY_FILE": str(tmp_path / CURRENT)}
    assert stat.S_IMODE((tmp_path / CURRENT).stat().st_mode) == 0o600
    content = (tmp_path / CURRENT).read_bytes()
    assert key_files(tmp_path) == made
    assert (tmp_path / CURRENT).read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == [CURRENT]


def test_a_rotation_makes_a_new_key_and_keeps_the_one_before_alone(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    contents = []
    for _ in range(3):
        rotated = run(data_dir, "keys", "rotate")
        assert (rotated.returncode, rotated.stderr) == (0, "")
        assert "nobody is logged out" in rotated.stdout and "Stop and start" not in rotated.stdout
        contents.append((data_dir / CURRENT).read_bytes())
    assert len(set(contents)) == 3
    assert (data_dir / PREVIOUS).read_bytes() == contents[1]
    assert {stat.S_IMODE((data_dir / name).stat().st_mode) for name in (CURRENT, PREVIOUS)} == {0o600}
    assert {path.name for path in data_dir.glob("*.pem*")} == {CURRENT, PREVIOUS}
    assert set(key_files(data_dir)) == {"JWT_PRIVATE_KEY_FILE", "JWT_PREVIOUS_KEY_FILE"}


def test_a_rotation_that_finds_no_room_leaves_the_keys_as_they_are(tmp_path: Path) -> None:
    key_files(tmp_path)
    content = (tmp_path / CURRENT).read_bytes()
    refused = run(tmp_path, "keys", "rotate", before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)))
    assert refused.returncode == 1
    assert refused.stderr == f"fleet: can't write {tmp_path / CURRENT}: file too large\n"
    assert (tmp_path / CURRENT).read_bytes() == content
    assert [path.name for path in tmp_path.glob("*.pem*")] == [CURRENT]


@pytest.mark.parametrize("arguments", [["keys"], ["keys", "rotate", "now"], ["audit"], ["audit", "repair"]])
def test_another_word_is_one_line_that_tells_the_usage(arguments: list[str], tmp_path: Path) -> None:
    refused = run(tmp_path / "data", *arguments)
    assert refused.returncode == 1
    right = {"keys": "keys rotate", "audit": "audit verify|watch"}[arguments[0]]
    assert refused.stderr == f"fleet: usage: ./fleet {right}\n"
    assert not (tmp_path / "data").exists()


def test_verifying_needs_a_running_fleet(tmp_path: Path) -> None:
    refused = run(tmp_path, "audit", "verify")
    assert refused.returncode == 1
    assert refused.stderr.startswith("fleet: no fleet runs in ") and refused.stderr.count("\n") == 1


def test_a_rotation_beside_a_running_fleet_says_that_it_has_to_be_restarted(tmp_path: Path) -> None:
    make_data_dir(tmp_path)
    with lock(tmp_path):
        assert "Stop and start the running fleet for it." in run(tmp_path, "keys", "rotate").stdout


def test_a_running_service_is_told_its_own_role_and_only_auth_what_signs(fleet: Fleet) -> None:
    for service, environment in fleet.environments.items():
        running = Path(f"/proc/{fleet.services[service].pid}/environ").read_text(encoding="utf-8")
        assert ("JWT_PRIVATE_KEY_FILE=" in running) == ("REFRESH_TOKEN_KEY=" in running) == (service == "auth")
        assert "_DATABASE_PASSWORD=" not in running and environment["DATABASE_URL"] in running
        for other in fleet.environments.keys() - {service}:
            assert fleet.environments[other]["DATABASE_URL"] not in running
        assert fleet.database_url not in running
