"""A connection after its upgrade: bytes both ways, with half-close, and `splice`, which ties two of them together.

HTTP servers hand one over when a request becomes something else (`take_over`); exec, attach and port-forward run on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Coroutine
from typing import Any, Protocol, cast

READ_SIZE = 64 * 1024
FLUSH_TIMEOUT = 30.0
"""Seconds that a closed connection may take to deliver what was written before it is cut."""
LINGER = 60.0
"""Seconds without traffic after which `splice` ends once one side has ended."""
UNSEEN_END = 5.0
"""The same where no end can be sent to the other side: it knows it from the data, or never will."""


class Duplex(Protocol):
    """A byte stream in both directions. Errors of the connection are OSError."""

    async def read(self, n: int = READ_SIZE) -> bytes:
        """Up to `n` bytes as soon as there are any; b"" when the peer has ended its side. Cancelling loses nothing."""
        ...

    async def write(self, data: bytes) -> None:
        """Send all of `data`, or wait until the peer keeps up. Writes of several tasks never mix and go out in the order of the calls."""
        ...

    @property
    def can_half_close(self) -> bool:
        """True if one direction can end without the other. Not with TLS: there a side that has ended takes nothing more either."""
        ...

    def write_eof(self) -> None:
        """End the own side after what was written; nothing where it cannot be done without closing."""

    def close(self) -> None:
        """Deliver what was written, then close. Harmless when closed."""


class StreamDuplex(asyncio.Protocol):
    """A Duplex on an asyncio transport.

    Not made of asyncio's streams, because those forget what they have received when a later write fails, and cannot take over a transport
    together with what was read from it.
    """

    def __init__(self, *, unread: bytes = b"") -> None:
        self._received = bytearray(unread)
        self._transport: asyncio.Transport | None = None
        self._ended = False
        self._lost: BaseException | bool = False
        self._reading_paused = False
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    # Duplex.

    async def read(self, n: int = READ_SIZE) -> bytes:
        while not self._received:
            if isinstance(self._lost, OSError):
                raise self._lost
            if self._ended:
                return b""
            self._readable.clear()
            await self._readable.wait()
        data = bytes(self._received[:n])
        del self._received[:n]
        if self._reading_paused and len(self._received) < READ_SIZE:
            self._reading_paused = False
            # uvloop raises where asyncio does nothing: on a transport that is closing.
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        if self._lost or self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("connection is closed")
        self._transport.write(data)
        await self._writable.wait()
        if self._lost:
            raise ConnectionResetError("connection was lost")

    @property
    def can_half_close(self) -> bool:
        return self._transport is not None and self._transport.can_write_eof()

    def write_eof(self) -> None:
        if self._transport is not None and not self._transport.is_closing() and self._transport.can_write_eof():
            with contextlib.suppress(OSError):
                self._transport.write_eof()

    def close(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.close()
        if self._transport.get_write_buffer_size():
            # A peer that stopped reading must not keep the connection forever.
            asyncio.get_running_loop().call_later(FLUSH_TIMEOUT, self._transport.abort)

    def push_back(self, data: bytes) -> None:
        """Make the next read return `data`: it was read from the connection but belongs to the next reader."""
        self._received[:0] = data

    # asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._readable.set()
        if len(self._received) >= READ_SIZE and not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self._ended = True
        self._readable.set()
        # Keep the other direction open, where there can be one.
        return self._transport is not None and self._transport.can_write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._lost = exc or True
        self._readable.set()
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()


async def open_duplex(host: str, port: int, *, ssl: ssl.SSLContext | None = None) -> StreamDuplex:
    """Return a TCP or TLS connection. Raises OSError."""
    _, duplex = await asyncio.get_running_loop().create_connection(StreamDuplex, host, port, ssl=ssl)
    return duplex


def take_over(transport: asyncio.Transport, *, unread: bytes = b"") -> StreamDuplex:
    """Turn the connection of another protocol into a Duplex; `unread` is data received beyond that protocol's last message."""
    duplex = StreamDuplex(unread=unread)
    transport.set_protocol(duplex)
    duplex.connection_made(transport)
    if transport.is_closing():
        duplex.connection_lost(None)  # Its end is not reported again: the protocol before it has received it already, or is about to.
    else:
        transport.resume_reading()
    return duplex


class Activity:
    """Notices when nothing has moved for too long. `limit` in seconds; None means never."""

    def __init__(self, limit: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit = limit
        self._last = self._loop.time()
        self._changed = asyncio.Event()

    def touch(self) -> None:
        """Something moved."""
        self._last = self._loop.time()

    def tighten(self, limit: float) -> None:
        """Allow at most this much from now on."""
        self._limit = limit if self._limit is None else min(limit, self._limit)
        self._changed.set()

    async def wait_idle(self) -> None:
        """Return once nothing has moved for the limit."""
        while True:
            left = None if self._limit is None else self._last + self._limit - self._loop.time()
            if left is not None and left <= 0:
                return
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._changed.wait()


async def race(*contenders: Coroutine[Any, Any, None]) -> None:
    """Run all until the first one ends, cancel the others, await them, and raise what the first raised."""
    tasks = [asyncio.ensure_future(contender) for contender in contenders]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def splice(a: Duplex, b: Duplex, *, idle_timeout: float | None = None, linger: float = LINGER) -> None:
    """Copy both ways until both sides have ended, then close both.

    The end of one side is passed on as a half-close; from then on the other side may stay silent for `linger` seconds at most, since a
    peer that is gone looks the same as one that only listens. A TLS connection that ends ends the splice. `idle_timeout` (seconds, None
    for never) ends a connection on which nothing moves at all. A broken connection ends the splice without an error: there is nobody
    left to tell; any other error of a Duplex is raised.
    """
    activity = Activity(idle_timeout)
    gone = asyncio.Event()

    async def copy(source: Duplex, sink: Duplex) -> None:
        with contextlib.suppress(OSError):
            await _copy(source, sink, activity)
        if not source.can_half_close:
            gone.set()
        sink.write_eof()
        activity.tighten(linger if sink.can_half_close else UNSEEN_END)

    async def both() -> None:
        copies = [asyncio.ensure_future(copy(a, b)), asyncio.ensure_future(copy(b, a))]
        try:
            await asyncio.gather(*copies)
        finally:
            # One that failed leaves the other behind.
            for one in copies:
                one.cancel()
            await asyncio.gather(*copies, return_exceptions=True)

    async def until_gone() -> None:
        await gone.wait()

    try:
        await race(both(), until_gone(), activity.wait_idle())
    finally:
        a.close()
        b.close()


async def _copy(source: Duplex, sink: Duplex, activity: Activity) -> None:
    """Copy to the end of `source`. Raises OSError when it breaks.

    When `sink` breaks, the rest is read and forgotten: the other direction may still have something to say, and a socket that is closed
    with unread data is reset, which destroys what its peer has not read yet.
    """
    taken = True
    while data := await source.read(READ_SIZE):
        if taken:
            activity.touch()
            try:
                await sink.write(data)
            except OSError:
                taken = False
