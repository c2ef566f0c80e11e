"""Large objects pause between reconciles, small ones never."""

from __future__ import annotations

import asyncio

import pytest

from tiphys.aio.clock import VirtualClock
from tiphys.controllers.shared.pacing import LONGEST, SHARE, Pace, Pacer
from tiphys.runtime import Key

pytestmark = pytest.mark.looptime
KEY = Key("default", "web")


class Steps(VirtualClock):
    """A clock that work can push."""

    def __init__(self) -> None:
        super().__init__()
        self.pushed = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.pushed


@pytest.mark.parametrize(("took", "pause"), [(0.0005, 0.0), (0.01, 0.01 * SHARE), (60.0, LONGEST)])
async def test_the_pause_follows_the_work(took: float, pause: float) -> None:
    clock = Steps()
    pacer = Pacer(clock)
    assert pacer.wait(KEY) == 0
    with pacer.measure(KEY):
        clock.pushed += took
    assert pacer.wait(KEY) == pytest.approx(pause)
    assert pacer.wait(Key("default", "other")) == 0
    await asyncio.sleep(pause + 0.001)
    assert pacer.wait(KEY) == 0


async def test_the_longest_of_several_pauses_counts() -> None:
    clock = Steps()
    pacer = Pacer(clock)
    for took in (0.03, 0.0015):
        with pacer.measure(KEY):
            clock.pushed += took
    assert pacer.wait(KEY) == pytest.approx(0.03 * SHARE - 0.0015)


async def test_a_pause_keeps_the_failures_before_it() -> None:
    clock = Steps()
    pacer = Pacer(clock)
    assert pacer.pause(KEY) is None
    with pacer.measure(KEY):
        clock.pushed += 0.01
    pause = pacer.pause(KEY)
    assert pause is not None
    assert pause.early
    assert pause.after == pytest.approx(0.01 * SHARE)


async def test_a_pace_may_pause_after_all_work_and_without_a_limit() -> None:
    clock = Steps()
    pacer = Pacer(clock, Pace(noticeable=0.0, share=2.0, shortest=0.5, longest=1000.0))
    for took, pause in ((0.0, 0.5), (60.0, 120.0)):
        with pacer.measure(KEY):
            clock.pushed += took
        assert pacer.wait(KEY) == pytest.approx(pause)
        pacer.forget(KEY)
        assert pacer.wait(KEY) == 0


async def test_a_timer_that_fires_a_little_early_is_on_time() -> None:
    """Otherwise the rest of the pause, too short for a clock, would be waited for again and again."""
    clock = Steps()
    pacer = Pacer(clock)
    with pacer.measure(KEY):
        clock.pushed += 0.01
    clock.pushed += pacer.wait(KEY) - 1e-9
    assert pacer.wait(KEY) == 0
