"""Writer thread: it commits everything waiting in one transaction, and forgets old history between commits."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from copy import copy
from queue import SimpleQueue

from tiphys.store.contract import StoreCorrupt, StoreError, StoreFailed, StoreFull
from tiphys.store.sqlite.file import OpenLog, close_cleanly, translate
from tiphys.store.sqlite.history import History
from tiphys.store.sqlite.options import MIB, Options
from tiphys.store.sqlite.rows import DELETE, insert_rows, read_rows
from tiphys.store.sqlite.space import Space
from tiphys.store.sqlite.staging import Staged, Write

log = logging.getLogger("tiphys.store")

MEASURE_EVERY = 4 * MIB
QUIET = 50
"""Writes per tick up to which the store counts as quiet enough for housekeeping."""

Job = Callable[[], None]


class Writer:
    """Commits groups of writes.

    `deliver` is called from the thread with each group whose fate is known, in revision order; `fail` once, when no write will succeed
    any more, before the group that met the failure is delivered.
    """

    def __init__(
        self, opened: OpenLog, options: Options, deliver: Callable[[list[Write]], None], fail: Callable[[StoreFailed], None]
    ) -> None:
        self._db = opened.writer
        self._index = opened.index
        self._path = opened.path
        self._options = options
        self._deliver = deliver
        self._report = fail
        self._queue: SimpleQueue[list[Write] | Job] = SimpleQueue()
        self.submit = self._queue.put
        self._history = History(opened.writer, opened.index, options)
        self._space = Space(opened.writer, opened.path, options)
        self._broken: StoreFailed | None = None
        self._stopped = False
        self._unmeasured = 0
        self._since_tick = 0
        self._thread = threading.Thread(target=self._run, name="tiphys-store-writer", daemon=True)

    def start(self) -> None:
        self._space.measure()
        self._thread.start()

    def stop(self) -> None:
        """Have everything submitted so far committed, then close the file. Returns at once; see `join`."""
        self.submit(self._finish)

    def join(self) -> None:
        self._thread.join()

    def compact(self, revision: int, done: Callable[[StoreError | None], None]) -> None:
        """Forget history before `revision`; `done` is called from the thread when it is gone."""
        self.submit(lambda: self._history.aim(revision, done))

    def tick(self, monotonic: float) -> None:
        """Do the housekeeping that is due; `monotonic` in seconds."""
        self.submit(lambda: self._on_tick(monotonic))

    def _run(self) -> None:
        while not self._stopped:
            group, job = self._take()
            if group:
                self._write(group)
            if job is not None:
                self._guard(job)
            if self._history.has_work and not self._stopped and self._broken is None:
                self._guard(self._history.step)

    def _take(self) -> tuple[list[Write], Job | None]:
        """Take the waiting writes, up to the group's size or a job; waits only if there is no history to forget."""
        group: list[Write] = []
        if self._history.has_work and not self._queue.qsize():
            return group, None
        item = self._queue.get()
        while isinstance(item, list):
            group += item
            if len(group) >= self._options.group or not self._queue.qsize():
                return group, None
            item = self._queue.get()
        return group, item

    def _write(self, group: list[Write]) -> None:
        try:
            self._commit(group)
        except Exception as error:  # the thread must live on to report it to all callers
            self._fail(group, error)
        self._since_tick += len(group)
        self._deliver(group)
        if self._unmeasured > MEASURE_EVERY:
            self._unmeasured = 0
            self._guard(self._measure)
        self._history.bound()

    def _commit(self, group: list[Write]) -> None:
        if self._broken is not None:
            raise copy(self._broken)
        staged = self._stage(group, full=self._space.alarm)
        try:
            self._append(staged)
        except sqlite3.Error as error:
            self._roll_back()
            full = translate(error, self._path)
            if not isinstance(full, StoreFull):
                raise
            self._space.raise_alarm(str(full))
            self._delete_only(group, full)
        self._unmeasured += sum(len(write.value) for write in group)

    def _stage(self, group: list[Write], *, full: str) -> Staged:
        staged = Staged(self._index.live, self._index.revision, full=full)
        for write in group:
            staged.add(write)
        missing = staged.missing()
        staged.answer(read_rows(self._db, missing) if missing else {}, path=self._path)
        return staged

    def _append(self, staged: Staged) -> None:
        if staged.cells:
            insert_rows(self._db, staged.cells)
            with self._index.lock:
                self._show(staged)

    def _show(self, staged: Staged) -> None:
        """Make a committed group visible to reads. Call under the index's lock."""
        index = self._index
        for key, entry in staged.changes.items():
            index.set(key, entry)
        index.revision = staged.revision

    def _delete_only(self, group: list[Write], full: StoreError) -> None:
        """Reject the writes that add data, and do the deletes, when there is no room for the group.

        A delete appends a row, too. If not even that fits, it is done together with forgetting all history, which needs no new page.
        """
        deletes = []
        for write in group:
            write.reset()
            if write.kind == DELETE:
                deletes.append(write)
            else:
                write.error = copy(full)
        staged = self._stage(deletes, full=str(full))
        if not staged.cells:
            return
        try:
            self._append(staged)
        except sqlite3.Error as error:
            self._roll_back()
            if not isinstance(translate(error, self._path), StoreFull):
                raise
            with self._index.lock:
                self._history.forget_all(staged.revision, deleted=[write.previous for write in deletes if write.revision])
                self._show(staged)

    def _fail(self, group: list[Write], error: Exception) -> None:
        """Fail the group, of which nothing was written. Unless the reason leaves the file unchanged, nothing more is written to it."""
        self._roll_back()
        reason = error if isinstance(error, StoreError) else translate(error, self._path)
        for write in group:
            write.reset()
            write.error = copy(reason)  # raised by each caller, so each needs its own
        if self._broken is None and not isinstance(reason, StoreFull):
            log.error("a group of writes failed", exc_info=error, extra={"path": self._path})
            if not isinstance(error, sqlite3.Error) or isinstance(reason, StoreFailed | StoreCorrupt):
                self._break(reason)

    def _break(self, reason: StoreError) -> None:
        self._broken = StoreFailed(f"{reason}; the store takes no more writes until it is restarted")
        self._report(self._broken)

    def _guard(self, job: Job) -> None:
        """Catch errors of housekeeping, which is tried again later and does not stop writes, unless the disk failed under it."""
        try:
            job()
        except Exception as error:
            self._roll_back()
            reason = translate(error, self._path)
            self._history.give_up(reason)
            log.warning("housekeeping of the store failed", exc_info=error, extra={"path": self._path})
            if self._broken is None and isinstance(reason, StoreFailed):
                self._break(reason)

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _measure(self) -> None:
        self._space.measure()

    def _on_tick(self, monotonic: float) -> None:
        self._space.measure()
        self._history.age(monotonic, urgent=bool(self._space.alarm))
        if self._since_tick <= QUIET and not self._history.has_work:
            self._space.tidy()
        self._since_tick = 0

    def _finish(self) -> None:
        self._stopped = True
        self._history.give_up(StoreError("the store is closing"))
        close_cleanly(self._db, is_sound=self._broken is None)
