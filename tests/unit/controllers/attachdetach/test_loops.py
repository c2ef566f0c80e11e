"""The loops that attach and detach volumes, with a driver and kubelets played by the tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from tests.unit.controllers.attachdetach.make import (
    DRIVER,
    FINALIZER,
    attach_all,
    attachment,
    attachment_of,
    bound,
    node,
    volume_name,
    whole_pod,
)
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import KubeObject, ObjectMeta, OwnerReference
from tiphys.api.storage.v1 import CSIDriver, CSIDriverSpec, VolumeAttachment, VolumeError
from tiphys.controllers.attachdetach.controller import VolumeAttachController
from tiphys.controllers.attachdetach.detach import FORCED, VolumeDetachController
from tiphys.controllers.attachdetach.settings import AttachDetachSettings
from tiphys.obs.metrics import REGISTRY
from tiphys.runtime import Controller
from tiphys.testing import eventually
from tiphys.testing.loops import running_loops
from tiphys.testing.memory_api import MemoryApi

pytestmark = pytest.mark.looptime


def loops(settings: AttachDetachSettings | None = None) -> Sequence[Callable[[], Controller]]:
    return (VolumeAttachController, lambda: VolumeDetachController(settings or AttachDetachSettings()))


def names(api: MemoryApi) -> list[str]:
    return sorted(one.spec.nodeName for one in api.list(VolumeAttachment) if one.metadata.deletionTimestamp is None)


def all_names(api: MemoryApi) -> list[str]:
    return sorted(one.spec.nodeName for one in api.list(VolumeAttachment))


def reported(api: MemoryApi, name: str) -> list[str]:
    return [one.name for one in api.get(core.Node, name).status.volumesAttached]


def messages(api: MemoryApi, reason: str) -> list[str]:
    return [f"{one.involvedObject.name}: {one.message}" for one in api.list(core.Event) if one.reason == reason]


def write(api: MemoryApi, name: str, *, in_use: Sequence[str] | None = None, ready: str = "", out_of_service: bool = False) -> None:
    """Change a node as its kubelet, the node's loop or a user does."""
    known = api.get(core.Node, name)
    known.status.volumesInUse = known.status.volumesInUse if in_use is None else list(in_use)
    if ready:
        known.status.conditions = [core.NodeCondition(type="Ready", status=ready)]
    if out_of_service:
        known.spec.taints = node(name, out_of_service=True).spec.taints
    api.add(known)


async def stays(api: MemoryApi, nodes: list[str], seconds: float) -> None:
    for _ in range(10):
        await api.clock.sleep(seconds / 10)
        assert names(api) == nodes


async def test_a_volume_follows_its_pod(api: MemoryApi) -> None:
    api.add(node("a"), node("b"), *bound(), whole_pod("p", "a"))
    async with running_loops(api.client(), *loops()):
        await eventually(lambda: names(api) == ["a"])
        created = api.get(VolumeAttachment, attachment_of("a"))
        assert (created.spec.attacher, created.spec.source.persistentVolumeName) == (DRIVER, "pv-1")
        await asyncio.sleep(10)
        assert reported(api, "a") == []
        attach_all(api)
        await eventually(lambda: reported(api, "a") == [volume_name()])
        write(api, "a", in_use=[volume_name()])

        api.remove(core.Pod, "p", "default")
        api.add(whole_pod("q", "b"))
        await stays(api, ["a"], 1000)
        assert reported(api, "a") == [volume_name()], "it is still mounted"
        exclusively = "Volume is already exclusively attached to one node and can't be attached to another"
        assert messages(api, "FailedAttachVolume") == [f'q: Multi-Attach error for volume "pv-1" {exclusively}']

        write(api, "a", in_use=[])
        await eventually(lambda: names(api) == [])
        assert reported(api, "a") == []
        await asyncio.sleep(10)
        assert all_names(api) == ["a"], "the driver has yet to detach it"
        attach_all(api)
        await eventually(lambda: names(api) == ["b"])
        attach_all(api)
        await eventually(lambda: reported(api, "b") == [volume_name()])
        await eventually(lambda: len(messages(api, "SuccessfulAttachVolume")) == 2)
        assert messages(api, "SuccessfulAttachVolume")[0] == 'p: AttachVolume.Attach succeeded for volume "pv-1" '


async def test_the_report_ends_before_the_attachment_does(api: MemoryApi) -> None:
    api.add(node("a", attached=[volume_name()]), *bound(), attachment("a"))
    async with running_loops(api.client(), *loops()):
        await eventually(lambda: names(api) == [])
    writes = [str(call) for call in api.writes() if call.resource != "events"]
    assert writes == ["patch nodes/status a", f"delete volumeattachments {attachment_of('a')}"]


