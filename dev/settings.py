"""What `./fleet` chooses for the fleet unless the environment says otherwise: places, ports and secrets."""

import os
import secrets
import shlex
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dev import ROOT, FleetError, path_of

SERVICE_FOLDERS = {
    "auth": "auth-jwt-service",
    "doctors": "service-doctors",
    "institutions": "service-institutions",
    "patients": "service-patients",
}
DEFAULT_PORTS = {"auth": 8003, "doctors": 8000, "institutions": 8002, "patients": 8004}
DEFAULT_HOST = "127.0.0.1"
DEFAULT_ADMIN_EMAIL = "admin@predicthealth.dev"
SECRET_NAMES = (
    "JWT_SECRET_KEY",
    "REFRESH_TOKEN_KEY",
    "FLEET_INTERNAL_KEY",
    "CURSOR_KEY",
    "AUTH_DATABASE_PASSWORD",
    "DOCTORS_DATABASE_PASSWORD",
    "INSTITUTIONS_DATABASE_PASSWORD",
    "PATIENTS_DATABASE_PASSWORD",
    "POSTGRES_PASSWORD",
    "REDIS_PASSWORD",
    "ADMIN_PASSWORD",
)


# Where `free_port` looks. Test processes that run side by side take a slice each.
FREE_PORTS = range(20_000, 30_000)
_given_ports: set[int] = set()


def data_dir_of(environ: Mapping[str, str]) -> Path:
    """Return the directory that holds everything that a fleet keeps: databases, secrets, logs."""
    return path_of(environ.get("PREDICTHEALTH_DATA_DIR") or str(ROOT / ".predicthealth")).absolute()


def ports_of(environ: Mapping[str, str]) -> dict[str, int]:
    """Return the port of each service: `AUTH_PORT`, `DOCTORS_PORT`, `INSTITUTIONS_PORT`, `PATIENTS_PORT`."""
    ports = {}
    for name, default in DEFAULT_PORTS.items():
        variable = f"{name.upper()}_PORT"
        text = environ.get(variable) or str(default)
        if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
            raise FleetError(f"{variable}={text} is not a port (1-65535)")
        ports[name] = int(text)
    return ports


def check_ports(host: str, ports: Mapping[str, int]) -> None:
    """Raise FleetError for the first port that a service could not listen on."""
    owners: dict[int, str] = {}
    for name, port in ports.items():
        if port in owners:
            raise FleetError(f"{owners[port]} and {name} have the same port {port}: set {name.upper()}_PORT")
        owners[port] = name
        try:
            listen_once(host, port)
        except OSError as error:
            raise FleetError(
                f"{name} can't listen on {host}:{port} ({(error.strerror or str(error)).lower()}): "
                f"stop what uses it, or set {name.upper()}_PORT or HOST"
            ) from error


def listen_once(host: str, port: int) -> None:
    """Bind and let go of an address, to see whether it is free; OSError when it is not."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        # As uvicorn does: connections of an earlier run that are still closing don't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on.

    It lies below the range from which the kernel takes ports for outgoing connections, so that a server that is
    restarted later finds it free again. No port is returned twice: who was given one may listen on it only later.
    """
    while True:
        port = secrets.choice(FREE_PORTS)
        if port in _given_ports:
            continue
        try:
            listen_once("127.0.0.1", port)
        except OSError:
            continue
        _given_ports.add(port)
        return port


def make_data_dir(path: Path) -> None:
    """Create the data directory, or raise FleetError if it can't be written to."""
    try:
        if not path.exists():
            path.mkdir(parents=True)
            # A root's PostgreSQL runs as nobody, who has to pass through; otherwise it is the user's alone.
            path.chmod(0o711 if os.geteuid() == 0 else 0o700)
        for folder in ("logs", "run"):
            (path / folder).mkdir(mode=0o700, exist_ok=True)
        with open(path / "lock", "a", encoding="utf-8"):
            pass
    except OSError as error:
        raise FleetError(
            f"can't write to the data directory {path}: {(error.strerror or str(error)).lower()}"
        ) from error


@dataclass(frozen=True)
class Secrets:
    """The secrets of one fleet and whether they are its first ones."""

    values: dict[str, str]
    admin_email: str

    def __getitem__(self, name: str) -> str:
        return self.values[name]


def load_secrets(data_dir: Path, environ: Mapping[str, str]) -> Secrets:
    """Read the secrets that this data directory was given at its first start; the environment overrides each.

    What is missing is made and kept. Secrets that come from the environment are not written down.
    """
    path = data_dir / "secrets.env"
    kept = read_env_file(path) if path.exists() else {}
    missing = {name: secrets.token_urlsafe(32) for name in SECRET_NAMES if not kept.get(name)}
    if "ADMIN_PASSWORD" in missing:
        missing["ADMIN_PASSWORD"] = secrets.token_urlsafe(12)
    if missing:
        kept = {**kept, **missing}
        write_env_file(path, {"ADMIN_EMAIL": DEFAULT_ADMIN_EMAIL, **kept})
    values = {name: environ.get(name) or kept[name] for name in SECRET_NAMES}
    return Secrets(values, environ.get("ADMIN_EMAIL") or kept.get("ADMIN_EMAIL") or DEFAULT_ADMIN_EMAIL)


def write_env_file(path: Path, values: Mapping[str, str]) -> None:
    """Write `KEY=value` lines that a shell can source; only their owner may read them."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.writelines(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
    temporary.replace(path)


def read_env_file(path: Path) -> dict[str, str]:
    """Read what `write_env_file` wrote; blank lines and comments are passed over."""
    values = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        try:
            words = shlex.split(value)
        except ValueError:
            equals = ""
        if not equals:
            raise FleetError(f"{path}:{number} is not a KEY=value line")
        values[name.strip()] = "".join(words)
    return values


def url_host(host: str) -> str:
    """Return the host by which this machine reaches a service that listens on `host`."""
    if host in ("0.0.0.0", "::", ""):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
