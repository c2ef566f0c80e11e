from pathlib import Path

import pytest

from tiphys.store.contract import Compacted, Revision, Store
from tiphys.store.memory import MemoryStore
from tiphys.testing.store_suite import EmbeddedStoreSuite


class TestMemoryStore(EmbeddedStoreSuite):
    def make_store(self, directory: Path) -> Store:
        return MemoryStore(watch_buffer=self.watch_buffer)


async def test_the_log_is_bounded() -> None:
    store = MemoryStore(keep_revisions=10)
    await store.start()
    for number in range(25):
        await store.create(f"/{number}", b"%d" % number)
    with pytest.raises(Compacted):
        await store.get("/1", revision=Revision(2))
    kept = await store.list("/", revision=Revision(20))
    assert len(kept.items) == 20
    assert len((await store.list("/")).items) == 25
    await store.close()
