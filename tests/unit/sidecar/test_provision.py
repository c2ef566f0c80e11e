"""The loops that make and delete volumes, against the real API server, on good days and bad ones."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from tests.unit.sidecar.driver import GI, NAME, ScriptedDriver, facts, hang, pending
from tests.unit.sidecar.make import UID, VOLUME, claim, storage_class, volume
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import ServiceUnavailable
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.storage.v1 import VolumeAttachment, VolumeAttachmentSource, VolumeAttachmentSpec
from tiphys.client.client import Client
from tiphys.csi.errors import Exhausted, Failed, InvalidArgument
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.sidecar.names import CLAIM_FINALIZER, PROVISIONED_BY, PV_FINALIZER, SELECTED_NODE
from tiphys.sidecar.provision.controller import ProvisionController
from tiphys.sidecar.provision.deletion import DeletionController
from tiphys.sidecar.settings import ProvisionSettings
from tiphys.sidecar.topology import affinity_of
from tiphys.sidecar.writes import remove_finalizer
from tiphys.testing import eventually
from tiphys.testing.crashes import crash_between_writes
from tiphys.testing.loops import run_loops, running_loops
from tiphys.testing.memory_api import MemoryApi

pytestmark = pytest.mark.looptime

SETTINGS = ProvisionSettings()


def loops(driver: ScriptedDriver, settings: ProvisionSettings = SETTINGS, *without: str) -> list:  # type: ignore[type-arg]
    return [partial(make, driver, facts(*without), settings) for make in (ProvisionController, DeletionController)]


def events(api: MemoryApi) -> list[tuple[str, str]]:
    return [(one.reason, one.message) for one in api.list(core.Event)]


def is_provisioned(api: MemoryApi) -> bool:
    there = api.find(core.PersistentVolume, VOLUME)
    return there is not None and CLAIM_FINALIZER not in api.get(core.PersistentVolumeClaim, "data", "default").metadata.finalizers


async def test_a_claim_gets_a_volume(api: MemoryApi) -> None:
    driver = ScriptedDriver()
    api.add(storage_class(parameters={"speed": "high", "csi.storage.k8s.io/fstype": "xfs"}, mountOptions=["noatime"]), claim())
    async with running_loops(api.client(), *loops(driver)) as manager:
        await eventually(lambda: is_provisioned(api))
        for loop in manager.loops:
            await loop.ctx.recorder.flush()
    there = api.get(core.PersistentVolume, VOLUME)
    assert there.spec.csi is not None
    assert there.spec.claimRef is not None
    assert (there.spec.csi.driver, there.spec.csi.volumeHandle, there.spec.csi.fsType) == (NAME, f"id-{VOLUME}", "xfs")
    assert (there.spec.capacity, there.spec.claimRef.uid, there.spec.storageClassName) == ({"storage": "1Gi"}, UID, "fast")
    assert (there.spec.mountOptions, there.spec.persistentVolumeReclaimPolicy) == (["noatime"], "Delete")
    assert there.metadata.annotations[PROVISIONED_BY] == NAME
    assert PV_FINALIZER in there.metadata.finalizers
    (request,) = driver.of("CreateVolume")
    assert (request.name, request.parameters) == (VOLUME, {"speed": "high"})
    assert ("ProvisioningSucceeded", f"Successfully provisioned volume {VOLUME}") in events(api)
    assert ("Provisioning", 'External provisioner is provisioning volume for claim "default/data"') in events(api)


async def test_a_class_that_waits_needs_a_selected_node(api: MemoryApi) -> None:
    driver = ScriptedDriver()
    api.add(storage_class(late=True), claim())
    async with running_loops(api.client(), *loops(driver)):
        await asyncio.sleep(60)
        assert driver.calls == []
        await api.client().patch(core.PersistentVolumeClaim, "data", "default", body={"metadata": {"annotations": {SELECTED_NODE: "n1"}}})
        await eventually(lambda: is_provisioned(api))


async def test_a_node_provisions_for_its_own_claims(api: MemoryApi) -> None:
    driver = ScriptedDriver()
    api.add(storage_class(late=True), claim(node="n1"), claim("other", node="n2", uid="other"))
    async with running_loops(api.client(), *loops(driver, ProvisionSettings(node="n1"))):
        await eventually(lambda: is_provisioned(api))
        await asyncio.sleep(60)
    assert [one.name for one in driver.of("CreateVolume")] == [VOLUME]


async def test_one_node_takes_a_claim_that_any_may_have(api: MemoryApi) -> None:
    drivers = {name: ScriptedDriver() for name in ("n1", "n2", "n3")}
    api.add(storage_class(), claim())
    takers = [loop for name, driver in drivers.items() for loop in loops(driver, ProvisionSettings(node=name))[:1]]
    async with running_loops(api.client(), *takers):
        await eventually(lambda: is_provisioned(api))
    node = api.get(core.PersistentVolumeClaim, "data", "default").metadata.annotations[SELECTED_NODE]
    assert [name for name, driver in drivers.items() if driver.volumes] == [node]


async def test_a_node_that_is_gone_is_given_up(api: MemoryApi) -> None:
    driver = ScriptedDriver()
    known = facts(services=("CONTROLLER_SERVICE", "VOLUME_ACCESSIBILITY_CONSTRAINTS"))
    api.add(storage_class(late=True), claim(node="gone"))
    async with running_loops(api.client(), partial(ProvisionController, driver, known, SETTINGS)):
        await eventually(lambda: SELECTED_NODE not in api.get(core.PersistentVolumeClaim, "data", "default").metadata.annotations)
    assert driver.calls == []


async def test_a_volume_is_abandoned_when_the_claim_got_another_one(api: MemoryApi) -> None:
    driver = ScriptedDriver()
    driver.fail("CreateVolume", pending(), times=10_000, after=True)
    api.add(storage_class(), claim(), volume("other", claim_uid="x"))
    async with running_loops(api.client(), *loops(driver)):
        await eventually(lambda: driver.volumes)
        await api.client().patch(core.PersistentVolumeClaim, "data", "default", body={"spec": {"volumeName": "other"}})
        driver.after.clear()
        await eventually(lambda: not driver.volumes and CLAIM_FINALIZER not in finalizers(api), timeout=600)


def finalizers(api: MemoryApi) -> list[str]:
    return api.get(core.PersistentVolumeClaim, "data", "default").metadata.finalizers


@pytest.mark.parametrize("error", [Exhausted("full"), InvalidArgument("not here")])
async def test_a_node_without_room_is_given_up(api: MemoryApi, error: Exhausted) -> None:
    driver = ScriptedDriver()
    driver.fail("CreateVolume", error)
    api.add(storage_class(late=True), claim(node="n1"))
    async with running_loops(api.client(), *loops(driver)):
        await eventually(lambda: SELECTED_NODE not in api.get(core.PersistentVolumeClaim, "data", "default").metadata.annotations)
        assert CLAIM_FINALIZER not in api.get(core.PersistentVolumeClaim, "data", "default").metadata.finalizers
    assert len(driver.of("CreateVolume")) == 1


async def test_an_unfinished_request_is_repeated_after_its_claim_was_deleted(api: MemoryApi) -> None:
    """The volume exists although the driver said otherwise so far: it must be found and deleted."""
    driver = ScriptedDriver()
    driver.fail("CreateVolume", pending(), times=10_000, after=True)
    api.add(storage_class(), claim())
    async with running_loops(api.client(), *loops(driver)):
        await eventually(lambda: driver.volumes)
        await api.client().delete(core.PersistentVolumeClaim, "data", "default")
        await asyncio.sleep(60)
        assert api.find(core.PersistentVolumeClaim, "data", "default") is not None
        driver.after.clear()
        await eventually(lambda: api.find(core.PersistentVolumeClaim, "data", "default") is None, timeout=3600)
    assert driver.volumes == {}
    assert api.find(core.PersistentVolume, VOLUME) is None


async def test_a_claim_that_cannot_have_a_volume_can_be_deleted(api: MemoryApi) -> None:
    driver = ScriptedDriver()
    driver.fail("CreateVolume", Failed("broken"), times=10_000)
    api.add(storage_class(), claim())
    async with running_loops(api.client(), *loops(driver)):
        await eventually(lambda: len(driver.of("CreateVolume")) > 2)
        await api.client().delete(core.PersistentVolumeClaim, "data", "default")
        await eventually(lambda: api.find(core.PersistentVolumeClaim, "data", "default") is None)


async def test_a_hanging_driver_holds_up_one_volume_only(api: MemoryApi) -> None:
    driver = ScriptedDriver()
    driver.scripts["CreateVolume"] = [lambda request: hang(request) if request.name == VOLUME else None] * 1000
    api.add(storage_class(), claim(), claim("other", uid="other"))
    async with running_loops(api.client(), *loops(driver)) as manager:
        await eventually(lambda: api.find(core.PersistentVolume, "pvc-other"))
        await eventually(lambda: len([one for one in driver.of("CreateVolume") if one.name == VOLUME]) > 1)
        await manager.loops[0].ctx.recorder.flush()
        message = 'failed to provision volume with StorageClass "fast": rpc error: code = DeadlineExceeded desc = context deadline exceeded'
        assert ("ProvisioningFailed", message) in events(api)
        driver.scripts.clear()
        await eventually(lambda: is_provisioned(api))


@pytest.mark.parametrize(
    "lie", [pb.Volume(volume_id="tiny", capacity_bytes=5), pb.Volume(capacity_bytes=GI), None, "not a message"], ids=str
)
async def test_a_driver_that_lies_leaves_nothing_behind(api: MemoryApi, lie: object) -> None:
    driver = ScriptedDriver()
    answer = pb.CreateVolumeResponse(volume=lie) if isinstance(lie, pb.Volume) else lie or pb.CreateVolumeResponse()
    driver.scripts["CreateVolume"] = [lambda request: answer]
    api.add(storage_class(), claim())
    async with running_loops(api.client(), *loops(driver)):
        await eventually(lambda: is_provisioned(api))
    assert list(driver.volumes) == [f"id-{VOLUME}"]
    deleted = [one.volume_id for one in driver.of("DeleteVolume")]
    assert deleted == (["tiny"] if isinstance(lie, pb.Volume) and lie.volume_id else [])


@pytest.mark.parametrize("garbage", ["not a message", pb.CreateVolumeResponse()], ids=["type", "empty"])
async def test_garbage_does_not_say_that_there_is_no_volume(api: MemoryApi, garbage: object) -> None:
    driver = ScriptedDriver()
    driver.after["CreateVolume"] = [lambda request: garbage] * 10_000
    api.add(storage_class(), claim())
    async with running_loops(api.client(), *loops(driver)):
        await eventually(lambda: driver.volumes)
        await api.client().delete(core.PersistentVolumeClaim, "data", "default")
        await asyncio.sleep(60)
        driver.after.clear()
        await eventually(lambda: api.find(core.PersistentVolumeClaim, "data", "default") is None, timeout=3600)
    assert driver.volumes == {}


async def test_an_attached_volume_is_not_deleted(api: MemoryApi) -> None:
    driver = ScriptedDriver()
    source = VolumeAttachmentSource(persistentVolumeName=VOLUME)
    spec = VolumeAttachmentSpec(attacher=NAME, nodeName="n1", source=source)
    api.add(volume(phase="Released"), VolumeAttachment(metadata=ObjectMeta(name="va"), spec=spec))
    async with running_loops(api.client(), *loops(driver)) as manager:
        await asyncio.sleep(60)
        await manager.loops[1].ctx.recorder.flush()
        assert driver.of("DeleteVolume") == []
        assert ("VolumeFailedDelete", f"persistentvolume {VOLUME} is still attached to node n1") in events(api)
        api.remove(VolumeAttachment, "va")
        await eventually(lambda: api.find(core.PersistentVolume, VOLUME) is None)


async def test_a_volume_is_not_deleted_because_it_cannot_be_saved(api: MemoryApi) -> None:
    driver = ScriptedDriver()
    api.add(storage_class(), claim())
    api.faults.fail("create persistentvolumes", ServiceUnavailable("away"), times=5)
    async with running_loops(api.client(), *loops(driver)):
        await eventually(lambda: is_provisioned(api))
    assert driver.of("DeleteVolume") == []


async def test_bad_parameters_are_told_and_do_not_hold_the_claim(api: MemoryApi) -> None:
    driver = ScriptedDriver()
    api.add(storage_class(parameters={"csi.storage.k8s.io/unheard-of": "x"}), claim())
    async with running_loops(api.client(), *loops(driver)) as manager:
        await asyncio.sleep(5)
        await manager.loops[0].ctx.recorder.flush()
    assert any("unknown parameter key" in message for reason, message in events(api) if reason == "ProvisioningFailed")
    assert api.get(core.PersistentVolumeClaim, "data", "default").metadata.finalizers == []
    assert driver.calls == []


async def test_a_released_volume_is_deleted(api: MemoryApi) -> None:
    driver = ScriptedDriver()
    driver.volumes[f"id-{VOLUME}"] = pb.Volume(volume_id=f"id-{VOLUME}")
    driver.fail("DeleteVolume", Failed("in use"), times=3)
    api.add(volume(phase="Released"))
    async with running_loops(api.client(), *loops(driver)) as manager:
        await eventually(lambda: api.find(core.PersistentVolume, VOLUME) is None)
        await manager.loops[1].ctx.recorder.flush()
    assert driver.volumes == {}
    assert ("VolumeFailedDelete", "rpc error: code = Internal desc = in use") in events(api)


async def test_a_node_deletes_only_volumes_that_it_can_reach(api: MemoryApi) -> None:
    driver = ScriptedDriver()
    zones = {name: affinity_of([pb.Topology(segments={"zone": zone})]) for name, zone in (("here", "a"), ("there", "b"))}
    released = [volume(name, phase="Released", nodeAffinity=affinity) for name, affinity in zones.items()]
    api.add(core.Node(metadata=ObjectMeta(name="n1", labels={"zone": "a"})), *released, volume("anywhere", phase="Released"))
    async with running_loops(api.client(), *loops(driver, ProvisionSettings(node="n1"))):
        await eventually(lambda: api.find(core.PersistentVolume, "here") is None)
        await asyncio.sleep(60)
    assert [one.volume_id for one in driver.of("DeleteVolume")] == ["id-here"]
    assert {one.metadata.name for one in api.list(core.PersistentVolume)} == {"there", "anywhere"}


@pytest.mark.parametrize(("policy", "phase"), [("Retain", "Released"), ("Delete", "Bound"), ("Delete", "Failed")])
async def test_other_volumes_stay(api: MemoryApi, policy: str, phase: str) -> None:
    driver = ScriptedDriver()
    api.add(volume(phase=phase, policy=policy))
    async with running_loops(api.client(), *loops(driver)):
        await asyncio.sleep(60)
    assert driver.calls == []
    assert (PV_FINALIZER in api.get(core.PersistentVolume, VOLUME).metadata.finalizers) == (policy == "Delete")


async def test_a_phase_alone_deletes_nothing(api: MemoryApi) -> None:
    driver = ScriptedDriver()
    api.add(claim(volume=VOLUME), volume(phase="Released"))
    async with running_loops(api.client(), *loops(driver)):
        await asyncio.sleep(60)
    assert driver.calls == []


async def test_no_crash_leaks_a_volume_whose_claim_is_deleted() -> None:
    """After each write the process dies and the claim is deleted: in the end there is neither a claim nor a volume."""
    drivers: list[ScriptedDriver] = []
    runs = 0

    async def prepare(api: MemoryApi) -> None:
        nonlocal runs
        runs = 0
        drivers.append(ScriptedDriver())
        api.add(storage_class(), claim())

    async def run(client: Client) -> None:
        nonlocal runs
        runs += 1
        if runs > 1:
            await client.delete(core.PersistentVolumeClaim, "data", "default")
            await asyncio.sleep(0)
        await asyncio.gather(run_loops(client, *loops(drivers[-1])), release(client))

    async def release(client: Client) -> None:
        """Do the parts of others: a volume whose claim is gone is released, and loses its protection."""
        while True:
            await asyncio.sleep(1)
            for one in (await client.list(core.PersistentVolume)).items:
                claims = (await client.list(core.PersistentVolumeClaim, "default")).items
                if not claims and one.status.phase != "Released":
                    one.status.phase = "Released"
                    one = await client.update_status(one)
                if one.metadata.deletionTimestamp is not None:
                    await remove_finalizer(client, one, "kubernetes.io/pv-protection")

    def check(api: MemoryApi) -> bool:
        if runs == 1:
            return is_provisioned(api)
        return not api.list(core.PersistentVolumeClaim) and not api.list(core.PersistentVolume) and not drivers[-1].volumes

    crashes = await crash_between_writes(prepare=prepare, run=run, check=check)
    assert crashes >= 3


async def test_a_crash_between_any_two_steps_makes_one_volume() -> None:
    drivers: list[ScriptedDriver] = []

    async def prepare(api: MemoryApi) -> None:
        drivers.append(ScriptedDriver())
        api.add(storage_class(), claim())

    def check(api: MemoryApi) -> bool:
        return is_provisioned(api) and list(drivers[-1].volumes) == [f"id-{VOLUME}"] and not drivers[-1].of("DeleteVolume")

    crashes = await crash_between_writes(prepare=prepare, run=lambda client: run_loops(client, *loops(drivers[-1])), check=check)
    assert crashes >= 3


async def test_a_crash_while_a_volume_is_deleted_leaves_nothing() -> None:
    drivers: list[ScriptedDriver] = []

    async def prepare(api: MemoryApi) -> None:
        drivers.append(ScriptedDriver())
        drivers[-1].volumes[f"id-{VOLUME}"] = pb.Volume(volume_id=f"id-{VOLUME}")
        api.add(volume(phase="Released"))

    def check(api: MemoryApi) -> bool:
        return not api.list(core.PersistentVolume) and not drivers[-1].volumes

    crashes = await crash_between_writes(prepare=prepare, run=lambda client: run_loops(client, *loops(drivers[-1])), check=check)
    assert crashes >= 2
