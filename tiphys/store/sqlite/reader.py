"""Reads, on their own connection and thread, so that they neither wait for commits nor delay them.

A read is planned on the index and gets its snapshot of the file under the index's lock. The snapshot then has at least what the index
shows (the index changes after the commit) and the rows of every state at or above the floor (which rises before rows are deleted).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tiphys.store.contract import Event, KeyValue, Page, Revision
from tiphys.store.sqlite.file import OpenLog, errors_of
from tiphys.store.sqlite.rows import COLUMNS, DELETE, Row, read_intact, read_rows, verify

CHUNK = 1000
REPLAY_PART = 500
"""Events of one part of a replay at most."""


class Reader:
    """Used by one thread at a time. All methods raise Compacted, FutureRevision and StoreCorrupt."""

    def __init__(self, opened: OpenLog) -> None:
        self._db = opened.reader
        self._index = opened.index
        self._path = opened.path

    def get(self, key: str, revision: int | None) -> KeyValue | None:
        with self._reading():
            with self._index.lock:
                at = self._index.check(revision)
                entry = self._index.live.get(key)
                newest = self._index.revision
                self._pin()
            written = entry[0] if entry else 0
            if at < newest and not 0 < written <= at:
                written = self._undone_key(key, at, newest)
            return read_intact(self._db, [written], path=self._path)[written].to_key_value() if written else None

    def list(self, prefix: str, revision: int | None, start: str, limit: int) -> Page:
        with self._reading():
            with self._index.lock:
                at = self._index.check(revision)
                newest = self._index.revision
                keys = self._index.keys(prefix, start)
                live, total = self._index.live, len(keys)
                shown = keys[:limit] if limit and at == newest else keys  # the past may need any of them
                revisions: Sequence[int] = [live[key][0] for key in shown]
                self._pin()
            if at < newest:
                revisions = self._undone_list(keys, revisions, prefix, start, at, newest)
                total = len(revisions)
                revisions = revisions[:limit] if limit else revisions
            remaining = total - len(revisions)
            return Page(self._items(revisions), Revision(at), remaining > 0, remaining)

    def replay(self, prefix: str, after: int, upto: int) -> tuple[Sequence[Event], int]:
        """Return a first part of the events after `after` up to `upto`, and the revision up to which it reaches."""
        with self._reading():
            with self._index.lock:
                self._index.check(after)
                self._pin()
            query = f"SELECT {COLUMNS} FROM log WHERE revision > ? AND revision <= ? AND substr(key, 1, ?) = ? ORDER BY revision LIMIT ?"
            rows = [Row(*columns) for columns in self._db.execute(query, (after, upto, len(prefix), prefix, REPLAY_PART))]
            previous = read_rows(self._db, [row.previous for row in rows if row.kind == DELETE])
            events = []
            for row in rows:
                verify(row, path=self._path)
                before = previous.get(row.previous)
                events.append(row.to_event(before.value if before is not None and before.is_intact() else None))
            return events, rows[-1].revision if len(rows) == REPLAY_PART else upto

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with errors_of(self._path):
            try:
                yield
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def _pin(self) -> None:
        """Fix the snapshot of this transaction: SQLite takes it at the first read."""
        self._db.execute("BEGIN")
        self._db.execute("SELECT number FROM meta WHERE name = 'compacted'").fetchone()

    def _undone_key(self, key: str, at: int, newest: int) -> int:
        """Return the revision of the key's state at `at` (0: none): the one that its first change after `at` replaced."""
        query = "SELECT previous FROM log WHERE revision > ? AND revision <= ? AND key = ? ORDER BY revision LIMIT 1"
        row = self._db.execute(query, (at, newest, key)).fetchone()
        return int(row[0]) if row else 0

    def _undone_list(self, keys: Sequence[str], revisions: Sequence[int], prefix: str, start: str, at: int, newest: int) -> Sequence[int]:
        """Undo the changes after `at` in a list of keys, in key order."""
        query = (
            "SELECT key, previous, min(revision) FROM log "
            "WHERE revision > ? AND revision <= ? AND key >= ? AND substr(key, 1, ?) = ? GROUP BY key"
        )
        undone = {key: previous for key, previous, _ in self._db.execute(query, (at, newest, start, len(prefix), prefix))}
        states = [(key, revision) for key, revision in zip(keys, revisions, strict=True) if key not in undone]
        states += [(key, previous) for key, previous in undone.items() if previous]
        return [revision for _, revision in sorted(states)]

    def _items(self, revisions: Sequence[int]) -> Sequence[KeyValue]:
        items: list[KeyValue] = []
        for at in range(0, len(revisions), CHUNK):
            part = revisions[at : at + CHUNK]
            rows = read_intact(self._db, part, path=self._path)
            items += [rows[revision].to_key_value() for revision in part]
        return items