async def test_a_volume_in_use_is_left_although_the_cache_does_not_know(api: MemoryApi) -> None:
    api.add(node("a"), *bound(), attachment("a", attached=False), whole_pod("p", "a"))
    async with running_loops(api.client(), *loops()):
        with api.faults.hold_events("watch nodes"):
            write(api, "a", in_use=[volume_name()])
            api.remove(core.Pod, "p", "default")
            await stays(api, ["a"], 20)
        await stays(api, ["a"], 100)


async def test_a_pod_that_the_cache_does_not_know_keeps_its_volume(api: MemoryApi) -> None:
    api.add(node("a"), *bound())
    async with running_loops(api.client(), *loops()):
        with api.faults.hold_events("watch pods"):
            api.add(whole_pod("p", "a"))
            api.add(attachment("a", attached=False))
            await stays(api, ["a"], 20)
        await stays(api, ["a"], 20)


@pytest.mark.parametrize("change", ["ended", "other driver", "no claim", "not managed", "no node", "not bound"])
async def test_pods_without_attachments(api: MemoryApi, change: str) -> None:
    objs: list[KubeObject] = [whole_pod("p", "a", phase="Succeeded" if change == "ended" else "Running")]
    volume, claim = bound()
    known = node("a")
    if change == "other driver":
        api.add(CSIDriver(metadata=ObjectMeta(name=DRIVER), spec=CSIDriverSpec(attachRequired=False)))
    if change == "not managed":
        known.metadata.annotations = {}
    if change == "not bound":
        claim.metadata.uid = "another"
    api.add(volume, *([] if change == "no claim" else [claim]), *([] if change == "no node" else [known]), *objs)
    async with running_loops(api.client(), *loops()):
        await stays(api, [], 30)


async def test_drivers_and_nodes_may_come_later(api: MemoryApi) -> None:
    driver = CSIDriver(metadata=ObjectMeta(name=DRIVER), spec=CSIDriverSpec(attachRequired=False))
    late = node("b")
    late.metadata.annotations = {}
    api.add(driver, node("a"), late, *bound(), *bound(2), whole_pod("p", "a"), whole_pod("q", "b", 2))
    async with running_loops(api.client(), *loops()):
        await stays(api, [], 10)
        api.add(CSIDriver(metadata=ObjectMeta(name=DRIVER), spec=CSIDriverSpec(attachRequired=True)))
        await eventually(lambda: names(api) == ["a"])
        api.add(node("b"))
        await eventually(lambda: names(api) == ["a", "b"])


async def test_claims_made_for_a_pod(api: MemoryApi) -> None:
    volume, claim = bound()
    claim.metadata.name = "p-data"
    assert isinstance(volume, core.PersistentVolume)
    assert volume.spec.claimRef is not None
    volume.spec.claimRef.name = "p-data"
    pod = whole_pod("p", "a", uid="uid-p")
    template = core.PersistentVolumeClaimTemplate(spec=core.PersistentVolumeClaimSpec(accessModes=["ReadWriteOnce"]))
    pod.spec.volumes = [core.Volume(name="data", ephemeral=core.EphemeralVolumeSource(volumeClaimTemplate=template))]
    api.add(node("a"), volume, claim, pod)
    async with running_loops(api.client(), *loops()):
        await stays(api, [], 10)
        claim.metadata.ownerReferences = [OwnerReference(apiVersion="v1", kind="Pod", name="p", uid="uid-p", controller=True)]
        claim.metadata.uid = "claim-1"
        api.remove(core.PersistentVolumeClaim, "p-data", "default")
        api.add(claim)
        await eventually(lambda: names(api) == ["a"])


async def test_shared_volumes_are_attached_everywhere(api: MemoryApi) -> None:
    api.add(node("a"), node("b"), *bound(modes=("ReadWriteMany",)), whole_pod("p", "a"), whole_pod("q", "b"))
    async with running_loops(api.client(), *loops()):
        await eventually(lambda: names(api) == ["a", "b"])


async def test_pods_that_share_an_exclusive_volume_are_told(api: MemoryApi) -> None:
    api.add(node("a"), node("b"), *bound(), whole_pod("p", "a"))
    async with running_loops(api.client(), *loops()):
        await eventually(lambda: names(api) == ["a"])
        api.add(whole_pod("q", "b"))
        await eventually(lambda: messages(api, "FailedAttachVolume") != [])
        await stays(api, ["a"], 100)
    assert messages(api, "FailedAttachVolume") == ['q: Multi-Attach error for volume "pv-1" Volume is already used by pod(s) p']


