"""Snapshots: a consistent copy of a store in one file, taken while it runs, and put back after being checked."""

from __future__ import annotations

import contextlib
import os
import sqlite3

from tiphys.store.contract import Revision, StoreCorrupt, StoreError
from tiphys.store.sqlite.file import FileLock, check_header, check_identity, check_structure, connect, errors_of, load_index, number
from tiphys.store.sqlite.rows import COLUMNS, DELETE, Row

REVISION_JUMP = 1_000_000
"""Number that a restore adds to the revision: clients remember revisions that the restored store has not reached."""


def take_snapshot(source: str, target: str) -> Revision:
    """Copy the store at `source`, which may be running, to the file `target`; returns the newest revision in it.

    `target` appears when the copy is complete and on disk, and replaces a file of that name.
    """
    target = os.path.abspath(target)
    partial = target + ".partial"
    with errors_of(target):
        _copy(source, partial)
        with contextlib.closing(connect(partial)) as db:
            db.execute("PRAGMA journal_mode = DELETE")  # a snapshot is one file
            db.execute("UPDATE meta SET number = 1 WHERE name = 'clean'")
            newest = max(
                number(db, "SELECT coalesce(max(revision), 0) FROM log"), number(db, "SELECT number FROM meta WHERE name = 'compacted'")
            )
        _put_in_place(partial, target)
    return Revision(newest)


def restore_snapshot(source: str, target: str, *, jump: int = REVISION_JUMP) -> Revision:
    """Make the store file `target` from the snapshot `source`; returns the revision that the store will start at.

    Everything in the snapshot is checked first: pages, chain of revisions, checksums; StoreCorrupt says what is wrong and leaves `target`
    as it was. A store that is in use is refused (StoreError). A file that was at `target` is kept beside it as `target.replaced` (or
    `.replaced-2` ...). The revision moves ahead by `jump` and history is dropped, so that clients which saw newer revisions than the
    snapshot's get told to list again instead of missing events.
    """
    source, target = os.path.abspath(source), os.path.abspath(target)
    if not os.path.isfile(source):
        raise StoreError(f"{source} does not exist; name a snapshot file")
    if os.path.realpath(source) == os.path.realpath(target):
        raise StoreError(f"{source} is the store itself; name a snapshot file")
    with errors_of(target):
        os.makedirs(os.path.dirname(target) or ".", mode=0o700, exist_ok=True)
        lock = FileLock(target)
    partial = target + ".partial"
    try:
        with errors_of(source):
            _check_is_snapshot(source)
            _copy(source, partial)
            revision = _check_and_advance(partial, source, jump)
        with errors_of(target):
            _keep_old(target)
            _put_in_place(partial, target)
        return revision
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
        lock.release()


def _copy(source: str, partial: str) -> None:
    """Copy in one read transaction of SQLite's backup: writers go on meanwhile. Only the owner may read it, as it holds secrets."""
    os.makedirs(os.path.dirname(partial) or ".", mode=0o700, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(partial)
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with contextlib.closing(connect(source, read_only=True)) as live, contextlib.closing(connect(partial)) as copy:
        live.backup(copy)


def _check_is_snapshot(source: str) -> None:
    check_header(source)
    if not os.path.getsize(source):
        raise StoreCorrupt(f"{source} is empty", "use another snapshot")


def _check_and_advance(partial: str, source: str, jump: int) -> Revision:
    with contextlib.closing(connect(partial)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        try:
            check_identity(db, source)
            check_structure(db, source)
            index = load_index(db, source)
            _check_rows(db, source)
        except StoreCorrupt as error:
            raise StoreCorrupt(error.detail, "use another snapshot") from error
        except sqlite3.DatabaseError as error:
            raise StoreCorrupt(f"{source} is damaged ({error})", "use another snapshot") from error
        revision = index.revision + jump
        if jump:
            db.execute("BEGIN IMMEDIATE")
            db.execute("DELETE FROM log WHERE revision IN (SELECT previous FROM log WHERE previous > 0)")
            db.execute("DELETE FROM log WHERE kind = ?", (DELETE,))
            db.execute("UPDATE meta SET number = ? WHERE name = 'compacted'", (revision,))
            db.execute("COMMIT")
        db.execute("UPDATE meta SET number = 1 WHERE name = 'clean'")
    return Revision(revision)


def _check_rows(db: sqlite3.Connection, source: str) -> None:
    with contextlib.closing(db.execute(f"SELECT {COLUMNS} FROM log")) as rows:
        for row in (Row(*columns) for columns in rows):
            if not row.is_intact():
                raise StoreCorrupt(f"{source}: {row.key} at revision {row.revision} fails its checksum")


def _keep_old(target: str) -> None:
    """Give the old file a second name, and move its write-ahead log along: the new file must not be read together with it."""
    if os.path.exists(target):
        kept, count = target + ".replaced", 1
        while os.path.exists(kept):
            count += 1
            kept = f"{target}.replaced-{count}"
        os.link(target, kept)
        with contextlib.suppress(FileNotFoundError):
            os.rename(target + "-wal", kept + "-wal")
    for leftover in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(target + leftover)


def _put_in_place(partial: str, target: str) -> None:
    _sync(partial)
    os.replace(partial, target)
    _sync(os.path.dirname(target) or ".")


def _sync(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
