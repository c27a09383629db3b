"""How often a client may call, tried on services of this process with small rates; Redis is the fleet's own."""

import asyncio
from collections import Counter
from itertools import count

import httpx
import pytest

from dev.fleet import Fleet

from ..support import Api, User, assert_problem
from .support import client, serving

pytestmark = pytest.mark.anyio

PATH = "/api/v1/specialties"
_numbers = count(1)


def new_address() -> str:
    """An address that no other test uses: its budget is whole."""
    number = next(_numbers)
    return f"198.18.{number // 256}.{number % 256}"


@pytest.fixture
def users(api: Api) -> list[User]:
    """Two accounts whose budgets are whole."""
    institution = api.new_institution()
    return [institution, api.new_doctor(institution)]


async def statuses(calling: httpx.AsyncClient, path: str, times: int, method: str = "GET") -> list[int]:
    return [(await calling.request(method, path)).status_code for _ in range(times)]


async def test_past_the_rate_is_a_429_that_tells_when_to_come_back(fleet: Fleet, users: list[User]) -> None:
    async with (
        serving(fleet, "doctors", request_rate_per_client="5/minute") as app,
        client(app, new_address(), users[0].token) as calling,
    ):
        assert await statuses(calling, PATH, 5) == [200] * 5
        refused = await calling.get(PATH)
    assert_problem(refused, 429, "too_many_requests")
    wait = int(refused.headers["retry-after"])
    assert 1 <= wait <= 60
    assert refused.headers["ratelimit-limit"] == "5"
    assert refused.headers["ratelimit-remaining"] == "0"
    assert refused.headers["ratelimit-reset"] == str(wait)
    assert refused.headers["ratelimit-policy"] == "5;w=60"
    assert refused.headers["cache-control"] == "private, no-store"


async def test_after_the_wait_that_it_tells_a_client_may_call_again(fleet: Fleet, users: list[User]) -> None:
    async with (
        serving(fleet, "doctors", request_rate_per_client="3/second") as app,
        client(app, new_address(), users[0].token) as calling,
    ):
        for _ in range(3):
            answers = await asyncio.gather(*(calling.get(PATH) for _ in range(12)))
            refused = next(answer for answer in answers if answer.status_code == 429)
            await asyncio.sleep(int(refused.headers["retry-after"]))
            assert (await calling.get(PATH)).status_code == 200


@pytest.mark.parametrize("milliseconds", [600, 1_400, 1_600])
async def test_the_wait_is_never_too_short(fleet: Fleet, users: list[User], milliseconds: int) -> None:
    async with (
        serving(fleet, "doctors", request_rate_per_client="1/minute") as app,
        client(app, new_address(), users[0].token) as calling,
    ):
        assert await statuses(calling, PATH, 2) == [200, 429]
        (window,) = await app.state.resources.redis.keys(f"rates:*:{users[0].id}:1/60")
        await app.state.resources.redis.pexpire(window, milliseconds)
        refused = await calling.get(PATH)
        await asyncio.sleep(int(refused.headers["retry-after"]))
        assert (await calling.get(PATH)).status_code == 200


async def test_an_account_has_one_budget_wherever_it_calls_from(fleet: Fleet, users: list[User]) -> None:
    shared = new_address()
    async with serving(fleet, "doctors", request_rate_per_client="5/minute") as app:
        for number in range(5):
            async with client(app, new_address() if number else shared, users[0].token) as calling:
                assert (await calling.get(PATH)).status_code == 200
        async with client(app, new_address(), users[0].token) as calling:
            assert (await calling.get(PATH)).status_code == 429
        # Others at the same address (a clinic's, a gateway's) are not concerned.
        async with client(app, shared, users[1].token) as calling:
            assert await statuses(calling, PATH, 6) == [200] * 5 + [429]


async def test_all_sessions_of_an_account_share_its_budget(fleet: Fleet, api: Api, users: list[User]) -> None:
    again = api.log_in("doctors", users[1].email)
    async with serving(fleet, "doctors", request_rate_per_client="5/minute") as app:
        async with client(app, new_address(), users[1].token) as calling:
            assert await statuses(calling, PATH, 5) == [200] * 5
        async with client(app, new_address(), again.token) as calling:
            assert (await calling.get(PATH)).status_code == 429


