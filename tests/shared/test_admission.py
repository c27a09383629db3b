"""Places, queue, deadline and standing aside, in this process and without servers."""

import asyncio
from typing import Any

import pytest

from shared.admission import Admission, aside, start_clock_anew
from shared.errors import Busy, DeadlinePassed
from shared.settings import Settings

pytestmark = pytest.mark.anyio


def admission(**changes: Any) -> Admission:
    """Two places, a queue of three, in overload three in all."""
    limits = {"max_concurrent_requests": 2, "max_queued_requests": 3, "max_requests_in_overload": 3}
    return Admission(Settings(**{**limits, **changes}))


async def stay(door: Admission, leave: asyncio.Event) -> None:
    async with door.visit():
        await leave.wait()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_everyone_in_the_queue_gets_a_place() -> None:
    door, leave = admission(), asyncio.Event()
    visits = [asyncio.create_task(stay(door, leave)) for _ in range(5)]
    await settle()
    assert (door.at_work, door.waiting) == (2, 3)
    leave.set()
    await asyncio.gather(*visits)
    assert (door.at_work, door.waiting) == (0, 0)


async def test_one_too_many_cuts_the_queue_until_there_is_calm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.admission.CALM_SECONDS", 0.05)
    door, leave = admission(), asyncio.Event()
    visits = [asyncio.create_task(stay(door, leave)) for _ in range(5)]
    await settle()
    with pytest.raises(Busy):
        await stay(door, leave)
    assert not door.has_room()  # twice: nobody is cut off again
    refused = await asyncio.gather(*visits[3:], return_exceptions=True)
    assert [type(each) for each in refused] == [Busy, Busy]
    assert (door.at_work, door.waiting) == (2, 1)
    leave.set()
    await asyncio.gather(*visits[:3])
    leave.clear()
    again = [asyncio.create_task(stay(door, leave)) for _ in range(3)]
    await settle()
    assert (door.at_work, door.waiting, door.has_room()) == (2, 1, False)
    await asyncio.sleep(0.06)
    assert door.has_room()
    leave.set()
    await asyncio.gather(*again)


async def test_in_overload_not_even_all_places_are_taken() -> None:
    door = admission(max_concurrent_requests=4, max_queued_requests=1, max_requests_in_overload=2)
    leave, leave_rest = asyncio.Event(), asyncio.Event()
    first = [asyncio.create_task(stay(door, leave)) for _ in range(3)]
    rest = [asyncio.create_task(stay(door, leave_rest)) for _ in range(2)]
    await settle()
    assert not door.has_room()
    with pytest.raises(Busy):
        await rest.pop()
    assert (door.at_work, door.waiting) == (4, 0)
    leave.set()
    await asyncio.gather(*first)
    assert door.at_work == 1 and door.has_room()
    rest.append(asyncio.create_task(stay(door, leave_rest)))
    await settle()
    assert door.at_work == 2 and not door.has_room()
    leave_rest.set()
    await asyncio.gather(*rest)


async def test_who_comes_back_from_aside_is_not_sent_away() -> None:
    door, leave, back = admission(max_concurrent_requests=1), asyncio.Event(), asyncio.Event()

    async def stand_aside() -> str:
        async with door.visit():
            async with aside(clock_stops=True):
                await back.wait()
            return "done"

    returning = asyncio.create_task(stand_aside())
    await settle()
    visits = [asyncio.create_task(stay(door, leave)) for _ in range(4)]
    await settle()
    back.set()
    await settle()
    with pytest.raises(Busy):
        await stay(door, leave)
    leave.set()
    await asyncio.gather(*visits, return_exceptions=True)
    assert await returning == "done"
    assert (door.at_work, door.waiting) == (0, 0)


async def test_who_waits_too_long_is_refused_and_who_is_cancelled_leaves_the_queue() -> None:
    door, leave = admission(queue_wait_seconds=0.01), asyncio.Event()
    visits = [asyncio.create_task(stay(door, leave)) for _ in range(2)]
    await settle()
    with pytest.raises(Busy):
        await stay(door, leave)
    waiting = asyncio.create_task(stay(door, leave))
    await settle()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert door.waiting == 0
    leave.set()
    await asyncio.gather(*visits)
    assert door.at_work == 0


async def test_the_deadline_ends_whatever_is_awaited_and_frees_the_place() -> None:
    door = admission(request_deadline_seconds=0.01)
    with pytest.raises(DeadlinePassed):
        await stay(door, asyncio.Event())
    assert door.at_work == 0
    with pytest.raises(TimeoutError):  # one that is not the deadline's is nothing to hide
        async with door.visit():
            raise TimeoutError


async def test_who_stands_aside_leaves_the_place_and_takes_one_again() -> None:
    door, back = admission(max_concurrent_requests=1), asyncio.Event()
    order: list[str] = []

    async def stand_aside() -> None:
        async with door.visit():
            async with aside(clock_stops=True):
                order.append("aside")
                await back.wait()
            order.append("back")
            assert door.at_work == 1

    visit = asyncio.create_task(stand_aside())
    await settle()
    assert (door.at_work, door.aside) == (0, 1)
    async with door.visit():
        order.append("another")
        back.set()
        await settle()
        assert order == ["aside", "another"]
    await visit
    assert order == ["aside", "another", "back"] and (door.at_work, door.aside) == (0, 0)


async def test_the_clock_stops_aside_only_where_it_is_told_to() -> None:
    door = admission(request_deadline_seconds=0.05)
    async with door.visit(), aside(clock_stops=True):
        await asyncio.sleep(0.1)
    with pytest.raises(DeadlinePassed):
        async with door.visit(), aside(clock_stops=False):
            await asyncio.sleep(10)
    async with door.visit():
        await asyncio.sleep(0.03)
        start_clock_anew()
        await asyncio.sleep(0.03)
    assert (door.at_work, door.aside) == (0, 0)


async def test_a_fault_aside_gives_back_no_place_twice() -> None:
    door = admission(max_concurrent_requests=1, max_requests_aside=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="fault"):
            async with door.visit(), aside(clock_stops=False):
                raise ValueError("fault")
    async with door.visit(), aside(clock_stops=False):
        with pytest.raises(Busy):
            async with door.visit(), aside(clock_stops=False):
                pass
    assert (door.at_work, door.aside) == (0, 0)
    async with door.visit():
        assert door.at_work == 1 and door._places.locked()


async def test_outside_a_request_there_is_nothing_to_leave() -> None:
    async with aside(clock_stops=True):
        start_clock_anew()
