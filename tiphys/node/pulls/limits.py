"""Limits of image pulls: how many at once, and how many may begin in a time (`maxParallelImagePulls`, `registryPullQPS`).

Who is over a limit waits its turn; upstream fails the pull with "pull QPS exceeded" and backs off.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tiphys.aio.clock import Clock


class PullLimits:
    """Turns of pulls. `at_once` is 0 for no limit, as is `per_second`; `burst` is the number that may begin together."""

    def __init__(self, clock: Clock, *, at_once: int = 0, per_second: float = 0.0, burst: int = 1) -> None:
        self._clock = clock
        self._slots = asyncio.Semaphore(at_once) if at_once else None
        self._pause = 1 / per_second if per_second else 0.0
        self._slack = max(burst - 1, 0) * self._pause
        self._next = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and keep it."""
        if self._slots is not None:
            async with self._slots:
                await self._wait()
                yield
        else:
            await self._wait()
            yield

    async def _wait(self) -> None:
        if not self._pause:
            return
        now = self._clock.monotonic()
        mine = max(self._next, now - self._slack)
        self._next = mine + self._pause
        if mine > now:
            await self._clock.sleep(mine - now)
