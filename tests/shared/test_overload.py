"""Who is let in while hundreds come at once, and how refusals make way for those who are in."""

import asyncio

import pytest

from shared.admission import Admission
from shared.overload import REFUSALS_PER_TURN, Doorkeeper
from shared.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.fixture
def doorkeeper(settings: Settings) -> Doorkeeper:
    """Two places and a queue of three."""
    limits = {
        "max_concurrent_requests": 2,
        "max_queued_requests": 3,
        "max_requests_in_overload": 2,
        "cors_origins": "https://clinica.example",
    }
    mine = Settings(**(settings.model_dump() | limits))
    return Doorkeeper(Admission(mine), mine)


async def test_of_those_who_come_in_one_turn_no_more_are_let_in_than_there_is_room_for(doorkeeper: Doorkeeper) -> None:
    assert [doorkeeper.lets_in("/api/v1/doctors") for _ in range(8)] == [True] * 5 + [False] * 3
    await asyncio.sleep(0)
    assert doorkeeper.lets_in("/api/v1/doctors"), "none of them has taken a place"


async def test_what_watches_the_service_is_always_let_in(doorkeeper: Doorkeeper) -> None:
    for _ in range(8):
        doorkeeper.lets_in("/api/v1/doctors")
    assert [doorkeeper.lets_in(path) for path in ("/health", "/health/live", "/metrics")] == [True] * 3


async def test_a_few_are_refused_in_each_turn(doorkeeper: Doorkeeper) -> None:
    refused: list[int] = []
    for number in range(2 * REFUSALS_PER_TURN + 1):
        doorkeeper.refuse_in_turn(lambda number=number: refused.append(number))  # type: ignore[misc]
    turns = []
    for _ in range(4):
        await asyncio.sleep(0)
        turns.append(len(refused))
    assert turns == [REFUSALS_PER_TURN, 2 * REFUSALS_PER_TURN, 2 * REFUSALS_PER_TURN + 1, 2 * REFUSALS_PER_TURN + 1]
    assert refused == sorted(refused)


@pytest.mark.parametrize(("origin", "shared"), [(b"https://clinica.example", True), (b"https://evil.example", False)])
async def test_only_a_page_of_an_allowed_origin_may_read_a_refusal(
    doorkeeper: Doorkeeper, origin: bytes, shared: bool
) -> None:
    fields, _ = doorkeeper.refusal_of({"path": "/", "headers": [(b"origin", origin)]})
    found = dict(fields)
    assert (found.get(b"access-control-allow-origin") == origin) is shared
    assert (found.get(b"access-control-expose-headers") == b"Retry-After") is shared
    assert (found.get(b"vary") == b"Origin") is shared


async def test_a_refusal_reads_every_line_of_accept_language(doorkeeper: Doorkeeper) -> None:
    lines = [(b"accept-language", language) for language in (b"en", b"fr")]
    fields, _ = doorkeeper.refusal_of({"path": "/", "headers": lines})
    assert dict(fields)[b"content-language"] == b"en"


async def test_a_refusal_that_brings_the_next_ones_makes_no_turn_longer(doorkeeper: Doorkeeper) -> None:
    refused: list[int] = []

    def bring_many() -> None:
        for number in range(3 * REFUSALS_PER_TURN):
            doorkeeper.refuse_in_turn(lambda number=number: refused.append(number))  # type: ignore[misc]

    doorkeeper.refuse_in_turn(bring_many)
    turns = []
    for _ in range(3):
        await asyncio.sleep(0)
        turns.append(len(refused))
    assert turns == [0, REFUSALS_PER_TURN, 2 * REFUSALS_PER_TURN]


async def test_a_refusal_that_fails_leaves_nobody_behind_it_without_one(doorkeeper: Doorkeeper) -> None:
    failures: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: failures.append(type(context["exception"]).__name__)
    )
    refused: list[int] = []
    doorkeeper.refuse_in_turn(lambda: refused.append(1 // 0))
    for number in range(2):
        doorkeeper.refuse_in_turn(lambda number=number: refused.append(number))  # type: ignore[misc]
    for _ in range(2):
        await asyncio.sleep(0)
    assert (refused, failures) == ([0, 1], ["ZeroDivisionError"])
