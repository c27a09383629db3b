"""The end of a service: it says so first, finishes what is under way, and a proxy that balances two loses nothing."""

import itertools
import json
import re
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPResponse
from pathlib import Path

import httpx
import psycopg2
import pytest

from dev.fleet import Fleet
from dev.processes import wait_until
from dev.services import Service
from dev.settings import free_port
from tests.load.conftest import Start
from tests.support import PASSWORD, Api, User

READ = "/api/v1/doctors/me/patients"
PROFILE = "/api/v1/doctors/me/profile"
EXIT_SECONDS = 15


@pytest.fixture
def ending(start: Start) -> Service:
    """A service that takes a second to say that it ends."""
    return start("doctors", SHUTDOWN_DRAIN_SECONDS="1", DATABASE_LOCK_TIMEOUT_SECONDS="2")


def test_told_to_end_it_says_so_first_and_finishes_what_is_under_way(
    ending: Service, fleet: Fleet, doctor: User
) -> None:
    headers = {"Authorization": f"Bearer {doctor.token}"}
    lock = psycopg2.connect(fleet.database_url)
    with httpx.Client(base_url=ending.url, headers=headers, timeout=20) as client, ThreadPoolExecutor(4) as threads:
        assert client.get("/health").status_code == 200
        with lock.cursor() as cursor:
            cursor.execute("LOCK TABLE doctors IN ACCESS EXCLUSIVE MODE")
        slow = [
            threads.submit(httpx.get, ending.url + READ, headers=headers, timeout=20, verify=False) for _ in range(3)
        ]
        time.sleep(0.3)
        ending.child.kill(signal.SIGTERM)
        assert wait_until(lambda: client.get("/health").status_code == 503, 5)
        assert client.get("/health").json()["status"] == "unhealthy"
        assert client.get("/health/live").status_code == 200
        assert client.get("/api/v1/specialties").status_code == 200, "it still serves"
        lock.close()
        assert [answer.result().status_code for answer in slow] == [200] * 3
    assert wait_until(lambda: ending.pid is None, EXIT_SECONDS), "it did not end"
    with pytest.raises(httpx.ConnectError):
        httpx.get(ending.url + "/health")


def test_logins_that_wait_for_a_core_are_refused_when_it_ends_and_those_at_work_finished(start: Start) -> None:
    """More of them than could be hashed in the time that is left."""
    auth = start("auth", BCRYPT_ROUNDS="12", PASSWORD_HASH_QUEUE="120", SHUTDOWN_DRAIN_SECONDS="1")

    def log_in(number: int) -> int:
        body = {"email": f"nadie{number}@example.com", "password": "wrong"}
        return httpx.post(f"{auth.url}/auth/login", json=body, timeout=60, verify=False).status_code

    def waiting() -> float:
        metrics = httpx.get(f"{auth.url}/metrics").text
        return float(re.search(r"^predicthealth_password_hash_queue_length ([\d.]+)", metrics, re.MULTILINE)[1])

    with ThreadPoolExecutor(120) as threads:
        answers = [threads.submit(log_in, number) for number in range(120)]
        assert wait_until(lambda: waiting() > 90, 30)
        auth.child.kill(signal.SIGTERM)
        statuses = [answer.result() for answer in answers]
    assert set(statuses) == {401, 503}
    assert wait_until(lambda: auth.pid is None, EXIT_SECONDS)


def test_told_twice_it_does_not_wait(start: Start) -> None:
    service = start("institutions", SHUTDOWN_DRAIN_SECONDS="5")
    started = time.monotonic()
    for _ in range(2):
        service.child.kill(signal.SIGTERM)
        time.sleep(0.2)
    assert wait_until(lambda: service.pid is None, EXIT_SECONDS)
    assert time.monotonic() - started < 5


