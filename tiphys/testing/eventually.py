"""Waiting for a condition in a test without guessing how long it takes."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")


@overload
async def eventually(check: Callable[[], Awaitable[T | None]], *, timeout: float = ..., interval: float = ...) -> T: ...


@overload
async def eventually(check: Callable[[], T | None], *, timeout: float = ..., interval: float = ...) -> T: ...


async def eventually(check: Callable[[], Any], *, timeout: float = 30.0, interval: float = 0.02) -> Any:
    """Call `check`, which may be a coroutine function, until it gives something true, and return that.

    An AssertionError from `check` counts as "not yet". When `timeout` (seconds) is over, the last AssertionError is raised again, or
    an AssertionError that shows the last value.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while True:
        failure: AssertionError | None = None
        value: object = None
        try:
            value = check()
            if inspect.isawaitable(value):
                value = await value
            if value:
                return value
        except AssertionError as error:
            failure = error
        if loop.time() >= deadline:
            raise failure or AssertionError(f"not true within {timeout} s; last value: {value!r}")
        await asyncio.sleep(interval)
