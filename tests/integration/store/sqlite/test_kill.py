# ruff: noqa: ASYNC240 (these tests look at files, and nothing else runs in their loop)
"""kill -9 while writing: whatever was acknowledged is there afterwards, and the revisions go on."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tiphys.store.contract import Event, Revision
from tiphys.store.sqlite import Options, SqliteStore

KEEP = Options(keep_revisions=1_000_000, max_revisions=1_000_000)


def write_until_killed(path: Path, prefix: str, lines: int) -> list[tuple[str, str, int]]:
    """Return what a writing process acknowledged before it was killed, after a number of lines."""
    script = Path(__file__).with_name("writing_process.py")
    with subprocess.Popen([sys.executable, str(script), str(path), prefix], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            heads = [process.stdout.readline() for _ in range(lines)]
        finally:
            process.kill()
        output = "".join(heads) + process.stdout.read()
    assert process.returncode == -9
    complete = output[: output.rfind("\n") + 1].splitlines()
    return [(kind, key, int(revision)) for kind, key, revision in (line.split() for line in complete)]


async def events_of(store: SqliteStore) -> dict[int, Event]:
    newest = store.current_revision()
    watch = await store.watch("/", after=Revision(0))
    events: dict[int, Event] = {}
    async for batch in watch:
        events.update({event.revision: event for event in batch})
        if len(events) >= newest:
            watch.close()
    return events


async def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "tiphys.db"
    acknowledged: list[tuple[str, str, int]] = []
    for life, lines in enumerate((1, 37, 400, 1500)):
        acknowledged += await asyncio.to_thread(write_until_killed, path, f"life{life}", lines)
        store = SqliteStore(path, options=KEEP)
        await store.start()
        newest = store.current_revision()
        assert newest >= max(revision for _, _, revision in acknowledged)
        events = await events_of(store)
        assert sorted(events) == list(range(1, newest + 1))
        for kind, key, revision in acknowledged:
            event = events[revision]
            assert (event.kind, event.key) == (kind, key)
            text = event.previous if kind == "delete" else event.value
            assert text == f"{key}#{0 if kind == 'create' else 1}".encode() * 20
        assert await store.create(f"/between/{life}", b"") == newest + 1
        acknowledged.append(("create", f"/between/{life}", newest + 1))
        events[newest + 1] = Event("create", f"/between/{life}", b"", Revision(newest + 1), Revision(newest + 1))
        live = {}
        for event in events.values():
            live[event.key] = event.revision
            if event.kind == "delete":
                del live[event.key]
        assert {item.key: item.mod_revision for item in (await store.list("/")).items} == live
        await store.close()
        acknowledged = [entry for entry in acknowledged if not entry[1].startswith("/between")]


@pytest.mark.parametrize("lost", ["-shm", ""])
async def test_the_write_ahead_log_alone_brings_everything_back(tmp_path: Path, lost: str) -> None:
    """After a power cut the shared-memory file is gone; the log holds what was not yet moved into the database."""
    path = tmp_path / "tiphys.db"
    acknowledged = await asyncio.to_thread(write_until_killed, path, "a", 200)
    assert Path(f"{path}-wal").stat().st_size > 0
    if lost:
        Path(f"{path}{lost}").unlink()
    store = SqliteStore(path, options=KEEP)
    await store.start()
    events = await events_of(store)
    assert {(event.kind, event.key, event.revision) for event in events.values()} >= set(acknowledged)
    await store.close()
