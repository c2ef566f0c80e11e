# ruff: noqa: ASYNC240 (these tests look at files, and nothing else runs in their loop)
"""Compaction and the size of the files, restarts, and deadlines across them."""

import asyncio
import contextlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tiphys.aio.clock import LoopClock
from tiphys.store.contract import Compacted, Revision
from tiphys.store.sqlite import Options, SqliteStore
from tiphys.testing.eventually import eventually

KIB = 1024
MIB = 1024 * KIB


class MovableClock(LoopClock):
    """The real clock, set ahead by `ahead`."""

    ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def size_of(path: Path) -> int:
    return path.stat().st_size


async def test_the_file_stays_bounded_under_constant_writing(tmp_path: Path) -> None:
    path = tmp_path / "tiphys.db"
    options = Options(keep_revisions=200, max_revisions=600, keep_seconds=3600, compaction_batch=128, group=64, tick=0.05)
    store = SqliteStore(path, options=options)
    await store.start()

    async def churn(writer: int) -> None:
        key = f"/churn/{writer}"
        revision = await store.create(key, b"")
        for _ in range(250):
            revision = await store.update(key, os.urandom(4 * KIB), expected=revision)
        await store.delete(key)

    sizes = []
    for _ in range(3):
        await asyncio.gather(*(churn(writer) for writer in range(32)))
        sizes.append(size_of(path) + size_of(Path(f"{path}-wal")))
    # 32 MiB were written in each round; the history that is kept is 600 revisions and what a few groups add before the next batch
    assert max(sizes) < 24 * MIB
    assert not (await store.list("/churn/")).items
    with pytest.raises(Compacted):
        await store.list("/", revision=Revision(100))
    assert (await store.list("/", revision=Revision(store.current_revision() - 200))).items
    await store.close()


async def test_a_quiet_store_gives_space_back(tmp_path: Path) -> None:
    path = tmp_path / "tiphys.db"
    store = SqliteStore(path, options=Options(tick=0.02))
    await store.start()
    await asyncio.gather(*(store.create(f"/big/{number}", os.urandom(64 * KIB)) for number in range(400)))
    await asyncio.gather(*(store.delete(f"/big/{number}") for number in range(400)))
    await store.create("/small", b"")
    await store.compact(store.current_revision())
    await eventually(lambda: size_of(path) < 8 * MIB)
    assert await store.get("/small") is not None
    await store.close()
    assert not Path(f"{path}-wal").exists()


async def test_history_is_dropped_by_age_but_not_all_of_it(tmp_path: Path) -> None:
    options = Options(keep_revisions=50, keep_seconds=0.2, compaction_batch=16, group=8, tick=0.02)
    store = SqliteStore(tmp_path / "tiphys.db", options=options)
    await store.start()
    for number in range(200):
        await store.create(f"/k/{number}", b"")

    async def is_forgotten() -> bool:
        try:
            await store.list("/", revision=Revision(100))
        except Compacted:
            return True
        return False

    await eventually(is_forgotten)
    assert len((await store.list("/", revision=Revision(150))).items) == 150
    assert len((await store.list("/")).items) == 200
    await store.close()


async def test_reads_and_watches_go_on_during_compaction(tmp_path: Path) -> None:
    """Each read gives the state of its revision or says Compacted; compaction never makes it look damaged."""
    store = SqliteStore(tmp_path / "tiphys.db", options=Options(compaction_batch=8, group=4, tick=0.02))
    await store.start()
    states: dict[int, dict[str, bytes]] = {}
    model: dict[str, bytes] = {}
    writing = True

    async def write() -> None:
        nonlocal writing
        for number in range(600):
            key = f"/k/{number % 7}"
            if key in model and number % 5 == 0:
                revision = (await store.delete(key)).revision
                del model[key]
            else:
                current = await store.get(key)
                value = b"%d" % number
                revision = await (store.update(key, value, expected=current.mod_revision) if current else store.create(key, value))
                model[key] = value
            states[revision] = dict(model)
            if number % 10 == 0:
                await store.compact(Revision(max(0, revision - 15)))
        writing = False

    async def read(back: int) -> int:
        good = 0
        while writing:
            at = Revision(max(0, store.current_revision() - back))
            with contextlib.suppress(Compacted):
                page = await store.list("/k/", revision=at)
                if at in states:
                    assert {item.key: item.value for item in page.items} == states[at]
                    good += 1
            await store.list("/k/")
        return good

    async def follow() -> int:
        complete = 0
        while writing:
            after = Revision(max(0, store.current_revision() - 12))
            with contextlib.suppress(Compacted):
                watch = await store.watch("/", after=after)
                batch = await anext(aiter(watch), ())
                watch.close()
                if batch:
                    assert batch[0].revision == after + 1
                    complete += 1
            await asyncio.sleep(0)
        return complete

    results = await asyncio.gather(write(), read(0), read(10), read(30), follow())
    assert results[1]
    assert results[2]
    assert results[4]
    await store.close()


async def test_a_restart_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "tiphys.db"
    store = SqliteStore(path)
    await store.start()
    first = await store.create("/a", b"one")
    await store.update("/a", b"two", expected=first)
    await store.create("/gone", b"")
    newest = (await store.delete("/gone")).revision
    before = [await store.list("/", revision=Revision(revision)) for revision in range(newest + 1)]
    await store.close()
    store = SqliteStore(path)
    await store.start()
    assert store.current_revision() == newest
    assert [await store.list("/", revision=Revision(revision)) for revision in range(newest + 1)] == before
    await store.compact(newest)
    await store.close()
    store = SqliteStore(path)
    await store.start()
    assert store.current_revision() == newest, "the newest row was a delete and is compacted away"
    assert await store.list("/") == before[newest]
    with pytest.raises(Compacted):
        await store.list("/", revision=first)
    await store.close()


async def test_a_deadline_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "tiphys.db"
    store = SqliteStore(path)
    await store.start()
    revision = await store.create("/short", b"", ttl=100)
    await store.update("/short", b"new", expected=revision)
    await store.create("/long", b"", ttl=1000)
    await store.close()
    clock = MovableClock()
    store = SqliteStore(path, clock=clock, options=Options(tick=0.01))
    await store.start()
    watch = await store.watch("/", after=store.current_revision())
    assert await store.get("/short") is not None
    clock.ahead = timedelta(seconds=101)
    batch = await asyncio.wait_for(anext(aiter(watch)), 20)
    assert [(event.kind, event.key, event.previous) for event in batch] == [("delete", "/short", b"new")]
    assert await store.get("/long") is not None
    await store.close()
