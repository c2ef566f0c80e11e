"""Repeated calls, carefully at first: 1, 2, 4, ... at once, and no more after a failure.

So a ReplicaSet of a thousand pods that the quota forbids costs one refused request, not a thousand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Outcome(NamedTuple):
    """Number of successful calls, and the first exception."""

    done: int
    error: Exception | None = None


async def slow_start(count: int, call: Callable[[], Awaitable[object]], *, first: int = 1) -> Outcome:
    """Call `count` times in batches that double while all calls succeed."""
    done, size = 0, first
    while done < count:
        results = await asyncio.gather(*(call() for _ in range(min(size, count - done))), return_exceptions=True)
        errors = first_errors(results)
        done += len(results) - len(errors)
        if errors:
            return Outcome(done, errors[0])
        size *= 2
    return Outcome(done)


async def all_at_once(items: Sequence[T], call: Callable[[T], Awaitable[object]]) -> Outcome:
    """Call for every item concurrently."""
    results = await asyncio.gather(*(call(item) for item in items), return_exceptions=True)
    errors = first_errors(results)
    return Outcome(len(results) - len(errors), errors[0] if errors else None)


async def at_most(limit: int, calls: Iterable[Callable[[], Awaitable[object]]]) -> Outcome:
    """Make all the calls, `limit` of them at once. An error does not keep the others from being tried."""
    waiting = iter(calls)
    done = 0
    errors: list[Exception] = []

    async def work() -> None:
        nonlocal done
        for call in waiting:
            try:
                await call()
            except Exception as error:
                errors.append(error)
            else:
                done += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(limit):
            group.create_task(work())
    return Outcome(done, errors[0] if errors else None)


def first_errors(results: Sequence[object]) -> list[Exception]:
    """Return the exceptions among results of `gather`; a cancellation is raised."""
    errors: list[Exception] = []
    for result in results:
        if isinstance(result, Exception):
            errors.append(result)
        elif isinstance(result, BaseException):
            raise result
    return errors