async def test_errors_of_the_driver_are_told(api: MemoryApi) -> None:
    api.add(node("a"), node("b"), *bound(), whole_pod("p", "a"))
    async with running_loops(api.client(), *loops()):
        await eventually(lambda: names(api) == ["a"])
        failed = api.get(VolumeAttachment, attachment_of("a"))
        failed.status.attachError = VolumeError(message="no such disk")
        failed.metadata.finalizers = [FINALIZER]
        api.add(failed)
        await eventually(lambda: messages(api, "FailedAttachVolume") != [])
        assert messages(api, "FailedAttachVolume") == ['p: AttachVolume.Attach failed for volume "pv-1" : no such disk']
        assert reported(api, "a") == []
        api.remove(core.Pod, "p", "default")
        await eventually(lambda: names(api) == [])
        api.add(whole_pod("q", "b"))
        stuck = api.get(VolumeAttachment, attachment_of("a"))
        stuck.status.detachError = VolumeError(message="disk is busy")
        api.add(stuck)
        await eventually(lambda: messages(api, "FailedDetachVolume") != [])
        await asyncio.sleep(100)
    assert messages(api, "FailedDetachVolume") == ['q: DetachVolume.Detach failed for volume "pv-1" : disk is busy']


async def test_pods_hear_of_an_attacher_that_is_silent(api: MemoryApi) -> None:
    api.add(node("a"), *bound(), whole_pod("p", "a"))
    async with running_loops(api.client(), *loops()):
        await eventually(lambda: names(api) == ["a"])
        await stays(api, ["a"], 110)
        assert messages(api, "FailedAttachVolume") == []
        await eventually(lambda: messages(api, "FailedAttachVolume") != [], timeout=20)
        attach_all(api)
        await stays(api, ["a"], 500)
    reason = f"timed out waiting for external-attacher of {DRIVER} CSI driver to attach volume"
    [message] = messages(api, "FailedAttachVolume")
    assert message.startswith(f'p: AttachVolume.Attach failed for volume "pv-1" : {reason} ')
    assert [one.count for one in api.list(core.Event) if one.reason == "FailedAttachVolume"] == [1]


async def test_an_unhealthy_node_loses_its_volumes_after_six_minutes(api: MemoryApi) -> None:
    before = FORCED.labels("timeout").value
    api.add(node("a", in_use=[volume_name()], attached=[volume_name()]), *bound(), attachment("a"))
    async with running_loops(api.client(), *loops()):
        await stays(api, ["a"], 1000)
        api.add(whole_pod("p", "a"))
        await asyncio.sleep(1)
        api.remove(core.Pod, "p", "default")
        await asyncio.sleep(1)
        write(api, "a", ready="Unknown")
        await stays(api, ["a"], 350)
        await eventually(lambda: names(api) == [], timeout=20)
    assert FORCED.labels("timeout").value == before + 1
    assert reported(api, "a") == []


async def test_force_can_be_ruled_out(api: MemoryApi) -> None:
    api.add(node("a", ready="Unknown", in_use=[volume_name()], attached=[volume_name()]), *bound(), attachment("a"))
    async with running_loops(api.client(), *loops(AttachDetachSettings(no_force_on_timeout=True, no_resync=True))):
        await stays(api, ["a"], 4000)
        write(api, "a", out_of_service=True)
        await eventually(lambda: names(api) == [])


async def test_a_node_out_of_service_loses_the_volumes_of_pods_that_end(api: MemoryApi) -> None:
    before = FORCED.labels("out-of-service").value
    api.add(node("a", ready="Unknown", in_use=[volume_name()], attached=[volume_name()]), *bound(), attachment("a"))
    api.add(whole_pod("p", "a", phase="Running"), node("b"), whole_pod("q", "b"))
    async with running_loops(api.client(), *loops()):
        write(api, "a", out_of_service=True)
        await stays(api, ["a"], 1000)
        await api.client().delete(core.Pod, "p", "default")
        await eventually(lambda: names(api) == [])
        attach_all(api)
        await eventually(lambda: names(api) == ["b"])
    assert FORCED.labels("out-of-service").value == before + 1


@pytest.mark.parametrize(("in_use", "wait"), [(True, 350.0), (False, 0.0)])
async def test_volumes_of_a_node_that_is_deleted(api: MemoryApi, in_use: bool, wait: float) -> None:
    use = [volume_name()] if in_use else []
    api.add(node("a", in_use=use, attached=[volume_name()]), *bound(), attachment("a"), whole_pod("p", "a"))
    async with running_loops(api.client(), *loops()):
        api.remove(core.Node, "a")
        await stays(api, ["a"], 1000)
        api.remove(core.Pod, "p", "default")
        await stays(api, ["a"], wait) if wait else None
        await eventually(lambda: names(api) == [], timeout=20)


