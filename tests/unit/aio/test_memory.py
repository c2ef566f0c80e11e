"""Memory is given back after a peak, and a steady process is left alone."""

from __future__ import annotations

import asyncio

import pytest

from tiphys.aio.clock import VirtualClock
from tiphys.aio.memory import FRUIT, GROWN, LOOK_SECONDS, give_back
from tiphys.aio.tasks import cancel_and_wait

pytestmark = pytest.mark.looptime

MB = 1 << 20


class Process:
    """A process of some size, of which a trim gives a part back."""

    def __init__(self) -> None:
        self.size = self.needed = 80 * MB
        self.trims: list[float] = []

    def resident(self) -> int:
        return self.size

    def trim(self) -> None:
        self.size = self.needed


async def run(process: Process, seconds: float) -> asyncio.Task[None]:
    clock = VirtualClock()

    async def trim() -> None:
        process.trims.append(clock.monotonic())
        process.trim()

    task = asyncio.create_task(give_back(clock, resident=process.resident, trim=trim))
    await asyncio.sleep(seconds)
    return task


async def test_a_steady_process_is_left_alone() -> None:
    process = Process()
    task = await run(process, 10_000)
    process.size += GROWN - 1
    await asyncio.sleep(10_000)
    assert process.trims == []
    await cancel_and_wait(task)


async def test_a_peak_is_given_back_while_and_after_it_lasts() -> None:
    process = Process()
    task = await run(process, 1)
    process.size = process.needed = 300 * MB  # in use: nothing to be had
    await asyncio.sleep(60)
    fruitless = len(process.trims)
    assert 1 <= fruitless <= 5
    process.needed = 90 * MB
    await asyncio.sleep(120)
    assert process.size == 90 * MB
    assert len(process.trims) > fruitless
    await cancel_and_wait(task)


async def test_tries_that_give_nothing_become_seldom() -> None:
    process = Process()
    task = await run(process, 1)
    process.size = process.needed = 300 * MB
    await asyncio.sleep(36_000)
    assert len(process.trims) < 70
    assert process.trims[-1] - process.trims[-2] >= 600 - LOOK_SECONDS
    assert FRUIT < GROWN
    await cancel_and_wait(task)
