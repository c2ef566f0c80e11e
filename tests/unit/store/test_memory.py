import asyncio
from pathlib import Path

import pytest

from tiphys.aio.clock import VirtualClock
from tiphys.store.contract import Compacted, Event, Revision, Store, StoreError
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


async def test_a_closed_store_opens_again_with_what_it_held() -> None:
    store = MemoryStore()
    await store.start()
    await store.create("/a", b"1")
    await store.close()
    await store.start()
    after = await store.create("/b", b"2")
    assert [item.key for item in (await store.list("/")).items] == ["/a", "/b"]
    watch = await store.watch("/", after=Revision(0))
    seen: list[Event] = []
    async for batch in watch:
        seen += batch
        if seen[-1].revision == after:
            break
    watch.close()
    assert [event.key for event in seen] == ["/a", "/b"]
    with pytest.raises(StoreError, match="already started"):
        await store.start()
    await store.close()


@pytest.mark.looptime
async def test_a_sooner_deadline_is_not_kept_waiting_by_a_later_one() -> None:
    store = MemoryStore(clock=VirtualClock())
    await store.start()
    await store.create("/late", b"", ttl=3600)
    await asyncio.sleep(1)
    await store.create("/soon", b"", ttl=5)
    for seconds, left in ((4.9, ["/late", "/soon"]), (0.2, ["/late"]), (3593.8, ["/late"]), (0.2, [])):
        await asyncio.sleep(seconds)
        assert [item.key for item in (await store.list("/")).items] == left
    await store.close()
