"""No room: creates and updates are refused in a clear sentence, deletes go on, and writes come back when there is room again."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tiphys.store.contract import Compacted, Revision, StoreFull
from tiphys.store.sqlite import Options, SqliteStore
from tiphys.testing.eventually import eventually

KIB = 1024
MIB = 1024 * KIB


@asynccontextmanager
async def running(path: Path, options: Options) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path, options=options)
    await store.start()
    yield store
    await store.close()


async def fill(store: SqliteStore, *, size: int = 20 * KIB, limit: int = 2000) -> int:
    """Create keys until the store is full; returns how many."""
    for number in range(limit):
        try:
            await store.create(f"/fill/{number:04d}", os.urandom(size))
        except StoreFull:
            return number
    raise AssertionError("the store never got full")


async def test_the_alarm_refuses_what_adds_and_lets_deletes_make_room(tmp_path: Path) -> None:
    options = Options(max_bytes=2 * MIB, tick=0.02, keep_revisions=5, keep_seconds=0.1, min_free_bytes=0)
    async with running(tmp_path / "tiphys.db", options) as store:
        revision = await store.create("/first", b"")
        made = await fill(store)
        assert made > 50
        with pytest.raises(StoreFull, match=r"limit is 2\.0 MiB"):
            await store.create("/more", b"")
        with pytest.raises(StoreFull):
            await store.update("/first", b"", expected=revision)
        assert await store.get("/fill/0000") is not None
        for number in range(made // 2):
            await store.delete(f"/fill/{number:04d}")

        async def is_writable() -> bool:
            try:
                await store.update("/first", b"again", expected=revision)
            except StoreFull:
                return False
            return True

        await eventually(is_writable)


async def test_little_free_disk_raises_the_alarm(tmp_path: Path) -> None:
    async with running(tmp_path / "tiphys.db", Options(min_free_bytes=1 << 60)) as store:
        with pytest.raises(StoreFull, match="make room"):
            await store.create("/a", b"")


async def test_sqlites_own_limit_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """The alarm never looks (no tick, little written), so SQLite itself says that it is full."""
    options = Options(max_bytes=64 * KIB, tick=3600, min_free_bytes=0)
    path = tmp_path / "tiphys.db"
    async with running(path, options) as store:
        made = await fill(store)
        newest = store.current_revision()
        watch = await store.watch("/fill/", after=newest)
        for number in range(made):  # each delete writes a row, too; the file has not one free page
            event = await store.delete(f"/fill/{number:04d}")
            assert event.revision == newest + 1 + number
            assert event.previous is not None
            assert len(event.previous) == 20 * KIB
        seen: list[int] = []
        while len(seen) < made:
            seen += [event.revision for event in await anext(aiter(watch))]
        assert seen == list(range(newest + 1, newest + made + 1))
        assert not (await store.list("/fill/")).items
        newest = store.current_revision()
    async with running(path, Options(max_bytes=64 * KIB, tick=0.02, min_free_bytes=0, keep_revisions=1)) as store:
        assert store.current_revision() == newest
        assert not (await store.list("/")).items

        async def revision_of_create() -> Revision | None:
            try:
                return await store.create("/again", b"")
            except StoreFull:
                return None  # what was deleted is still history, for a tick

        assert await eventually(revision_of_create) == newest + 1


async def test_deleting_on_a_full_store_may_forget_history_but_says_so(tmp_path: Path) -> None:
    options = Options(max_bytes=64 * KIB, tick=3600, min_free_bytes=0)
    async with running(tmp_path / "tiphys.db", options) as store:
        await fill(store, size=3 * KIB)
        number = 0
        while True:  # small rows may still find room in a page for a while
            await store.delete(f"/fill/{number:04d}")
            number += 1
            try:
                watch = await store.watch("/", after=Revision(1))
            except Compacted:
                break
            watch.close()
        items = (await store.list("/fill/")).items
        assert items[0].key == f"/fill/{number:04d}"


async def test_a_group_with_a_huge_value_keeps_its_deletes(tmp_path: Path) -> None:
    options = Options(max_bytes=1 * MIB, tick=3600, min_free_bytes=0)
    async with running(tmp_path / "tiphys.db", options) as store:
        await store.create("/a", b"a")
        await store.create("/b", b"b")
        results = await asyncio.gather(
            store.delete("/a"), store.create("/huge", bytes(8 * MIB)), store.delete("/b"), return_exceptions=True
        )
        assert [type(result).__name__ for result in results] == ["Event", "StoreFull", "Event"]
        assert not (await store.list("/")).items


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount = tmp_path / "disk"
    mount.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(mount)], check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


async def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    """Somebody else fills the disk. What was acknowledged stays, across a restart, and writes come back when there is room."""
    path = small_disk / "tiphys.db"
    ballast = small_disk / "ballast"
    async with running(path, Options(tick=0.02, min_free_bytes=0)) as store:
        ballast.write_bytes(bytes(2 * MIB))
        made = await fill(store)
        assert made > 10
        with pytest.raises(StoreFull):
            await store.create("/more", bytes(64 * KIB))
        assert len((await store.list("/fill/")).items) == made
    async with running(path, Options(tick=0.02, min_free_bytes=0)) as store:
        assert len((await store.list("/fill/")).items) == made
        ballast.unlink()

        async def is_writable() -> bool:
            try:
                return bool(await store.create("/more", bytes(64 * KIB)))
            except StoreFull:
                return False

        await eventually(is_writable)
