"""`./fleet keys rotate` and `./fleet audit verify`: what they do, and what they refuse."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import jwt
import pytest

from dev import ROOT
from dev.fleet import Fleet
from dev.signing import CURRENT, PREVIOUS, key_files

from ..conftest import ADMIN_EMAIL, ADMIN_PASSWORD, TEST_ENVIRONMENT
from ..support import Api, User


def run(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a verb to its end."""
    return subprocess.run(
        [sys.executable, "-m", "dev", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PREDICTHEALTH_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
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


@pytest.mark.parametrize("arguments", [["keys"], ["keys", "rotate", "now"], ["audit"], ["audit", "repair"]])
def test_another_word_is_one_line_that_tells_the_usage(arguments: list[str], tmp_path: Path) -> None:
    refused = run(tmp_path / "data", *arguments)
    assert refused.returncode == 1
    right = {"keys": "keys rotate", "audit": "audit verify"}[arguments[0]]
    assert refused.stderr == f"fleet: usage: ./fleet {right}\n"
    assert not (tmp_path / "data").exists()


def test_verifying_needs_a_running_fleet(tmp_path: Path) -> None:
    refused = run(tmp_path, "audit", "verify")
    assert refused.returncode == 1
    assert refused.stderr.startswith("fleet: no fleet runs in ") and refused.stderr.count("\n") == 1


def statuses(user: User) -> set[int]:
    """What the four services answer to the user's token."""
    return {
        user.auth.get("/auth/sessions").status_code,
        user.doctors.get("/api/v1/specialties").status_code,
        user.institutions.get("/api/v1/institution-types").status_code,
        user.patients.get("/api/v1/blood-types").status_code,
    }


def key_id(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def test_a_rotation_logs_nobody_out(tmp_path: Path) -> None:
    """Tokens of the key before are good, those of the one before that are not, sessions live on."""
    fleet = Fleet(tmp_path, extra_env=TEST_ENVIRONMENT)
    try:
        fleet.start()
        api = Api(fleet.urls, ADMIN_EMAIL, ADMIN_PASSWORD)
        first = api.anonymous.auth.post("/auth/login", json={"email": ADMIN_EMAIL, "password": ADMIN_PASSWORD}).json()
        assert "Stop and start the running fleet for it." in run(tmp_path, "keys", "rotate").stdout
        assert statuses(api.admin) == {200}  # nothing has changed yet

        fleet.stop()
        fleet.start()
        assert statuses(api.admin) == {200}
        second = api.anonymous.auth.post("/auth/refresh", json={"refresh_token": first["refresh_token"]}).json()
        assert key_id(second["access_token"]) != key_id(first["access_token"])
        published = httpx.get(f"{fleet.urls['auth']}/.well-known/jwks.json").json()["keys"]
        assert [key["kid"] for key in published] == [key_id(second["access_token"]), key_id(first["access_token"])]
        assert all("d" not in key for key in published)

        fleet.stop()
        run(tmp_path, "keys", "rotate")
        fleet.start()
        assert statuses(api.admin) == {401}  # two rotations within a token's life: it has to be refreshed
        third = api.anonymous.auth.post("/auth/refresh", json={"refresh_token": second["refresh_token"]})
        assert third.status_code == 200
        assert statuses(api.log_in("auth", ADMIN_EMAIL, ADMIN_PASSWORD)) == {200}
        api.close()
    finally:
        fleet.remove()


def test_only_the_auth_service_is_told_what_signs(fleet: Fleet) -> None:
    for service, environment in fleet.environments.items():
        secrets = {"JWT_PRIVATE_KEY_FILE", "REFRESH_TOKEN_KEY"} & set(environment)
        assert secrets == ({"JWT_PRIVATE_KEY_FILE", "REFRESH_TOKEN_KEY"} if service == "auth" else set())
        assert environment["JWT_ALGORITHM"] == "EdDSA" and "JWT_SECRET_KEY" not in environment
        assert not [name for name in environment if name.endswith("_DATABASE_PASSWORD")]
        assert f"_{service}:" in environment["DATABASE_URL"]
        running = Path(f"/proc/{fleet.services[service].pid}/environ").read_text(encoding="utf-8")
        assert ("JWT_PRIVATE_KEY_FILE=" in running) == ("REFRESH_TOKEN_KEY=" in running) == (service == "auth")
        for other in fleet.environments.keys() - {service}:
            assert fleet.environments[other]["DATABASE_URL"] not in running
        assert fleet.database_url not in running