async def test_strangers_are_counted_by_address(fleet: Fleet, users: list[User]) -> None:
    address = new_address()
    async with serving(fleet, "doctors", request_rate_per_client="6/minute") as app:
        async with client(app, address) as calling:
            assert await statuses(calling, PATH, 3) == [401] * 3
        # A forged token is no account: another one for each request brings no new budget.
        for number in range(4):
            async with client(app, address, f"{users[0].token[:-8]}{number:08}") as calling:
                assert (await calling.get(PATH)).status_code == (401 if number < 3 else 429)
        async with client(app, address) as calling:
            assert (await calling.get(PATH)).status_code == 429
        async with client(app, new_address()) as calling:
            assert (await calling.get(PATH)).status_code == 401
        async with client(app, address, users[0].token) as calling:
            assert (await calling.get(PATH)).status_code == 200


async def test_a_refused_role_is_counted_too(fleet: Fleet, users: list[User]) -> None:
    async with (
        serving(fleet, "doctors", request_rate_per_client="3/minute") as app,
        client(app, new_address(), users[0].token) as calling,
    ):
        assert await statuses(calling, "/api/v1/doctors/me/dashboard", 4) == [403] * 3 + [429]


async def test_public_routes_are_counted_by_a_genuine_tokens_account_else_by_address(
    fleet: Fleet, users: list[User]
) -> None:
    gateway, path = new_address(), "/auth/verify-token"
    async with serving(fleet, "auth", request_rate_per_client="4/minute") as app:
        for user in users:
            async with client(app, gateway, user.token) as calling:
                assert await statuses(calling, path, 5, "POST") == [200] * 4 + [429]
        async with client(app, gateway, "x.y.z") as calling:
            assert await statuses(calling, path, 5, "POST") == [200] * 4 + [429]


async def test_each_service_has_a_budget_of_its_own(fleet: Fleet, users: list[User]) -> None:
    async with (
        serving(fleet, "doctors", request_rate_per_client="2/minute") as doctors,
        serving(fleet, "patients", request_rate_per_client="2/minute") as patients,
        client(doctors, new_address(), users[0].token) as calling_doctors,
        client(patients, new_address(), users[0].token) as calling_patients,
    ):
        assert await statuses(calling_doctors, PATH, 3) == [200, 200, 429]
        assert await statuses(calling_patients, "/api/v1/blood-types", 3) == [200, 200, 429]


async def test_what_monitors_and_the_fleet_itself_ask_for_has_no_rate(fleet: Fleet) -> None:
    async with serving(fleet, "auth", request_rate_per_client="1/minute") as app, client(app, new_address()) as calling:
        assert await statuses(calling, "/auth/session/validate", 2) == [200, 429]
        for path in ("/health", "/health/live", "/.well-known/jwks.json"):
            assert await statuses(calling, path, 5) == [200] * 5


@pytest.mark.parametrize("known", [True, False])
async def test_requests_at_once_never_slip_by(fleet: Fleet, users: list[User], known: bool) -> None:
    for number in range(5):
        rate = f"{10 + number}/minute"  # each round its own budget
        async with (
            serving(fleet, "doctors", request_rate_per_client=rate) as app,
            client(app, new_address(), users[0].token if known else None) as calling,
        ):
            answers = await asyncio.gather(*(calling.get(PATH) for _ in range(40)))
        counted = Counter(answer.status_code for answer in answers)
        assert counted == {200 if known else 401: 10 + number, 429: 30 - number}


async def test_forwarded_addresses_count_only_from_a_trusted_proxy(fleet: Fleet) -> None:
    proxy, stranger = "10.20.30.40", new_address()
    settings = {"request_rate_per_client": "2/minute", "trusted_proxies": "10.20.0.0/16"}
    async with serving(fleet, "doctors", **settings) as app:
        async with client(app, proxy) as calling:
            for _ in range(2):
                sent = {"X-Forwarded-For": (address := new_address())}
                answers = [(await calling.get(PATH, headers=sent)).status_code for _ in range(3)]
                assert answers == [401, 401, 429]
            # The stranger writes another address each time, in front of its own or on a line of its own.
            claims = [[("X-Forwarded-For", f"{new_address()}, {address}")]]
            claims += [[("X-Forwarded-For", new_address()), ("X-Forwarded-For", address)]]
            assert [(await calling.get(PATH, headers=claim)).status_code for claim in claims] == [429] * 2
        async with client(app, stranger) as calling:
            answers = [
                (await calling.get(PATH, headers={"X-Forwarded-For": new_address()})).status_code for _ in range(3)
            ]
            assert answers == [401, 401, 429]