def test_a_request_that_is_not_there_in_time_is_told_so(ending: Service) -> None:
    host, _, port = ending.url.rpartition("/")[2].partition(":")
    with socket.create_connection((host, int(port)), 20) as connection:
        connection.sendall(b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{")
        time.sleep(0.5)
        ending.child.kill(signal.SIGTERM)
        answer = HTTPResponse(connection)
        answer.begin()
        document = json.loads(answer.read())
    assert (answer.status, document["code"], answer.headers["Retry-After"]) == (503, "deadline_passed", "2")
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert wait_until(lambda: ending.pid is None, EXIT_SECONDS)


def test_requests_that_wait_to_be_accepted_when_it_ends_are_answered(ending: Service) -> None:
    """What a proxy has sent to a connection that only the kernel has accepted yet: a POST that nobody sends twice."""
    host, _, port = ending.url.rpartition("/")[2].partition(":")
    request = b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    ending.child.kill(signal.SIGTERM)
    time.sleep(0.5)
    ending.child.kill(signal.SIGSTOP)
    waiting = [socket.create_connection((host, int(port)), 10) for _ in range(40)]
    for connection in waiting:
        connection.sendall(request)
    time.sleep(1)
    ending.child.kill(signal.SIGCONT)
    answers = [connection.recv(65536) for connection in waiting]
    assert [answer[:12] for answer in answers] == [b"HTTP/1.1 422"] * len(waiting)
    assert wait_until(lambda: ending.pid is None, EXIT_SECONDS)


def test_when_nobody_can_connect_any_more_an_idle_connection_is_still_served(ending: Service) -> None:
    """Only its keep-alive time of 5 s ends it: a proxy that ends it sooner never sends into a closed one."""
    with httpx.Client(base_url=ending.url) as client:
        assert client.get("/health/live").status_code == 200
        ending.child.kill(signal.SIGTERM)
        time.sleep(3)
        with pytest.raises(httpx.ConnectError):
            httpx.get(ending.url + "/health/live")
        assert client.get("/health/live").status_code == 200
    assert wait_until(lambda: ending.pid is None, EXIT_SECONDS)


def test_it_ends_with_no_descriptor_left_to_take_connections_with(ending: Service) -> None:
    assert ending.pid is not None
    ending.child.kill(signal.SIGTERM)
    resource.prlimit(ending.pid, resource.RLIMIT_NOFILE, (3, 3))
    assert wait_until(lambda: ending.pid is None, EXIT_SECONDS), "it did not end"


CONFIGURATION = """
daemon off; master_process off; worker_processes 1; pid {directory}/nginx.pid; error_log {directory}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
    uwsgi_temp_path {directory}; scgi_temp_path {directory};
    upstream doctors {{
        server 127.0.0.1:{first} max_fails=0;  # a replica that ends refuses at once: nothing needs to be remembered,
        server 127.0.0.1:{second} max_fails=0;  # and one slip of the other must not leave nobody
        keepalive 16;
        keepalive_timeout 4s;  # less than the services' own 5 s: the proxy ends a connection first
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://doctors;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_next_upstream error timeout http_503;
        }}
    }}
}}
"""


@pytest.fixture
def replicas(start: Start) -> list[Service]:
    """Two doctors' services."""
    return [start("doctors", SHUTDOWN_DRAIN_SECONDS="1") for _ in range(2)]


@pytest.fixture
def proxy(replicas: list[Service], tmp_path: Path) -> Iterator[str]:
    """An nginx that balances the two; its address."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin:/usr/local/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed (apt-get install nginx-light)")
    first, second = (service.url.rpartition(":")[2] for service in replicas)
    port = free_port()
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(directory=tmp_path, first=first, second=second, port=port))
    process = subprocess.Popen(
        [nginx, "-c", str(configuration), "-p", str(tmp_path), "-e", str(tmp_path / "error.log")]
    )
    url = f"http://127.0.0.1:{port}"
    try:
        assert wait_until(lambda: process.poll() is not None or _answers(url), 20)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url + "/health/live").status_code == 200
    except httpx.TransportError:
        return False


def test_restarting_each_of_two_replicas_under_load_loses_no_request(
    replicas: list[Service], proxy: str, doctor: User, api: Api
) -> None:
    """Reads, writes and logins; each is asked once, and nobody asks again."""
    other = api.new_doctor(api.new_institution())
    stop = threading.Event()
    headers = {"Authorization": f"Bearer {doctor.token}"}
    statuses: list[int] = []
    logins: list[int] = []
    fees = itertools.count(1)

    def work(writes: bool) -> None:
        with httpx.Client(base_url=proxy, headers=headers, timeout=20) as client:
            while not stop.is_set():
                write = {"method": "PUT", "url": PROFILE, "json": {"consultation_fee": next(fees)}}
                statuses.append((client.request(**write) if writes else client.get(READ)).status_code)

    def log_in() -> None:
        with httpx.Client(base_url=proxy, timeout=20) as client:
            while not stop.is_set():
                credentials = {"email": other.email, "password": PASSWORD}
                logins.append(client.post("/auth/login", json=credentials).status_code)
                stop.wait(0.02)

    with ThreadPoolExecutor(6) as threads:
        working = [threads.submit(work, writes) for writes in (False, False, True)] + [threads.submit(log_in)]
        try:
            for replica in replicas:
                before = len(statuses)
                assert wait_until(lambda before=before: len(statuses) > before + 50, 20)  # type: ignore[misc]
                replica.child.kill(signal.SIGTERM)
                assert wait_until(lambda replica=replica: replica.pid is None, EXIT_SECONDS)  # type: ignore[misc]
                replica.start()
        finally:
            stop.set()
    for each in working:
        each.result()
    assert set(statuses) == {200}, {status: statuses.count(status) for status in set(statuses)}
    assert len(logins) > 20 and set(logins) == {200}, "no proxy sends a POST twice"
