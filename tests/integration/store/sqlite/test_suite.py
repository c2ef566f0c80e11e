from pathlib import Path

from tiphys.store.contract import Store
from tiphys.store.sqlite import Options, SqliteStore
from tiphys.testing.store_suite import EmbeddedStoreSuite


class TestSqliteStore(EmbeddedStoreSuite):
    def make_store(self, directory: Path) -> Store:
        return SqliteStore(directory / "tiphys.db", options=Options(tick=0.02, watch_buffer=self.watch_buffer))


class TestSqliteStoreWithTinyGroups(EmbeddedStoreSuite):
    """The same with a commit for every other write and compaction in steps of four, so that everything crosses their borders."""

    def make_store(self, directory: Path) -> Store:
        options = Options(tick=0.02, watch_buffer=self.watch_buffer, group=2, compaction_batch=4)
        return SqliteStore(directory / "tiphys.db", options=options)
