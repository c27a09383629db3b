"""The whole fleet as one object: `./fleet up` runs it in the foreground, the tests run their own beside it."""

import fcntl
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from dev import ROOT, FleetError
from dev.processes import Child, Member, end_survivors, find_survivors, never, wait_until
from dev.servers import EmbeddedPostgres, EmbeddedValkey, check_postgres, check_redis
from dev.services import Service, owner_environment, service_environment
from dev.settings import (
    DEFAULT_HOST,
    SERVICE_FOLDERS,
    check_ports,
    free_port,
    load_secrets,
    make_data_dir,
    url_host,
    write_env_file,
)
from dev.signing import key_files

STEP_SECONDS = 300
LONGEST_PAUSE_SECONDS = 30
# After this long without a death the next one counts as the first again.
STEADY_SECONDS = 60
# What a process needs and is nobody's setting; all else has to be handed to the fleet.
SYSTEM_VARIABLES = ("PATH", "HOME", "USER", "TMPDIR", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass
class Recovery:
    """How often a member has died of late, and when it may start again."""

    deaths: int = 0
    died_at: float = 0.0
    start_at: float | None = None


class Fleet:
    """The four services with their database and Redis, in one data directory.

        fleet = Fleet(tmp_path, extra_env={"LOG_LEVEL": "DEBUG"})
        fleet.start()
        fleet.urls["doctors"], fleet.database_url, fleet.environments["auth"]["JWT_ALGORITHM"]
        fleet.services["doctors"].kill()     # and .start(), .stop(), .pid
        fleet.postgres.stop()                # None if DATABASE_URL was given
        fleet.stop()                         # .remove() also deletes its data

    `ports` defaults to free ones. `extra_env` is what a user would set in the environment: it reaches the services, and
    `DATABASE_URL` or `REDIS_URL` in it replaces the embedded server. Of this process's own environment only what every
    program needs is passed on. Nothing is restarted unless `tend` is called.
    """

    def __init__(
        self,
        data_dir: Path,
        ports: Mapping[str, int] | None = None,
        extra_env: Mapping[str, str] | None = None,
        *,
        host: str = DEFAULT_HOST,
        report: Callable[[str], None] = lambda line: None,
        interrupted: Callable[[], bool] = never,
    ) -> None:
        self.data_dir = data_dir
        self.host = host
        self.ports = dict(ports or {name: free_port() for name in SERVICE_FOLDERS})
        self.urls = {name: f"http://{url_host(host)}:{port}" for name, port in self.ports.items()}
        self.environ = {name: os.environ[name] for name in SYSTEM_VARIABLES if name in os.environ} | dict(
            extra_env or {}
        )
        self.database_url = self.environ.get("DATABASE_URL", "")
        self.redis_url = self.environ.get("REDIS_URL", "")
        self.environments: dict[str, dict[str, str]] = {}
        self.environment: dict[str, str] = {}
        self.postgres: EmbeddedPostgres | None = None
        self.valkey: EmbeddedValkey | None = None
        self.services: dict[str, Service] = {}
        self.admin_email = ""
        self.admin_password = ""
        self.admin_was_created = False
        self._report = report
        self._interrupted = interrupted
        self._lock: TextIO | None = None
        self._step: Child | None = None
        self._recoveries: dict[Member, Recovery] = {}

    @property
    def env_file(self) -> Path:
        """Where a running fleet says how to reach it."""
        return self.data_dir / "fleet.env"

    @property
    def members(self) -> list[Member]:
        """All that runs, in the order in which it stops."""
        return [*self.services.values(), *(server for server in (self.valkey, self.postgres) if server)]

    def start(self) -> None:
        """Start everything and return when each service is healthy; on a failure stop what was started and raise."""
        make_data_dir(self.data_dir)
        self._lock = lock(self.data_dir)
        try:
            if survivors := find_survivors(self.data_dir):
                self._report(f"Ending {len(survivors)} processes of an earlier start that was killed ...")
                end_survivors(survivors)
            check_ports(self.host, self.ports)
            servers = self._launch_servers()
            # The services load while the servers start and the schema is made: they need neither to begin.
            self._launch_services()
            for server in servers:
                server.wait_until_ready(self._interrupted)
                self._report(f"{server.name} answers.")
            self._run_step("migrate", ["-m", "database.migrate"], ROOT)
            self._ensure_admin()
            for service in self.services.values():
                service.wait_until_ready(self._interrupted)
            self._report("The services are healthy.")
            self._write_env_file()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything in good order: services, then Valkey, then PostgreSQL. May be called twice."""
        if self._lock is None:
            # Never started, or refused: what lies in the data directory is another fleet's.
            return
        self.env_file.unlink(missing_ok=True)
        if self._step is not None:
            self._step.stop(within_seconds=1)
        for service in self.services.values():
            service.child.ask_to_stop()
        deadline = time.monotonic() + max((service.stop_seconds for service in self.services.values()), default=0)
        for service in self.services.values():
            service.child.stop(deadline - time.monotonic())
        for server in (self.valkey, self.postgres):
            if server is not None:
                server.stop()
        self._recoveries.clear()
        self._lock.close()
        self._lock = None

    def remove(self) -> None:
        """Stop everything and delete all data."""
        self.stop()
        for server in (self.valkey, self.postgres):
            if server is not None:
                server.remove()
        shutil.rmtree(self.data_dir, ignore_errors=True)

    def tend(self) -> None:
        """Restart what has died, each time after a longer pause. To be called again and again; never waits."""
        now = time.monotonic()
        for member, recovery in self._recoveries.items():
            if member.pid is not None:
                continue
            if recovery.start_at is None:
                if now - recovery.died_at > STEADY_SECONDS:
                    recovery.deaths = 0
                pause = min(2**recovery.deaths, LONGEST_PAUSE_SECONDS)
                recovery.deaths, recovery.died_at, recovery.start_at = recovery.deaths + 1, now, now + pause
                self._report(f"{member.name} has ended ({ending(member.child)}); it starts again in {pause} s.")
            elif now >= recovery.start_at:
                recovery.start_at = None
                try:
                    member.launch()
                    self._report(f"{member.name} runs again as process {member.pid}.")
                except FleetError as error:
                    self._report(str(error))

    def _launch_servers(self) -> list[Member]:
        self._report("Starting PostgreSQL and Valkey ...")
        secrets = load_secrets(self.data_dir, self.environ)
        if self.environ.get("DATABASE_URL"):
            check_postgres(self.database_url)
        else:
            self.postgres = EmbeddedPostgres(self.data_dir, secrets["POSTGRES_PASSWORD"])
            self.database_url = self.postgres.url
        if self.environ.get("REDIS_URL"):
            check_redis(self.redis_url)
        else:
            self.valkey = EmbeddedValkey(self.data_dir, secrets["REDIS_PASSWORD"])
            self.redis_url = self.valkey.url
        servers: list[Member] = [server for server in (self.postgres, self.valkey) if server]
        for server in servers:
            server.launch()
        self.admin_email, self.admin_password = secrets.admin_email, secrets["ADMIN_PASSWORD"]
        self.environments = {
            name: service_environment(
                name,
                self.environ,
                database_url=self.database_url,
                redis_url=self.redis_url,
                urls=self.urls,
                secrets=secrets,
                key_files=key_files(self.data_dir),
            )
            for name in SERVICE_FOLDERS
        }
        self.environment = owner_environment(self.environments["auth"], self.database_url, secrets)
        return servers

    def _launch_services(self) -> None:
        self._report("Starting the services ...")
        for name, port in self.ports.items():
            service = Service(name, host=self.host, port=port, data_dir=self.data_dir, env=self.environments[name])
            self.services[name] = service
            service.launch()
        self._recoveries = {member: Recovery() for member in self.members}

    def _ensure_admin(self) -> None:
        admin = {"ADMIN_EMAIL": self.admin_email, "ADMIN_PASSWORD": self.admin_password}
        said = self._run_step("admin", ["-m", "app.admin", "ensure"], ROOT / SERVICE_FOLDERS["auth"], admin)
        self.admin_was_created = said.split()[-1:] == ["created"]

    def _run_step(self, name: str, command: Sequence[str], cwd: Path, more_env: Mapping[str, str] | None = None) -> str:
        """Run one of our own commands to its end and return what it said; FleetError if it fails."""
        environment = {**self.environment, **(more_env or {})}
        self._step = Child(name, [sys.executable, *command], data_dir=self.data_dir, cwd=cwd, env=environment)
        step = self._step
        step.spawn()
        if not wait_until(lambda: step.pid is None, STEP_SECONDS, self._interrupted):
            raise FleetError(f"{name} is not done after {STEP_SECONDS} s; see {step.log}")
        if step.exit_status != 0:
            raise FleetError(f"{name} failed:\n{step.last_words()}")
        step.stop(within_seconds=0)
        return step.last_words()

    def _write_env_file(self) -> None:
        urls = {f"{name.upper()}_SERVICE_URL": url for name, url in self.urls.items()}
        algorithm = self.environment["JWT_ALGORITHM"]
        servers = {"DATABASE_URL": self.database_url, "REDIS_URL": self.redis_url}
        # What may be done with a server depends on whose it is.
        embedded = " ".join(server.name for server in (self.postgres, self.valkey) if server)
        values = {**servers, "EMBEDDED_SERVERS": embedded, **urls, "JWT_ALGORITHM": algorithm}
        write_env_file(self.env_file, values)


def lock(data_dir: Path) -> TextIO:
    """Take the data directory for this process; FleetError if another fleet runs in it."""
    file = open(data_dir / "lock", "r+", encoding="ascii")  # noqa: SIM115 (it holds the lock for as long as it is open)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = file.read().strip()
        file.close()
        raise FleetError(f"a fleet (process {owner}) already runs in {data_dir}: stop it first") from error
    (data_dir / "fleet.env").unlink(missing_ok=True)  # of a start that was killed: nothing is where it says any more
    file.truncate()
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def is_running(data_dir: Path) -> bool:
    """Tell whether a fleet runs, or is starting, in a data directory."""
    try:
        with open(data_dir / "lock", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def ending(child: Child) -> str:
    """Say how a process ended."""
    status = child.exit_status
    return "not started" if status is None else f"signal {-status}" if status < 0 else f"status {status}"
