"""Size of the file: the alarm, returning free pages, and emptying the write-ahead log."""

from __future__ import annotations

import logging
import os
import sqlite3

from tiphys.store.sqlite.file import number
from tiphys.store.sqlite.options import MIB, Options

log = logging.getLogger("tiphys.store")

VACUUM_PAGES = 512
"""Free pages given back to the file system in one tick at most."""
SPARE_PAGES = 1024
"""Free pages that are kept for the next writes."""


class Space:
    """Keeper of the size limit: `alarm` is empty, or the reason why nothing may be added. Used by the writer thread only."""

    def __init__(self, db: sqlite3.Connection, path: str, options: Options) -> None:
        self._db = db
        self._path = path
        self._options = options
        self._page_size = number(db, "PRAGMA page_size")
        self._wal_seen = 0
        self.alarm = ""

    def measure(self) -> None:
        """Set or clear the alarm."""
        used = (number(self._db, "PRAGMA page_count") - number(self._db, "PRAGMA freelist_count")) * self._page_size
        disk = os.statvfs(self._path)
        free = disk.f_bavail * disk.f_frsize
        if used > self._options.max_bytes:
            limit = _mib(self._options.max_bytes)
            self.raise_alarm(f"{self._path} holds {_mib(used)}, its limit is {limit}; delete objects or raise the limit")
        elif free < self._options.min_free_bytes:
            self.raise_alarm(f"the disk of {self._path} has {_mib(free)} left, {_mib(self._options.min_free_bytes)} are needed; make room")
        elif self.alarm:
            log.warning("the store accepts writes again", extra={"path": self._path})
            self.alarm = ""

    def raise_alarm(self, reason: str) -> None:
        if not self.alarm:
            log.error("the store rejects creates and updates", extra={"path": self._path, "reason": reason})
        self.alarm = reason

    def tidy(self) -> None:
        """Return free pages when there are many, and move new parts of the write-ahead log into the file, on a quiet tick."""
        pages, free = number(self._db, "PRAGMA page_count"), number(self._db, "PRAGMA freelist_count")
        if free > max(SPARE_PAGES, pages // 4):
            # One step of this statement gives back one page, and `execute` takes only one step of what returns no columns.
            self._db.executescript(f"PRAGMA incremental_vacuum({min(VACUUM_PAGES, free - SPARE_PAGES)})")
        changes = self._db.total_changes
        if changes != self._wal_seen or free > max(SPARE_PAGES, pages // 4):
            self._wal_seen = changes
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def _mib(size: int) -> str:
    return f"{size / MIB:.1f} MiB"
