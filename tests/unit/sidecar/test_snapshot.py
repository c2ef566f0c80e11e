"""The loops of snapshots, against the real API server with the custom resources of the example."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from tests.unit.sidecar.driver import GI, NAME, ScriptedDriver, facts, pending
from tests.unit.sidecar.make import VOLUME, bound_claim, claim, storage_class, volume
from tiphys.api.apiextensions.v1 import CustomResourceDefinition
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import NotFound
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.client.client import Client
from tiphys.csi.errors import Failed
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.sidecar.provision.controller import ProvisionController
from tiphys.sidecar.settings import ProvisionSettings
from tiphys.sidecar.snapshot import plan
from tiphys.sidecar.snapshot.content import ContentController
from tiphys.sidecar.snapshot.controller import SnapshotController
from tiphys.sidecar.snapshot.kinds import (
    GROUP,
    ContentSource,
    ContentSpec,
    SnapshotSource,
    SnapshotSpec,
    VolumeSnapshot,
    VolumeSnapshotClass,
    VolumeSnapshotContent,
    with_snapshots,
)
from tiphys.testing import eventually
from tiphys.testing.crashes import crash_between_writes
from tiphys.testing.loops import run_loops, running_loops
from tiphys.testing.memory_api import MemoryApi

pytestmark = pytest.mark.looptime

CRDS = Path(__file__).parents[3] / "examples/csi-snapshots/crds.yaml"
HANDLE = f"id-{VOLUME}"


def loops(driver: ScriptedDriver, *without: str) -> list[Any]:
    return [SnapshotController, partial(ContentController, driver, facts(*without), ProvisionSettings())]


async def define(client: Client) -> None:
    """Add the custom resources and wait until they are served."""
    for document in yaml.safe_load_all(CRDS.read_text()):
        await client.create(msgspec.convert(document, CustomResourceDefinition))

    async def served() -> bool:
        try:
            for type_ in (VolumeSnapshot, VolumeSnapshotContent, VolumeSnapshotClass):
                await client.list(type_)
        except NotFound:
            return False
        return True

    await eventually(served)


async def add_objects(api: MemoryApi, *, policy: str = "Delete", default: bool = False) -> ScriptedDriver:
    driver = ScriptedDriver()
    driver.volumes[HANDLE] = pb.Volume(volume_id=HANDLE, capacity_bytes=GI)
    api.add(storage_class(), volume(), bound_claim())
    client = with_snapshots(api.client())
    await define(client)
    annotations = {plan.IS_DEFAULT: "true"} if default else {}
    await client.create(VolumeSnapshotClass(metadata=ObjectMeta(name="snaps", annotations=annotations), driver=NAME, deletionPolicy=policy))
    await client.create(
        VolumeSnapshot(
            metadata=ObjectMeta(name="s", namespace="default"),
            spec=SnapshotSpec(
                source=SnapshotSource(persistentVolumeClaimName="data"), volumeSnapshotClassName=None if default else "snaps"
            ),
        )
    )
    return driver


async def snapshot(api: MemoryApi) -> VolumeSnapshot | None:
    items = (await with_snapshots(api.client()).list(VolumeSnapshot, "default")).items
    return items[0] if items else None


async def contents(api: MemoryApi) -> list[VolumeSnapshotContent]:
    return (await with_snapshots(api.client()).list(VolumeSnapshotContent)).items


async def is_ready(api: MemoryApi) -> VolumeSnapshot | None:
    one = await snapshot(api)
    finalizers = api.get(core.PersistentVolumeClaim, "data", "default").metadata.finalizers
    return one if one is not None and one.status is not None and one.status.readyToUse and plan.CLAIM_AS_SOURCE not in finalizers else None


async def is_gone(api: MemoryApi) -> bool:
    return await snapshot(api) is None and not await contents(api)


async def delete(api: MemoryApi) -> None:
    await with_snapshots(api.client()).delete(VolumeSnapshot, "s", "default")


@pytest.mark.parametrize("default", [False, True])
async def test_takes_and_deletes_a_snapshot(api: MemoryApi, default: bool) -> None:
    driver = await add_objects(api, default=default)
    async with running_loops(with_snapshots(api.client()), *loops(driver)):
        taken = await eventually(partial(is_ready, api))
        (content,) = await contents(api)
        assert taken.spec.volumeSnapshotClassName == "snaps"
        assert taken.status is not None
        assert taken.status.boundVolumeSnapshotContentName == content.metadata.name == f"snapcontent-{taken.metadata.uid}"
        assert (taken.status.restoreSize, taken.status.creationTime) == ("1Gi", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC))
        assert plan.BEING_CREATED not in content.metadata.annotations
        assert [one.name for one in driver.of("CreateSnapshot")] == [f"snapshot-{taken.metadata.uid}"]
        await delete(api)
        await eventually(partial(is_gone, api))
    assert driver.snapshots == {}


async def test_a_retained_snapshot_stays_with_its_content(api: MemoryApi) -> None:
    driver = await add_objects(api, policy="Retain")
    async with running_loops(with_snapshots(api.client()), *loops(driver)):
        await eventually(partial(is_ready, api))
        await delete(api)

        async def is_deleted() -> bool:
            return await snapshot(api) is None

        await eventually(is_deleted)
        assert len(await contents(api)) == 1
        await with_snapshots(api.client()).delete(VolumeSnapshotContent, (await contents(api))[0].metadata.name)
        await eventually(partial(is_gone, api))
    assert len(driver.snapshots) == 1


async def test_content_of_a_snapshot_cannot_be_deleted_first(api: MemoryApi) -> None:
    driver = await add_objects(api)
    async with running_loops(with_snapshots(api.client()), *loops(driver)):
        await eventually(partial(is_ready, api))
        await with_snapshots(api.client()).delete(VolumeSnapshotContent, (await contents(api))[0].metadata.name)
        await api.clock.sleep(30)
        assert len(driver.snapshots) == 1
        await delete(api)
        await eventually(partial(is_gone, api))
    assert driver.snapshots == {}


async def test_an_error_is_shown_and_passes(api: MemoryApi) -> None:
    driver = await add_objects(api)
    driver.fail("CreateSnapshot", Failed("frozen"), times=6)
    async with running_loops(with_snapshots(api.client()), *loops(driver)):

        async def shows_an_error() -> bool:
            one = await snapshot(api)
            return one is not None and one.status is not None and one.status.error is not None

        await eventually(shows_an_error)
        taken = await eventually(partial(is_ready, api))
        assert taken.status is not None
        assert taken.status.error is None


async def test_a_snapshot_whose_answer_was_lost_is_deleted(api: MemoryApi) -> None:
    driver = await add_objects(api)
    driver.fail("CreateSnapshot", pending(), times=8, after=True)
    async with running_loops(with_snapshots(api.client()), *loops(driver)):
        await eventually(lambda: driver.snapshots)
        await delete(api)
        await eventually(partial(is_gone, api))
    assert driver.snapshots == {}


async def test_a_snapshot_that_was_there_before(api: MemoryApi) -> None:
    driver = ScriptedDriver()
    driver.snapshots["old"] = pb.Snapshot(snapshot_id="old", size_bytes=GI, ready_to_use=True)
    client = with_snapshots(api.client())
    await define(client)
    await client.create(
        VolumeSnapshotContent(
            metadata=ObjectMeta(name="c"),
            spec=ContentSpec(
                driver=NAME,
                deletionPolicy="Delete",
                source=ContentSource(snapshotHandle="old"),
                volumeSnapshotRef=core.ObjectReference(name="s", namespace="default"),
            ),
        )
    )
    await client.create(
        VolumeSnapshot(
            metadata=ObjectMeta(name="s", namespace="default"), spec=SnapshotSpec(source=SnapshotSource(volumeSnapshotContentName="c"))
        )
    )
    async with running_loops(client, *loops(driver)):

        async def is_bound() -> bool:
            one = await snapshot(api)
            (content,) = await contents(api)
            return one is not None and one.status is not None and one.status.readyToUse is True and plan.is_bound(one, content)

        await eventually(is_bound)
        assert driver.of("CreateSnapshot") == []
        await delete(api)
        await eventually(partial(is_gone, api))
    assert driver.snapshots == {}


def sourced(name: str, kind: str, of: str, *, group: str | None = None, size: str = "1Gi") -> core.PersistentVolumeClaim:
    """A claim with a data source, as the API server fills it in."""
    return claim(
        name,
        uid=name,
        size=size,
        dataSource=core.TypedLocalObjectReference(apiGroup=group, kind=kind, name=of),
        dataSourceRef=core.TypedObjectReference(apiGroup=group, kind=kind, name=of),
    )


async def test_a_volume_is_made_of_a_snapshot(api: MemoryApi) -> None:
    driver = await add_objects(api)
    client = with_snapshots(api.client())
    provision = partial(ProvisionController, driver, facts(), ProvisionSettings())
    async with running_loops(client, *loops(driver), provision):
        await eventually(partial(is_ready, api))
        api.add(*(sourced(name, "VolumeSnapshot", "s", group=GROUP, size=size) for name, size in (("copy", "1Gi"), ("small", "1Mi"))))
        await eventually(lambda: api.find(core.PersistentVolume, "pvc-copy"))
    assert api.find(core.PersistentVolume, "pvc-small") is None
    (request,) = driver.of("CreateVolume")
    assert request.volume_content_source.snapshot.snapshot_id in driver.snapshots


async def test_a_snapshot_waits_for_a_claim_that_is_made_of_it(api: MemoryApi) -> None:
    driver = await add_objects(api)
    async with running_loops(with_snapshots(api.client()), *loops(driver)):
        await eventually(partial(is_ready, api))
        api.add(sourced("copy", "VolumeSnapshot", "s", group=GROUP))
        await api.clock.sleep(1)
        await delete(api)
        await api.clock.sleep(30)
        assert len(driver.snapshots) == 1
        api.remove(core.PersistentVolumeClaim, "copy", "default")
        await eventually(partial(is_gone, api))


async def test_a_volume_is_made_of_a_volume(api: MemoryApi) -> None:
    driver = ScriptedDriver()
    copy, other = sourced("copy", "PersistentVolumeClaim", "data"), sourced("x", "Backup", "b", group="example.com")
    api.add(storage_class(), volume(), bound_claim(), copy, other)
    async with running_loops(api.client(), partial(ProvisionController, driver, facts(), ProvisionSettings())):
        await eventually(lambda: api.find(core.PersistentVolume, "pvc-copy"))
    (request,) = driver.of("CreateVolume")
    assert request.volume_content_source.volume.volume_id == HANDLE


def stored(api: MemoryApi, kind: str) -> list[Any]:
    """The custom objects of a kind as documents."""
    known = api.scheme.by_gvk(f"{GROUP}/v1", kind)
    return [] if known is None else [one.content for one in api.list(known.type)]


@pytest.mark.parametrize("deleted", [False, True])
async def test_a_crash_between_any_two_writes(deleted: bool) -> None:
    """With `deleted`, the snapshot is deleted while the process is dead: nothing may be left."""
    drivers: list[ScriptedDriver] = []
    runs = 0

    async def prepare(api: MemoryApi) -> None:
        nonlocal runs
        runs = 0
        drivers.append(await add_objects(api))

    async def run(client: Client) -> None:
        nonlocal runs
        runs += 1
        if runs > 1 and deleted:
            await with_snapshots(client).delete(VolumeSnapshot, "s", "default")
        await run_loops(with_snapshots(client), *loops(drivers[-1]))

    def check(api: MemoryApi) -> bool:
        if runs == 1 or not deleted:
            finalizers = api.get(core.PersistentVolumeClaim, "data", "default").metadata.finalizers
            ready = [one.get("status", {}).get("readyToUse") for one in stored(api, "VolumeSnapshot")]
            return ready == [True] and len(drivers[-1].snapshots) == 1 and plan.CLAIM_AS_SOURCE not in finalizers
        return not stored(api, "VolumeSnapshot") and not stored(api, "VolumeSnapshotContent") and not drivers[-1].snapshots

    assert await crash_between_writes(prepare=prepare, run=run, check=check) >= 5
