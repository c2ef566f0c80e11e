"""The local-path driver over its life: what a start finds and tidies up, what goes on meanwhile, and what a purge removes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.integration.node.local_path.scratch import (
    MIB,
    Pod,
    block,
    create,
    filesystem,
    made,
    needs_loop_devices,
    read,
    write,
)
from tiphys.daemon.local_storage import summary
from tiphys.daemon.saved import cluster_settings
from tiphys.node.local_path import loop
from tiphys.node.local_path.driver import LocalPathDriver
from tiphys.node.local_path.purge import purge
from tiphys.node.local_path.records import Record, Records

pytestmark = needs_loop_devices


async def test_restart_finds_everything(driver: LocalPathDriver, place: Path) -> None:
    pod = await made(driver, place, filesystem(), size=32 * MIB)
    await pod.start()
    await asyncio.to_thread(write, pod.target / "file", MIB, b"data")
    second = LocalPathDriver(place / "storage", node="n1")
    try:
        await second.start()
        again = Pod(second, place, "pvc-1", filesystem())
        await again.start()
        assert await asyncio.to_thread(read, again.target / "file", 4) == b"data"
        assert len(loop.attached(place)) == 1
        await again.stop()
        assert loop.attached(place) == []
    finally:
        await second.close()


async def test_start_detaches_devices_without_a_volume(driver: LocalPathDriver, place: Path) -> None:
    pod = await made(driver, place, block(), size=32 * MIB)
    await pod.start()
    kept = loop.attached(place)
    stray = place / "storage" / "stray"
    fd = os.open(stray, os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, MIB)
    with loop.attach(fd, autoclear=False):
        pass
    os.close(fd)
    stray.unlink()
    assert len(loop.attached(place)) == 2
    second = LocalPathDriver(place / "storage", node="n1")
    await second.start()
    await second.close()
    assert loop.attached(place) == kept


async def test_start_removes_what_was_being_made_or_removed(driver: LocalPathDriver, place: Path) -> None:
    await driver.CreateVolume(create())
    for name in (".new-pvc-8", ".old-pvc-9"):
        (place / "storage" / name).mkdir()
        (place / "storage" / name / "image").write_text("")
    second = LocalPathDriver(place / "storage", node="n1")
    await second.start()
    await second.close()
    assert [path.name for path in (place / "storage").iterdir()] == ["shop_data_pvc-1"]


async def test_a_verb_goes_on_without_its_caller(driver: LocalPathDriver) -> None:
    await driver.start()
    first = asyncio.ensure_future(driver.CreateVolume(create()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await driver.close()
    assert (await driver.CreateVolume(create())).volume.volume_id == "pvc-1"


async def test_volumes_are_found_by_many_threads_at_once(place: Path) -> None:
    records = Records(place / "storage")
    expected = {f"pvc-{number}": f"pvc-{number}" for number in range(40)}

    def make() -> None:
        for name in expected:
            with records.making(Record(id=name, name=name, capacity=MIB, mode="Block", fs_type="", source="", fs_size=0), name):
                pass

    await asyncio.to_thread(make)

    def look() -> bool:
        return all(records.names() == expected for _ in range(50))

    assert all(await asyncio.gather(*(asyncio.to_thread(look) for _ in range(4))))
    records.close()


async def test_summary_counts_volumes(driver: LocalPathDriver, place: Path) -> None:
    settings = cluster_settings(place)
    assert await asyncio.to_thread(summary, settings) == ""
    await driver.CreateVolume(create(size=32 * MIB))
    await driver.CreateVolume(create("pvc-2", 64 * MIB, block()))
    assert (await asyncio.to_thread(summary, settings)).startswith("2 volumes, ")
    assert " used of 96Mi; " in await asyncio.to_thread(summary, settings)


async def test_purge_removes_volumes_and_nothing_else(driver: LocalPathDriver, place: Path) -> None:
    storage = place / "storage"
    pod = await made(driver, place, block(), size=32 * MIB)
    await pod.stage()
    await driver.CreateVolume(create("pvc-2"))
    (storage / "notes").mkdir()
    (storage / "notes" / "image").write_text("mine")
    (storage / "link").symlink_to(storage / "notes")
    assert await asyncio.to_thread(purge, storage) == []
    assert loop.attached(place) == []
    assert sorted(path.name for path in storage.iterdir()) == ["link", "notes"]
    assert (storage / "notes" / "image").read_text() == "mine"
    (storage / "link").unlink()
    (storage / "notes" / "image").unlink()
    (storage / "notes").rmdir()
    assert await asyncio.to_thread(purge, storage) == []
    assert not storage.exists()
    assert await asyncio.to_thread(purge, storage) == []
