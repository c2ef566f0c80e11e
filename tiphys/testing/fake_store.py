"""What the fake API server keeps: typed objects by kind, one revision counter, a log of events, and watchers that follow it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

from tiphys.aio.clock import Clock
from tiphys.api.machinery import errors
from tiphys.api.machinery.scheme import Kind
from tiphys.api.meta.v1 import KubeObject, Status

T = TypeVar("T", bound=KubeObject)

Resource = tuple[str, str, str]
"""Group, version and plural."""


def resource_of(kind: Kind[Any]) -> Resource:
    return (kind.group, kind.version, kind.plural)


def copy_of(obj: T) -> T:
    """An independent copy, made through the wire format, so that it holds nothing that the wire would not carry."""
    copied: T = msgspec.json.decode(msgspec.json.encode(obj), type=type(obj))
    return copied


class ObjectKey(NamedTuple):
    namespace: str
    name: str


class Change(NamedTuple):
    """One entry of the log. `old` is what was there before, `new` what is there now; a removal has the last state in `old`."""

    revision: int
    resource: Resource
    old: KubeObject | None
    new: KubeObject | None


@dataclass(frozen=True)
class Filter:
    """What a list or watch selects."""

    namespace: str = ""
    matches: Callable[[KubeObject], bool] = lambda _: True

    def accepts(self, obj: KubeObject | None) -> bool:
        if obj is None or (self.namespace and obj.metadata.namespace != self.namespace):
            return False
        return self.matches(obj)


@dataclass(eq=False)
class Watcher:
    """One open watch: a queue of encoded frames, `None` for the end and an exception for a broken connection."""

    resource: Resource
    filter: Filter
    bookmarks: bool
    encode: Callable[[KubeObject], bytes]
    queue: asyncio.Queue[bytes | BaseException | None] = field(default_factory=asyncio.Queue)
    stalled: bool = False

    def offer(self, change: Change) -> None:
        """Queue what the change means to this watcher: selected objects come and go as they start and stop to match."""
        before, after = self.filter.accepts(change.old), self.filter.accepts(change.new)
        if after and change.new is not None:
            self.send("MODIFIED" if before else "ADDED", change.new)
        elif before and change.old is not None:
            gone = copy_of(change.old)
            gone.metadata.resourceVersion = str(change.revision)
            self.send("DELETED", gone)

    def send(self, type_: str, obj: KubeObject) -> None:
        if not self.stalled:
            self.queue.put_nowait(frame(type_, self.encode(obj)))

    def bookmark(self, kind: Kind[Any], revision: int, *, initial_end: bool = False) -> None:
        if not self.bookmarks or self.stalled:
            return
        meta: dict[str, Any] = {"resourceVersion": str(revision)}
        if initial_end:
            meta["annotations"] = {"k8s.io/initial-events-end": "true"}
        document = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta}
        self.queue.put_nowait(frame("BOOKMARK", msgspec.json.encode(document)))


def frame(type_: str, encoded: bytes) -> bytes:
    """A line of a watch stream."""
    return b'{"type":"' + type_.encode() + b'","object":' + encoded + b"}\n"


def error_frame(error: errors.StatusError) -> bytes:
    status: Status = error.status()
    return frame("ERROR", msgspec.json.encode(status))


class FakeStore:
    """Objects and their history. Stored objects are never changed in place: a write replaces them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.revision = 1
        self.oldest = 0
        self.log: list[Change] = []
        self.watchers: set[Watcher] = set()
        self._objects: dict[Resource, dict[ObjectKey, KubeObject]] = {}
        self._kinds: dict[Resource, Kind[Any]] = {}

    def get(self, kind: Kind[T], namespace: str, name: str) -> T | None:
        found: Any = self._objects.get(resource_of(kind), {}).get(ObjectKey(namespace if kind.namespaced else "", name))
        return found  # type: ignore[no-any-return]

    def all(self, kind: Kind[T]) -> Iterator[T]:
        """In the order of namespace and name, as a server lists."""
        objects: Any = self._objects.get(resource_of(kind), {})
        for key in sorted(objects):
            yield objects[key]

    def write(self, kind: Kind[T], new: T) -> T:
        """Put an object (a fresh copy) in place under the next revision."""
        objects = self._objects.setdefault(resource_of(kind), {})
        key = ObjectKey(new.metadata.namespace, new.metadata.name)
        old = objects.get(key)
        self._kinds[resource_of(kind)] = kind
        self.revision += 1
        new.metadata.resourceVersion = str(self.revision)
        objects[key] = new
        self._record(Change(self.revision, resource_of(kind), old, new))
        return new

    def remove(self, kind: Kind[T], old: T) -> None:
        self._objects[resource_of(kind)].pop(ObjectKey(old.metadata.namespace, old.metadata.name))
        self.revision += 1
        self._record(Change(self.revision, resource_of(kind), old, None))

    def compact(self) -> None:
        """Forget all history: watches from earlier revisions, and pages begun before, are answered with 410."""
        self.log.clear()
        self.oldest = self.revision

    def bookmark(self) -> None:
        """Send every watcher that wants one a bookmark at the current revision."""
        for watcher in self.watchers:
            if watcher.resource in self._kinds:
                watcher.bookmark(self._kinds[watcher.resource], self.revision)

    def end_watches(self, error: BaseException | None = None) -> None:
        """End every open watch, properly or (with an error) as a broken connection."""
        for watcher in self.watchers:
            watcher.queue.put_nowait(error)

    def stall_watches(self) -> None:
        """Let every open watch go dead: nothing more is ever sent on it, not even its end."""
        for watcher in self.watchers:
            watcher.stalled = True

    def open(self, kind: Kind[Any], watcher: Watcher, since: int | None, *, initial: Literal["", "plain", "bookmarked"]) -> None:
        """Start a watcher: after revision `since`, or with the current objects as ADDED first."""
        self._kinds.setdefault(resource_of(kind), kind)
        if since is not None and since < self.oldest:
            error = errors.Gone(f"too old resource version: {since} ({self.oldest})")
            watcher.queue.put_nowait(error_frame(error))
            watcher.queue.put_nowait(None)
            return
        if initial:
            for obj in self.all(kind):
                if watcher.filter.accepts(obj):
                    watcher.send("ADDED", obj)
            if initial == "bookmarked":
                watcher.bookmark(kind, self.revision, initial_end=True)
        else:
            for change in self.log:
                if change.resource == watcher.resource and change.revision > (since or 0):
                    watcher.offer(change)
        self.watchers.add(watcher)

    async def follow(self, watcher: Watcher, timeout: float | None) -> AsyncGenerator[bytes, None]:
        """The watcher's frames until it ends, is cut, or `timeout` seconds are over."""
        timer = None
        if timeout is not None:
            timer = asyncio.create_task(self._end_after(watcher, timeout))
        try:
            while True:
                item = await watcher.queue.get()
                if item is None:
                    return
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self.watchers.discard(watcher)
            if timer is not None:
                timer.cancel()

    async def _end_after(self, watcher: Watcher, seconds: float) -> None:
        await self.clock.sleep(seconds)
        if not watcher.stalled:
            watcher.queue.put_nowait(None)

    def _record(self, change: Change) -> None:
        self.log.append(change)
        for watcher in self.watchers:
            if watcher.resource == change.resource:
                watcher.offer(change)
