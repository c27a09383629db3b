"""`./fleet backup` and `restore` on real servers: the same data afterwards, and never half of it."""

import io
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from pathlib import Path
from threading import Event

import httpx
import psycopg2
import pytest
import redis
from psycopg2 import sql
from yoyo import get_backend, read_migrations

import dev.backup
import dev.restore
from database import migrate
from database.roles import SERVICES, role_name
from dev import ROOT, FleetError, archive, clients
from dev.fleet import Fleet
from dev.processes import wait_until
from dev.servers import EmbeddedValkey
from dev.settings import load_secrets
from tests.conftest import TEST_ENVIRONMENT
from tests.support import Api, institution_body, patient_body

NEWCOMERS = "this fleet was given data meanwhile: nothing was replaced"
_numbers = count(1)


def fleet_command(data_dir: Path, *arguments: str, **env: str) -> subprocess.Popen[bytes]:
    """A verb in a process of its own."""
    environment = {"PATH": os.environ["PATH"], "PREDICTHEALTH_DATA_DIR": str(data_dir), **env}
    command = [sys.executable, "-m", "dev", *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)  # type: ignore[call-overload, no-any-return]


def run(data_dir: Path, *arguments: str, stdin: bytes = b"", **env: str) -> tuple[int, bytes, str]:
    """Run a verb to its end: exit status, standard output, standard error."""
    with fleet_command(data_dir, *arguments, **env) as process:
        output, errors = process.communicate(stdin, timeout=120)
    return process.returncode, output, errors.decode()


def succeed(data_dir: Path, *arguments: str, **env: str) -> str:
    status, _, errors = run(data_dir, *arguments, **env)
    assert status == 0, errors
    return errors


def refuse(data_dir: Path, *arguments: str, **env: str) -> str:
    """The one line of a verb that fails."""
    status, _, errors = run(data_dir, *arguments, **env)
    lines = [line for line in errors.splitlines() if line.startswith("fleet: ")]
    assert status == 1 and len(lines) == 1 and "Traceback" not in errors, errors
    return lines[0].removeprefix("fleet: ")


def contents(url: str) -> dict[str, tuple[int, str]]:
    """How many rows each table has, and a digest of them all."""
    found = {}
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'")
        for (table,) in cursor.fetchall():
            query = "SELECT count(*), md5(coalesce(string_agg(r::text, '\n' ORDER BY r::text), '')) FROM {} r"
            cursor.execute(sql.SQL(query).format(sql.Identifier(table)))
            found[table] = cursor.fetchone()
    return found


def schema(url: str) -> list[str]:
    """The whole schema as statements: tables, constraints, indexes, triggers, functions and every role's rights."""
    with closing(clients.connect(url)) as server:
        program = clients.find("pg_dump", server)
    with clients.running(program, url, ["--schema-only"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = process.stdout.read().decode().splitlines()
    # A chain of ORs comes back in fewer brackets than it was written in.
    bare = str.maketrans("", "", "()")
    return [line.translate(bare) for line in lines if not line.startswith(("\\restrict", "\\unrestrict"))]


@pytest.fixture(scope="module")
def backup(fleet: Fleet, api: Api, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of the fleet of the tests, in which there is a clinic."""
    institution = api.new_institution()
    api.new_patient(doctor=api.new_doctor(institution), health_profile={"height_cm": 170, "weight_kg": 80})
    file = tmp_path_factory.mktemp("backup") / "whole.backup"
    succeed(fleet.data_dir, "backup", str(file))
    return file


class Bare:
    """A fleet of which only the data exists: a database of its own on the tests' server, and no services."""

    def __init__(self, fleet: Fleet, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.name = f"bare_{next(_numbers)}"
        self.server = clients.connect(fleet.database_url)
        with self.server.cursor() as cursor:
            cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.name)))
        self.url = clients.on_same_server(fleet.database_url, self.name)
        self.env = {"DATABASE_URL": self.url, "REDIS_URL": fleet.redis_url.removesuffix("0") + "9"}

    def databases(self) -> set[str]:
        """The databases that are of this fleet."""
        with self.server.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", (self.name,))
            return {name for (name,) in cursor.fetchall()}

    def remove(self) -> None:
        """Drop them; the server may still be at what a killed restore told it to drop."""
        with self.server.cursor() as cursor:
            for name in self.databases():
                cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            for service in SERVICES:
                role = sql.Identifier(role_name(self.name, service))
                cursor.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(role))
        self.server.close()


