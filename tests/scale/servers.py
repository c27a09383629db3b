"""More than one of each server, all real: a PostgreSQL standby, PgBouncer, Valkey replicas, Sentinels."""

import os
import secrets
import shutil
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg2
import redis
from psycopg2.extras import RealDictCursor

from dev import ROOT
from dev.accounts import account_for_postgres
from dev.processes import Child, Member
from dev.servers import DATABASE, EmbeddedPostgres, EmbeddedValkey, valkey_binary
from dev.settings import free_port, make_data_dir

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
MASTER = "predicthealth"
POOL_SIZE = 4  # of PgBouncer, for each role: fewer than a service has connections, so that they have to share


class Standby(EmbeddedPostgres):
    """A streaming standby, made by a base backup of a running server."""

    def __init__(self, data_dir: Path, source: str, port: int | None = None) -> None:
        super().__init__(data_dir, password_of(source))
        self._source = source
        if port is not None:
            self._port = port
            self.child.command[3:] = self._options()

    def _initialise(self) -> None:
        self._keep_password()
        self._run(["pg_basebackup", "-d", self._source, "-D", str(self._cluster), "-R", "-X", "stream", "-c", "fast"])


class Cluster:
    """A primary and a synchronous standby: a commit is answered when both have it. Either may become the primary."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._number = 0
        self.primary = EmbeddedPostgres(directory / "node-0")
        self.primary.start()
        self.standby: EmbeddedPostgres = self._new_standby()
        self._hosts = ",".join(f"127.0.0.1:{port_of(server.url)}" for server in (self.primary, self.standby))

    @property
    def url(self) -> str:
        """Both servers, of which the one that takes writes is meant."""
        return f"{self.primary.url.rpartition('@')[0]}@{self._hosts}/{DATABASE}?target_session_attrs=read-write"

    @property
    def read_url(self) -> str:
        """Both servers, of which the standby is meant."""
        return self.url.replace("read-write", "standby")

    def promote(self) -> None:
        """Make the standby the primary; returns when it takes writes."""
        ask(self.standby.url, "SELECT pg_promote(true, 30)")
        self.primary, self.standby = self.standby, self.primary

    def rejoin(self) -> None:
        """Make the former primary the standby, on its old port, from a base backup of the present primary."""
        former = self.standby
        former.kill()
        former.remove()
        self.standby = self._new_standby(port_of(former.url))

    def remove(self) -> None:
        """Stop both and delete their data."""
        for server in (self.primary, self.standby):
            server.kill()
            server.remove()

    def _new_standby(self, port: int | None = None) -> Standby:
        self._number += 1
        standby = Standby(self._directory / f"node-{self._number}", self.primary.url, port)
        standby.start()
        # Only now: the standby has copied the primary's settings, and is to wait for nobody once it is alone.
        ask(self.primary.url, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        ask(self.primary.url, "SELECT pg_reload_conf()")
        return standby


class PgBouncer(Member):
    """PgBouncer before a server, with the configuration that the repository ships."""

    stop_seconds = 3

    def __init__(self, data_dir: Path, server_url: str, passwords: dict[str, str]) -> None:
        make_data_dir(data_dir)
        self._home, self._account = data_dir / "pgbouncer", account_for_postgres()  # it refuses to be root too
        self._port, self._server_url, self._passwords = free_port(), server_url, passwords
        self.child = Child(
            "pgbouncer",
            [PGBOUNCER or "pgbouncer", str(self._home / "pgbouncer.ini")],
            data_dir=data_dir,
            cwd=Path("/"),
            env={"PATH": "/usr/bin:/bin"},
            stop_signal=signal.SIGINT,
            account=self._account,
        )

    @property
    def url(self) -> str:
        """Where it listens, as the owner of the database, whom it doesn't know."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/{DATABASE}"

    def prepare(self) -> None:
        """Write its files, readable by its account alone."""
        self._home.mkdir(mode=0o700, exist_ok=True)
        place = urlsplit(self._server_url)
        ours = f"""
listen_addr = 127.0.0.1
listen_port = {self._port}
unix_socket_dir =
auth_file = {self._home}/users.txt
default_pool_size = {POOL_SIZE}
[databases]
{DATABASE} = host={place.hostname} port={place.port}
"""
        shipped = (ROOT / "ops" / "pgbouncer" / "pgbouncer.ini").read_text(encoding="utf-8")
        (self._home / "pgbouncer.ini").write_text(shipped + ours, encoding="utf-8")
        users = "".join(f'"{user}" "{password}"\n' for user, password in self._passwords.items())
        (self._home / "users.txt").write_text(users, encoding="utf-8")
        if self._account is not None:
            for path in (self._home, *self._home.iterdir()):
                os.chown(path, self._account.uid, self._account.gid)

    def is_ready(self) -> bool:
        """Tell whether it listens."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0


class Valkey(EmbeddedValkey):
    """A Valkey that may be a replica, and may become one: it knows the password of a master, which is its own."""

    def __init__(self, data_dir: Path, password: str, master: "Valkey | None" = None) -> None:
        super().__init__(data_dir, password)
        self._master = master

    def prepare(self) -> None:
        """Write its configuration at the first start; later a Sentinel has changed it."""
        if (self._home / "valkey.conf").exists():
            return
        super().prepare()
        # One that has lost sight of its replicas stops taking writes, which the next master wouldn't have.
        lines = [f"masterauth {self._password}", "min-replicas-to-write 1", "min-replicas-max-lag 10"]
        # A new master takes writes once a replica has copied it: without a pause first.
        lines.append("repl-diskless-sync-delay 0")
        if self._master is not None:
            lines.append(f"replicaof 127.0.0.1 {port_of(self._master.url)}")
        with open(self._home / "valkey.conf", "a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


class Sentinel(Member):
    """One of three that watch the master and agree on its successor."""

    stop_seconds = 2

    def __init__(self, data_dir: Path, master: Valkey, password: str) -> None:
        make_data_dir(data_dir)
        self._home, self.port = data_dir / "sentinel", free_port()
        self._master, self._password = master, password
        self.child = Child(
            "sentinel",
            [str(valkey_binary()), "sentinel.conf", "--sentinel"],
            data_dir=data_dir,
            cwd=data_dir / "sentinel",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        )

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"redis://:{self._password}@127.0.0.1:{self.port}"

    def prepare(self) -> None:
        """Write its configuration at the first start; later it keeps what it knows there."""
        self._home.mkdir(mode=0o700, exist_ok=True)
        if (self._home / "sentinel.conf").exists():
            return
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"requirepass {self._password}",
            f"sentinel sentinel-pass {self._password}",
            f"sentinel monitor {MASTER} 127.0.0.1 {port_of(self._master.url)} 2",
            f"sentinel auth-pass {MASTER} {password_of(self._master.url)}",
            f"sentinel down-after-milliseconds {MASTER} 3000",
            f"sentinel failover-timeout {MASTER} 10000",
        ]
        (self._home / "sentinel.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def is_ready(self) -> bool:
        """Tell whether it knows the master, both replicas and the other Sentinels."""
        try:
            with redis.Redis.from_url(self.url, socket_timeout=1, decode_responses=True) as client:
                state = client.sentinel_master(MASTER)
        except redis.RedisError:
            return False
        return bool(state["num-slaves"] == 2 and state["num-other-sentinels"] == 2 and not state["is_odown"])

    def master_port(self) -> int:
        """The port of the master that it names."""
        with redis.Redis.from_url(self.url, socket_timeout=1, decode_responses=True) as client:
            return int(client.sentinel_get_master_addr_by_name(MASTER)[1])


class Watched:
    """A Valkey with two replicas, watched by three Sentinels."""

    def __init__(self, directory: Path) -> None:
        password = secrets.token_hex(16)
        self.master = Valkey(directory / "valkey-0", password)
        self.servers = [self.master, *(Valkey(directory / f"valkey-{n}", password, self.master) for n in (1, 2))]
        self.sentinels = [Sentinel(directory / f"sentinel-{n}", self.master, password) for n in range(3)]
        for member in (*self.servers, *self.sentinels):
            member.launch()
        for member in (*self.servers, *self.sentinels):
            member.wait_until_ready()
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        self.url = f"redis+sentinel://:{password}@{hosts}/{MASTER}/0?sentinel_password={password}"

    def is_whole(self) -> bool:
        """Tell whether every Sentinel knows all, and both replicas are with the master."""
        if not all(sentinel.is_ready() for sentinel in self.sentinels):
            return False
        return self._replicas_online() == 2

    def takes_writes(self) -> bool:
        """Tell whether a replica is with the present master."""
        return self._replicas_online() > 0

    def _replicas_online(self) -> int:
        with redis.Redis.from_url(self.present_master().url, socket_timeout=1, decode_responses=True) as client:
            state = client.info("replication")
        return [state.get(f"slave{n}", {}).get("state") for n in (0, 1)].count("online")

    def present_master(self) -> Valkey:
        """The master that the first Sentinel names now."""
        port = self.sentinels[0].master_port()
        return next(server for server in self.servers if port_of(server.url) == port)

    def remove(self) -> None:
        """Stop all."""
        for member in (*self.sentinels, *self.servers):
            member.kill()
            member.stop()


def freeze(server: EmbeddedPostgres) -> None:
    """Stop all of its processes where they are: the kernel still accepts connections, nobody answers."""
    _signal(server, signal.SIGSTOP)


def thaw(server: EmbeddedPostgres) -> None:
    """Let them go on."""
    _signal(server, signal.SIGCONT)


def _signal(server: EmbeddedPostgres, number: signal.Signals) -> None:
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text(encoding="ascii").split()
    for pid in (server.pid, *map(int, children)):
        assert pid is not None
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, number)


def ask(url: str, statement: str, parameters: Any = None) -> list[dict[str, Any]]:
    """Run a statement on one server and return its rows."""
    connection = psycopg2.connect(url, cursor_factory=RealDictCursor)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return [dict(row) for row in cursor.fetchall()] if cursor.description else []
    finally:
        connection.close()


def port_of(url: str) -> int:
    """The port of a URL of one server."""
    port = urlsplit(url).port
    assert port
    return port


def password_of(url: str) -> str:
    """The password in a URL."""
    return unquote(urlsplit(url).password or "")
