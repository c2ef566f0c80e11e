"""Persistent volumes of pods: order, sharing, failures, and kubelets that are killed between any two steps."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.node.volumes.disks import Disks, Hold, add_claim, add_node, claiming, failing, kubelet
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.core import v1 as core
from tiphys.node.volumes.payload import VolumeError
from tiphys.node.volumes.plugin import AttachLimitError, UncertainError
from tiphys.node.volumes.resolve import UnresolvedError
from tiphys.testing.eventually import eventually
from tiphys.testing.memory_api import MemoryApi

UNIQUE = "kubernetes.io/csi/disks^c"


@pytest.fixture
def disks(tmp_path: Path) -> Disks:
    return Disks(tmp_path)


def idle(disks: Disks) -> bool:
    return not disks.staged and not disks.published


def undoing(disks: Disks) -> list[str]:
    return [verb for verb in disks.calls if verb.startswith("un")]


def records(root: Path) -> list[Path]:
    """Return the records of mounts on the disk."""
    return list(root.rglob("*.json"))


def pretend(root: Path, **facts: str) -> None:
    """Change the records of mounts on the disk."""
    for path in records(root):
        path.write_bytes(msgspec.json.encode({**msgspec.json.decode(path.read_bytes()), **facts}))


async def test_two_pods_share_the_mount_of_the_node(api: MemoryApi, tmp_path: Path, disks: Disks) -> None:
    add_node(api)
    add_claim(api)
    one, two = claiming(uid="u1"), claiming(uid="u2")
    async with kubelet(api, tmp_path, disks) as node:
        paths = await asyncio.gather(*(node.volumes.set_up(pod, pod.spec.volumes) for pod in (one, two)))
        assert [str(each["data"].relative_to(tmp_path)) for each in paths] == [
            f"pods/{uid}/volumes/kubernetes.io~csi/pv-c/mount" for uid in ("u1", "u2")
        ]
        assert sorted(disks.calls) == ["publish", "publish", "stage"]
        await node.volumes.set_up(one, one.spec.volumes)
        assert len(disks.calls) == 3, "what is mounted is left alone"
        await node.volumes.tear_down("u1")
        assert disks.staged == {UNIQUE}
        await node.volumes.tear_down("u2")
        await eventually(lambda: idle(disks))
        assert disks.calls[-2:] == ["unpublish", "unstage"]
        assert not records(tmp_path)


async def test_mounted_volumes_need_no_api(api: MemoryApi, tmp_path: Path, disks: Disks) -> None:
    add_node(api)
    add_claim(api)
    pod = claiming()
    async with kubelet(api, tmp_path, disks) as node:
        await node.volumes.set_up(pod, pod.spec.volumes)
    api.remove(core.PersistentVolumeClaim, "c", "default")
    api.remove(core.PersistentVolume, "pv-c")
    async with kubelet(api, tmp_path, disks) as node:
        assert await node.volumes.set_up(pod, pod.spec.volumes)
        assert disks.calls == ["stage", "publish"]
        await node.volumes.tear_down("u1")
        await eventually(lambda: idle(disks))


async def test_everything_is_mounted_again_after_a_reboot(api: MemoryApi, tmp_path: Path, disks: Disks) -> None:
    add_node(api)
    add_claim(api)
    pod = claiming()
    async with kubelet(api, tmp_path, disks) as node:
        await node.volumes.set_up(pod, pod.spec.volumes)
    disks.staged.clear()
    disks.published.clear()
    pretend(tmp_path, boot="before")
    async with kubelet(api, tmp_path, disks) as node:
        await node.volumes.set_up(pod, pod.spec.volumes)
        assert disks.published == {(UNIQUE, "u1")}


@pytest.mark.parametrize("point", ["place", "nowhere/place"])
async def test_mounts_that_are_gone_are_made_again(api: MemoryApi, tmp_path: Path, disks: Disks, point: str) -> None:
    """They go without a boot when the kubelet's own container ends."""
    add_node(api)
    add_claim(api)
    pod = claiming()
    (tmp_path / "place").mkdir()
    async with kubelet(api, tmp_path, disks) as node:
        await node.volumes.set_up(pod, pod.spec.volumes)
    pretend(tmp_path, point=str(tmp_path / point))
    async with kubelet(api, tmp_path, disks) as node:
        await node.volumes.set_up(pod, pod.spec.volumes)
        assert disks.calls == ["stage", "publish"] * 2


