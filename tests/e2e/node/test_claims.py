"""Claims and persistent volumes inside real containers. The test binds them by hand: no controller runs here."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.e2e.node.cluster import Node, output
from tests.e2e.runtime.machine import Machine
from tiphys.api.core import v1 as core
from tiphys.api.helpers.attachments import attachment_name
from tiphys.api.machinery.base import Quantity
from tiphys.api.storage.v1 import CSIDriver, VolumeAttachment
from tiphys.node.volumes import mounts
from tiphys.node.volumes.local import HostPathPlugin
from tiphys.node.volumes.plugin import VolumeSpec
from tiphys.testing.eventually import eventually

SLEEP = ["sleep", "1000"]
ALWAYS = {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]}]}}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[str]:
    """A block device of 320 MB, the least that XFS takes."""
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(320 << 20)
    device = output("losetup", "--find", "--show", str(image)).strip()
    yield device
    # A node of the test's own directory has detached it already.
    subprocess.run(["losetup", "--detach", device], check=False, capture_output=True)


def head(path: str) -> bytes:
    """Return the first five bytes of a device."""
    with open(path, "rb") as file:
        return file.read(5)


def local(path: str | Path, **more: Any) -> dict[str, Any]:
    return {"local": {"path": str(path)}, "nodeAffinity": ALWAYS, **more}


def bind(
    node: Node, name: str, *, size: str = "64Mi", bound: bool = True, modes: tuple[str, ...] = ("ReadWriteOnce",), **spec: Any
) -> None:
    """Create the claim `name` and the volume `pv-<name>`, bound to each other."""
    mode = spec.get("volumeMode", "Filesystem")
    common = {"accessModes": list(modes), "volumeMode": mode}
    status = {"phase": "Bound", "capacity": {"storage": size}} if bound else {"phase": "Pending"}
    claim = {
        "metadata": {"name": name, "namespace": "default", "finalizers": ["kubernetes.io/pvc-protection"]},
        "spec": {**common, "volumeName": f"pv-{name}", "resources": {"requests": {"storage": size}}},
        "status": status,
    }
    node.api.add(msgspec.convert(claim, core.PersistentVolumeClaim))
    uid = node.api.get(core.PersistentVolumeClaim, name, "default").metadata.uid
    reference = {"kind": "PersistentVolumeClaim", "namespace": "default", "name": name, "uid": uid}
    pv = {
        "metadata": {"name": f"pv-{name}", **spec.pop("metadata", {})},
        "spec": {**common, "capacity": {"storage": size}, "claimRef": reference, **spec},
        "status": {"phase": "Bound"},
    }
    node.api.add(msgspec.convert(pv, core.PersistentVolume))


def claimed(name: str, **more: Any) -> dict[str, Any]:
    return {"name": "data", "persistentVolumeClaim": {"claimName": name, **more}}


def user(**more: Any) -> dict[str, Any]:
    return {"command": SLEEP, "volumeMounts": [{"name": "data", "mountPath": "/data", **more}]}


async def gone(node: Node, pod: str) -> None:
    node.api.remove(core.Pod, pod, "default")

    def nothing() -> bool:
        return not (node.directory / "node" / "pods").exists() or not list((node.directory / "node" / "pods").iterdir())

    await eventually(nothing, timeout=20)


async def test_files_of_a_claim_outlive_pods(node: Node, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / "sub").mkdir()
    bind(node, "c", **local(store))
    await node.run("web", user(), volumes=[claimed("c")], securityContext={"fsGroup": 3456})
    await node.ready()
    await node.exec("sh", "-c", "echo 1 > /data/f")
    assert (await node.exec("stat", "-c", "%g %a", "/data", "/data/f")).splitlines()[0] == "3456 2775"
    await gone(node, "web")
    assert (store / "f").read_text() == "1\n"
    container = user(readOnly=False)
    container["volumeMounts"].append({"name": "data", "mountPath": "/sub", "subPath": "sub"})
    await node.run("again", container, volumes=[claimed("c", readOnly=True)])
    await node.ready("again")
    assert await node.exec("cat", "/data/f", pod="again") == "1\n"
    assert "Read-only" in await node.exec("sh", "-c", "touch /data/x /sub/x 2>&1 || true", pod="again")
    await gone(node, "again")
    assert sorted(one.name for one in store.iterdir()) == ["f", "sub"]


async def test_a_host_path_volume_and_its_group(node: Node, tmp_path: Path) -> None:
    bind(
        node,
        "c",
        hostPath={"path": str(tmp_path / "made"), "type": "DirectoryOrCreate"},
        metadata={"annotations": {"pv.beta.kubernetes.io/gid": "4321"}},
    )
    await node.run("web", user(), volumes=[claimed("c")], securityContext={"runAsUser": 1, "runAsGroup": 2})
    await node.ready()
    assert (await node.exec("id", "-G")).split() == ["2", "4321"]
    await gone(node, "web")
    assert (tmp_path / "made").is_dir()


async def test_a_pod_waits_for_its_claim_to_be_bound(node: Node, tmp_path: Path) -> None:
    bind(node, "c", bound=False, **local(tmp_path))
    await node.run("web", user(), volumes=[claimed("c")])
    text = (
        "Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[], failed to process volumes=[data]: "
        "error processing PVC default/c: PVC is not bound"
    )
    await eventually(lambda: text in node.events("FailedMount"))
    claim = node.api.get(core.PersistentVolumeClaim, "c", "default")
    claim.status.phase = "Bound"
    node.api.add(claim)
    await eventually(lambda: node.status().ready, timeout=30)


async def test_a_disk_is_formatted_shared_and_left_alone(node: Node, disk: str) -> None:
    bind(node, "c", **local(disk, mountOptions=["noatime"]))
    await node.run("one", user(), volumes=[claimed("c")])
    await node.run("two", user(), volumes=[claimed("c")])
    await node.ready("one")
    await node.ready("two")
    await node.exec("sh", "-c", "echo 1 > /data/f", pod="one")
    assert await node.exec("cat", "/data/f", pod="two") == "1\n"
    line = await node.exec("grep", " /data ", "/proc/mounts", pod="two")
    assert " ext4 " in line
    assert "noatime" in line
    place = node.directory / "node/plugins/kubernetes.io/local-volume/mounts/pv-c"
    await node.kill()
    await node.start()
    node.api.remove(core.Pod, "one", "default")
    await eventually(lambda: not [pod for pod in node.api.list(core.Pod) if pod.metadata.name == "one"])
    assert await node.exec("cat", "/data/f", pod="two") == "1\n"
    assert mounts.is_mount(place)
    await gone(node, "two")
    await eventually(lambda: not place.exists())
    await node.run("three", user(), volumes=[claimed("c")])
    await node.ready("three")
    assert await node.exec("cat", "/data/f", pod="three") == "1\n"
    await gone(node, "three")
    await eventually(lambda: not place.exists())


async def test_containers_get_block_devices(node: Node, disk: str) -> None:
    bind(node, "c", volumeMode="Block", **local(disk))
    device = {"command": SLEEP, "volumeDevices": [{"name": "data", "devicePath": "/dev/mine"}]}
    await node.run("web", device, volumes=[claimed("c")])
    await node.ready()
    await node.exec("sh", "-c", "echo hello | dd of=/dev/mine conv=notrunc 2>/dev/null; sync")
    assert await asyncio.to_thread(head, disk) == b"hello"
    await node.kill()
    await node.start()
    await gone(node, "web")
    assert not (node.directory / "node/plugins/kubernetes.io~local-volume/volumeDevices/pv-c").exists()
    await node.run("again", device, volumes=[claimed("c", readOnly=True)])
    await node.ready("again")
    assert await node.exec("head", "-c", "5", "/dev/mine", pod="again") == "hello"
    assert "not permitted" in await node.exec("sh", "-c", "(echo x > /dev/mine) 2>&1 || true", pod="again")
    await node.run("wrong", user(), volumes=[claimed("c")])
    await eventually(
        lambda: any("volume data has volumeMode Block, but is specified in volumeMounts" in one for one in node.events("FailedMount"))
    )


async def test_mounts_of_a_deleted_pod_are_found_after_a_restart(node: Node, disk: str, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / "precious").write_text("1")
    bind(node, "c", **local(disk))
    bind(node, "d", **local(store))
    container = user()
    container["volumeMounts"].append({"name": "more", "mountPath": "/more"})
    await node.run("web", container, volumes=[claimed("c"), {**claimed("d"), "name": "more"}])
    await node.ready()
    uid = node.pod().metadata.uid
    await node.kill()
    node.api.remove(core.Pod, "web", "default")
    for sandbox in await node.cri.list_pod_sandboxes():
        await node.cri.stop_pod_sandbox(sandbox.id)
        await node.cri.remove_pod_sandbox(sandbox.id)
    for kind, name in ((core.PersistentVolumeClaim, "c"), (core.PersistentVolumeClaim, "d")):
        node.api.remove(kind, name, "default")
    await node.start()
    await eventually(lambda: not (node.directory / "node/pods" / uid).exists())
    await eventually(lambda: not node.mounts())
    assert (store / "precious").read_text() == "1"
    # A record goes after the mount that it is about.
    await eventually(lambda: not records(node))


async def test_a_volume_grows_while_a_pod_uses_it(node_machine: Machine, tmp_path: Path, disk: str) -> None:
    async with Node.running(node_machine, tmp_path, volume_period=0.5) as node:
        # Enlarging a mounted ext4 takes CAP_SYS_RESOURCE, which root lacks in some sandboxes; the way there is the same.
        bind(node, "c", local={"path": disk, "fsType": "xfs"}, nodeAffinity=ALWAYS)
        await node.run("web", user(), volumes=[claimed("c")])
        await node.ready()
        before = int((await node.exec("df", "-k", "/data")).split()[-5])
        os.truncate(tmp_path / "disk.img", 640 << 20)
        await asyncio.to_thread(output, "losetup", "--set-capacity", disk)
        pv = node.api.get(core.PersistentVolume, "pv-c")
        pv.spec.capacity["storage"] = Quantity("128Mi")
        node.api.add(pv)
        claim = node.api.get(core.PersistentVolumeClaim, "c", "default")
        claim.spec.resources.requests["storage"] = Quantity("128Mi")
        claim.status.conditions = [core.PersistentVolumeClaimCondition(type="FileSystemResizePending", status="True")]
        claim.status.allocatedResources["storage"] = Quantity("128Mi")
        claim.status.allocatedResourceStatuses["storage"] = "NodeResizePending"
        node.api.add(claim)

        def grown() -> bool:
            status = node.api.get(core.PersistentVolumeClaim, "c", "default").status
            return status.capacity["storage"] == "128Mi" and not status.conditions and not status.allocatedResourceStatuses

        await eventually(grown, timeout=20)
        assert int((await node.exec("df", "-k", "/data")).split()[-5]) > before * 1.5
        await eventually(lambda: len(node.events("FileSystemResizeSuccessful")) == 2)


async def test_one_pod_at_a_time(node: Node, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    bind(node, "c", modes=("ReadWriteOncePod",), **local(tmp_path / "store"))
    await node.run("one", user(), volumes=[claimed("c")])
    await node.ready("one")
    await node.run("two", user(), volumes=[claimed("c")])
    text = "volume uses the ReadWriteOncePod access mode and is already in use by another pod"
    await eventually(lambda: f'MountVolume.SetUp failed for volume "pv-c" : {text}' in node.events("FailedMount"))
    node.api.remove(core.Pod, "one", "default")
    await eventually(lambda: node.status(pod="two").ready, timeout=30)


async def test_volumes_that_cannot_be_mounted_are_explained(node: Node) -> None:
    iscsi = {"targetPortal": "10.0.0.1", "iqn": "iqn.2001-04.com.example:storage", "lun": 0}
    await node.run("web", user(), volumes=[{"name": "data", "iscsi": iscsi}])
    await eventually(lambda: any("use its CSI driver, iscsi.csi.k8s.io" in message for message in node.events("FailedMount")))
    bind(node, "c", **local("/nowhere/at/all"))
    await node.run("lost", user(), volumes=[claimed("c")])
    await eventually(lambda: any('path "/nowhere/at/all" does not exist' in message for message in node.events("FailedMount")))
    away = {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]}]}}
    bind(node, "d", **{**local("/tmp"), "nodeAffinity": away})
    await node.run("away", user(), volumes=[claimed("d")])
    text = 'MountVolume.NodeAffinity check failed for volume "pv-d" : no matching NodeSelectorTerms'
    await eventually(lambda: text in node.events("FailedMount"))


async def test_a_disk_with_other_data_is_not_overwritten(node: Node, disk: str) -> None:
    await asyncio.to_thread(output, "mkfs.xfs", "-q", disk)
    bind(node, "c", **local(disk))
    await node.run("web", user(), volumes=[claimed("c")])
    text = "MountVolume.MountDevice failed for volume \"pv-c\" : failed to mount the volume as 'ext4', it already contains xfs"
    await eventually(lambda: text in node.events("FailedMount"))
    await gone(node, "web")
    assert (await asyncio.to_thread(output, "blkid", "-p", "-s", "TYPE", "-o", "value", disk)).strip() == "xfs"
    assert not records(node)


def records(node: Node) -> list[Path]:
    """Return the records of volumes that the node uses."""
    return list((node.directory / "node/volume-records").glob("*.json"))


class Attached(HostPathPlugin):
    """Directories of the node that a controller attaches first, as if they were disks."""

    async def needs_attach(self, spec: VolumeSpec) -> bool:
        return True


async def test_a_volume_is_attached_before_and_detached_after(node: Node, tmp_path: Path) -> None:
    assert node.kubelet is not None
    persistent = node.kubelet.services.volumes.persistent
    persistent.plugins[:] = [Attached()]
    bind(node, "c", hostPath={"path": str(tmp_path)})
    unique = "kubernetes.io/host-path/pv-c"
    await node.run("web", user(), volumes=[claimed("c")])
    await eventually(lambda: node.api.get(core.Node, node.name).status.volumesInUse == [unique])
    assert node.status().state.running is None
    body = {"status": {"volumesAttached": [{"name": unique, "devicePath": "/dev/x"}]}}
    await node.client.patch(core.Node, node.name, body=body, subresource="status")
    await node.ready()
    assert node.api.get(core.Node, node.name).status.volumesInUse == [unique]
    await gone(node, "web")
    await eventually(lambda: node.api.get(core.Node, node.name).status.volumesInUse == [])
    assert node.api.get(core.Node, node.name).status.volumesAttached, "the controller's field is left alone"


async def test_the_deadline_of_a_pod_that_waits_for_a_volume(node: Node) -> None:
    """A disk that nobody attaches is waited for far longer than this pod may run."""
    bind(node, "c", csi={"driver": "disks.example.com", "volumeHandle": "h"})
    await node.run("web", user(), volumes=[claimed("c")], activeDeadlineSeconds=3)
    pod = await node.phase("Failed")
    assert pod.status.reason == "DeadlineExceeded"
    await gone(node, "web")


async def test_a_pod_whose_volume_the_node_has_no_room_for(node: Node) -> None:
    driver = {"metadata": {"name": "disks.example.com"}, "spec": {"attachRequired": True, "nodeAllocatableUpdatePeriodSeconds": 10}}
    node.api.add(msgspec.convert(driver, CSIDriver))
    attachment = {
        "metadata": {"name": attachment_name("disks.example.com", "h", node.settings.name)},
        "spec": {"attacher": "disks.example.com", "nodeName": node.settings.name, "source": {"persistentVolumeName": "pv-c"}},
        "status": {"attached": False, "attachError": {"message": "full", "errorCode": 8}},
    }
    node.api.add(msgspec.convert(attachment, VolumeAttachment))
    bind(node, "c", csi={"driver": "disks.example.com", "volumeHandle": "h"})
    assert node.kubelet is not None
    node.kubelet.services.volumes.persistent.patience = 1.0
    await node.run("web", user(), volumes=[claimed("c")])
    pod = await node.phase("Failed")
    assert pod.status.reason == "VolumeAttachmentLimitExceeded"
    assert pod.status.message.startswith("Pod was rejected: Unable to attach or mount volumes: unmounted volumes=[data]")
    await gone(node, "web")
