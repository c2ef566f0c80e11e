"""Selection of a backend by URL, as in `tiphys server --store URL`."""

from __future__ import annotations

from tiphys.aio.clock import Clock
from tiphys.store.contract import Store, StoreError


def open_store(url: str, *, clock: Clock | None = None) -> Store:
    """Return the store that `url` names, not started: `memory://`, or `sqlite:///absolute/path` (`sqlite:relative/path`).

    Raises StoreError with the forms that are known. Backends are imported when they are chosen.
    """
    if url == "memory://":
        from tiphys.store.memory import MemoryStore

        return MemoryStore(clock=clock)
    path = sqlite_path(url)
    if path is not None:
        from tiphys.store.sqlite import SqliteStore

        return SqliteStore(path, clock=clock)
    raise StoreError(f"{url!r} names no store; use sqlite:///path/to/file or memory://")


def sqlite_path(url: str) -> str | None:
    """Return the file that `url` names, or None when it names no file."""
    scheme, _, rest = url.partition(":")
    path = rest[2:] if rest.startswith("//") else rest
    return path if scheme == "sqlite" and path and (path.startswith("/") or not rest.startswith("//")) else None
