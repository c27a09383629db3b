"""`./fleet up` with real processes: what it refuses, what it restarts, and that it leaves nothing behind."""

import os
import signal
import socket
import stat
import subprocess
import time
import urllib.request
from pathlib import Path

import psycopg2
import pytest

from dev.fleet import Fleet
from dev.processes import has_ended, started_at, wait_until
from dev.settings import SERVICE_FOLDERS, read_env_file
from tests.conftest import TEST_ENVIRONMENT
from tests.dev.conftest import Up

STOP_LIMIT_SECONDS = 15


def alive(pids: dict[str, int]) -> list[str]:
    return [name for name, pid in pids.items() if not has_ended(pid, started_at(pid) or "gone")]


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_signal_ends_everything_in_order(up_without_servers: Up, sig: signal.Signals) -> None:
    up = up_without_servers
    up.start()
    children = up.children()
    assert set(children) == set(up.ports)
    up.signal(sig)
    assert up.wait() == 0
    assert alive(children) == []
    assert not (up.data_dir / "fleet.env").exists()


def test_under_nohup_a_hang_up_ends_nothing(up_without_servers: Up) -> None:
    up = up_without_servers
    up.start(hang_up=signal.SIG_IGN)
    children = up.children()
    up.signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        up.process.wait(1)
    assert sorted(alive(children)) == sorted(up.ports)
    up.signal(signal.SIGTERM)
    assert up.wait() == 0
    assert alive(children) == []


def test_the_fleet_says_where_its_database_is_and_keeps_data_and_secrets_through_a_restart(up: Up) -> None:
    up.start()
    env_file = up.data_dir / "fleet.env"
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600
    values = read_env_file(env_file)
    sourced = subprocess.run(
        ["sh", "-c", f". '{env_file}'; echo $PATIENTS_SERVICE_URL"], capture_output=True, text=True, check=True
    )
    assert sourced.stdout.strip() == values["PATIENTS_SERVICE_URL"] == f"http://127.0.0.1:{up.ports['patients']}"
    execute(values["DATABASE_URL"], "CREATE TABLE kept (n int)")
    secrets = (up.data_dir / "secrets.env").read_text(encoding="utf-8")
    children = up.children()
    assert {"postgres", "valkey"} < set(children)
    started = time.monotonic()
    up.signal(signal.SIGTERM)
    assert up.wait() == 0
    assert time.monotonic() - started < STOP_LIMIT_SECONDS
    assert alive(children) == []

    up.start()
    execute(read_env_file(env_file)["DATABASE_URL"], "SELECT n FROM kept")
    assert (up.data_dir / "secrets.env").read_text(encoding="utf-8") == secrets


def execute(url: str, statement: str) -> None:
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()


def test_a_request_that_hangs_does_not_hold_up_the_end(up_without_servers: Up) -> None:
    up = up_without_servers
    up.start()
    client = socket.create_connection(("127.0.0.1", up.ports["doctors"]))
    client.sendall(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
    time.sleep(0.3)
    started = time.monotonic()
    up.signal(signal.SIGTERM)
    # A second Ctrl-C of somebody impatient orphans nothing.
    time.sleep(0.3)
    up.signal(signal.SIGINT)
    children = up.children()
    assert up.wait() == 0
    assert time.monotonic() - started < STOP_LIMIT_SECONDS
    assert alive(children) == []


def test_a_killed_service_comes_back_with_a_growing_pause(up_without_servers: Up) -> None:
    up = up_without_servers
    up.start()
    for pause in (1, 2):
        pid = up.children()["doctors"]
        os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda killed=pid: up.children()["doctors"] != killed and up.listens("doctors"), 15)
        assert f"doctors has ended (signal 9); it starts again in {pause} s." in up.said()
    with urllib.request.urlopen(f"http://127.0.0.1:{up.ports['doctors']}/health", timeout=5) as answer:
        assert answer.status == 200


def test_a_killed_database_comes_back_where_it_was(up: Up) -> None:
    up.start()
    url = read_env_file(up.data_dir / "fleet.env")["DATABASE_URL"]
    os.kill(up.children()["postgres"], signal.SIGKILL)

    def answers() -> bool:
        try:
            execute(url, "SELECT 1")
        except psycopg2.OperationalError:
            return False
        return True

    assert wait_until(lambda: "postgres runs again" in up.said() and answers(), 30), up.said()


def test_a_killed_supervisor_takes_its_children_along_and_the_next_start_is_not_blocked(up: Up) -> None:
    up.start()
    children = up.children()
    up.signal(signal.SIGKILL)
    up.wait()
    up.start()
    assert alive(children) == []


def test_what_a_killed_fleet_said_of_itself_is_gone_while_the_next_one_starts(
    tmp_path: Path, server_urls: dict[str, str]
) -> None:
    said: list[bool] = []
    fleet = Fleet(tmp_path, extra_env=TEST_ENVIRONMENT | server_urls, report=lambda _: said.append(env_file.exists()))
    env_file = fleet.env_file
    env_file.write_text("DATABASE_URL=postgresql://127.0.0.1:1/elsewhere\n")
    try:
        fleet.start()
        assert said and not any(said) and env_file.exists()
    finally:
        fleet.stop()


