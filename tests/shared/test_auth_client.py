"""The client waits for an auth service that is busy, and gives up one that is frozen."""

import asyncio
import signal
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from dev.fleet import Fleet
from shared.auth_client import AuthClient
from shared.errors import AuthUnavailable, InvalidCredentials
from shared.settings import ClientSettings, Settings
from tests.certificates import make_certificate
from tests.support import PASSWORD, Api, unique

pytestmark = pytest.mark.anyio


@pytest.fixture
async def impatient(settings: Settings, fleet: Fleet) -> AsyncIterator[AuthClient]:
    """A client whose every call takes longer than its patience."""
    changes = {"auth_service_url": fleet.urls["auth"], "auth_timeout_seconds": 0.001}
    client = AuthClient("service-doctors", ClientSettings(**(settings.model_dump() | changes)))
    yield client
    await client.close()


async def test_a_login_that_takes_its_time_is_waited_for(impatient: AuthClient, api: Api) -> None:
    doctor = api.new_doctor(api.new_institution())
    pairs = await asyncio.gather(*(impatient.login(doctor.email, PASSWORD, "doctor") for _ in range(20)))
    assert {pair["user_id"] for pair in pairs} == {doctor.id}
    with pytest.raises(InvalidCredentials):
        await impatient.login(doctor.email, "wrong", "doctor")


async def test_a_frozen_auth_service_is_given_up(impatient: AuthClient, fleet: Fleet) -> None:
    pid = fleet.services["auth"].pid
    assert pid is not None
    fleet.services["auth"].kill(signal.SIGSTOP)
    try:
        with pytest.raises(AuthUnavailable):
            async with asyncio.timeout(5):  # a guard against hanging, far above the second that it takes
                await impatient.login("nobody@example.com", PASSWORD, "doctor")
    finally:
        fleet.services["auth"].kill(signal.SIGCONT)
    with pytest.raises(InvalidCredentials):
        await impatient.login(f"{unique('nadie')}@example.com", PASSWORD, "doctor")


async def test_a_connection_is_not_used_again_shortly_before_the_auth_service_ends_it(
    settings: Settings, fleet: Fleet
) -> None:
    """It ends one that is idle for 5 s; a request that meets that end is lost, and nobody may send it twice."""
    connections: list[asyncio.StreamWriter] = []
    auth = httpx.URL(fleet.urls["auth"])

    async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        upstream, downstream = await asyncio.open_connection(auth.host, auth.port)
        async with asyncio.TaskGroup() as group:
            group.create_task(_copy(reader, downstream))
            group.create_task(_copy(upstream, writer))

    async with await asyncio.start_server(hand_on, "127.0.0.1", 0) as counting:
        changes = {"auth_service_url": f"http://127.0.0.1:{counting.sockets[0].getsockname()[1]}"}
        client = AuthClient("service-doctors", ClientSettings(**(settings.model_dump() | changes)))
        for pause_seconds, expected in ((0, 1), (0, 1), (3, 2)):
            await asyncio.sleep(pause_seconds)
            assert (await client.verify("no token"))["valid"] is False
            assert len(connections) == expected
        await client.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while content := await source.read(65536):
        target.write(content)
    target.close()


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})], ids=["uvloop"])  # the services' loop
async def test_an_auth_service_that_dies_as_it_is_called_is_away(settings: Settings) -> None:
    def hang_up() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                # A reset at once: what the kernel says in the place of a process that was killed.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()

    with ThreadPoolExecutor(1) as thread, socket.create_server(("127.0.0.1", 0)) as server:
        thread.submit(hang_up)
        changes = {"auth_service_url": f"http://127.0.0.1:{server.getsockname()[1]}"}
        client = AuthClient("service-doctors", ClientSettings(**(settings.model_dump() | changes)))
        try:
            for _ in range(500):
                with pytest.raises(AuthUnavailable):
                    await client.login("nobody@example.com", PASSWORD, "doctor")
        finally:
            await client.close()
            server.shutdown(socket.SHUT_RDWR)


async def test_however_many_wait_a_sign_of_life_is_asked_for_once(impatient: AuthClient) -> None:
    under_way, most = 0, 0

    async def count(message: httpx.Request | httpx.Response) -> None:
        nonlocal under_way, most
        if message.url.path == "/health/live":
            under_way += 1 if isinstance(message, httpx.Request) else -1
            most = max(most, under_way)

    impatient._http.event_hooks = {"request": [count], "response": [count]}
    logins = (impatient.login(f"{unique('nadie')}@example.com", "wrong", "doctor") for _ in range(20))
    await asyncio.gather(*logins, return_exceptions=True)
    assert most == 1


async def test_a_certificate_of_nobodys_is_not_trusted_with_a_password(settings: Settings, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    said: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said.append(await reader.read(65536))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls) as server:
        changes = {"auth_service_url": f"HTTPS://127.0.0.1:{server.sockets[0].getsockname()[1]}"}
        client = AuthClient("service-doctors", ClientSettings(**(settings.model_dump() | changes)))
        with pytest.raises(AuthUnavailable):
            await client.login("nobody@example.com", PASSWORD, "doctor")
        await client.close()
    assert said == []
