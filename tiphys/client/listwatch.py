"""List, then watch, forever: the state machine that keeps a copy of a collection up to date.

    EMPTY --listed--> WATCHING --ended--> WATCHING (resumes where it was)
      |                 |  |
      |                 |  +--failed--> RESUMING --waited--> WATCHING
      |                 +--gone--> EMPTY
      +--failed--> STARTING_OVER --waited--> EMPTY

Only EMPTY reads the whole collection. Everything else continues from the last resource version that was seen, bookmarks included, so a
lost connection costs a request and no data ("Efficient detection of changes" in "Kubernetes API Concepts"). Whatever is not in the table
is a bug and raises KeyError.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from enum import Enum
from typing import Generic, Protocol, TypeVar

from tiphys.aio.backoff import Backoff, BackoffPolicy
from tiphys.aio.clock import Clock
from tiphys.api.machinery.errors import Gone, StatusError
from tiphys.api.machinery.scheme import Kind
from tiphys.api.meta.v1 import KubeObject
from tiphys.client.client import Client
from tiphys.client.frames import WatchEvent
from tiphys.obs.logging import get_logger

log = get_logger(__name__)

T = TypeVar("T", bound=KubeObject)

PAGE = 500
"""Number of objects per page of the list."""

WATCH_SECONDS = 300.0
"""Minimum duration of a watch; the maximum is twice that, so that watches do not end all at once."""

SILENCE_SECONDS = 150.0
"""Silence after which a watch counts as dead and is reopened. Servers send a bookmark about every minute."""

SHORT_SECONDS = 1.0
"""Duration below which a watch without events counts as a failure."""

RETRY = BackoffPolicy(first=0.8, cap=30.0, factor=2.0, jitter=1.0)


class State(Enum):
    EMPTY = "empty"
    STARTING_OVER = "starting over"
    WATCHING = "watching"
    RESUMING = "resuming"


class Outcome(Enum):
    LISTED = "listed"
    ENDED = "ended"
    GONE = "gone"
    FAILED = "failed"
    WAITED = "waited"


TRANSITIONS: dict[tuple[State, Outcome], State] = {
    (State.EMPTY, Outcome.LISTED): State.WATCHING,
    (State.EMPTY, Outcome.FAILED): State.STARTING_OVER,
    (State.STARTING_OVER, Outcome.WAITED): State.EMPTY,
    (State.WATCHING, Outcome.ENDED): State.WATCHING,
    (State.WATCHING, Outcome.FAILED): State.RESUMING,
    (State.WATCHING, Outcome.GONE): State.EMPTY,
    (State.RESUMING, Outcome.WAITED): State.WATCHING,
}


class Sink(Protocol[T]):
    """Receiver of changes. The calls are synchronous and come in the order of the server."""

    def replace(self, items: list[T], resource_version: str) -> None:
        """Replace the whole collection by its state at a version."""
        ...

    def change(self, event: WatchEvent[T]) -> None:
        """Apply one ADDED, MODIFIED or DELETED event."""
        ...

    def advance(self, resource_version: str) -> None:
        """Record that nothing else changed up to this version."""
        ...


class ListWatch(Generic[T]):
    """Feeder of a `Sink` from a collection. `run` ends only by cancellation; `transform` may slim each object before the sink sees it."""

    def __init__(
        self,
        client: Client,
        kind: Kind[T],
        sink: Sink[T],
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        clock: Clock,
        rng: random.Random | None = None,
        transform: Callable[[T], T] | None = None,
        silence: float = SILENCE_SECONDS,
    ) -> None:
        self.state = State.EMPTY
        self.version = ""
        self._client = client
        self._kind = kind
        self._sink = sink
        self._namespace, self._labels, self._fields = namespace, labels, fields
        self._clock = clock
        self._rng = rng or random.Random()
        self._transform = transform
        self._silence = silence
        self._backoff = Backoff(RETRY, self._rng)
        self._whole = False
        self._fresh = False
        self._steps: dict[State, Callable[[], Awaitable[Outcome]]] = {
            State.EMPTY: self._list,
            State.STARTING_OVER: self._wait,
            State.WATCHING: self._watch,
            State.RESUMING: self._wait,
        }

    async def run(self) -> None:
        """Keep the sink up to date until cancelled. Exceptions of the sink are raised."""
        while True:
            await self.step()

    async def step(self) -> None:
        """Perform the action of the current state, and move on to the next one."""
        outcome = await self._steps[self.state]()
        self.state = TRANSITIONS[self.state, outcome]

    async def _list(self) -> Outcome:
        try:
            items = await self._read_pages()
        except Gone:
            # The snapshot was forgotten between two pages: the next try reads it in one piece.
            self._whole = True
            return Outcome.FAILED
        except (StatusError, ConnectionError, ValueError) as error:
            self._report("list failed", error)
            return Outcome.FAILED
        self._whole, self._fresh = False, True
        self._sink.replace(items, self.version)
        return Outcome.LISTED

    async def _read_pages(self) -> list[T]:
        items: list[T] = []
        limit = 0 if self._whole else PAGE
        token = ""
        while True:
            page = await self._client.list(
                self._kind, self._namespace, labels=self._labels, fields=self._fields, limit=limit, continue_=token
            )
            items += map(self._transform, page.items) if self._transform else page.items
            token = page.continue_
            if not token:
                self.version = page.resourceVersion
                return items

    async def _watch(self) -> Outcome:
        started = self._clock.monotonic()
        version = self.version
        try:
            # asyncio's own timeout follows the loop's time, as the clock does.
            async with asyncio.timeout(self._silence) as silence:
                await self._follow(silence)
        except TimeoutError:
            log.debug("watch went silent", extra={"resource": self._kind.resource})
        except Gone as error:
            return self._forget(error)
        except (StatusError, ConnectionError) as error:
            self._report("watch failed", error)
            return Outcome.FAILED
        if version == self.version and self._clock.monotonic() - started < SHORT_SECONDS:
            return Outcome.FAILED
        self._backoff.reset()
        return Outcome.ENDED

    async def _follow(self, silence: asyncio.Timeout) -> None:
        loop = asyncio.get_running_loop()
        moved = loop.time()
        seconds = self._rng.uniform(WATCH_SECONDS, 2 * WATCH_SECONDS)
        watch = self._client.watch(
            self._kind, self._namespace, labels=self._labels, fields=self._fields, resource_version=self.version, timeout=seconds
        )
        async with aclosing(watch) as events:
            async for event in events:
                now = loop.time()
                if now - moved >= 1.0:
                    silence.reschedule(now + self._silence)
                    moved = now
                self._take(event)

    def _take(self, event: WatchEvent[T]) -> None:
        version = event.object.metadata.resourceVersion
        if event.type == "BOOKMARK":
            self._sink.advance(version)
        elif self._transform is not None:
            self._sink.change(WatchEvent(type=event.type, object=self._transform(event.object)))
        else:
            self._sink.change(event)
        self.version = version or self.version
        self._fresh = False
        self._backoff.reset()

    def _forget(self, error: Gone) -> Outcome:
        """Relist at once, unless the previous list was of no use either: then wait, which keeps the position, and come here again."""
        if self._fresh:
            self._report("watch is gone again right after a list", error)
            self._fresh = False
            return Outcome.FAILED
        self.version = ""
        return Outcome.GONE

    async def _wait(self) -> Outcome:
        await self._clock.sleep(self._backoff.next())
        return Outcome.WAITED

    def _report(self, message: str, error: Exception) -> None:
        log.warning(message, extra={"resource": self._kind.resource, "error": str(error), "tries": self._backoff.tries})
