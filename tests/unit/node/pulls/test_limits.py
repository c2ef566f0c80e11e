"""Limits of pulls: how many at once, and how many begin in a time."""

from __future__ import annotations

import asyncio

import pytest

from tiphys.aio.clock import VirtualClock
from tiphys.node.pulls.limits import PullLimits


async def starts(limits: PullLimits, clock: VirtualClock, pulls: int, seconds: float) -> list[float]:
    """The times at which pulls begin that take so many seconds each."""
    began: list[float] = []
    zero = clock.monotonic()

    async def pull() -> None:
        async with limits.turn():
            began.append(round(clock.monotonic() - zero, 3))
            await clock.sleep(seconds)

    await asyncio.gather(*(pull() for _ in range(pulls)))
    return began


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("at_once", "per_second", "burst", "expected"),
    [
        (0, 0.0, 1, [0, 0, 0, 0]),
        (1, 0.0, 1, [0, 10, 20, 30]),
        (3, 0.0, 1, [0, 0, 0, 10]),
        (0, 2.0, 1, [0, 0.5, 1, 1.5]),
        (0, 2.0, 3, [0, 0, 0, 0.5]),
    ],
)
async def test_turns(at_once: int, per_second: float, burst: int, expected: list[float]) -> None:
    clock = VirtualClock()
    await clock.sleep(100)
    limits = PullLimits(clock, at_once=at_once, per_second=per_second, burst=burst)
    assert await starts(limits, clock, 4, 10.0) == expected
