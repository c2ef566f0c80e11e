"""Decision on a group of writes: which succeed, at which revisions, and the rows to append. Pure.

Each write sees the ones before it in the group as if they were committed; nobody learns of them until they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from tiphys.store.contract import Event, KeyExists, KeyMissing, KeyValue, Revision, RevisionMismatch, StoreCorrupt, StoreError, StoreFull
from tiphys.store.sqlite.index import Entry
from tiphys.store.sqlite.rows import CREATE, DELETE, REPAIR, UPDATE, Row, checksum


class Write:
    """Write in progress: the request, its waiter and, once the writer thread has processed it, its outcome."""

    __slots__ = (
        *("expected", "expires", "future", "key", "kind", "life", "value"),
        *("before", "create_revision", "error", "previous", "revision"),
    )

    def __init__(
        self,
        kind: int,
        key: str,
        value: bytes,
        expected: int | None = None,
        expires: float | None = None,
        life: int | None = None,
        future: asyncio.Future[Any] | None = None,
    ) -> None:
        self.kind = kind
        self.key = key
        self.value = value
        self.expected = expected
        self.expires = expires
        self.life = life  # the create_revision that must still be the key's, for expiry
        self.future = future
        self.reset()

    def reset(self) -> None:
        self.revision = 0  # stays 0 unless it is written
        self.create_revision = 0
        self.previous = 0
        self.before: bytes | None = None
        self.error: StoreError | None = None

    def to_event(self) -> Event:
        """Return the event of a write that was committed."""
        revision, created = Revision(self.revision), Revision(self.create_revision)
        if self.kind == DELETE:
            return Event("delete", self.key, b"", revision, created, self.before)
        return Event("create" if self.kind == CREATE else "update", self.key, self.value, revision, created)


class Staged:
    """Decided group: cells of the rows to append, resulting changes of the index, and the states to read for the answers."""

    def __init__(self, live: Mapping[str, Entry], revision: int, *, full: str) -> None:
        self.cells: list[object] = []
        self.changes: dict[str, Entry | None] = {}
        self.revision = revision
        self._live = live
        self._full = full
        self._states: dict[int, Write] = {}
        self._needs: list[tuple[Write, int]] = []

    def add(self, write: Write) -> None:
        key = write.key
        entry = self.changes[key] if key in self.changes else self._live.get(key)
        if write.kind == CREATE:
            if entry is not None:
                write.error = KeyExists(key)
            elif self._full:
                write.error = StoreFull(self._full)
            else:
                self._append(write, 0, 0, write.expires)
        elif entry is None or (write.life is not None and entry[1] != write.life):
            write.error = KeyMissing(key)
        elif write.expected is not None and entry[0] != write.expected:
            self._needs.append((write, entry[0]))
        elif write.kind == DELETE:
            self._needs.append((write, entry[0]))
            self._append(write, entry[0], entry[1], None)
        elif self._full:
            write.error = StoreFull(self._full)
        else:
            self._append(write, entry[0], entry[1], entry[2])

    def _append(self, write: Write, previous: int, create_revision: int, expires: float | None) -> None:
        self.revision = revision = self.revision + 1
        create_revision = create_revision or revision  # the same object: the index holds one number less per key
        key, value, kind = write.key, write.value, write.kind
        write.revision = revision
        write.create_revision = create_revision
        write.previous = previous
        self._states[revision] = write
        self.changes[key] = None if kind == DELETE else (revision, create_revision, expires)
        crc = checksum(revision, kind, create_revision, previous, key, value)
        self.cells += (revision, kind, create_revision, previous, expires, crc, key, value)

    def missing(self) -> list[int]:
        """Revisions of the states that deletes and conflicts must show and that are not in the group itself."""
        return [revision for _, revision in self._needs if revision not in self._states]

    def answer(self, rows: Mapping[int, Row], *, path: str) -> None:
        """Fill in the states before deletes, and the current states that conflicts carry.

        A damaged state does not keep anybody from deleting it: that is one way to get rid of it.
        """
        for write, revision in self._needs:
            staged = self._states.get(revision)
            if staged is not None:
                state: KeyValue | None = KeyValue(staged.key, staged.value, Revision(staged.create_revision), Revision(revision))
            else:
                row = rows.get(revision)
                state = row.to_key_value() if row is not None and row.is_intact() else None
            if write.revision:
                write.before = state.value if state else None
            elif state:
                write.error = RevisionMismatch(state)
            else:
                write.error = StoreCorrupt(f"{path}: {write.key} at revision {revision} is damaged", REPAIR)


__all__ = ["CREATE", "DELETE", "UPDATE", "Staged", "Write"]
