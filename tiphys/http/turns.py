"""Answers go out in turns: what is encrypted and sent in one turn of the event loop is bounded.

A socket takes megabytes before it asks to wait, and an event wakes every watch at once. A part that is more than what is left of a turn
waits, and requests of others are read and answered in between. Streams take turns first come first served. A whole answer that has begun
goes on before others begin, until its reader makes it wait: one after the other they leave memory sooner than all of them side by side.
"""

from __future__ import annotations

import asyncio
from collections import deque

TURN_BYTES = 256 << 10
"""Bytes that go out in one turn of the loop: about a millisecond of TLS and system calls."""
PART_BYTES = 8 << 10
"""Cost of a part apart from its length, in bytes: waking a task and calling the system take about as long as encrypting this."""


class Turns:
    """Bytes per turn of the loop, shared by the streams or by the whole answers of a server."""

    def __init__(self) -> None:
        self._left = TURN_BYTES
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._renewing = False

    async def take(self, size: int, *, first: bool = False) -> None:
        """Return when a part of this size may go out. One that is larger than what is left has that for itself; `first` goes before all
        that wait."""
        size += PART_BYTES
        if not self._renewing:
            self._renewing = True
            asyncio.get_running_loop().call_soon(self._renew)
        if self._left > 0 and (first or not self._waiting):
            self._left -= size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if first:
            self._waiting.appendleft((size, turn))
        else:
            self._waiting.append((size, turn))
        await turn  # Where it is cancelled its place is skipped in its time.

    def _renew(self) -> None:
        self._left = TURN_BYTES
        while self._waiting and self._left > 0:
            size, turn = self._waiting.popleft()
            if not turn.done():
                self._left -= size
                turn.set_result(None)
        self._renewing = self._left < TURN_BYTES
        if self._renewing:
            asyncio.get_running_loop().call_soon(self._renew)
