"""The work queue, in virtual time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator

import pytest

from tiphys.aio.clock import VirtualClock
from tiphys.runtime import WorkQueue

pytestmark = pytest.mark.looptime


@pytest.fixture
async def queue() -> AsyncIterator[WorkQueue[str]]:
    queue: WorkQueue[str] = WorkQueue("test", clock=VirtualClock())
    yield queue
    await queue.close()


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_key_is_queued_once(queue: WorkQueue[str]) -> None:
    for key in ("a", "b", "a"):
        queue.add(key)
    assert len(queue) == 2
    assert [await queue.get(), await queue.get()] == ["a", "b"]


async def test_a_key_added_during_its_work_comes_again_afterwards(queue: WorkQueue[str]) -> None:
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    getting = asyncio.create_task(queue.get())
    await asyncio.sleep(1)
    assert not getting.done()
    queue.done("a")
    assert await getting == "a"
    queue.done("a")
    assert queue.idle


async def test_the_rest_of_a_wait_that_rounding_left_passes(queue: WorkQueue[str]) -> None:
    """A loop that asks for such a rest again and again at the same moment would never see it pass."""
    await asyncio.sleep(1000.0)
    deadline = math.nextafter(now(), math.inf)
    for _ in range(10):
        queue.add_after("a", deadline - now())
        assert await queue.get() == "a"
        queue.done("a")
        if now() >= deadline:
            return
    raise AssertionError("time stands still")


async def test_delays_come_in_order_and_the_earliest_wins(queue: WorkQueue[str]) -> None:
    queue.add_after("late", 30)
    queue.add_after("a", 20)
    queue.add_after("a", 5)
    queue.add_after("a", 10)
    got: list[tuple[str, float]] = []
    for _ in range(2):
        key = await queue.get()
        got.append((key, round(now(), 6)))
        queue.done(key)
    assert got == [("a", 5.0), ("late", 30.0)]
    await asyncio.sleep(100)
    assert (len(queue), queue.delayed) == (0, 0)


async def test_failures_slow_a_key_down_until_it_is_forgotten(queue: WorkQueue[str]) -> None:
    delays = [queue.add_rate_limited("a") for _ in range(20)]
    assert delays[:3] == [0.005, 0.01, 0.02]
    assert delays[-1] == 1000.0
    assert queue.add_rate_limited("b") == 0.005
    assert queue.failures("a") == 20
    queue.forget("a")
    assert queue.add_rate_limited("a") == 0.005
    assert queue.add_rate_limited("c", at_least=3) == 3
    assert await queue.get() in ("a", "b")


async def test_a_closed_queue_takes_nothing(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 5)
    await queue.close()
    queue.add("b")
    queue.add_after("b", 0)
    assert len(queue) == 0
    assert len(asyncio.all_tasks()) == 1
