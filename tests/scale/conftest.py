"""Two fleets for the whole lane: one on a primary with its standby, one on PgBouncer and Sentinels.

`./fleet test --scale`.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from database.roles import SERVICES, password_variable, role_name, service_url
from dev.fleet import Fleet
from dev.servers import DATABASE, EmbeddedPostgres

from ..conftest import ADMIN_EMAIL, ADMIN_PASSWORD, TEST_ENVIRONMENT
from ..support import Api
from .servers import PGBOUNCER, Cluster, PgBouncer, Watched

collect_ignore_glob = [] if "TEST_SCALE" in os.environ else ["test_*.py"]


@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    """A directory that the servers' account can reach: pytest's own is closed to others."""
    path = Path(tempfile.mkdtemp(prefix="predicthealth-scale-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def cluster(directory: Path) -> Iterator[Cluster]:
    """A primary and its synchronous standby."""
    servers = Cluster(directory)
    yield servers
    servers.remove()


@pytest.fixture(scope="session")
def replicated(directory: Path, cluster: Cluster) -> Iterator[Fleet]:
    """A fleet on both servers, which reads what may be old from whichever is the standby."""
    environment = {"DATABASE_URL": cluster.url, "DATABASE_READ_URL": cluster.read_url}
    running = Fleet(directory / "replicated", extra_env={**TEST_ENVIRONMENT, **environment})
    running.start()
    yield running
    running.remove()


@pytest.fixture(scope="session")
def replicated_api(replicated: Fleet) -> Iterator[Api]:
    """A client of the fleet on two servers."""
    client = Api(replicated.urls, ADMIN_EMAIL, ADMIN_PASSWORD)
    yield client
    client.close()


@pytest.fixture(scope="session")
def postgres(directory: Path) -> Iterator[EmbeddedPostgres]:
    """The server behind PgBouncer."""
    server = EmbeddedPostgres(directory / "postgres")
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def passwords() -> dict[str, str]:
    """The passwords of the services' roles."""
    return {service: secrets.token_urlsafe(16) for service in SERVICES}


@pytest.fixture(scope="session")
def pgbouncer(directory: Path, postgres: EmbeddedPostgres, passwords: dict[str, str]) -> Iterator[PgBouncer]:
    """PgBouncer in transaction mode, which the services log in to with their own roles."""
    if PGBOUNCER is None:
        pytest.skip("no PgBouncer: apt-get install -y pgbouncer")
    users = {role_name(DATABASE, service): password for service, password in passwords.items()}
    pooler = PgBouncer(directory / "pgbouncer", postgres.url, users)
    pooler.start()
    yield pooler
    pooler.stop()


@pytest.fixture(scope="session")
def watched(directory: Path) -> Iterator[Watched]:
    """A Valkey with two replicas and three Sentinels."""
    servers = Watched(directory)
    yield servers
    servers.remove()


@pytest.fixture(scope="session")
def fleet(
    directory: Path, postgres: EmbeddedPostgres, pgbouncer: PgBouncer, watched: Watched, passwords: dict[str, str]
) -> Iterator[Fleet]:
    """A fleet whose services reach PostgreSQL through PgBouncer, and Valkey through Sentinels."""
    environment = {"DATABASE_URL": postgres.url, "REDIS_URL": watched.url, "REDIS_REPLICAS_TO_WAIT_FOR": "1"}
    environment["DATABASE_PREPARED_STATEMENTS"] = "false"  # PgBouncer's connections are nobody's own
    environment["SESSIONS_PER_USER"] = "100000"  # so that none ends but by a logout
    for service, password in passwords.items():
        environment[password_variable(service)] = password
        environment[f"{service.upper()}_DATABASE_URL"] = service_url(pgbouncer.url, service, password)
    running = Fleet(directory / "pooled", extra_env={**TEST_ENVIRONMENT, **environment})
    running.start()
    yield running
    running.remove()
