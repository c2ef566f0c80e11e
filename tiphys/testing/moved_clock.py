"""A wall clock that tests move by months while everything else runs in real time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from tiphys.aio.clock import LoopClock


class MovedClock(LoopClock):
    """A wall clock that can be moved; long sleeps end when it has passed them, short ones are real."""

    def __init__(self, offset: timedelta) -> None:
        self.offset = offset
        self._moved = asyncio.Event()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def move(self, offset: timedelta) -> None:
        """Set the difference from the machine's clock."""
        self.offset = offset
        self._moved.set()
        self._moved = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        until = self.now() + timedelta(seconds=seconds)
        if seconds < 30:
            await super().sleep(seconds)
        else:
            while self.now() < until:
                await self._moved.wait()
