"""An import holds one patient at a time: the rest waits in a file that nobody else sees and that leaves nothing."""

import cProfile
import pstats
import subprocess
import tracemalloc
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import psycopg2

from database.importer.files import Report
from database.importer.loading import load
from database.importer.spool import Spool, of
from dev import ROOT

from .conftest import Server
from .importing import SAMPLE, command, multiply, rows_of, waiting_for


def imported(server: Server, directory: Path) -> Report:
    """Load a directory in this process, into a database of its own."""
    report = Report()
    connection = psycopg2.connect(server.migrated())
    load(connection, directory, report)
    connection.close()
    return report


def peak(server: Server, directory: Path) -> int:
    """The most bytes that Python's objects took at a time while a directory was loaded."""
    tracemalloc.start()
    try:
        imported(server, directory)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_groups_and_their_things_come_in_the_order_in_which_they_came() -> None:
    first, second = uuid4(), uuid4()
    with closing(Spool()) as spool:
        for group, thing in ((second, "a"), (first, 1), (second, "b"), (first, "c")):
            spool.put(group, thing)
        assert len(spool) == 2
        assert list(spool.groups()) == [(second, ["a", "b"]), (first, [1, "c"])]
    assert of(str, ["a", 1, "b"]) == ["a", "b"]


def test_of_a_patient_that_is_loaded_only_ids_stay_in_memory(server: Server, tmp_path: Path) -> None:
    imported(server, SAMPLE)  # what is loaded at the first use only
    few, many = peak(server, multiply(tmp_path / "few", 1)), peak(server, multiply(tmp_path / "many", 4))
    # A few ids, and the lines of encounters that are refused. All rows of a patient take some 50 times as much.
    assert (many - few) / (3 * len(rows_of("patients.csv"))) < 2_000


def test_what_waits_is_in_a_file_without_a_name(server: Server, tmp_path: Path) -> None:
    spools, many = tmp_path / "spools", multiply(tmp_path / "many", 4)
    spools.mkdir()
    with waiting_for(
        server.migrated(), rows_of("patients.csv", many)[30]["Id"], many, SQLITE_TMPDIR=str(spools)
    ) as process:
        files = [file for file in Path(f"/proc/{process.pid}/fd").iterdir() if str(spools) in str(file.readlink())]
        assert files and all(str(file.readlink()).endswith(" (deleted)") for file in files)
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
        assert list(spools.iterdir()) == []
    assert list(spools.iterdir()) == []


def test_an_import_without_room_for_what_waits_says_so(server: Server, tmp_path: Path) -> None:
    # Files of 64 blocks (of 512 or 1,024 bytes) at most: enough to start with.
    shell = ["sh", "-c", 'ulimit -f 64; exec "$@"', "sh", *command(multiply(tmp_path / "many", 4))]
    env = {"DATABASE_URL": server.migrated()}
    done = subprocess.run(shell, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("importer: temporary files can't be written")


def test_no_password_is_hashed_during_an_import(server: Server) -> None:
    profile = cProfile.Profile()
    profile.enable()
    imported(server, SAMPLE)
    profile.disable()
    called = [name for _, _, name in pstats.Stats(profile).stats]  # type: ignore[attr-defined]
    assert "load_patient" in called
    assert [name for name in called if "bcrypt" in name or "hashpw" in name] == []
