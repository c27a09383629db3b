"""Migrations reach the newest schema from any state, however many run at once and however they end."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg2
import pytest

from database.migrate import MIGRATIONS, migrate
from dev import ROOT

from .conftest import Server

ALL = len([path for path in MIGRATIONS.iterdir() if path.suffix in (".sql", ".py")])

DIE_WITH_THE_LOCK = """
import os, signal, sys
from yoyo import get_backend
with get_backend(sys.argv[1]).lock():
    os.kill(os.getpid(), signal.SIGKILL)
"""


def start_migration(url: str) -> subprocess.Popen[str]:
    """The command, in a process of its own."""
    command = [sys.executable, "-m", "database.migrate"]
    return subprocess.Popen(command, cwd=ROOT, env={"DATABASE_URL": url}, stdout=subprocess.PIPE, text=True)


def count(url: str, statement: str) -> int:
    """The one number that a statement selects."""
    connection = psycopg2.connect(url)
    with connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone()
    connection.close()
    assert row
    return int(row[0])


def test_a_second_run_has_nothing_to_do(server: Server) -> None:
    url = server.empty()
    assert migrate(url) == ALL
    assert migrate(url) == 0


def test_the_catalogues_have_the_rows_of_their_files(server: Server) -> None:
    url = server.migrated()
    assert count(url, "SELECT count(*) FROM regions WHERE country_id = 484") == 32
    assert count(url, "SELECT count(*) FROM municipalities") == len(
        Path(ROOT / "database/catalogues/municipalities.csv").read_text(encoding="utf-8").splitlines()[1:]
    )


@pytest.mark.parametrize("number", range(3))
def test_of_four_at_once_one_migrates_and_all_succeed(server: Server, number: int) -> None:
    url = server.empty()
    processes = [start_migration(url) for _ in range(4)]
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert sorted(said) == sorted([f"migrations applied: {ALL}\n", *["migrations applied: 0\n"] * 3])
    assert count(url, "SELECT count(*) FROM observation_codes") > 0


def test_the_lock_of_a_killed_run_stops_nobody(server: Server) -> None:
    url = server.empty()
    subprocess.run([sys.executable, "-c", DIE_WITH_THE_LOCK, url], check=False, timeout=60)
    assert count(url, "SELECT count(*) FROM yoyo_lock") == 1
    assert migrate(url) == ALL


# A process that dies when its first migration has been made, before that is noted.
DIE_BEFORE_THE_MARK = """
import os, signal, sys
from yoyo.backends.base import DatabaseBackend
from database.migrate import migrate
DatabaseBackend.mark_one = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
migrate(sys.argv[1])
"""


def test_a_run_killed_between_a_migration_and_its_mark_can_be_repeated(server: Server) -> None:
    url = server.empty()
    died = subprocess.run([sys.executable, "-c", DIE_BEFORE_THE_MARK, url], check=False, timeout=60, cwd=ROOT)
    assert died.returncode == -signal.SIGKILL
    assert migrate(url) == ALL


@pytest.mark.parametrize("seconds", [0.4, 0.6, 0.8, 1.0])
def test_a_run_killed_at_any_time_can_be_repeated(server: Server, seconds: float) -> None:
    url = server.empty()
    process = start_migration(url)
    time.sleep(seconds)
    process.kill()
    process.communicate()
    migrate(url)
    assert migrate(url) == 0
    assert count(url, "SELECT count(*) FROM yoyo_lock") == 0
    assert count(url, "SELECT count(*) FROM regions WHERE country_id = 484") == 32