@pytest.fixture
def bare(fleet: Fleet, tmp_path: Path) -> Iterator[Bare]:
    made = Bare(fleet, tmp_path / "bare")
    yield made
    made.remove()


def test_an_empty_fleet_becomes_the_same_fleet(
    fleet: Fleet, api: Api, tmp_path_factory: pytest.TempPathFactory
) -> None:
    patient = api.new_patient(institution=api.new_institution())
    backup, data_dir = tmp_path_factory.mktemp("same") / "it.backup", tmp_path_factory.mktemp("other-fleet")
    # Its secrets are kept elsewhere than the backup; whoever has both has the sessions too.
    for name in ("secrets.env", "jwt-key.pem"):
        shutil.copy(fleet.data_dir / name, data_dir)
    other = Fleet(data_dir, extra_env=TEST_ENVIRONMENT)
    other.start()
    try:
        assert httpx.get(f"{other.urls['patients']}/health").status_code == 200
        before, before_schema = contents(fleet.database_url), schema(fleet.database_url)
        succeed(fleet.data_dir, "backup", str(backup))
        assert "The audit trail is whole." in succeed(data_dir, "restore", str(backup))

        assert contents(other.database_url) == before
        assert schema(other.database_url) == before_schema
        assert run(data_dir, "audit", "verify")[0] == 0
        login = {"email": patient.email, "password": patient.password}
        assert httpx.post(f"{other.urls['patients']}/auth/login", json=login).status_code == 200
        token = {"Authorization": f"Bearer {patient.token}"}
        record = f"/api/v1/patients/{patient.id}/medical-record"
        assert httpx.get(other.urls["patients"] + record, headers=token).status_code == 200
        httpx.post(f"{other.urls['auth']}/auth/logout", headers=token)
        assert httpx.get(other.urls["patients"] + record, headers=token).status_code == 401

        # It has data now; a running fleet's is not replaced, whatever the options.
        assert refuse(data_dir, "restore", str(backup)).startswith("this fleet has data")
        assert refuse(data_dir, "restore", str(backup), "--force").startswith("stop the fleet first")
        now = {table: rows for table, (rows, _) in contents(other.database_url).items()}
        other.stop()

        # Stopped, it is; and what was there is kept.
        succeed(data_dir, "restore", str(backup), "--force")
        (kept,) = data_dir.glob("before-restore-*.backup")
        assert rows_in(kept) == now != rows_in(backup)
        again = backup.with_name("again.backup")
        succeed(data_dir, "backup", str(again))
        assert rows_in(again) == rows_in(backup)
    finally:
        other.remove()


def rows_in(backup: Path) -> dict[str, int]:
    """How many rows each table has in a backup."""
    with open(backup, "rb") as file:
        rows: dict[str, int] = archive.read(file, "it")[0]["rows"]
        return rows


