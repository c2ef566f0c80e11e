"""Work on large objects beside the event loop: one thread, one piece at a time, accounts in turn.

To decode, default, merge, validate and compare takes a microsecond for each byte or two: seconds for the largest body. The interpreter
changes threads every millisecond, so the loop turns on meanwhile, and since there is one thread, those who send such bodies wait for each
other and not for a share of the loop. An account waits for at most one piece of each other account, however many those have sent.
What runs here is given all that it reads: it looks at no cache and waits for nothing.
"""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

LARGE = 32 << 10
"""Bytes of a body or an object above which the switch to the thread, some 100 us, is small compared with the work."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Work for the thread."""

    function: Callable[[], Any]
    outcome: asyncio.Future[Any]


class Aside:
    """The thread for large objects, which begins with the first of them."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._queues: dict[str, deque[_Piece]] = {}
        """Account to its pieces of work that wait, the account whose turn is next at first."""
        self._busy = False

    async def run(self, account: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the function's result or raise its exception. Once begun, it is finished even when nobody waits for it any more."""
        piece = _Piece(partial(function, *args, **kwargs), asyncio.get_running_loop().create_future())
        self._queues.setdefault(account, deque()).append(piece)
        if not self._busy:
            self._begin()
        result: T = await piece.outcome
        return result

    def close(self) -> None:
        """Begin no more work; what waits is dropped."""
        for queue in self._queues.values():
            for piece in queue:
                piece.outcome.cancel()
        self._queues.clear()
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> None:
        """Begin the next piece that somebody waits for."""
        self._busy = False
        while self._queues and not self._busy:
            account = next(iter(self._queues))
            queue = self._queues.pop(account)
            piece = queue.popleft()
            if queue:
                self._queues[account] = queue
            if not piece.outcome.done():
                self._busy = True
                self._work(piece)

    def _work(self, piece: _Piece) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="large-objects")
        running = asyncio.get_running_loop().run_in_executor(self._thread, _undisturbed, piece.function)
        running.add_done_callback(partial(self._finish, piece))

    def _finish(self, piece: _Piece, finished: asyncio.Future[Any]) -> None:
        if finished.cancelled():
            piece.outcome.cancel()
            return
        error = finished.exception()
        if not piece.outcome.done():
            if error is None:
                piece.outcome.set_result(finished.result())
            else:
                piece.outcome.set_exception(error)
        self._begin()


def _undisturbed(function: Callable[[], Any]) -> Any:
    """Call the function without the collection of cycles: it would walk a million new objects again and again, and hold up all threads."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return function()
    finally:
        if collects:
            gc.enable()
