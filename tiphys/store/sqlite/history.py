"""Compaction of history in small batches between commits, so that writers wait for a few milliseconds at most and cannot starve it."""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable

from tiphys.store.contract import StoreError
from tiphys.store.sqlite.index import Index
from tiphys.store.sqlite.options import Options
from tiphys.store.sqlite.rows import DELETE

Done = Callable[[StoreError | None], None]

URGENT_KEEP = 100
"""Revisions kept while the size alarm is on."""


class History:
    """Rows up to `_gone` are compacted in the file; `_target` is how far to go. Used by the writer thread only.

    A batch covers more revisions than a group of writes can add, and one batch follows each group while there is work: compaction gains
    on any number of writers.
    """

    def __init__(self, db: sqlite3.Connection, index: Index, options: Options) -> None:
        self._db = db
        self._index = index
        self._options = options
        self._gone = index.floor
        self._target = index.floor
        self._samples: deque[tuple[float, int]] = deque()
        self._aged = 0
        self._waiting: list[tuple[int, Done]] = []

    @property
    def has_work(self) -> bool:
        return self._target > self._gone

    def aim(self, revision: int, done: Done) -> None:
        """Forget states older than `revision` from now on, and call `done` when their rows are gone."""
        if revision <= self._gone:
            done(None)
            return
        with self._index.lock:
            self._index.floor = max(self._index.floor, revision)
        self._target = max(self._target, revision)
        self._waiting.append((revision, done))

    def age(self, monotonic: float, *, urgent: bool) -> None:
        """Set the target by age: note the newest revision, and drop the one that was newest `keep_seconds` ago."""
        options, newest = self._options, self._index.revision
        if not self._samples or monotonic - self._samples[-1][0] >= options.keep_seconds / 60:
            self._samples.append((monotonic, newest))
        while self._samples and monotonic - self._samples[0][0] >= options.keep_seconds:
            self._aged = self._samples.popleft()[1]
        self._retarget(min(self._aged, newest - options.keep_revisions))
        if urgent:
            self._target = max(self._target, newest - min(options.keep_revisions, URGENT_KEEP))

    def bound(self) -> None:
        """Set the target by number, whatever the age."""
        self._retarget(self._index.revision - self._options.max_revisions)

    def _retarget(self, revision: int) -> None:
        if revision - self._gone >= self._options.compaction_batch:  # small change is not worth a commit
            self._target = max(self._target, revision)

    def step(self) -> None:
        """Forget one batch."""
        low, high = self._gone, min(self._target, self._gone + self._options.compaction_batch)
        with self._index.lock:
            self._index.floor = max(self._index.floor, high)
        self._db.execute("BEGIN IMMEDIATE")
        self._delete_range(low, high)
        self._db.execute("COMMIT")
        self._gone = high
        self._announce()

    def forget_all(self, revision: int, *, deleted: Iterable[int]) -> None:
        """Forget everything before `revision`, and the states of `deleted`, whose deletes end at `revision` and are not written themselves.

        Call under the index's lock, and show the deletes in it before it is released: no read may look for the rows in between.
        """
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("DELETE FROM log WHERE revision IN (SELECT value FROM json_each(?))", (json.dumps(list(deleted)),))
        self._delete_range(self._gone, revision)
        self._db.execute("COMMIT")
        self._index.floor = self._gone = self._target = revision
        self._announce()

    def give_up(self, error: StoreError) -> None:
        """Stop for now (the periods will set a target again) and notify the waiters."""
        self._target = self._gone
        waiting, self._waiting = self._waiting, []
        for _, done in waiting:
            done(error)

    def _delete_range(self, low: int, high: int) -> None:
        """Delete the states that the revisions above `low` up to `high` replaced, and the deletes among these revisions."""
        replaced = "SELECT previous FROM log WHERE revision > ? AND revision <= ? AND previous > 0"
        self._db.execute(f"DELETE FROM log WHERE revision IN ({replaced})", (low, high))
        self._db.execute("DELETE FROM log WHERE revision > ? AND revision <= ? AND kind = ?", (low, high, DELETE))
        self._db.execute("UPDATE meta SET number = ? WHERE name = 'compacted'", (high,))

    def _announce(self) -> None:
        due = [done for revision, done in self._waiting if revision <= self._gone]
        self._waiting = [(revision, done) for revision, done in self._waiting if revision > self._gone]
        for done in due:
            done(None)
