"""Many calls at once, but not all."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from tiphys.controllers.shared.batches import at_most, slow_start

pytestmark = pytest.mark.looptime


async def test_so_many_calls_at_once_and_an_error_stops_none() -> None:
    running = most = 0

    async def call(number: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(1 + number % 3)
        running -= 1
        if number % 4 == 1:
            raise ValueError(str(number))

    outcome = await at_most(3, [partial(call, number) for number in range(12)])
    assert most == 3
    assert outcome.done == 9
    assert isinstance(outcome.error, ValueError)
    assert (await at_most(3, [])).done == 0


async def test_a_cancellation_ends_all_calls() -> None:
    ended: list[int] = []

    async def call(number: int) -> None:
        try:
            await asyncio.sleep(100)
        finally:
            ended.append(number)

    task = asyncio.create_task(at_most(2, [partial(call, number) for number in range(5)]))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == [0, 1]


async def test_batches_double_and_stop_at_the_first_failure() -> None:
    running, most, calls = 0, [0], 0

    async def call() -> None:
        nonlocal running, calls
        calls += 1
        number = calls
        running += 1
        most[-1] = max(most[-1], running)
        await asyncio.sleep(0)
        running -= 1
        if number == 6:
            raise ValueError("refused")

    outcome = await slow_start(100, call)
    # 1, 2, then the batch of 4 that has the failure in it.
    assert (calls, outcome.done, str(outcome.error)) == (7, 6, "refused")
    assert most == [4]


async def test_all_of_them_when_all_goes_well() -> None:
    calls = 0

    async def call() -> None:
        nonlocal calls
        calls += 1

    assert await slow_start(10, call) == (10, None)
    assert calls == 10