def test_a_backup_is_its_owners_alone_and_not_overwritten(fleet: Fleet, backup: Path) -> None:
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    before = backup.read_bytes()
    assert refuse(fleet.data_dir, "backup", str(backup)) == f"{backup} exists: --force replaces it"
    assert backup.read_bytes() == before
    secrets = load_secrets(fleet.data_dir, {}).values.values()
    assert not [secret for secret in secrets if secret.encode() in before]
    backup.write_bytes(b"an older one")
    succeed(fleet.data_dir, "backup", str(backup), "--force")
    assert rows_in(backup)["users"] > 0
    assert [file.name for file in backup.parent.iterdir()] == [backup.name]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("/dev/null", "/dev/null exists and is no file"),
        ("/nowhere/it", "can't write /nowhere/it: no such file"),
        ("~nobody-of-this-name/it", "~nobody-of-this-name/it is no path"),
    ],
)
def test_a_place_that_takes_no_backup_is_one_line(fleet: Fleet, target: str, said: str) -> None:
    assert refuse(fleet.data_dir, "backup", target, "--force").startswith(said)


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["--fast"], ["--force"]])
def test_other_arguments_are_one_line(arguments: list[str]) -> None:
    with pytest.raises(FleetError, match="usage: ./fleet backup FILE"):
        dev.backup.run(arguments)
    with pytest.raises(FleetError, match="usage: ./fleet restore FILE"):
        dev.restore.run(arguments)


def test_nothing_is_backed_up_where_no_fleet_has_been(tmp_path: Path) -> None:
    assert refuse(tmp_path, "backup", str(tmp_path / "it")) == f"there is no fleet's data in {tmp_path}"
    assert list(tmp_path.iterdir()) == []


def test_through_a_pipe_and_with_servers_of_ones_own(fleet: Fleet, bare: Bare) -> None:
    status, piped, errors = run(fleet.data_dir, "backup", "-")
    assert status == 0, errors
    status, _, errors = run(bare.data_dir, "restore", "-", stdin=piped, **bare.env)
    assert status == 0, errors
    before, after = contents(fleet.database_url), contents(bare.url)
    assert {name: after[name] for name in ("patients", "users")} == {
        name: before[name] for name in ("patients", "users")
    }
    assert bare.databases() == {bare.name}


def test_a_redis_of_ones_own_is_neither_read_nor_written_whatever_an_earlier_start_left(
    backup: Path, bare: Bare, tmp_path: Path
) -> None:
    own = EmbeddedValkey(tmp_path / "own")
    other = Fleet(bare.data_dir, extra_env={**TEST_ENVIRONMENT, "DATABASE_URL": bare.url, "REDIS_URL": own.start()})
    try:
        other.start()
        # An earlier start, with a Valkey of the fleet's own, was killed and left this.
        (other.data_dir / "run" / "valkey.pid").write_text("4194999 1 15\n", encoding="ascii")
        with redis.Redis.from_url(own.url, decode_responses=True) as server:
            server.set("other:thing", "precious")
            # The terminals of these two know nothing of REDIS_URL.
            assert "REDIS_URL is a server of your own" in succeed(other.data_dir, "backup", str(tmp_path / "it"))
            with open(tmp_path / "it", "rb") as file:
                assert set(archive.read(file, "it")[1]) == {"database.dump"}
            succeed(other.data_dir, "restore", str(backup))
            assert server.get("other:thing") == "precious"
    finally:
        other.remove()
        own.remove()


