"""Files that are damaged, foreign, or in use: one clear sentence each, and the repair."""

from pathlib import Path

import pytest

from tests.integration.store.sqlite.sql import execute
from tiphys.store.contract import Revision, StoreCorrupt, StoreError
from tiphys.store.sqlite import SqliteStore


async def filled(path: Path, *, keys: int = 300) -> SqliteStore:
    store = SqliteStore(path)
    await store.start()
    for number in range(keys):
        await store.create(f"/k/{number:03d}", b"value %d " % number * 100)
    return store


async def refused(path: Path, error: type[StoreError] = StoreError) -> str:
    """The one sentence with which a start on `path` fails; the file can be opened again afterwards (no lock is left)."""
    for _ in range(2):
        with pytest.raises(error) as caught:
            await SqliteStore(path).start()
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


async def test_not_a_database(tmp_path: Path) -> None:
    path = tmp_path / "tiphys.db"
    path.write_text("apiVersion: v1\nkind: Pod\n")
    assert "tiphys snapshot restore" in await refused(path, StoreCorrupt)
    assert path.read_text().startswith("apiVersion")


async def test_somebody_elses_database(tmp_path: Path) -> None:
    path = tmp_path / "tiphys.db"
    await execute(path, "CREATE TABLE bookmarks (url TEXT)")
    assert "not a Tiphys store" in await refused(path, StoreCorrupt)
    assert await execute(path, "PRAGMA journal_mode") == [("delete",)], "a foreign file must not be changed"


async def test_a_newer_format(tmp_path: Path) -> None:
    path = tmp_path / "tiphys.db"
    await (await filled(path, keys=1)).close()
    await execute(path, "PRAGMA user_version = 99")
    assert "newer" in await refused(path)


@pytest.mark.parametrize("keep", [0.3, 0.9])
async def test_a_truncated_file(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "tiphys.db"
    await (await filled(path)).close()
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * keep) // 4096 * 4096)
    assert "tiphys snapshot restore" in await refused(path, StoreCorrupt)


async def test_a_first_page_of_zeros(tmp_path: Path) -> None:
    path = tmp_path / "tiphys.db"
    await (await filled(path)).close()
    with path.open("r+b") as file:
        file.write(bytes(4096))
    await refused(path, StoreCorrupt)


async def test_garbage_in_the_middle_never_comes_out_as_data(tmp_path: Path) -> None:
    path = tmp_path / "tiphys.db"
    await (await filled(path)).close()
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // 4096 * 4096)
        file.write(b"\xa5" * 4096)
    store = SqliteStore(path)

    async def read_all() -> None:
        await store.start()
        await store.list("/k/")

    with pytest.raises(StoreCorrupt):
        await read_all()
    await store.close()


async def test_a_missing_revision_is_found_at_start(tmp_path: Path) -> None:
    path = tmp_path / "tiphys.db"
    await (await filled(path)).close()
    await execute(path, "DELETE FROM log WHERE revision = 77")
    assert "revision 77 is missing" in await refused(path, StoreCorrupt)


async def test_a_flipped_bit_is_found_when_read_and_can_be_deleted(tmp_path: Path) -> None:
    path = tmp_path / "tiphys.db"
    await (await filled(path)).close()
    text = path.read_bytes()
    at = text.index(b"value 123 value 123")
    with path.open("r+b") as file:
        file.seek(at + 3)
        file.write(bytes([text[at + 3] ^ 1]))
    store = SqliteStore(path)
    await store.start()
    with pytest.raises(StoreCorrupt, match="/k/123 at revision 124 fails its checksum"):
        await store.get("/k/123")
    with pytest.raises(StoreCorrupt):
        await store.list("/k/")
    with pytest.raises(StoreCorrupt):
        await store.update("/k/123", b"", expected=Revision(1))
    watch = await store.watch("/k/", after=Revision(0))
    with pytest.raises(StoreCorrupt):
        async for _ in watch:
            pass
    event = await store.delete("/k/123")
    assert event.previous is None
    assert len((await store.list("/k/")).items) == 299
    await store.close()


async def test_a_second_store_on_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiphys.db"
    first = await filled(path, keys=1)
    with pytest.raises(StoreError, match=r"in use by another Tiphys \(process \d+\)"):
        await SqliteStore(path).start()
    await first.create("/still", b"works")
    await first.close()
    second = SqliteStore(path)
    await second.start()
    assert await second.get("/still") is not None
    await second.close()


async def test_a_directory_in_place_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "tiphys.db"
    path.mkdir()
    await refused(path)


async def test_a_file_in_place_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    path = tmp_path / "data" / "tiphys.db"
    await refused(path)


async def test_the_files_are_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "tiphys.db"
    store = await filled(path, keys=1)
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert set(modes) == {"tiphys.db", "tiphys.db-wal", "tiphys.db-shm", "tiphys.db.lock"}
    assert set(modes.values()) == {0o600}
    assert path.parent.stat().st_mode & 0o077 == 0
    await store.close()
