"""Small answers the protocols demand (pongs, ping echoes), sent by a task of their own.

A pump that reads from one side must never wait for that same side to take an answer: with both directions full, that is a deadlock.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from tiphys.aio.duplex import Duplex

LIMIT = 16


class Outbox:
    """Keeps the newest LIMIT answers; a peer that pings faster than it reads gets fewer pongs, not more memory."""

    def __init__(self, duplex: Duplex) -> None:
        self._duplex = duplex
        self._queue: deque[bytes] = deque(maxlen=LIMIT)
        self._posted = asyncio.Event()

    def post(self, data: bytes) -> None:
        """Send soon; nothing for empty data."""
        if data:
            self._queue.append(data)
            self._posted.set()

    async def run(self) -> None:
        """Send posted messages until cancelled. The reader of a broken connection notices it."""
        while True:
            await self._posted.wait()
            self._posted.clear()
            with contextlib.suppress(OSError):
                while self._queue:
                    await self._duplex.write(self._queue.popleft())
