"""The gateway as compose runs it: the same templates, filled in the same way, in a real nginx of this machine."""

import re
import shutil
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dev import ROOT
from dev.processes import Child, wait_until
from dev.settings import free_port, listen_once, make_data_dir

TEMPLATES = ROOT / "ops" / "gateway" / "templates"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


class Gateway:
    """One running nginx; `environment` is what compose would hand it."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        assert NGINX
        make_data_dir(folder)
        self.port, self.metrics_port, self.tls_port = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        values = {
            "GATEWAY_MODE": "plain",
            "GATEWAY_LISTEN_PLAIN": f"127.0.0.1:{self.port}",
            "GATEWAY_LISTEN_TLS": f"127.0.0.1:{self.tls_port}",
            "GATEWAY_CERTIFICATE_FILE": "certificate.pem",
            "GATEWAY_CERTIFICATE_KEY_FILE": "key.pem",
            "GATEWAY_LISTEN_METRICS": f"127.0.0.1:{self.metrics_port}",
            "GATEWAY_TRUSTED_PROXY": "0.0.0.0/32",
            "GATEWAY_REQUESTS_PER_SECOND": "1000",
            "GATEWAY_BURST": "2000",
            "GATEWAY_REQUESTS_AT_ONCE": "100",
            "MAX_BODY_BYTES": "1048576",
            "DEFAULT_LANGUAGE": "es",
            "CORS_ORIGINS": "",
            **environment,
        }
        for template in TEMPLATES.glob("*.template"):
            (folder / template.stem).write_text(fill_in(template.read_text("utf-8"), values), "utf-8")
        command = [NGINX, "-e", "stderr", "-p", f"{folder}/", "-c", "nginx.conf", "-g", "daemon off;"]
        self.child = Child("gateway", command, data_dir=folder, cwd=folder, env={})

    def start(self) -> None:
        """Return when it answers."""
        self.child.spawn()
        assert wait_until(self._answers, 20), self.child.last_words()

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    @property
    def log(self) -> str:
        """All that it wrote."""
        return self.child.log.read_text("utf-8")


def fill_in(template: str, values: Mapping[str, str]) -> str:
    """Do what the image's `envsubst` does: replace `${NAME}` for the names that are set, leave nginx's own `$name`."""
    filled = re.sub(r"\$\{([A-Z_]+)\}", lambda match: values.get(match[1], match[0]), template)
    assert "${" not in filled, f"not set: {re.findall(r'[$]{[^}]*}', filled)}"
    return filled


class Names:
    """A name server: one name, many addresses, as Docker's own gives a service's replicas."""

    def __init__(self, addresses: Mapping[str, list[str]]) -> None:
        self.addresses = dict(addresses)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            query, client = self._socket.recvfrom(512)
            labels, at = [], 12
            while length := query[at]:
                labels.append(query[at + 1 : at + 1 + length].decode())
                at += 1 + length
            found = self.addresses.get(".".join(labels), [])
            flags = 0x8180 if found else 0x8183
            answer = query[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0, 0) + query[12 : at + 5]
            for address in found:
                answer += struct.pack("!HHHIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton(address)
            self._socket.sendto(answer, client)


@contextmanager
def quitter(address: str, port: int) -> Iterator[list[bytes]]:
    """A replica that dies in the middle: it takes each request and hangs up. What it was sent."""
    listen_once(address, port)
    server = socket.create_server((address, port))
    taken: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                taken.append(connection.recv(65536))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield taken
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()