@pytest.mark.parametrize("place", ["manifest", "checksum", "sessions", "database", "end", "header"])
def test_a_damaged_backup_is_refused_before_anything_is_touched(backup: Path, place: str, tmp_path: Path) -> None:
    damaged = bytearray(backup.read_bytes())
    with tarfile.open(backup) as whole:
        starts = {member.name.partition(".")[2]: member.offset_data for member in whole.getmembers()}
        database = whole.getmember("database.dump")
    if place == "end":
        del damaged[database.offset_data + database.size - 1 :]
    else:
        offsets = {"manifest": starts["json"], "checksum": starts["sha256"], "sessions": starts["rdb"]}
        offsets |= {"database": database.offset_data + database.size // 2, "header": database.offset + 1}
        damaged[offsets[place] + 5] ^= 1
    (tmp_path / "it").write_bytes(damaged)
    said = refuse(tmp_path / "data", "restore", str(tmp_path / "it"))
    assert said == f"{tmp_path / 'it'} is not a whole backup: it is damaged, cut off, or something else"
    assert not (tmp_path / "data").exists()


def test_a_backup_of_a_newer_version_is_refused(backup: Path) -> None:
    with open(backup, "rb") as file:
        manifest, parts = archive.read(file, "it")
        dev.restore.check_migrations(manifest["migrations"])
        with pytest.raises(FleetError, match=r"of a newer version.*\(9999.later is unknown here\)"):
            dev.restore.check_migrations([*manifest["migrations"], "9999.later"])
        copy = io.BytesIO()
        archive.write(copy, {**manifest, "format": 2}, parts)
        copy.seek(0)
    with pytest.raises(FleetError, match="it has the format 2, and this version reads 1"):
        archive.read(copy, "it")


def test_a_backup_of_any_older_version_is_migrated(bare: Bare, tmp_path: Path) -> None:
    backend = get_backend(bare.url)
    with closing(backend.connection):
        migrations = list(backend.to_apply(read_migrations(str(migrate.MIGRATIONS))))
        for migration in migrations[:5]:  # the next one copies rows
            migrate._apply(backend, migration)
    succeed(bare.data_dir, "backup", str(tmp_path / "old"), **bare.env)
    succeed(bare.data_dir, "restore", str(tmp_path / "old"), **bare.env)
    rows = contents(bare.url)
    assert rows["_yoyo_migration"][0] == len(migrations)
    assert rows["municipalities"][0] > 0


def test_whatever_is_no_backup_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"PGDMP", b"\0" * 20_480, json.dumps({"format": 1}).encode()):
        with pytest.raises(FleetError, match="it is not a whole backup"):
            archive.read(io.BytesIO(content), "it")


@pytest.mark.parametrize("moment", ["_restoring", "_replaced"])
def test_a_restore_that_is_killed_leaves_the_old_data_or_all_of_the_new(backup: Path, bare: Bare, moment: str) -> None:
    with fleet_command(bare.data_dir, "restore", str(backup), **bare.env) as process:
        assert wait_until(lambda: bare.name + moment in bare.databases() or process.poll() is not None, 60)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    found = {table: rows for table, (rows, _) in contents(bare.url).items()}
    assert found == ({} if moment == "_restoring" else rows_in(backup))
    if moment == "_restoring":
        succeed(bare.data_dir, "restore", str(backup), **bare.env)
        assert {table: rows for table, (rows, _) in contents(bare.url).items()} == rows_in(backup)
        assert bare.databases() == {bare.name}


def test_what_is_created_while_a_restore_runs_is_kept_and_the_restore_refused(backup: Path, bare: Bare) -> None:
    other = Fleet(bare.data_dir, extra_env={**TEST_ENVIRONMENT, "DATABASE_URL": bare.url})
    try:
        other.start()
        api = Api(other.urls, other.admin_email, other.admin_password)
        institutions, created = api.admin.institutions, []
        with fleet_command(other.data_dir, "restore", str(backup)) as process:
            assert wait_until(lambda: f"{bare.name}_restoring" in bare.databases() or process.poll() is not None, 60)
            while process.poll() is None:
                answer = institutions.post("/api/v1/institutions", json=institution_body())
                if answer.status_code == 201:
                    created.append(answer.json()["id"])
            assert process.stderr is not None
            said = process.stderr.read().decode()
        assert created and process.returncode == 1 and said.endswith(f"fleet: {NEWCOMERS}\n"), said
        # With the same token, too: nobody's session has ended.
        found = [institutions.get(f"/api/v1/institutions/{id_}").status_code for id_ in created]
        assert found == [200] * len(created)
        api.close()
        assert bare.databases() == {bare.name}
    finally:
        other.remove()


