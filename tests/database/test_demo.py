"""The three logins of the demonstration, and the lines that are printed for a shell."""

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import bcrypt
import psycopg2
import pytest

from .conftest import Server
from .importing import fingerprint, run, select


class Recorder(BaseHTTPRequestHandler):
    """A stand-in of all four services: it answers logins with a token, and notes down everything."""

    calls: list[tuple[str, str, str]] = []

    def do_GET(self) -> None:
        """Note down who asks for what."""
        self._answer("GET", self.headers["Authorization"], b'{"patients": []}')

    def do_POST(self) -> None:
        """Note down the body."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._answer("POST", body, b'{"access_token": "token-' + str(len(self.calls)).encode() + b'"}')

    def _answer(self, method: str, what: str, body: bytes) -> None:
        self.calls.append((method, self.path, what))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def services() -> Iterator[dict[str, str]]:
    """The environment with the URLs of the stand-in."""
    Recorder.calls.clear()
    http = ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{http.server_address[1]}"
    yield {f"{name}_SERVICE_URL": url for name in ("AUTH", "DOCTORS", "INSTITUTIONS", "PATIENTS")}
    http.shutdown()


def test_the_demo_prints_three_logins_and_the_same_ones_again(
    server: Server, tmp_path: Path, services: dict[str, str]
) -> None:
    url, passwords = server.migrated(), tmp_path / "demo.env"
    first = run(url, "--demo", "--passwords", passwords, **services)
    assert first.status == 0, first.error
    assert passwords.stat().st_mode & 0o777 == 0o600
    logins = re.findall(r"^The (\w+): (\S+)\n  password: (\S+)$", first.said, re.M)
    assert [role for role, _, _ in logins] == ["doctor", "patient", "institution"]
    accounts = select(url, "SELECT id, user_type, email, password_hash FROM users WHERE password_hash IS NOT NULL")
    hashes = {(account["user_type"], account["email"]): account["password_hash"] for account in accounts}
    assert len(hashes) == 3
    for role, email, password in logins:
        assert bcrypt.checkpw(password.encode(), hashes[role, email].encode())
    ids = {account["user_type"]: account["id"] for account in accounts}
    columns = "SELECT doctor_id, institution_id, deceased_date FROM patients WHERE id = %s"
    assert select(url, columns, str(ids["patient"])) == [
        {"doctor_id": ids["doctor"], "institution_id": ids["institution"], "deceased_date": None}
    ]

    before = fingerprint(url)
    again = run(url, "--demo", "--passwords", passwords, **services)
    assert again.said.partition("Three logins")[2] == first.said.partition("Three logins")[2]
    assert fingerprint(url) == before


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
def test_the_printed_lines_log_in_and_show_the_dashboards(
    server: Server, tmp_path: Path, services: dict[str, str]
) -> None:
    url = server.migrated()
    said = run(url, "--demo", "--passwords", tmp_path / "demo.env", **services).said
    lines = re.findall(r"^(?:TOKEN|curl|  -d|  \| python3).*$", said, re.M)
    shown = subprocess.run(["bash", "-c", "\n".join(lines)], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.count('"patients": []') == 3
    found = select(url, "SELECT id FROM users WHERE password_hash IS NOT NULL AND user_type = 'patient'")
    dashboards = [
        "/api/v1/doctors/me/dashboard",
        f"/api/v1/patients/{found[0]['id']}/dashboard",
        "/api/v1/institutions/patients",
    ]
    assert [(method, path) for method, path, _ in Recorder.calls] == [
        call for dashboard in dashboards for call in (("POST", "/auth/login"), ("GET", dashboard))
    ]
    logins = re.findall(r"^The \w+: (\S+)\n  password: (\S+)$", said, re.M)
    assert [json.loads(what) for method, _, what in Recorder.calls if method == "POST"] == [
        {"email": email, "password": password} for email, password in logins
    ]
    assert [what for method, _, what in Recorder.calls if method == "GET"] == [f"Bearer token-{n}" for n in (0, 2, 4)]


def test_a_password_that_was_changed_since_is_neither_shown_nor_replaced(server: Server, tmp_path: Path) -> None:
    url, passwords = server.migrated(), tmp_path / "demo.env"
    run(url, "--demo", "--passwords", passwords)
    connection = psycopg2.connect(url)
    changed = bcrypt.hashpw(b"my own password", bcrypt.gensalt(4)).decode()
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE users SET password_hash = %s WHERE password_hash IS NOT NULL AND user_type = 'doctor'", (changed,)
        )
    connection.close()
    again = run(url, "--demo", "--passwords", passwords)
    assert again.said.count("  password: ") == 2
    assert "Its password has been changed since" in again.said
    assert len(select(url, "SELECT 1 FROM users WHERE password_hash = %s", changed)) == 1


def test_without_demo_nobody_gets_a_password(url: str) -> None:
    assert select(url, "SELECT 1 FROM users WHERE password_hash IS NOT NULL") == []