def test_a_second_up_in_the_same_data_directory_is_refused(up_without_servers: Up) -> None:
    up = up_without_servers
    up.start()
    assert up.process is not None
    second = up.run()
    assert second.returncode == 1
    assert second.stderr.splitlines() == [
        f"fleet: a fleet (process {up.process.pid}) already runs in {up.data_dir}: stop it first"
    ]
    assert up.process.poll() is None
    assert up.listens("auth")
    assert (up.data_dir / "fleet.env").exists()


def test_two_fleets_run_side_by_side(up_without_servers: Up, checkout: Path, server_urls: dict[str, str]) -> None:
    up = up_without_servers
    up.start()
    other = Up(checkout, **server_urls)
    other.data_dir, other.output = checkout / "other data", checkout / "other output"
    other.env["PREDICTHEALTH_DATA_DIR"] = str(other.data_dir)
    other.start()
    assert up.listens("patients") and other.listens("patients")
    other.signal(signal.SIGTERM)
    assert other.wait() == 0
    assert not other.listens("patients")
    assert up.listens("patients")


def test_a_taken_port_is_one_line_and_nothing_has_started(up_without_servers: Up) -> None:
    up = up_without_servers
    with socket.create_server(("127.0.0.1", up.ports["patients"])):
        refused = up.run()
    assert refused.returncode == 1
    assert refused.stderr == (
        f"fleet: patients can't listen on 127.0.0.1:{up.ports['patients']} (address already in use): "
        "stop what uses it, or set PATIENTS_PORT or HOST\n"
    )
    assert up.children() == {}


@pytest.mark.parametrize("port", ["80x", "0", "70000", "-1", "٣"])
def test_a_port_that_is_none_is_one_line(up_without_servers: Up, port: str) -> None:
    refused = up_without_servers.run(AUTH_PORT=port)
    assert (refused.returncode, refused.stderr) == (1, f"fleet: AUTH_PORT={port} is not a port (1-65535)\n")


def test_a_data_directory_that_can_not_be_made_is_one_line(up_without_servers: Up) -> None:
    refused = up_without_servers.run(PREDICTHEALTH_DATA_DIR="/dev/null/data")
    assert refused.returncode == 1
    assert refused.stderr == "fleet: can't write to the data directory /dev/null/data: not a directory\n"


def test_a_setting_that_is_no_number_is_for_the_services_to_refuse(up_without_servers: Up) -> None:
    up = up_without_servers
    (up.checkout / SERVICE_FOLDERS["auth"] / "app" / "admin.py").write_text("raise SystemExit('settings: …')")
    refused = up.run(SHUTDOWN_DRAIN_SECONDS="a while")
    assert (refused.returncode, refused.stderr) == (1, "fleet: admin failed:\n    settings: …\n")


@pytest.mark.parametrize(
    ("variable", "url", "reason"),
    [
        ("DATABASE_URL", "postgresql://u:p@127.0.0.1:1/x", 'connection to server at "127.0.0.1", port 1 failed'),
        ("REDIS_URL", "redis://127.0.0.1:1/0", "Error 111 connecting to 127.0.0.1:1"),
        ("REDIS_URL", "nonsense", "must be redis://user:password@host:6379/0"),
        ("DATABASE_URL", "postgresql://u:p/q@127.0.0.1/x", "must be postgresql://user:password@host:5432/name"),
    ],
)
def test_a_server_of_the_user_that_is_away_is_one_line(
    up_without_servers: Up, variable: str, url: str, reason: str
) -> None:
    refused = up_without_servers.run(**{variable: url})
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"fleet: {variable}: {reason}")
    assert refused.stderr.count("\n") == 1
    assert up_without_servers.children() == {}


def test_a_service_that_does_not_start_shows_its_last_words_and_stops_the_rest(up_without_servers: Up) -> None:
    up = up_without_servers
    (up.checkout / "service-doctors" / "app" / "main.py").write_text("raise SystemExit('no key')", encoding="utf-8")
    refused = up.run()
    assert refused.returncode == 1
    assert "fleet: doctors ended as it started" in refused.stderr
    assert "no key" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert up.children() == {}


def test_the_environment_reaches_the_services_and_wins(up_without_servers: Up) -> None:
    up = up_without_servers
    up.env |= {"LOG_LEVEL": "DEBUG", "JWT_SECRET_KEY": "chosen by the user", "ADMIN_PASSWORD": "chosen too"}
    up.start()
    environ = Path(f"/proc/{up.children()['auth']}/environ").read_text(encoding="utf-8").split("\0")
    assert {"LOG_LEVEL=DEBUG", "JWT_SECRET_KEY=chosen by the user"} <= set(environ)
    assert f"AUTH_SERVICE_URL=http://127.0.0.1:{up.ports['auth']}" in environ
    # The person knows the password that they set: it doesn't belong on a screen.
    assert "chosen too" not in up.said()


@pytest.mark.parametrize("verb", ["demo", "migrate"])
def test_a_verb_that_needs_a_running_fleet_says_so(up_without_servers: Up, verb: str) -> None:
    up_without_servers.env.pop("DATABASE_URL")
    refused = up_without_servers.run(verb)
    assert refused.returncode == 1
    assert refused.stderr.startswith("fleet: no fleet runs in ")
    assert "./fleet up" in refused.stderr
