# ruff: noqa: ASYNC240 (these tests look at files, and nothing else runs in their loop)
"""Snapshots of a running store, and putting them back."""

import asyncio
from pathlib import Path

import pytest

from tests.integration.store.sqlite.sql import execute
from tiphys.store.contract import Compacted, Revision, StoreCorrupt, StoreError
from tiphys.store.sqlite import SqliteStore, restore_snapshot


async def restore(snapshot: Path, path: Path, **options: int) -> int:
    """Do what the command line does, which has no event loop."""
    return await asyncio.to_thread(restore_snapshot, str(snapshot), str(path), **options)


async def opened(path: Path) -> SqliteStore:
    store = SqliteStore(path)
    await store.start()
    return store


async def test_a_snapshot_while_writing_is_the_state_of_one_revision(tmp_path: Path) -> None:
    store = await opened(tmp_path / "tiphys.db")
    stop = False

    async def write(writer: int) -> None:
        number = 0
        while not stop:
            await store.create(f"/{writer}/{number:06d}", b"%d" % number * 50)
            number += 1

    writers = [asyncio.create_task(write(writer)) for writer in range(8)]
    revisions = []
    for number in range(3):
        before = store.current_revision()
        revisions.append(await store.snapshot(tmp_path / f"snapshot{number}"))
        assert before <= revisions[-1] <= store.current_revision()
    stop = True
    await asyncio.gather(*writers)
    expected = [(await store.list("/", revision=revision)).items for revision in revisions]
    await store.close()
    for number, revision in enumerate(revisions):
        snapshot = tmp_path / f"snapshot{number}"
        assert snapshot.stat().st_mode & 0o777 == 0o600
        restored = tmp_path / f"restored{number}.db"
        assert await restore(snapshot, restored, jump=0) == revision
        copy = await opened(restored)
        assert copy.current_revision() == revision
        assert (await copy.list("/")).items == expected[number]
        await copy.close()
    assert not list(tmp_path.glob("*.partial*"))


async def test_a_restore_sends_clients_back_to_listing(tmp_path: Path) -> None:
    path, snapshot = tmp_path / "tiphys.db", tmp_path / "snapshot"
    store = await opened(path)
    first = await store.create("/a", b"one")
    await store.update("/a", b"two", expected=first)
    await store.create("/gone", b"")
    await store.delete("/gone")
    taken = await store.snapshot(snapshot)
    await store.create("/later", b"")
    seen_by_clients = store.current_revision()
    await store.close()
    revision = await restore(snapshot, path)
    assert revision > taken + 100_000
    store = await opened(path)
    assert store.current_revision() == revision
    assert [(item.key, item.value, item.create_revision) for item in (await store.list("/")).items] == [("/a", b"two", first)]
    with pytest.raises(Compacted):
        await store.watch("/", after=seen_by_clients)
    assert await store.create("/next", b"") == revision + 1
    await store.close()
    kept = await opened(tmp_path / "tiphys.db.replaced")
    assert await kept.get("/later") is not None
    await kept.close()


async def test_a_corrupt_store_is_replaced(tmp_path: Path) -> None:
    path, snapshot = tmp_path / "tiphys.db", tmp_path / "snapshot"
    store = await opened(path)
    await store.create("/a", b"one")
    await store.snapshot(snapshot)
    await store.close()
    for number in range(2):
        path.write_bytes(b"garbage")
        Path(f"{path}-wal").write_bytes(b"stale")
        await restore(snapshot, path)
        assert Path(f"{path}.replaced{'' if number == 0 else '-2'}").read_bytes() == b"garbage"
    store = await opened(path)
    assert await store.get("/a") is not None
    await store.close()


async def test_a_bad_snapshot_changes_nothing(tmp_path: Path) -> None:
    path, snapshot = tmp_path / "tiphys.db", tmp_path / "snapshot"
    store = await opened(path)
    for number in range(200):
        await store.create(f"/{number}", b"value %d " % number * 100)
    await store.snapshot(snapshot)
    await store.close()
    good, before = snapshot.read_bytes(), path.read_bytes()
    at = good.index(b"value 77 value 77")
    bad = {
        "empty": b"",
        "not a SQLite file": b"PK\3\4 something else",
        "damaged": good[: len(good) // 2],
        "checksum": good[:at] + b"w" + good[at + 1 :],
    }
    for word, content in bad.items():
        snapshot.write_bytes(content)
        with pytest.raises(StoreCorrupt, match=word) as error:
            await restore(snapshot, path)
        assert str(snapshot) in str(error.value)
        assert path.read_bytes() == before
    await execute(tmp_path / "foreign", "CREATE TABLE t (x)")
    with pytest.raises(StoreCorrupt, match="not a Tiphys store"):
        await restore(tmp_path / "foreign", path)
    with pytest.raises(StoreError, match="does not exist"):
        await restore(tmp_path / "nothing", path)
    with pytest.raises(StoreError, match="store itself"):
        restore_snapshot(str(path), str(path))
    assert not list(tmp_path.glob("*.partial*"))
    assert not list(tmp_path.glob("*.replaced*"))


async def test_a_running_store_is_not_replaced(tmp_path: Path) -> None:
    path, snapshot = tmp_path / "tiphys.db", tmp_path / "snapshot"
    store = await opened(path)
    await store.create("/a", b"one")
    await store.snapshot(snapshot)
    with pytest.raises(StoreError, match="in use"):
        await restore(snapshot, path)
    await store.create("/b", b"works on")
    assert (await store.list("/", revision=Revision(1))).items
    await store.close()


async def test_a_snapshot_to_an_impossible_place_says_so(tmp_path: Path) -> None:
    store = await opened(tmp_path / "tiphys.db")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file/snapshot"):
        await store.snapshot(tmp_path / "file" / "snapshot")
    await store.create("/a", b"works on")
    await store.close()
