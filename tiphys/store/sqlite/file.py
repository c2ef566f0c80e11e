"""The database file: locking, integrity checks, opening, and translation of its errors."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from tiphys.store.contract import StoreCorrupt, StoreError, StoreFailed, StoreFull
from tiphys.store.sqlite.index import Entry, Index
from tiphys.store.sqlite.options import MIB, Options
from tiphys.store.sqlite.rows import DELETE, REPAIR, SCHEMA

MAGIC = b"SQLite format 3\0"
APPLICATION_ID = 0x54697068  # "Tiph"
FORMAT = 1
QUICK_CHECK_MAX_BYTES = 256 * MIB
CHECKPOINT_PAGES = 2000
"""Pages (4 KiB) in the write-ahead log at which a commit also moves them into the file."""


class FileLock:
    """Lock that keeps other processes (and other stores of this one) off the file, for as long as this process lives.

    The lock is on a file beside the database: SQLite's own locks are per process and would be dropped by closing any other descriptor of
    the database.
    """

    def __init__(self, path: str) -> None:
        self._fd = os.open(path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._fd, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._fd)
            raise StoreError(f"{path} is in use by another Tiphys (process {holder}); stop it or choose another file") from None
        os.ftruncate(self._fd, 0)
        os.write(self._fd, b"%d\n" % os.getpid())

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


@dataclass
class OpenLog:
    """An open log: the connection that writes, the one that reads, the index of live keys, and the lock on it all."""

    path: str
    lock: FileLock
    writer: sqlite3.Connection
    reader: sqlite3.Connection
    index: Index


def open_log(path: str, options: Options) -> OpenLog:
    """Lock, check, open and load the file, making it if it is not there; raises StoreCorrupt, StoreError."""
    with errors_of(path), contextlib.ExitStack() as undo:
        os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
        lock = FileLock(path)
        undo.callback(lock.release)
        check_header(path)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite gives its other files the same mode
        writer = connect(path)
        undo.callback(writer.close)
        _prepare(writer, path, options)
        index = load_index(writer, path)
        writer.execute("UPDATE meta SET number = 0 WHERE name = 'clean'")
        reader = connect(path)
        undo.pop_all()
        return OpenLog(path, lock, writer, reader, index)


def close_cleanly(db: sqlite3.Connection, *, is_sound: bool = True) -> None:
    """Close the connection that writes; mark first that nothing needs checking at the next start if the file `is_sound`."""
    with contextlib.suppress(sqlite3.Error):  # a full disk must not keep anybody from stopping; the next start then checks
        if is_sound:
            db.execute("UPDATE meta SET number = 1 WHERE name = 'clean'")
    db.close()


def connect(path: str, *, read_only: bool = False) -> sqlite3.Connection:
    """Return a connection in autocommit mode that any thread may use (one at a time)."""
    target = f"file:{_quoted(path)}?mode=ro" if read_only else path
    db = sqlite3.connect(target, uri=read_only, isolation_level=None, check_same_thread=False, cached_statements=128)
    with contextlib.ExitStack() as undo:
        undo.callback(db.close)
        db.execute("PRAGMA cache_size = -4096")
        undo.pop_all()
    return db


def check_header(path: str) -> None:
    """Reject a file that is clearly not SQLite's before SQLite opens it. A missing or empty file is a new store."""
    try:
        with open(path, "rb") as file:
            head = file.read(len(MAGIC))
    except FileNotFoundError:
        return
    if head and head != MAGIC:
        raise StoreCorrupt(f"{path} is not a Tiphys store (not a SQLite file)", REPAIR)


