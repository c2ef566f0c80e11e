"""Watches: shared, already encoded events fanned out to bounded readers.

An event is encoded once, when the first reader needs it, and shared by all. A reader that falls behind is ended, never waited for: its
client resumes at the last version it saw, or lists again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Literal

from tiphys.apiserver.entry import Entry

EventType = Literal["ADDED", "MODIFIED", "DELETED"]
MAX_PENDING_EVENTS = 20_000
MAX_PENDING_BYTES = 64 << 20

Matcher = Callable[[Entry], bool]


class CacheEvent:
    """A change of one object: what it became (for a delete: its last state at the delete's revision) and what it was."""

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
        self._lines: dict[str, bytes] = {}

    def line(self, type_: EventType) -> bytes:
        """The JSON line of the event as `type_`: a selector can turn a change into an appearance or a disappearance."""
        line = self._lines.get(type_)
        if line is None:
            line = self._lines[type_] = b'{"type":"%b","object":%b}\n' % (type_.encode(), self.shown(type_).data)
        return line

    def shown(self, type_: EventType) -> Entry:
        """What a reader gets to see: an object that left its selection is shown as it last was, at the revision at which it left."""
        if type_ == "DELETED" and self.type != "DELETED" and self.departed is not None and self.previous is not None:
            return self.departed(self.previous, self.entry.revision)
        return self.entry

    def shared(self, key: str, make: Callable[[], bytes]) -> bytes:
        """What `make` made for this key the first time: other encodings of the event, shared by their readers."""
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = make()
        return line

    def seen_through(self, matches: Matcher) -> EventType | None:
        """What the change is to a reader that sees only what `matches`: None when nothing."""
        after = self.type != "DELETED" and matches(self.entry)
        before = self.previous is not None and matches(self.previous)
        if after:
            return "MODIFIED" if before else "ADDED"
        return "DELETED" if before else None


Render = Callable[[EventType, CacheEvent], bytes]


class Watcher:
    """One reader: an async iterator of bytes, each item all the lines that have gathered since the last."""

    def __init__(self, matches: Matcher | None, *, render: Render | None = None) -> None:
        self._matches = matches
        self._render = render
        self._pending: deque[bytes] = deque()
        self._bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        self.on_close: Callable[[], None] = lambda: None

    @property
    def closed(self) -> bool:
        return self._closed

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
        if len(self._pending) > MAX_PENDING_EVENTS or self._bytes > MAX_PENDING_BYTES:
            self._pending.clear()
            self.close()
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def close(self) -> None:
        """End the stream after what is queued; idempotent."""
        if not self._closed:
            self._closed = True
            self.on_close()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> Watcher:
        return self

    async def __anext__(self) -> bytes:
        while not self._pending:
            if self._closed:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
            self._waiter = None
        lines = self._pending
        data = lines[0] if len(lines) == 1 else b"".join(lines)
        lines.clear()
        self._bytes = 0
        return data

    async def aclose(self) -> None:
        self.close()
