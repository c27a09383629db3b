"""The client waits for an auth service that is busy, and gives up one that is frozen."""

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest

from dev.fleet import Fleet
from shared.auth_client import AuthClient
from shared.errors import AuthUnavailable, InvalidCredentials
from shared.settings import ClientSettings, Settings
from tests.support import PASSWORD, Api

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
        await impatient.login("nobody@example.com", PASSWORD, "doctor")