def _prepare(db: sqlite3.Connection, path: str, options: Options) -> None:
    is_new = number(db, "PRAGMA user_version") == 0 and number(db, "SELECT count(*) FROM sqlite_master") == 0
    if is_new:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    else:
        check_identity(db, path)
    mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError(f"{path}: the file system does not support SQLite's write-ahead log; choose another directory")
    db.execute("PRAGMA synchronous = FULL")
    db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    db.execute(f"PRAGMA journal_size_limit = {64 * MIB}")
    db.execute("PRAGMA secure_delete = FAST")
    if is_new:
        _create(db)
    db.execute(f"PRAGMA max_page_count = {options.hard_max_bytes // number(db, 'PRAGMA page_size')}")
    if not is_new and not number(db, "SELECT number FROM meta WHERE name = 'clean'") and os.path.getsize(path) <= QUICK_CHECK_MAX_BYTES:
        check_structure(db, path)


def _create(db: sqlite3.Connection) -> None:
    db.execute("BEGIN IMMEDIATE")
    for statement in SCHEMA.split(";"):
        db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {FORMAT}")
    db.execute("COMMIT")


def check_identity(db: sqlite3.Connection, path: str) -> None:
    """Raise StoreCorrupt for a foreign database and StoreError for one of a newer Tiphys."""
    if number(db, "PRAGMA application_id") != APPLICATION_ID:
        raise StoreCorrupt(f"{path} is a SQLite file, but not a Tiphys store", REPAIR)
    if number(db, "PRAGMA user_version") > FORMAT:
        raise StoreError(f"{path} was written by a newer Tiphys; upgrade this one")


def check_structure(db: sqlite3.Connection, path: str) -> None:
    """Run SQLite's quick check of every page; raises StoreCorrupt."""
    result = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if result != "ok":
        raise StoreCorrupt(f"{path} is damaged ({result})", REPAIR)


def load_index(db: sqlite3.Connection, path: str) -> Index:
    """Replay the log's headers: which keys are live, and the newest revision. Raises StoreCorrupt on a gap or a broken chain.

    Above the compacted revision every revision must be there, and each names the state that it replaced; rows below are those that were
    live at it.
    """
    index = Index()
    compacted = number(db, "SELECT number FROM meta WHERE name = 'compacted'")
    expected = compacted
    live: dict[str, Entry] = index.live
    query = "SELECT revision, kind, create_revision, previous, expires, key FROM log ORDER BY revision"
    with contextlib.closing(db.execute(query)) as rows:  # a query under way would keep a closed connection open
        for revision, kind, create_revision, previous, expires, key in rows:
            if revision > compacted:
                expected += 1
                before = live.get(key)
                if revision != expected:
                    raise StoreCorrupt(f"{path}: revision {expected} is missing", REPAIR)
                if (before[0] if before else 0) != previous:
                    raise StoreCorrupt(f"{path}: revision {revision} does not follow from the ones before it", REPAIR)
            if kind == DELETE:
                live.pop(key, None)
            else:
                live[key] = (revision, revision if create_revision == revision else create_revision, expires)
    index.revision = expected
    index.floor = compacted
    return index


def number(db: sqlite3.Connection, query: str) -> int:
    """Return the one number that a query returns."""
    return int(db.execute(query).fetchone()[0])


def translate(error: Exception, path: str) -> StoreError:
    """Translate an error of SQLite or the operating system into a StoreError."""
    code = _code(error)
    if code == sqlite3.SQLITE_FULL:
        return StoreFull(f"{path}: the disk or the store is full")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "decode to UTF-8" in str(error):
        return StoreCorrupt(f"{path} is damaged ({error})", REPAIR)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(f"{path} is in use by another program; stop it or choose another file")
    if code == sqlite3.SQLITE_IOERR:
        # The operating system refused a read or write: the state of the file is unknown.
        return StoreFailed(f"{path}: {error}")
    if isinstance(error, OSError):
        return StoreError(f"cannot open {path}: {error.strerror or error}")
    return StoreError(f"{path}: {error}")


@contextlib.contextmanager
def errors_of(path: str) -> Iterator[None]:
    """Context manager that translates errors of SQLite and the operating system into this package's."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise translate(error, path) from error


def _code(error: Exception) -> int:
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
