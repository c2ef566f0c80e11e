"""Control loops in tests: run until cancelled, each time with fresh state, as a process that starts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tiphys.aio.tasks import cancel_and_wait
from tiphys.client.client import Client
from tiphys.runtime import Controller, Manager
from tiphys.testing.eventually import eventually


async def run_loops(client: Client, *loops: Callable[[], Controller]) -> None:
    """Run control loops, made by `loops` (their classes, where they need no settings), until cancelled."""
    await _manager(client, loops).run()


@asynccontextmanager
async def running_loops(client: Client, *loops: Callable[[], Controller]) -> AsyncIterator[Manager]:
    """Run control loops until the end of the block, which begins when their caches are filled. Raises what a loop fails with."""
    manager = _manager(client, loops)
    task = asyncio.create_task(manager.run(), name="loops")
    try:
        await eventually(lambda: manager.synced or task.done(), timeout=600.0)
        yield manager
        if task.done():
            task.result()
    finally:
        await cancel_and_wait(task)


def _manager(client: Client, loops: tuple[Callable[[], Controller], ...]) -> Manager:
    manager = Manager(client, clock=client.clock, rng=client.rng)
    manager.add_all([loop() for loop in loops])
    return manager
