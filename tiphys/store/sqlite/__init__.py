"""The embedded store: an append-only log of revisions in one SQLite file. See DESIGN.md in `tiphys/store`."""

from tiphys.store.sqlite.options import Options
from tiphys.store.sqlite.snapshot import restore_snapshot
from tiphys.store.sqlite.store import SqliteStore

__all__ = ["Options", "SqliteStore", "restore_snapshot"]
