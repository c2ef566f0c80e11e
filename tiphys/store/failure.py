"""Failure that lasts until the store is opened again: readable at once, and awaitable."""

from __future__ import annotations

import asyncio

from tiphys.store.contract import StoreFailed


class FailureLatch:
    """Latch that holds the first failure; belongs to the event loop."""

    def __init__(self) -> None:
        self.failure: StoreFailed | None = None
        self._set = asyncio.Event()

    def set(self, failure: StoreFailed) -> None:
        """Report a failure; those after the first change nothing."""
        if self.failure is None:
            self.failure = failure
            self._set.set()

    async def wait(self) -> StoreFailed:
        """Return the failure once there is one."""
        await self._set.wait()
        assert self.failure is not None
        return self.failure
