"""PostgreSQL's own programs, pg_dump and pg_restore: which to take, and how to run them on a database."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg2
from psycopg2.extensions import connection, make_dsn, parse_dsn

from dev import FleetError
from dev.processes import die_with_parent
from dev.servers import CONNECT_SECONDS, first_line, postgres_binaries


def connect(url: str) -> connection:
    """Connect in autocommit; FleetError when PostgreSQL refuses."""
    try:
        opened = psycopg2.connect(url, connect_timeout=CONNECT_SECONDS)
    except psycopg2.Error as error:
        raise FleetError(f"PostgreSQL: {first_line(error)}") from error
    opened.autocommit = True
    return opened


def database_of(url: str) -> str:
    """The name of the database that a URL leads to."""
    return str(parse_dsn(url)["dbname"])


def on_same_server(url: str, database: str) -> str:
    """The URL of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{quote(database, safe='')}"))


def major(version: int) -> int:
    """The major version in PostgreSQL's own number, such as 170010."""
    return version // 10_000


def find(name: str, server: connection) -> Path:
    """Return the program for a server: its own version if there is that, else the next newer one; FleetError without.

    An older program can't read a newer server, and a newer pg_restore may say what an older server doesn't know.
    """
    wanted = major(server.info.server_version)
    installed = {version_of(path): path for path in reversed(list(candidates(name)))}
    fitting = sorted(version for version in installed if version >= wanted)
    if not fitting:
        raise FleetError(
            f"the server is PostgreSQL {wanted}: this needs {name} {wanted} or newer on PATH "
            f"(Debian, Ubuntu: apt-get install -y postgresql-client-{wanted})"
        )
    return installed[fitting[0]]


def candidates(name: str) -> Iterator[Path]:
    """Where a program may be, the likeliest place first."""
    on_path = shutil.which(name)
    found = [Path(on_path)] if on_path else []
    with suppress(FleetError):
        found.insert(0, postgres_binaries() / name)
    found += Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    yield from (path for path in found if path.exists())


def version_of(program: Path) -> int:
    """The major version of a program, 0 if it doesn't say."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    number = re.search(r"(\d+)(\.|devel|beta|rc|\s|$)", said.partition(")")[2])
    return int(number[1]) if number else 0


@contextmanager
def running(program: Path, url: str, arguments: Sequence[str], **pipes: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program on the database of `url` while the body reads or feeds it; FleetError if it fails.

    It ends with us, whatever ends us.
    """
    place = parse_dsn(url)
    # The command line can be read by everyone on the machine, the environment can't.
    password = {"PGPASSWORD": place.pop("password")} if "password" in place else {}
    command = [str(program), f"--dbname={make_dsn(**place)}", "--no-password", *arguments]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command,
            env={**os.environ, **password},
            stderr=errors,
            preexec_fn=die_with_parent(signal.SIGTERM),
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, **pipes},
        )
        try:
            yield process
        except BaseException:
            process.kill()
            raise
        finally:
            status = process.wait()
        if status != 0:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip().partition("\n")[0]
            raise FleetError(f"{program.name} failed: {said.removeprefix(f'{program.name}: error: ') or status}")
