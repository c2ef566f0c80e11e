"""Delivery of committed events to watchers: first a replay of the log, then live events, without gaps or repeats.

All of this runs in the event loop. The hub counts what it has published; a watch that joins at published revision P reads the revisions up
to P from the log and receives everything after P from the hub, whose calls come in revision order. Registering and reading P is one step
of the loop, so no event can fall between the two halves or show up in both.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from tiphys.store.contract import Compacted, Event, Revision, StoreClosed

Replay = Callable[[str, int, int], Awaitable[tuple[Sequence[Event], int]]]
"""(prefix, after, upto) -> events of a first part of that range, and the revision up to which it reaches; raises Compacted."""


class BufferedWatch:
    """Watch with the position of its replay and a bounded buffer of live events."""

    __slots__ = ("_buffer", "_ended", "_hub", "_joined", "_lagged", "_position", "_replay", "_skip", "_waiter", "prefix")

    def __init__(self, hub: WatchHub, prefix: str, after: int, joined: int, replay: Replay) -> None:
        self.prefix = prefix
        self._hub = hub
        self._replay = replay
        self._position = after
        self._joined = joined
        self._skip = after if after > joined else 0
        self._buffer: list[Event] = []
        self._lagged: int | None = None
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None

    def __aiter__(self) -> AsyncIterator[Sequence[Event]]:
        return self

    async def __anext__(self) -> Sequence[Event]:
        while True:
            if self._lagged is not None:
                oldest, self._lagged = self._lagged, None
                raise Compacted(Revision(oldest))
            if self._position < self._joined:
                events = await self._replay_part()
                if events:
                    return events
            elif self._buffer:
                batch, self._buffer = self._buffer, []
                return batch
            elif self._ended:
                raise StopAsyncIteration
            else:
                self._waiter = asyncio.get_running_loop().create_future()
                try:
                    await self._waiter
                finally:
                    self._waiter = None

    async def _replay_part(self) -> Sequence[Event]:
        """Return the next part of the log; the position moves only when it was read, so a cancelled call loses nothing."""
        try:
            events, position = await self._replay(self.prefix, self._position, self._joined)
        except StoreClosed:
            self.close()
            return ()
        except Compacted:
            self.close()
            raise
        if self._position < self._joined:
            self._position = position
            return events
        return ()  # closed meanwhile

    def close(self) -> None:
        self._hub.leave(self)
        self._position = self._joined
        self._buffer = []
        self.end()

    def end(self) -> None:
        """Accept no more live events; buffered ones can still be read."""
        self._ended = True
        self._wake()

    def push(self, events: list[Event], limit: int) -> None:
        """Take live events of this prefix; more than `limit` unread ones drop the watch."""
        if self._skip:
            events = [event for event in events if event.revision > self._skip]
        if not events:
            return
        if len(self._buffer) + len(events) > limit:
            newest = events[-1].revision
            self.close()
            self._lagged = newest
            return
        self._buffer.extend(events)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class WatchHub:
    """The live watches of a store, grouped by prefix so that many watches of one prefix cost one comparison per event."""

    def __init__(self, *, buffer: int) -> None:
        self._buffer = buffer
        self._watches: dict[str, list[BufferedWatch]] = {}
        self.published = 0

    def __bool__(self) -> bool:
        return bool(self._watches)

    def join(self, prefix: str, after: int, replay: Replay) -> BufferedWatch:
        watch = BufferedWatch(self, prefix, after, self.published, replay)
        self._watches.setdefault(prefix, []).append(watch)
        return watch

    def leave(self, watch: BufferedWatch) -> None:
        group = self._watches.get(watch.prefix, [])
        if watch in group:
            group.remove(watch)
            if not group:
                del self._watches[watch.prefix]

    def publish(self, events: Sequence[Event], upto: int) -> None:
        """Hand out the events of the revisions up to `upto`, which follow the ones published before."""
        self.published = upto
        for prefix, group in list(self._watches.items()):
            matching = [event for event in events if event.key.startswith(prefix)]
            if matching:
                for watch in tuple(group):
                    watch.push(matching, self._buffer)

    def close(self) -> None:
        for group in list(self._watches.values()):
            for watch in tuple(group):
                watch.end()
        self._watches.clear()
