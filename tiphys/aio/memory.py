"""Return of free heap memory to the system after a peak.

Buffers of many connections leave holes in the heap when they go; glibc keeps those for later. `malloc_trim` gives their pages back: about
10 ms for 100 MB.
"""

from __future__ import annotations

import asyncio
import ctypes
import resource
from collections.abc import Awaitable, Callable
from pathlib import Path

from tiphys.aio.backoff import Backoff, BackoffPolicy
from tiphys.aio.clock import Clock

LOOK_SECONDS = 5.0
GROWN = 24 << 20
"""Bytes above the smallest size seen that make a try worth its time."""
FRUIT = 4 << 20
"""Bytes that a try must give back to count as a success; after others the next one waits longer."""
RETRY = BackoffPolicy(first=LOOK_SECONDS, cap=600.0)


def resident() -> int:
    """Bytes of memory that this process occupies."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def trim() -> None:
    """Give free memory of the heap back; nothing where the C library has no such call."""
    release = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if release is not None:
        await asyncio.to_thread(release, 0)


async def give_back(clock: Clock, *, resident: Callable[[], int] = resident, trim: Callable[[], Awaitable[None]] = trim) -> None:
    """Trim, forever, while the process is larger than it was: soon after it has grown, then ever more seldom while that gives nothing."""
    least = after = resident()
    backoff, due = Backoff(RETRY), 0.0
    while True:
        await clock.sleep(LOOK_SECONDS)
        now = resident()
        least = min(least, now)
        if now >= after + GROWN:
            backoff.reset()
        elif now < least + GROWN or clock.monotonic() < due:
            continue
        await trim()
        after = resident()
        if now - after >= FRUIT:
            backoff.reset()
        due = clock.monotonic() + backoff.next()
