"""Clock as an interface: nothing in Tiphys reads a clock except through a `Clock`, and nothing sleeps but on the event loop.

`LoopClock` follows the running event loop, so a test that fakes the loop's time (looptime) fakes all of Tiphys' waiting with it.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol

monotonic = time.monotonic
"""The real monotonic seconds for the price of a call into C. They measure how long work took, for metrics and logs, and limit how long real
sockets and processes may take. What waits or decides asks its `Clock`, which may be virtual."""


class Clock(Protocol):
    """Wall-clock time for what is written down, monotonic seconds for what is measured, and sleep."""

    def now(self) -> datetime:
        """Return the current time, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return the seconds since some fixed moment; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; zero and less only yield."""


class LoopClock:
    """The real clock, sleeping on the running event loop."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.0))


class VirtualClock(LoopClock):
    """Wall-clock and monotonic time derived from the event loop's own time: whole components run in virtual time under looptime."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start.timestamp()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._start + self.monotonic(), UTC)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()
