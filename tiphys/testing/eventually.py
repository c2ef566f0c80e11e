"""Waiting for a condition in a test without guessing how long it takes."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(check: Callable[[], T | Awaitable[T]], *, timeout: float = 30.0, interval: float = 0.02) -> T:
    """Call `check` until it returns something true and return that.

    An AssertionError from `check` counts as "not yet". When `timeout` (seconds) is over, the last AssertionError is raised again, or
    an AssertionError that shows the last value.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while True:
        failure: AssertionError | None = None
        value: object = None
        try:
            result = check()
            value = await result if inspect.isawaitable(result) else result
            if value:
                return value
        except AssertionError as error:
            failure = error
        if loop.time() >= deadline:
            raise failure or AssertionError(f"not true within {timeout} s; last value: {value!r}")
        await asyncio.sleep(interval)
