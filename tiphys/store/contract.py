"""Contract of a store: revisioned keys and bytes, independent of kinds.

A store keeps an ordered log of revisions. Every successful write takes the next revision; a read may ask for the state at an older
revision until compaction has forgotten it; a watch replays the log from a revision and follows it without gaps or repeats.

    Store  --create/update/delete-->  revision n+1  --watch-->  Event(n+1)

Errors are values of this module's tree; backends translate their own into it.

    StoreError
    +-- KeyExists        create of a key that is there
    +-- KeyMissing       update or delete of a key that is not there
    +-- RevisionMismatch compare-on-revision failed; carries the current state
    +-- Compacted        the revision asked for is forgotten
    +-- FutureRevision   the revision asked for does not exist yet
    +-- StoreFull        the size alarm is on; writes are refused, deletes are not
    +-- StoreCorrupt     the backend found damage; `repair` names the command that helps
    +-- StoreFailed      the backend failed, and what it holds is unknown until it is opened again
    +-- StoreClosed      the store was closed while the call waited
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NewType, Protocol

import msgspec

Revision = NewType("Revision", int)


class KeyValue(msgspec.Struct, frozen=True, gc=False):
    """A key as it stood at some revision.

    `create_revision` is the revision of the create that began this life of the key; `mod_revision` of its last write.
    """

    key: str
    value: bytes
    create_revision: Revision
    mod_revision: Revision


class Event(msgspec.Struct, frozen=True, gc=False):
    """One entry of the log.

    A delete carries the value before it in `previous` (None only if that value was damaged on disk) and an empty `value`.
    """

    kind: Literal["create", "update", "delete"]
    key: str
    value: bytes
    revision: Revision
    create_revision: Revision
    previous: bytes | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list: the items in key order, the revision they were read at, and whether and how many more follow."""

    items: Sequence[KeyValue]
    revision: Revision
    more: bool = False
    remaining: int = 0


class StoreError(Exception):
    """Any error of a store; see the tree in the module's documentation."""


class KeyExists(StoreError):
    """The key to create already exists."""


class KeyMissing(StoreError):
    """The key to update or delete does not exist."""


@dataclass(eq=False)
class RevisionMismatch(StoreError):
    """The key changed since it was read; `current` is its current state."""

    current: KeyValue

    def __str__(self) -> str:
        return f"{self.current.key} is at revision {self.current.mod_revision}"


@dataclass(eq=False)
class Compacted(StoreError):
    """The requested revision is older than `oldest`, the first one still known."""

    oldest: Revision

    def __str__(self) -> str:
        return f"the revision asked for is forgotten; the oldest one still known is {self.oldest}"


@dataclass(eq=False)
class FutureRevision(StoreError):
    """The requested revision is newer than `current`."""

    current: Revision

    def __str__(self) -> str:
        return f"the revision asked for does not exist yet; the newest one is {self.current}"


class StoreFull(StoreError):
    """The size alarm is on: writes that add data are refused until space is made."""


@dataclass(eq=False)
class StoreCorrupt(StoreError):
    """The backend found damaged data; `detail` describes it, `repair` is the command that repairs or restores it."""

    detail: str
    repair: str = field(default="")

    def __str__(self) -> str:
        return f"{self.detail}; to repair it: {self.repair}" if self.repair else self.detail


class StoreFailed(StoreError):
    """The backend failed and the result of its last write is unknown: it must be opened again before it accepts another."""


class StoreClosed(StoreError):
    """The store was closed."""


class Watch(Protocol):
    """A running watch: iterate for non-empty batches of events in revision order.

    A consumer that falls more than the buffer behind, or whose replay is overtaken by compaction, gets `Compacted` raised from the
    iterator (it must relist); a closed store ends the iteration once what it published is read. `close` is idempotent and ends the
    iteration at once. One consumer per watch.
    """

    def __aiter__(self) -> AsyncIterator[Sequence[Event]]: ...

    def close(self) -> None: ...


class Store(Protocol):
    """The contract that every backend passes (`tiphys.testing.store_suite`).

    A write has returned only when it is durable. Writes to one key are linearizable; `current_revision` never goes back. A call that
    is cancelled may or may not have written. Keys are not empty; their byte order is that of UTF-8. Every call before `start` or after
    `close` raises StoreClosed.
    """

    async def start(self) -> None:
        """Open the backend; raises StoreCorrupt when it is damaged."""

    async def close(self) -> None:
        """Finish the writes in progress, end all watches, and release the backend."""

    @property
    def failure(self) -> StoreFailed | None:
        """Error that makes the store refuse every write until it is opened again; None while it is healthy."""
        ...

    async def failed(self) -> StoreFailed:
        """Wait for that failure; never returns while the store is healthy."""
        ...

    def current_revision(self) -> Revision:
        """Return the newest revision that is visible to reads."""
        ...

    async def create(self, key: str, value: bytes, *, ttl: float | None = None) -> Revision:
        """Write a new key; raises KeyExists, StoreFull.

        With `ttl` (seconds) the store deletes the key by itself after that time, as an ordinary delete event; updates do not move the
        deadline, and a restart does not either.
        """
        ...

    async def get(self, key: str, *, revision: Revision | None = None) -> KeyValue | None:
        """Return the key at `revision` (newest without it), or None; raises Compacted, FutureRevision."""
        ...

    async def list(self, prefix: str, *, revision: Revision | None = None, start: str = "", limit: int = 0) -> Page:
        """Return keys that begin with `prefix` in byte order, from `start` (inclusive) on, at most `limit` (0: all).

        Raises Compacted, FutureRevision.
        """
        ...

    async def update(self, key: str, value: bytes, *, expected: Revision) -> Revision:
        """Replace the value if the key's mod_revision is `expected`; raises KeyMissing, RevisionMismatch, StoreFull."""
        ...

    async def delete(self, key: str, *, expected: Revision | None = None) -> Event:
        """Remove the key (if its mod_revision is `expected`); returns the delete event; raises KeyMissing, RevisionMismatch."""
        ...

    async def watch(self, prefix: str, *, after: Revision) -> Watch:
        """Watch the events after revision `after` of keys that begin with `prefix`; raises Compacted if some of them are forgotten.

        `after` may be in the future: events up to it are then left out.
        """
        ...

    async def compact(self, revision: Revision) -> None:
        """Forget superseded states older than `revision`; the state at `revision` stays readable; raises FutureRevision.

        Revisions that are forgotten already are no error. Returns when the forgotten states are gone from the backend.
        """
        ...
