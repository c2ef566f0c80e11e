"""Tasks with owners, and delays that grow."""

from __future__ import annotations

import asyncio
import random

import pytest

from tiphys.aio.backoff import Backoff, BackoffPolicy
from tiphys.aio.clock import VirtualClock
from tiphys.aio.tasks import TaskSet, cancel_and_wait, supervise

pytestmark = pytest.mark.looptime


async def test_closing_waits_for_the_end_of_every_task() -> None:
    ended: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.sleep(10**6)
        finally:
            await asyncio.sleep(1)
            ended.append(name)

    async with TaskSet() as tasks:
        for name in ("a", "b"):
            tasks.spawn(work(name), name=name)
        await asyncio.sleep(1)
    assert ended == ["a", "b"]
    assert len(tasks) == 0
    with pytest.raises(RuntimeError, match="closed"):
        tasks.spawn(work("c"), name="c")


async def test_failures_are_told() -> None:
    told: list[str] = []

    async def fail() -> None:
        raise ValueError("bug")

    tasks = TaskSet(on_error=lambda name, error: told.append(f"{name}: {error}"))
    tasks.spawn(fail(), name="x")
    await asyncio.sleep(0.1)
    assert told == ["x: bug"]
    await tasks.close()


async def test_failures_are_logged_where_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ValueError("bug")

    async with TaskSet() as tasks:
        tasks.spawn(fail(), name="x")
        await asyncio.sleep(0.1)
    assert "background task failed" in caplog.text


async def test_a_supervised_task_is_restarted_with_growing_pauses() -> None:
    clock = VirtualClock()
    starts: list[float] = []

    async def run() -> None:
        starts.append(clock.monotonic())
        if len(starts) == 4:
            await clock.sleep(100)
        if len(starts) < 6:
            raise ValueError("bug")

    await supervise("x", run, clock=clock, backoff=Backoff(BackoffPolicy(first=1, cap=60)))
    # The fourth run was long enough to count as a success, so the pause after it is the first again.
    assert starts == pytest.approx([0, 1, 3, 7, 108, 110])


async def test_cancel_and_wait_drops_the_end_but_not_the_caller_s_own() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.sleep(10**6)
        finally:
            raise ValueError("on the way out")

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0.1)
    await cancel_and_wait(task)
    assert task.done()


def test_delays_grow_to_a_cap_and_jitter_only_adds() -> None:
    policy = BackoffPolicy(first=0.5, cap=4, jitter=1)
    assert [policy.delay(tries) for tries in range(5)] == [0.5, 1, 2, 4, 4]
    assert policy.delay(10**6) == 4
    assert all(4 <= policy.delay(9, random.Random(seed)) <= 8 for seed in range(50))
    backoff = Backoff(policy)
    assert [backoff.next(), backoff.next()] == [0.5, 1]
    backoff.reset()
    assert backoff.next() == 0.5


async def test_none_of_several_tasks_goes_on_when_the_caller_is_cancelled_meanwhile() -> None:
    slow_end, other = asyncio.Event(), asyncio.create_task(asyncio.sleep(3600))

    async def ends_slowly() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await slow_end.wait()

    slow = asyncio.create_task(ends_slowly())
    await asyncio.sleep(0)
    caller = asyncio.create_task(cancel_and_wait(slow, other))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    slow_end.set()
    await asyncio.wait((slow, other))
    assert other.cancelled()
