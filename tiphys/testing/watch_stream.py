"""A watch on its way from the server to a client, event by event, with what a network or a cache in between may do to it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from tiphys.client.frames import LineReader
from tiphys.testing.calls import Call

BOOKMARK = b'{"type":"BOOKMARK"'


class WatchStream:
    """Events of one open watch. `alter` returns what arrives in place of an event (a line without its end); `held` is asked before each
    of them: while it returns true, they wait.
    """

    def __init__(
        self,
        call: Call,
        source: AsyncIterator[bytes],
        *,
        alter: Callable[[WatchStream, bytes], list[bytes]],
        held: Callable[[Call], bool],
        on_close: Callable[[WatchStream], None],
    ) -> None:
        self.call = call
        self.stalled = False
        self._source = source
        self._alter = alter
        self._held = held
        self._on_close = on_close
        self._reader = LineReader()
        self._ready: deque[bytes] = deque()
        self._postponed: list[bytes] = []
        self._end: BaseException | None = None
        self._reading: asyncio.Future[bytes] | None = None
        self._changed: asyncio.Future[None] | None = None

    def end(self, error: BaseException | None = None) -> None:
        """End the watch after what has arrived: as a server does, or with an error as a connection that breaks."""
        self._end = error or StopAsyncIteration()
        self.wake()

    def stall(self) -> None:
        """Let the watch go dead: nothing ever arrives again, not even its end."""
        self.stalled = True
        self.wake()

    def push(self, line: bytes) -> None:
        """Send a line of the test's own."""
        self._ready.append(line)
        self.wake()

    def postpone(self, line: bytes) -> None:
        """Let an event arrive after the one that comes next."""
        self._postponed.append(line)

    def wake(self) -> None:
        """Look again at whether events are held."""
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    def __aiter__(self) -> WatchStream:
        return self

    async def __anext__(self) -> bytes:
        while True:
            waits = self.stalled or self._held(self.call)
            if self._ready and not waits:
                return self._ready.popleft() + b"\n"
            if self._end is not None and not self.stalled:
                raise self._end
            await self._wait(reads=not waits)

    async def _wait(self, *, reads: bool) -> None:
        """Wait for the server's next chunk, unless events are held anyway, or for a test that changes something."""
        self._changed = asyncio.get_running_loop().create_future()
        if reads and self._reading is None:
            self._reading = asyncio.ensure_future(_next(self._source))
        reading = self._reading if reads else None
        try:
            waiting: list[asyncio.Future[Any]] = [self._changed, *((reading,) if reading else ())]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._changed.cancel()
        if reading is not None and reading.done():
            self._reading = None
            self._take(reading)

    def _take(self, reading: asyncio.Future[bytes]) -> None:
        error = reading.exception()
        if isinstance(error, _Ended):
            broken = ConnectionError("the watch ended in the middle of an event") if self._reader.pending else None
            self._end = self._end or broken or StopAsyncIteration()
        elif error is not None:
            self._end = self._end or error
        else:
            for line in self._reader.feed(reading.result()):
                postponed, self._postponed = self._postponed, []
                self._ready.extend([line] if line.startswith(BOOKMARK) else self._alter(self, line))
                self._ready.extend(postponed)

    async def aclose(self) -> None:
        """Leave the watch; the server hears of it."""
        self._on_close(self)
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.wait([reading])
            if not reading.cancelled():
                reading.exception()
        close = getattr(self._source, "aclose", None)
        if close is not None:
            await close()


class _Ended(Exception):
    """The end of a stream: a future cannot carry StopAsyncIteration well."""


async def _next(source: AsyncIterator[bytes]) -> bytes:
    try:
        return await anext(source)
    except StopAsyncIteration:
        raise _Ended from None
