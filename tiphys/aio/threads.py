"""Threads of their own for calls that may hang: those of the loop's executor are few, and shared by everybody."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

R = TypeVar("R")


def in_own_thread(work: Callable[[], R], *, name: str) -> asyncio.Future[R]:
    """Start a call in a thread that nothing else waits for, the end of the process included; returns the future of its result."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[R] = loop.create_future()

    def deliver(act: Callable[[], None]) -> None:
        if not future.done():
            act()

    def run() -> None:
        try:
            result = work()
        except Exception as error:
            failure = error
            act = lambda: future.set_exception(failure)  # noqa: E731
        else:
            act = lambda: future.set_result(result)  # noqa: E731
        with contextlib.suppress(RuntimeError):  # The loop has ended meanwhile.
            loop.call_soon_threadsafe(deliver, act)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
