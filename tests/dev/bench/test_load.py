"""Both generators of load, on the fleet of the tests."""

import json
import shutil
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import redis

from dev.bench import load
from dev.bench.load import UNIQUE, Request
from dev.fleet import Fleet
from tests.support import PASSWORD, Api, patient_body

WITH_WRK = pytest.param("wrk", marks=pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed"))
pytestmark = pytest.mark.parametrize("generator", [WITH_WRK, "httpx"])
SECONDS = 1.0


def test_answers_are_counted_and_timed(fleet: Fleet, api: Api, tmp_path: Path, generator: str) -> None:
    asked = [Request("POST", "/auth/verify-token", api.admin.token), Request("GET", "/auth/sessions", api.admin.token)]
    found = load.measure(fleet.urls["auth"], asked, 3, SECONDS, tmp_path, generator)
    assert found.errors == 0 and found.rps > 0
    assert 0 < found.p50_ms <= found.p95_ms <= found.p99_ms


class Slow(BaseHTTPRequestHandler):
    """Answers once the time of a measurement is over."""

    def do_GET(self) -> None:
        time.sleep(1.5 * SECONDS)
        self.send_response(204)
        self.end_headers()


def test_what_comes_late_is_not_counted(tmp_path: Path, generator: str) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        found = load.measure(url, [Request("GET", "/")], 3, SECONDS, tmp_path, generator)
        server.shutdown()
    assert found.rps == 0 and found.errors == 0
    # It is waited for, or it would weigh on what is measured next.
    assert generator == "wrk" or found.p50_ms >= 1500 * SECONDS


def test_whatever_is_no_2xx_is_an_error(fleet: Fleet, tmp_path: Path, generator: str) -> None:
    found = load.measure(fleet.urls["auth"], [Request("GET", "/auth/sessions")], 1, SECONDS, tmp_path, generator)
    assert found.errors > 0 and found.rps == 0


def test_a_creation_is_another_one_each_time(fleet: Fleet, api: Api, tmp_path: Path, generator: str) -> None:
    doctor = api.new_doctor(api.new_institution())
    body = patient_body(last_name=f"Nueva {UNIQUE}", contact_email={"email_address": f"{UNIQUE}@example.com"})
    new = Request("POST", "/api/v1/patients", doctor.token, json.dumps(body))
    found = load.measure(fleet.urls["patients"], [new], 4, SECONDS, tmp_path, generator)
    assert found.errors == 0
    assert doctor.doctors.get("/api/v1/doctors/me/dashboard").json()["total_patients"] > 1


def test_a_refresh_token_is_spent_once(fleet: Fleet, api: Api, tmp_path: Path, generator: str) -> None:
    doctor = api.new_doctor(api.new_institution())
    login = {"email": doctor.email, "password": PASSWORD}
    pairs = [api.anonymous.auth.post("/auth/login", json=login).json() for _ in range(3)]
    requests = [Request("POST", "/auth/refresh", "", json.dumps({"refresh_token": p["refresh_token"]})) for p in pairs]
    found = load.measure(fleet.urls["auth"], requests, 1, 2 * SECONDS, tmp_path, generator)
    assert found.errors == 0
    with redis.Redis.from_url(fleet.redis_url) as server:
        generations = [int(server.hget(f"session:{pair['session_id']}", "generation") or 0) for pair in pairs]
    # A token that is spent a second time makes no further generation.
    assert max(generations) > 1