async def test_a_volume_is_named_as_in_use_before_it_is_mounted_and_until_it_is_unmounted(
    api: MemoryApi, tmp_path: Path, disks: Disks
) -> None:
    add_node(api)
    add_claim(api)
    disks.attaches = True
    pod = claiming()
    async with kubelet(api, tmp_path, disks) as node:
        in_use = node.volumes.in_use
        task = asyncio.create_task(node.volumes.set_up(pod, pod.spec.volumes))
        await eventually(lambda: in_use.names() == [UNIQUE])
        add_node(api, volumesInUse=[UNIQUE])
        in_use.reported([UNIQUE])
        await eventually(lambda: (shown := in_use.node()) is not None and shown.status.volumesInUse == [UNIQUE])
        assert not disks.calls, "not attached yet"
        add_node(api, volumesInUse=[UNIQUE], volumesAttached=[{"name": UNIQUE, "devicePath": "/dev/x"}])
        await task
        device = node.volumes.records.device(UNIQUE)
        assert device is not None
        assert (device.record.attachable, device.record.device_path) == (True, "/dev/x")
    async with kubelet(api, tmp_path, disks) as node:
        await node.volumes.records.load()
        assert node.volumes.in_use.names() == [UNIQUE], "a new kubelet knows it from the disk"
        disks.keeps_attached = False
        assert node.volumes.in_use.names() == [], "its driver attaches nothing any more"
        disks.keeps_attached = True
        disks.on_call = hold = Hold("before unstage")
        await node.volumes.tear_down("u1")
        await hold.reached.wait()
        assert node.volumes.in_use.names() == [UNIQUE]
        hold.release.set()
        await eventually(lambda: node.volumes.in_use.names() == [])


async def test_a_volume_whose_driver_stops_attaching_is_in_use_no_more(api: MemoryApi, tmp_path: Path, disks: Disks) -> None:
    add_node(api)
    add_claim(api)
    disks.attaches = True
    pod = claiming()
    async with kubelet(api, tmp_path, disks) as node:
        waiting = asyncio.create_task(node.volumes.set_up(pod, pod.spec.volumes))
        await eventually(lambda: node.volumes.in_use.names() == [UNIQUE])
        await cancel_and_wait(waiting)
        disks.attaches = False
        await node.volumes.set_up(pod, pod.spec.volumes)
        assert disks.published == {(UNIQUE, "u1")}
        assert node.volumes.in_use.names() == []


async def test_a_status_from_before_does_not_count(api: MemoryApi, tmp_path: Path, disks: Disks) -> None:
    """The last pod is gone and the next one comes before the status is written: the volume is about to be detached."""
    add_node(api, volumesInUse=[UNIQUE], volumesAttached=[{"name": UNIQUE, "devicePath": "/dev/x"}])
    add_claim(api)
    disks.attaches = True
    pod = claiming()
    async with kubelet(api, tmp_path, disks) as node:
        node.volumes.in_use.reported([UNIQUE])
        task = asyncio.create_task(node.volumes.set_up(pod, pod.spec.volumes))
        await eventually(lambda: node.volumes.in_use.names() == [UNIQUE])
        node.volumes.in_use.reported([])
        add_node(api)
        await eventually(lambda: (shown := node.volumes.in_use.node()) is not None and not shown.status.volumesAttached)
        assert not disks.calls
        node.volumes.in_use.reported([UNIQUE])
        add_node(api, volumesInUse=[UNIQUE], volumesAttached=[{"name": UNIQUE, "devicePath": "/dev/y"}])
        await task
        device = node.volumes.records.device(UNIQUE)
        assert device is not None
        assert device.record.device_path == "/dev/y"


