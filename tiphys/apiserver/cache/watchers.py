"""Watches: shared, already encoded events fanned out to bounded readers.

An event is encoded once, when the first reader needs it, and shared by all. A reader that falls behind is ended, never waited for: its
client resumes at the last version it saw, or lists again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Literal, Protocol

from tiphys.apiserver.cache.entry import Entry

EventType = Literal["ADDED", "MODIFIED", "DELETED"]
MAX_PENDING_EVENTS = 20_000
MAX_PENDING_BYTES = 64 << 20

CHUNK_BYTES = 64 << 10
"""Bytes that are joined and handed to the transport at once: the queued lines themselves are shared by all readers, joined ones are not."""

Matcher = Callable[[Entry], bool]


def json_line(type_: EventType, entry: Entry) -> bytes:
    """One event as a line of JSON."""
    return b'{"type":"%b","object":%b}\n' % (type_.encode(), entry.data)


class CacheEvent:
    """A change of one object: its new state (for a delete: its last state at the delete's revision) and its old one."""

    __slots__ = ("_lines", "departed", "entry", "previous", "type")

    def __init__(
        self,
        type_: EventType,
        entry: Entry,
        previous: Entry | None,
        departed: Callable[[Entry, int], Entry] | None = None,
    ) -> None:
        self.type = type_
        self.departed = departed
        self.entry = entry
        self.previous = previous
        self._lines: dict[str, bytes] | None = None

    def line(self, type_: EventType) -> bytes:
        """The JSON line of the event as `type_`: a selector can turn a change into an appearance or a disappearance."""
        lines = self._lines
        if lines is None:
            lines = self._lines = {}
        line = lines.get(type_)
        if line is None:
            line = lines[type_] = json_line(type_, self.shown(type_))
        return line

    def dispatched(self) -> None:
        """Drop encoded forms after all readers have the event: later replays encode it again, so the ring holds each object once."""
        self._lines = None

    def shown(self, type_: EventType) -> Entry:
        """Return the object to show: one that left the selection is shown as it last was, at the revision at which it left."""
        if type_ == "DELETED" and self.type != "DELETED" and self.departed is not None and self.previous is not None:
            return self.departed(self.previous, self.entry.revision)
        return self.entry

    def shared(self, key: str, make: Callable[[], bytes]) -> bytes:
        """Return the result of `make` for this key, made once: other encodings of the event, shared by their readers."""
        if self._lines is None:
            self._lines = {}
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = make()
        return line

    def seen_through(self, matches: Matcher) -> EventType | None:
        """Return the change for a reader that sees only what `matches`: None if it sees nothing of it."""
        after = self.type != "DELETED" and matches(self.entry)
        before = self.previous is not None and matches(self.previous)
        if after:
            return "MODIFIED" if before else "ADDED"
        return "DELETED" if before else None


Render = Callable[[EventType, CacheEvent], bytes]


class Reader(Protocol):
    """Receiver of events."""

    on_close: Callable[[], None]

    @property
    def closed(self) -> bool: ...

    def offer(self, event: CacheEvent) -> None:
        """Take an event in, at once."""

    def close(self) -> None:
        """Nothing more will come; idempotent."""


class Watcher:
    """One reader: an async iterator of bytes, each item the lines that have gathered since the last, up to about `CHUNK_BYTES`.

    `initial` are lines that come before all others. They are made while they are read, so a large state neither is encoded at once nor
    counts as lag. `source` names those whose lines are the same ones, in the same order: what they have pending is in memory once.
    """

    def __init__(
        self,
        matches: Matcher | None,
        *,
        render: Render | None = None,
        initial: Iterator[bytes] | None = None,
        source: Hashable = None,
    ) -> None:
        self._source = source if matches is None and render is None else None
        self._matches = matches
        self._render = render
        self._initial = initial
        self._pending: deque[bytes] = deque()
        self._bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        self.on_close: Callable[[], None] = lambda: None

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def pending(self) -> tuple[int, int, Hashable]:
        """Bytes queued that only this reader holds, bytes that others of its source hold as well, and that source."""
        return (self._bytes, 0, None) if self._source is None else (0, self._bytes, self._source)

    def offer(self, event: CacheEvent) -> None:
        """Queue the event if it concerns this reader; ends the reader when too much is queued."""
        if self._closed:
            return
        if self._matches is None:
            type_: EventType | None = event.type
        else:
            type_ = event.seen_through(self._matches)
        if type_ is not None:
            self.push(event.line(type_) if self._render is None else self._render(type_, event))

    def push(self, line: bytes) -> None:
        """Queue an encoded line."""
        self._pending.append(line)
        self._bytes += len(line)
        if self._bytes > MAX_PENDING_BYTES or len(self._pending) > MAX_PENDING_EVENTS:
            self._pending.clear()
            self._initial = None
            self.close()
        elif self._waiter is not None:
            self._wake()

    def close(self) -> None:
        """End the stream after the queued lines; idempotent."""
        if not self._closed:
            self._closed = True
            self.on_close()
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def __aiter__(self) -> Watcher:
        return self

    async def __anext__(self) -> bytes:
        while True:
            if self._initial is not None:
                lines = self._next_initial(self._initial)
                if lines:
                    return b"".join(lines)
            if self._pending:
                return self._next_pending()
            if self._closed:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def _next_initial(self, initial: Iterator[bytes]) -> list[bytes]:
        lines: list[bytes] = []
        size = 0
        for line in initial:
            lines.append(line)
            size += len(line)
            if size >= CHUNK_BYTES:
                return lines
        self._initial = None
        return lines

    def _next_pending(self) -> bytes:
        pending = self._pending
        if len(pending) == 1 or self._bytes <= CHUNK_BYTES:
            data = pending[0] if len(pending) == 1 else b"".join(pending)
            pending.clear()
            self._bytes = 0
            return data
        lines: list[bytes] = []
        size = 0
        while pending and size < CHUNK_BYTES:
            lines.append(pending.popleft())
            size += len(lines[-1])
        self._bytes -= size
        return b"".join(lines)

    async def aclose(self) -> None:
        """The reader is gone."""
        self._pending.clear()
        self._initial = None
        self.close()
