"""The embedded PostgreSQL and Valkey on their own."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
import redis

from dev.accounts import OWNER_FILE, SYSTEM_DIR
from dev.servers import EmbeddedPostgres, EmbeddedValkey


@pytest.fixture
def postgres(open_dir: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(open_dir / "data", "first'\\ %pass")
    yield server
    server.remove()


def value(url: str, statement: str) -> object:
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone()[0]
    finally:
        connection.close()


def test_postgres_asks_for_its_password_and_takes_a_new_one(postgres: EmbeddedPostgres, open_dir: Path) -> None:
    url = postgres.start()
    assert value(url, "SELECT current_setting('server_encoding')") == "UTF8"
    assert value(url, "SELECT lower('ÁÑ')") == "áñ"
    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(host="127.0.0.1", port=url.rpartition(":")[2].split("/")[0], user="postgres", password="no")
    postgres.stop()
    changed = EmbeddedPostgres(open_dir / "data", "second")
    assert value(changed.start(), "SELECT 1") == 1
    changed.stop()


def test_postgres_logs_no_values_of_failed_statements(postgres: EmbeddedPostgres) -> None:
    url = postgres.start()
    with pytest.raises(psycopg2.Error):
        value(url, "SELECT 'a diagnosis'::int")
    with pytest.raises(psycopg2.Error):
        value(url, "CREATE TABLE t (n text UNIQUE); INSERT INTO t VALUES ('hepatitis'), ('hepatitis')")
    log = postgres.child.log.read_text(encoding="utf-8")
    assert "hepatitis" not in log


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as somebody else")
def test_root_gets_a_database_even_in_a_directory_that_nobody_can_reach(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    server = EmbeddedPostgres(tmp_path / "data")
    try:
        assert value(server.start(), "SELECT 1") == 1
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
    finally:
        server.remove()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as somebody else")
def test_the_cluster_of_a_test_that_was_killed_is_swept_away_by_the_next_start(tmp_path: Path) -> None:
    killed = EmbeddedPostgres(tmp_path / "killed")
    home = SYSTEM_DIR / (tmp_path / "killed" / "postgres-directory").read_text(encoding="ascii")
    assert (home / OWNER_FILE).read_text(encoding="utf-8") == str(tmp_path / "killed")
    EmbeddedPostgres(tmp_path / "next").remove()
    assert home.exists()
    shutil.rmtree(tmp_path / "killed")
    EmbeddedPostgres(tmp_path / "next after").remove()
    assert not home.exists()
    killed.remove()


def test_valkey_asks_for_its_password_and_keeps_its_keys(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path, 'quo"te\\ d')
    try:
        url = server.start()
        assert b'quo"te' not in Path(f"/proc/{server.pid}/cmdline").read_bytes()
        client = redis.Redis.from_url(url)
        client.set("k", "v")
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(url.replace("quo", "other")).ping()
        server.kill()
        assert server.pid is None
        server.start()
        assert client.get("k") == b"v"
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    finally:
        server.remove()