async def test_an_attached_volume_without_a_mount_of_the_node_is_in_use_all_the_same(
    api: MemoryApi, tmp_path: Path, disks: Disks, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none(*arguments: Any) -> None:
        return None

    monkeypatch.setattr(disks, "device_record", none)
    disks.attaches = True
    disks.staged.add(UNIQUE)
    add_node(api, volumesInUse=[UNIQUE], volumesAttached=[{"name": UNIQUE, "devicePath": ""}])
    add_claim(api)
    pod = claiming()
    async with kubelet(api, tmp_path, disks) as node:
        node.volumes.in_use.hurry = lambda: node.volumes.in_use.reported(node.volumes.in_use.names())
        await node.volumes.set_up(pod, pod.spec.volumes)
    async with kubelet(api, tmp_path, disks) as node:
        await node.volumes.records.load()
        assert node.volumes.in_use.names() == [UNIQUE]
        await node.volumes.tear_down("u1")
        await eventually(lambda: node.volumes.in_use.names() == [])
        assert disks.calls == ["publish", "unpublish"]


async def test_a_pod_that_waits_too_long_says_for_what(api: MemoryApi, tmp_path: Path, disks: Disks) -> None:
    add_node(api)
    add_claim(api)
    disks.attaches = True
    pod = claiming()
    async with kubelet(api, tmp_path, disks) as node:
        node.volumes.patience = 0.05
        text = (
            r"Unable to attach or mount volumes: unmounted volumes=\[data\], unattached volumes=\[data\], "
            r"failed to process volumes=\[\]: context deadline exceeded"
        )
        with pytest.raises(VolumeError, match=text):
            await node.volumes.set_up(pod, pod.spec.volumes)
        await node.volumes.tear_down("u1")
        assert node.volumes.in_use.names() == []


async def test_a_pod_fails_whose_volume_the_node_has_no_room_for(api: MemoryApi, tmp_path: Path, disks: Disks) -> None:
    add_node(api)
    add_claim(api)
    disks.attaches = disks.full = True
    pod = claiming()
    async with kubelet(api, tmp_path, disks) as node:
        node.volumes.patience = 0.05
        with pytest.raises(AttachLimitError, match=r"unattached volumes=\[data\]"):
            await node.volumes.set_up(pod, pod.spec.volumes)
        disks.attaches = False
        disks.on_call = failing(VolumeError("no such disk"), "before stage", times=99)
        with pytest.raises(VolumeError) as failure:
            await node.volumes.set_up(pod, pod.spec.volumes)
        assert not isinstance(failure.value, AttachLimitError), "only what waits for its attachment can lack room"


async def test_failures_are_told_and_tried_again(api: MemoryApi, tmp_path: Path, disks: Disks) -> None:
    add_node(api)
    add_claim(api)
    disks.on_call = failing(VolumeError("no such disk"), "before stage", times=3)
    pod = claiming()
    async with kubelet(api, tmp_path, disks) as node:
        await node.volumes.set_up(pod, pod.spec.volumes)
        assert node.events == [("FailedMount", 'MountVolume.MountDevice failed for volume "pv-c" : no such disk')] * 3
        assert disks.calls == ["stage"] * 4 + ["publish"]


@pytest.mark.parametrize(
    ("error", "step", "undone"),
    [
        (VolumeError("no"), "before stage", []),
        (VolumeError("no"), "before publish", ["unstage"]),
        (UncertainError("no answer"), "after stage", ["unstage"]),
        (UncertainError("no answer"), "after publish", ["unpublish", "unstage"]),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_only_steps_that_may_have_happened_are_undone(
    api: MemoryApi, tmp_path: Path, disks: Disks, error: VolumeError, step: str, undone: list[str]
) -> None:
    add_node(api)
    add_claim(api)
    disks.on_call = failing(error, step, times=99)
    pod = claiming()
    async with kubelet(api, tmp_path, disks) as node:
        node.volumes.patience = 0.05
        with pytest.raises(VolumeError):
            await node.volumes.set_up(pod, pod.spec.volumes)
        disks.calls.clear()
        await node.volumes.tear_down("u1")
        await eventually(lambda: not records(tmp_path))
        assert undoing(disks) == undone
        assert idle(disks)


async def test_a_pod_that_is_deleted_while_its_volume_is_mounted_leaves_nothing(api: MemoryApi, tmp_path: Path, disks: Disks) -> None:
    add_node(api)
    add_claim(api)
    disks.on_call = hold = Hold("before stage")
    pod = claiming()
    async with kubelet(api, tmp_path, disks) as node:
        task = asyncio.create_task(node.volumes.set_up(pod, pod.spec.volumes))
        await hold.reached.wait()
        await cancel_and_wait(task)
        ending = asyncio.create_task(node.volumes.tear_down("u1"))
        await eventually(lambda: node.volumes.exclusive._interested[UNIQUE] == 2)
        hold.release.set()
        await ending
        await eventually(lambda: disks.calls == ["stage", "publish", "unpublish", "unstage"])
        await eventually(lambda: idle(disks))


async def test_a_pod_that_comes_while_the_last_one_goes_keeps_the_mount_of_the_node(api: MemoryApi, tmp_path: Path, disks: Disks) -> None:
    add_node(api)
    add_claim(api)
    disks.on_call = hold = Hold("before unpublish")
    one, two = claiming(uid="u1"), claiming(uid="u2")
    async with kubelet(api, tmp_path, disks) as node:
        await node.volumes.set_up(one, one.spec.volumes)
        ending = asyncio.create_task(node.volumes.tear_down("u1"))
        await hold.reached.wait()
        coming = asyncio.create_task(node.volumes.set_up(two, two.spec.volumes))
        await eventually(lambda: node.volumes.exclusive._interested[UNIQUE] == 2)
        hold.release.set()
        await asyncio.gather(ending, coming)
        await eventually(lambda: not node.volumes._tasks)
        assert (disks.staged, disks.published) == ({UNIQUE}, {(UNIQUE, "u2")})
        assert "unstage" not in disks.calls


async def test_a_volume_that_may_be_half_unmounted_is_mounted_anew(api: MemoryApi, tmp_path: Path, disks: Disks) -> None:
    add_node(api)
    add_claim(api)
    one, two = claiming(uid="u1"), claiming(uid="u2")
    async with kubelet(api, tmp_path, disks) as node:
        await node.volumes.set_up(one, one.spec.volumes)
        disks.on_call = failing(VolumeError("busy"), "before unstage")
        await node.volumes.tear_down("u1")
        await eventually(lambda: not node.volumes._tasks)
        assert disks.calls.count("unstage") == 1
        await node.volumes.set_up(two, two.spec.volumes)
        assert disks.calls.count("stage") == 2
        await node.volumes.tear_down("u2")
        await eventually(lambda: not disks.staged)


async def test_a_volume_that_a_pod_waits_for_is_not_given_back_between_attempts(api: MemoryApi, tmp_path: Path, disks: Disks) -> None:
    add_node(api)
    add_claim(api)
    pod = claiming()
    disks.on_call = failing(UncertainError("too slow"), "after stage")
    async with kubelet(api, tmp_path, disks) as node:
        node.volumes.first_pause = 30
        coming = asyncio.create_task(node.volumes.set_up(pod, pod.spec.volumes))
        await eventually(lambda: node.events)
        await node.volumes.release_idle()
        assert disks.calls == ["stage"]
        await cancel_and_wait(coming)
        await node.volumes.tear_down("u1")
        await eventually(lambda: not disks.staged)


async def test_a_volume_that_does_not_unmount_is_kept_in_the_books(api: MemoryApi, tmp_path: Path, disks: Disks) -> None:
    add_node(api)
    add_claim(api)
    pod = claiming()
    async with kubelet(api, tmp_path, disks) as node:
        await node.volumes.set_up(pod, pod.spec.volumes)
        disks.on_call = failing(VolumeError("busy"), "before unpublish")
        with pytest.raises(VolumeError, match=r'UnmountVolume\.TearDown failed for volume "data" : busy'):
            await node.volumes.tear_down("u1")
        assert disks.staged
        disks.on_call = failing(VolumeError("busy"), "before unstage")
        await node.volumes.tear_down("u1")
        await eventually(lambda: disks.calls[-1] == "unstage")
        assert disks.staged, "the pod is gone, the volume is not"
        await node.volumes.release_idle()
        assert idle(disks)


async def test_one_pod_may_have_it(api: MemoryApi, tmp_path: Path, disks: Disks) -> None:
    add_node(api)
    add_claim(api, modes=("ReadWriteOncePod",))
    one, two = claiming(uid="u1"), claiming(uid="u2")
    async with kubelet(api, tmp_path, disks) as node:
        await node.volumes.set_up(one, one.spec.volumes)
        node.volumes.patience = 0.05
        with pytest.raises(VolumeError):
            await node.volumes.set_up(two, two.spec.volumes)
        why = "volume uses the ReadWriteOncePod access mode and is already in use by another pod"
        assert ("FailedMount", f'MountVolume.SetUp failed for volume "pv-c" : {why}') in node.events
        await node.volumes.tear_down("u1")
        node.volumes.patience = 5
        await node.volumes.set_up(two, two.spec.volumes)


async def test_a_driver_that_is_not_there_leaves_no_trace(api: MemoryApi, tmp_path: Path, disks: Disks) -> None:
    add_node(api)
    add_claim(api)
    pod = claiming()
    async with kubelet(api, tmp_path, disks) as node:
        node.volumes.plugins.remove(disks)
        with pytest.raises(VolumeError, match="no volume plugin matched") as caught:
            await node.volumes.set_up(pod, pod.spec.volumes)
        assert not isinstance(caught.value, UnresolvedError)
        assert not records(tmp_path)
        await node.volumes.tear_down("u1")


async def test_a_missing_claim_does_not_hold_the_others_up(api: MemoryApi, tmp_path: Path, disks: Disks) -> None:
    add_node(api)
    add_claim(api)
    pod = claiming()
    pod.spec.volumes.append(msgspec.convert({"name": "more", "persistentVolumeClaim": {"claimName": "none"}}, core.Volume))
    async with kubelet(api, tmp_path, disks) as node:
        text = r"unmounted volumes=\[more\], unattached volumes=\[\], failed to process volumes=\[more\]: error processing PVC default/none"
        with pytest.raises(UnresolvedError, match=text):
            await node.volumes.set_up(pod, pod.spec.volumes)
        assert disks.published == {(UNIQUE, "u1")}


STEPS = [f"{when} {verb}" for verb in ("stage", "publish", "expand", "unpublish", "unstage") for when in ("before", "after")]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("known", [True, False], ids=["pod goes on", "pod is deleted meanwhile"])
async def test_a_kubelet_that_is_killed_leaves_nothing_behind(api: MemoryApi, tmp_path: Path, disks: Disks, step: str, known: bool) -> None:
    """Kill it at every step of the life of a volume; the next one goes on with the pod, or finds it deleted."""
    add_node(api)
    add_claim(api, capacity={"storage": "2Gi"}, claim={"status": {"allocatedResourceStatuses": {"storage": "NodeResizePending"}}})
    disks.on_call = hold = Hold(step)
    pod = claiming()

    async def live() -> None:
        await node.volumes.set_up(pod, pod.spec.volumes)
        await node.volumes.tear_down("u1")

    async with kubelet(api, tmp_path, disks) as node:
        task = asyncio.create_task(live())
        await hold.reached.wait()
        await cancel_and_wait(task)
        await node.volumes.close()
    disks.on_call = failing(VolumeError("never"), "nothing")
    async with kubelet(api, tmp_path, disks) as node:
        if known and "un" not in step:
            await node.volumes.set_up(pod, pod.spec.volumes)
            assert (disks.staged, disks.published) == ({UNIQUE}, {(UNIQUE, "u1")})
            assert disks.sizes == {UNIQUE: 2 << 30}
            claim = api.get(core.PersistentVolumeClaim, "c", "default")
            assert claim.status.capacity["storage"] == "2Gi"
        else:
            api.remove(core.PersistentVolumeClaim, "c", "default")
            api.remove(core.PersistentVolume, "pv-c")
        await node.volumes.tear_down("u1")
        await node.volumes.release_idle()
        assert idle(disks)
        assert not records(tmp_path)