async def test_attachments_that_nobody_remembers_are_deleted(api: MemoryApi) -> None:
    """A process that was killed left them: for a node that is gone, for a volume that is gone, and those that others made are left."""
    other = attachment("a", 3)
    other.metadata.name = "made-by-hand"
    api.add(node("a", attached=[volume_name(7)]), *bound(), *bound(3))
    api.add(attachment("gone"), attachment("a", 2, attached=False), other)
    async with running_loops(api.client(), *loops()):
        await eventually(lambda: names(api) == ["a", "gone"])
        await eventually(lambda: reported(api, "a") == [])
        await stays(api, ["a", "gone"], 350)
        await eventually(lambda: names(api) == ["a"], timeout=20)
        await stays(api, ["a"], 1000)
    assert [one.metadata.name for one in api.list(VolumeAttachment) if one.metadata.deletionTimestamp is None] == ["made-by-hand"]


async def test_an_attachment_of_a_volume_that_was_made_anew_counts(api: MemoryApi) -> None:
    left = attachment("a")
    left.spec.source.persistentVolumeName = "gone"
    api.add(node("a", in_use=[volume_name()]), node("b"), *bound(), left, whole_pod("p", "b"))
    async with running_loops(api.client(), *loops()):
        await stays(api, ["a"], 100)


async def test_a_creation_without_an_answer_is_not_forgotten(api: MemoryApi) -> None:
    api.add(node("a"), node("b"), *bound())
    async with running_loops(api.client(), *loops()):
        with api.faults.hold_events("watch volumeattachments"):
            with api.faults.lose_answers("create volumeattachments", times=1) as lost:
                api.add(whole_pod("p", "a"))
                await eventually(lambda: lost.count == 1)
                await eventually(lambda: names(api) == ["a"])
            api.remove(core.Pod, "p", "default")
            await asyncio.sleep(1)
            api.add(whole_pod("q", "b"))
            await stays(api, ["a"], 20)
        await eventually(lambda: names(api) != ["a"])
        attach_all(api)
        await eventually(lambda: names(api) == ["b"])


async def test_a_deletion_without_an_answer_is_not_reported_as_attached(api: MemoryApi) -> None:
    api.add(node("a", attached=[volume_name()]), *bound(), attachment("a"), whole_pod("p", "a"))
    async with running_loops(api.client(), *loops()):
        with api.faults.hold_events("watch volumeattachments"), api.faults.lose_answers("delete volumeattachments", times=None):
            api.remove(core.Pod, "p", "default")
            await eventually(lambda: names(api) == [])
            api.add(whole_pod("q", "a"))
            for _ in range(100):
                await asyncio.sleep(1)
                assert reported(api, "a") == []


async def test_heartbeats_wake_nobody(api: MemoryApi) -> None:
    api.add(node("a", in_use=[volume_name()], attached=[volume_name()]), *bound(), attachment("a"), whole_pod("p", "a"))
    async with running_loops(api.client(), *loops(AttachDetachSettings(no_resync=True))) as manager:
        await asyncio.sleep(1)
        reconciled: list[str] = []
        for loop in manager.loops:
            process = loop.process

            async def noted(key: object, process: Callable[..., object] = process) -> None:
                reconciled.append(str(key))
                await process(key)  # type: ignore[misc]

            loop.process = noted  # type: ignore[method-assign]
        for number in range(5):
            known = api.get(core.Node, "a")
            known.status.conditions[0].lastHeartbeatTime = api.clock.now().replace(microsecond=number)
            api.add(known)
            await asyncio.sleep(1)
        assert reconciled == []
        write(api, "a", in_use=[])
        await eventually(lambda: reconciled == ["a"])


async def test_metrics(api: MemoryApi) -> None:
    api.add(node("a"), *bound(), whole_pod("p", "a"), whole_pod("q", "a"))
    async with running_loops(api.client(), *loops()):
        await eventually(lambda: names(api) == ["a"])
        await asyncio.sleep(1)
        lines = set(REGISTRY.lines())
    plugin = f"kubernetes.io/csi:{DRIVER}"
    assert any(line.startswith(f'storage_count_attachable_volumes_in_use{{node="a",volume_plugin="{plugin}"}} 2') for line in lines)
    for state in ("desired_state_of_world", "actual_state_of_world"):
        assert any(line.startswith(f'attachdetach_controller_total_volumes{{plugin_name="{plugin}",state="{state}"}} 1') for line in lines)
