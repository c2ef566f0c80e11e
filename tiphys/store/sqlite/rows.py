"""Encoding of a revision as a row of the log, and decoding with verification of its checksum."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple
from zlib import crc32

from tiphys.store.contract import Event, KeyValue, Revision, StoreCorrupt

CREATE, UPDATE, DELETE = 0, 1, 2
COLUMNS = "revision, kind, create_revision, previous, expires, checksum, key, value"
WIDTH = 8
ROWS_PER_STATEMENT = 64
REPAIR = "move the file away and run `tiphys snapshot restore FILE`"

# `value` is last so that a scan of the other columns never follows a large value onto its overflow pages.
SCHEMA = """
CREATE TABLE log (
    revision INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    create_revision INTEGER NOT NULL,
    previous INTEGER NOT NULL,
    expires REAL,
    checksum INTEGER NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL
);
CREATE TABLE meta (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('compacted', 0), ('clean', 0);
"""


class Row(NamedTuple):
    """One revision. `previous` is the revision of the state that it replaced (0 for a create), `expires` a deadline in unix seconds."""

    revision: int
    kind: int
    create_revision: int
    previous: int
    expires: float | None
    checksum: int
    key: str
    value: bytes

    def is_intact(self) -> bool:
        return self.checksum == checksum(self.revision, self.kind, self.create_revision, self.previous, self.key, self.value)

    def to_key_value(self) -> KeyValue:
        return KeyValue(self.key, self.value, Revision(self.create_revision), Revision(self.revision))

    def to_event(self, previous: bytes | None) -> Event:
        revision, created = Revision(self.revision), Revision(self.create_revision)
        if self.kind == DELETE:
            return Event("delete", self.key, b"", revision, created, previous)
        return Event("create" if self.kind == CREATE else "update", self.key, self.value, revision, created)


def checksum(revision: int, kind: int, create_revision: int, previous: int, key: str, value: bytes) -> int:
    """Compute a checksum over the row's identity and value, so that a row in the wrong place is detected too."""
    return crc32(value, crc32(b"%d %d %d %d %s" % (revision, kind, create_revision, previous, key.encode())))


@cache
def _insert_statement(rows: int) -> str:
    return f"INSERT INTO log ({COLUMNS}) VALUES " + ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?)"] * rows)


def insert_rows(db: sqlite3.Connection, cells: list[object]) -> None:
    """Append rows, given as one flat list of cells, in one transaction.

    Several rows go into one statement because each statement gives up the interpreter's lock and has to win it back, which takes up to
    5 ms (`sys.getswitchinterval`) when the event loop is busy; a single statement is its own transaction and pays that once.
    """
    step = ROWS_PER_STATEMENT * WIDTH
    if len(cells) <= step:
        db.execute(_insert_statement(len(cells) // WIDTH), cells)
        return
    db.execute("BEGIN IMMEDIATE")
    for at in range(0, len(cells), step):
        part = cells[at : at + step]
        db.execute(_insert_statement(len(part) // WIDTH), part)
    db.execute("COMMIT")


def read_rows(db: sqlite3.Connection, revisions: Iterable[int]) -> dict[int, Row]:
    """Return the rows of these revisions that exist, by revision, not verified."""
    query = f"SELECT {COLUMNS} FROM log WHERE revision IN (SELECT value FROM json_each(?))"
    return {columns[0]: Row(*columns) for columns in db.execute(query, (json.dumps(list(revisions)),))}


def read_intact(db: sqlite3.Connection, revisions: Iterable[int], *, path: str) -> dict[int, Row]:
    """Return the rows of these revisions; raises StoreCorrupt when one is missing or fails its checksum."""
    numbers = list(revisions)
    rows = read_rows(db, numbers)
    for revision in numbers:
        row = rows.get(revision)
        if row is None:
            raise StoreCorrupt(f"{path}: revision {revision} is missing", REPAIR)
        verify(row, path=path)
    return rows


def verify(row: Row, *, path: str) -> None:
    if not row.is_intact():
        raise StoreCorrupt(f"{path}: {row.key} at revision {row.revision} fails its checksum", REPAIR)
