"""Measured services beside the fleet of the tests."""

import json
import re
from pathlib import Path
from typing import cast

import httpx

from dev.bench.callers import Callers
from dev.bench.load import Request
from dev.bench.routes import Route
from dev.bench.stage import Stage
from dev.fleet import Fleet
from tests.support import PASSWORD, Api

CONNECTIONS = 6


def test_hashes_are_all_made_once_they_are_measured(fleet: Fleet, api: Api, tmp_path: Path) -> None:
    doctor = api.new_doctor(api.new_institution())
    login = Request("POST", "/auth/login", "", json.dumps({"email": doctor.email, "password": PASSWORD}))
    logins = Route("login", "auth", lambda callers, connections: [login], hashes=True)
    nobody = cast(Callers, None)
    with Stage(fleet, tmp_path / "stage", [logins], environment={"BCRYPT_ROUNDS": "12"}) as stage:
        # The first one makes the account's hash anew, at this cost.
        stage.measure(logins, nobody, 1, 0.1)
        found = stage.measure(logins, nobody, CONNECTIONS, 0.25).measurement
        # As many as there are connections are under way when time is up; whoever is measured next finds none of them.
        metrics = httpx.get(f"{stage.services['auth'].url}/metrics", trust_env=False).text
    (waiting,) = re.findall(r"^predicthealth_password_hash_queue_length ([\d.]+)", metrics, re.MULTILINE)
    assert float(waiting) == 0
    assert found.errors == 0 and found.p99_ms > found.p50_ms
