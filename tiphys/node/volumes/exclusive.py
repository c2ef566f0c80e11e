"""Work that is done for one key at a time and, once begun, to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tiphys.aio.tasks import TaskSet

R = TypeVar("R")


class Exclusive:
    """Runs work by key. Whoever waits may be cancelled: work that has not begun never does, work that has begun goes on with its key."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._interested: dict[str, int] = {}
        self._tasks = TaskSet()

    async def run(self, key: str, work: Callable[[], Coroutine[Any, Any, R]]) -> R:
        """Return the result of `work()`, begun when no other work for the key is under way; raises what it raises."""
        lock = self._locks.setdefault(key, asyncio.Lock())
        self._interested[key] = self._interested.get(key, 0) + 1
        try:
            await lock.acquire()
        except asyncio.CancelledError:
            self._leave(key)
            raise
        outcome: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        # Where the caller was cancelled, nobody retrieves a failure.
        outcome.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            self._tasks.spawn(self._work(key, lock, work, outcome), name=f"volume {key}")
        except RuntimeError:
            lock.release()
            self._leave(key)
            raise
        return await asyncio.shield(outcome)

    async def close(self) -> None:
        """Break off what is under way."""
        await self._tasks.close()

    async def _work(self, key: str, lock: asyncio.Lock, work: Callable[[], Coroutine[Any, Any, R]], outcome: asyncio.Future[R]) -> None:
        try:
            outcome.set_result(await work())
        except asyncio.CancelledError:
            outcome.cancel()
            raise
        except Exception as error:
            outcome.set_exception(error)
        finally:
            lock.release()
            self._leave(key)

    def _leave(self, key: str) -> None:
        self._interested[key] -= 1
        if not self._interested[key]:
            del self._interested[key], self._locks[key]
