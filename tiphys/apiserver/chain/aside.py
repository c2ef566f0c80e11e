"""Work on large objects beside the event loop: one thread, one piece at a time.

To decode, default, merge, validate and compare takes a microsecond for each byte or two: seconds for the largest body. The interpreter
changes threads every millisecond, so the loop turns on meanwhile, and since there is one thread, those who send such bodies wait for each
other and not for a share of the loop. What runs here is given all that it reads: it looks at no cache and waits for nothing.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

LARGE = 32 << 10
"""Bytes of a body or an object above which the switch to the thread, some 100 us, is small compared with the work."""


class Aside:
    """The thread for large objects, which begins with the first of them."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the function's result or raise its exception. It is finished even when nobody waits for it any more."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="large-objects")
        return await asyncio.wrap_future(self._thread.submit(partial(_undisturbed, partial(function, *args, **kwargs))))

    def close(self) -> None:
        """Begin no more work; what waits is dropped."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)


def _undisturbed(function: Callable[[], T]) -> T:
    """Call the function without the collection of cycles: it would walk a million new objects again and again, and hold up all threads."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return function()
    finally:
        if collects:
            gc.enable()