@pytest.mark.parametrize("committed", [True, False])
def test_in_the_last_moment_of_a_restore_what_is_committed_is_kept_and_what_is_not_fails(
    bare: Bare, committed: bool
) -> None:
    maintenance = clients.on_same_server(bare.url, "postgres")
    scratch, replaced = f"{bare.name}_restoring", f"{bare.name}_replaced"
    dev.restore.create(bare.server, scratch)
    with closing(psycopg2.connect(bare.url)) as writer, writer.cursor() as cursor:
        cursor.execute("CREATE TABLE users (); CREATE TABLE medical_institutions ();")
        cursor.execute("CREATE TABLE doctors (); CREATE TABLE patients ()")
        writer.commit()
        cursor.execute("INSERT INTO patients DEFAULT VALUES")
        if committed:
            writer.commit()
            with pytest.raises(FleetError, match=NEWCOMERS):
                dev.restore.swap(bare.server, bare.url, maintenance, scratch, replaced, must_be_empty=True)
            assert contents(bare.url)["patients"][0] == 1
            assert bare.databases() == {bare.name, scratch}
        else:
            dev.restore.swap(bare.server, bare.url, maintenance, scratch, replaced, must_be_empty=True)
            with pytest.raises(psycopg2.OperationalError):
                writer.commit()
            assert bare.databases() == {bare.name, replaced}


def test_of_two_restores_at_once_one_is_refused(backup: Path, bare: Bare) -> None:
    with ThreadPoolExecutor(2) as threads:
        tries = [
            threads.submit(run, bare.data_dir.with_name(name), "restore", str(backup), **bare.env)
            for name in ("a", "b")
        ]
    assert sorted(done.result()[0] for done in tries) == [0, 1]
    assert {table: rows for table, (rows, _) in contents(bare.url).items()} == rows_in(backup)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_a_backup_that_is_killed_leaves_no_file(fleet: Fleet, tmp_path: Path, sig: signal.Signals) -> None:
    with closing(psycopg2.connect(fleet.database_url)) as holder, holder.cursor() as cursor:
        # It waits for this table while it is killed.
        cursor.execute("LOCK TABLE observation_codes IN ACCESS EXCLUSIVE MODE")
        with fleet_command(fleet.data_dir, "backup", str(tmp_path / "it")) as process:
            waiting = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'observation_codes'::regclass"
            assert wait_until(lambda: cursor.execute(waiting) or cursor.rowcount, 60)  # type: ignore[func-returns-value]
            process.send_signal(sig)
            assert wait_until(lambda: process.poll() is not None, 30)
    assert process.returncode == (130 if sig == signal.SIGTERM else -sig)
    assert list(tmp_path.iterdir()) == []


def test_a_backup_is_of_one_moment_while_others_write(fleet: Fleet, api: Api, bare: Bare, tmp_path: Path) -> None:
    institution, stop, acknowledged = api.new_institution(), Event(), []

    def write() -> None:
        while not stop.is_set():
            answer = institution.patients.post("/api/v1/patients", json=patient_body(institution_id=institution.id))
            assert answer.status_code == 201
            acknowledged.append(answer.json()["id"])

    with ThreadPoolExecutor(1) as thread:
        writing = thread.submit(write)
        assert wait_until(lambda: len(acknowledged) > 3, 60)
        before = list(acknowledged)
        try:
            succeed(fleet.data_dir, "backup", str(tmp_path / "it"))
        finally:
            stop.set()
        writing.result()
    # The restore itself compares the numbers of rows with those that were counted beside the dump.
    assert "The audit trail is whole." in succeed(bare.data_dir, "restore", str(tmp_path / "it"), **bare.env)
    with closing(psycopg2.connect(bare.url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id::text FROM patients WHERE id::text = ANY(%s)", (acknowledged,))
        kept = {id_ for (id_,) in cursor.fetchall()}
    assert set(before) <= kept and len(kept) < len(acknowledged)
