"""The loops of attachments, against the real API server."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from tests.unit.sidecar.driver import NAME, ScriptedDriver, facts, pending
from tests.unit.sidecar.make import VOLUME, volume
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.storage.v1 import CSINode, CSINodeDriver, CSINodeSpec, VolumeAttachment, VolumeAttachmentSource, VolumeAttachmentSpec
from tiphys.client.client import Client
from tiphys.csi.errors import Exhausted, Failed
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.sidecar.attach.controller import AttachController, AttachedVolumeController
from tiphys.sidecar.attach.plan import NODE_ID, finalizer
from tiphys.sidecar.settings import ProvisionSettings
from tiphys.testing import eventually
from tiphys.testing.crashes import crash_between_writes
from tiphys.testing.loops import run_loops, running_loops
from tiphys.testing.memory_api import MemoryApi

pytestmark = pytest.mark.looptime

HANDLE = f"id-{VOLUME}"


def loops(driver: ScriptedDriver, *without: str) -> list:  # type: ignore[type-arg]
    return [partial(make, driver, facts(*without), ProvisionSettings()) for make in (AttachController, AttachedVolumeController)]


def add_objects(api: MemoryApi) -> ScriptedDriver:
    driver = ScriptedDriver()
    driver.volumes[HANDLE] = pb.Volume(volume_id=HANDLE)
    api.add(
        volume(),
        CSINode(metadata=ObjectMeta(name="n1"), spec=CSINodeSpec(drivers=[CSINodeDriver(name=NAME, nodeID="i-1")])),
        VolumeAttachment(
            metadata=ObjectMeta(name="va"),
            spec=VolumeAttachmentSpec(attacher=NAME, nodeName="n1", source=VolumeAttachmentSource(persistentVolumeName=VOLUME)),
        ),
    )
    return driver


def is_attached(api: MemoryApi) -> bool:
    return api.get(VolumeAttachment, "va").status.attached


async def test_attaches_and_detaches(api: MemoryApi) -> None:
    driver = add_objects(api)
    async with running_loops(api.client(), *loops(driver)):
        await eventually(lambda: is_attached(api))
        attachment = api.get(VolumeAttachment, "va")
        assert attachment.status.attachmentMetadata == {"device": f"/dev/{HANDLE}"}
        assert finalizer(NAME) in attachment.metadata.finalizers
        assert attachment.metadata.annotations[NODE_ID] == "i-1"
        assert driver.attached == {(HANDLE, "i-1")}
        # The volume outlives its deletion as long as it is attached, and the node may go first.
        await api.client().delete(core.PersistentVolume, VOLUME)
        api.remove(CSINode, "n1")
        await asyncio.sleep(10)
        assert finalizer(NAME) in api.get(core.PersistentVolume, VOLUME).metadata.finalizers
        await api.client().delete(VolumeAttachment, "va")
        await eventually(lambda: api.find(VolumeAttachment, "va") is None)
        await eventually(lambda: finalizer(NAME) not in api.get(core.PersistentVolume, VOLUME).metadata.finalizers)
    assert driver.attached == set()


async def test_a_driver_that_attaches_nothing(api: MemoryApi) -> None:
    driver = add_objects(api)
    async with running_loops(api.client(), *loops(driver, "PUBLISH_UNPUBLISH_VOLUME")):
        await eventually(lambda: is_attached(api))
        assert api.get(VolumeAttachment, "va").metadata.finalizers == []
        await api.client().delete(VolumeAttachment, "va")
        await eventually(lambda: api.find(VolumeAttachment, "va") is None)
    assert driver.calls == []


async def test_errors_are_shown_until_the_driver_succeeds(api: MemoryApi) -> None:
    driver = add_objects(api)
    driver.fail("ControllerPublishVolume", Exhausted("the node is full"), times=6)
    async with running_loops(api.client(), *loops(driver)):
        error = await eventually(lambda: api.get(VolumeAttachment, "va").status.attachError)
        assert (error.message, error.errorCode) == ("rpc error: code = ResourceExhausted desc = the node is full", 8)
        await eventually(lambda: is_attached(api))
        assert api.get(VolumeAttachment, "va").status.attachError is None
        driver.fail("ControllerUnpublishVolume", Failed("busy"), times=6)
        await api.client().delete(VolumeAttachment, "va")
        error = await eventually(lambda: api.get(VolumeAttachment, "va").status.detachError)
        assert error.message == "rpc error: code = Internal desc = busy"
        await eventually(lambda: api.find(VolumeAttachment, "va") is None)


async def test_an_attachment_that_may_exist_is_undone(api: MemoryApi) -> None:
    """The driver attaches the volume and says that it has not finished; then the attachment is deleted."""
    driver = add_objects(api)
    driver.fail("ControllerPublishVolume", pending(), times=1000, after=True)
    async with running_loops(api.client(), *loops(driver)):
        await eventually(lambda: driver.attached)
        await api.client().delete(VolumeAttachment, "va")
        await eventually(lambda: api.find(VolumeAttachment, "va") is None, timeout=3600)
    assert driver.attached == set()


async def test_no_node_no_attachment(api: MemoryApi) -> None:
    driver = add_objects(api)
    api.remove(CSINode, "n1")
    async with running_loops(api.client(), *loops(driver)):
        error = await eventually(lambda: api.get(VolumeAttachment, "va").status.attachError)
        assert "n1" in error.message
    assert driver.calls == []


async def test_a_crash_between_any_two_writes_leaves_nothing_attached() -> None:
    drivers: list[ScriptedDriver] = []
    runs = 0

    async def prepare(api: MemoryApi) -> None:
        nonlocal runs
        runs = 0
        drivers.append(add_objects(api))

    async def run(client: Client) -> None:
        nonlocal runs
        runs += 1
        if runs > 1:
            await client.delete(VolumeAttachment, "va")
        await run_loops(client, *loops(drivers[-1]))

    def check(api: MemoryApi) -> bool:
        return is_attached(api) if runs == 1 else not api.list(VolumeAttachment) and not drivers[-1].attached

    assert await crash_between_writes(prepare=prepare, run=run, check=check) >= 3
