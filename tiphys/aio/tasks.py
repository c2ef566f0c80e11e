"""Background tasks that have an owner.

`asyncio.create_task` alone loses exceptions and leaves tasks behind. A `TaskSet` does neither: its owner closes it, closing cancels and
waits, and an exception is logged and handed to `on_error`. Where siblings must fail together, `asyncio.TaskGroup` is the better tool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from tiphys.aio.backoff import Backoff
from tiphys.aio.clock import Clock
from tiphys.obs.logging import get_logger

log = get_logger(__name__)

T = TypeVar("T")


class TaskSet:
    """Tasks that end before their owner does. Also an async context manager that closes itself."""

    def __init__(self, *, on_error: Callable[[str, BaseException], None] | None = None) -> None:
        # A dictionary keeps their order, so that closing does the same in every run.
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._on_error = on_error
        self._closed = False

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, coroutine: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Start a task. Raises RuntimeError once the set is closed."""
        if self._closed:
            coroutine.close()
            raise RuntimeError(f"cannot start {name}: the task set is closed")
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks[task] = None
        task.add_done_callback(self._ended)
        return task

    async def close(self) -> None:
        """Cancel what still runs and wait for it. Doing it twice is harmless."""
        self._closed = True
        current = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not current]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        if self._on_error is not None:
            self._on_error(task.get_name(), error)
        else:
            log.error("background task failed", extra={"task": task.get_name()}, exc_info=error)


async def cancel_and_wait(*tasks: asyncio.Task[Any]) -> None:
    """End tasks that the caller owns; their own exceptions are dropped, a cancellation of the caller is not.

    All are cancelled before any is waited for, so none goes on when the caller is cancelled meanwhile.
    """
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.exception()


async def until(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Return the outcome of `work`, or None when `stop` comes first, which cancels the work."""
    task, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        await cancel_and_wait(task, stopping)


async def supervise(name: str, run: Callable[[], Awaitable[None]], *, clock: Clock, backoff: Backoff, stable_after: float = 60.0) -> None:
    """Run something that should not end by an exception, again after each exception, until it returns.

    A run of `stable_after` seconds counts as a success: the next failure waits little again.
    """
    while True:
        started = clock.monotonic()
        try:
            await run()
        except Exception:
            if clock.monotonic() - started >= stable_after:
                backoff.reset()
            delay = backoff.next()
            log.exception("supervised task failed, restarting", extra={"task": name, "delay": round(delay, 3)})
            await clock.sleep(delay)
        else:
            return
