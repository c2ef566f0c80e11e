"""Calls to drivers that volumes of pods become, and what failures of theirs leave."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.node.csi.scripted import ALL, NAME, STAGE, ScriptedDriver, answer, hang, refuse, refuse_after
from tests.unit.node.csi.world import World, attachment_of, inline_of, pod_of, running_world, spec_of, volume_of
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.storage import v1 as storage
from tiphys.csi.errors import CsiError, Deadline, Exhausted, Failed, FailedPrecondition, OutOfRange, Pending, Unavailable
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.node.volumes.payload import VolumeError
from tiphys.node.volumes.plugin import BusyError, DeviceRecord, MountRecord, UncertainError, UnsupportedError, VolumeSpec, VolumeStats
from tiphys.testing.memory_api import MemoryApi

Mode = pb.VolumeCapability.AccessMode


@pytest.fixture
def driver() -> ScriptedDriver:
    return ScriptedDriver()


@pytest.fixture
async def world(api: MemoryApi, tmp_path: Path, driver: ScriptedDriver) -> AsyncIterator[World]:
    api.add(core.Node(metadata=ObjectMeta(name="n1")))
    async with running_world(api, tmp_path, driver) as running:
        running.add_driver_object()
        yield running


async def mount(world: World, spec: VolumeSpec) -> tuple[DeviceRecord | None, MountRecord]:
    """Mount a volume as the manager does."""
    device = await world.plugin.device_record(spec, "")
    if device is not None:
        await world.plugin.mount_device(spec, device)
    record = await world.plugin.mount_record(spec, device)
    assert await world.plugin.mount(spec, record, device) == record.path
    return device, record


async def unmount(world: World, device: DeviceRecord | None, record: MountRecord) -> None:
    await world.plugin.unmount(record)
    if device is not None:
        await world.plugin.unmount_device(device)


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


SHA = hashlib.sha256(b"vol-1").hexdigest()
GLOBAL = f"plugins/kubernetes.io/csi/{NAME}/{SHA}"
POD = "pods/u1/volumes/kubernetes.io~csi/pv-vol-1"


async def test_the_life_of_a_volume(world: World, driver: ScriptedDriver) -> None:
    spec = spec_of(volume_of(volumeAttributes={"kind": "fast"}, fsType="xfs"), options=("noatime",), group=7)
    assert world.plugin.unique_name(spec) == f"kubernetes.io/csi/{NAME}^vol-1"
    device, record = await mount(world, spec)
    (staged,) = driver.asked("NodeStageVolume")
    (published,) = driver.asked("NodePublishVolume")
    assert staged.staging_target_path == published.staging_target_path == str(world.root / GLOBAL / "globalmount")
    assert published.target_path == record.path == str(world.root / POD / "mount")
    expected = pb.VolumeCapability(
        access_mode=Mode(mode=Mode.SINGLE_NODE_WRITER), mount=pb.VolumeCapability.MountVolume(fs_type="xfs", mount_flags=["noatime"])
    )
    assert staged.volume_capability == published.volume_capability == expected
    assert (dict(staged.volume_context), dict(published.volume_context)) == ({"kind": "fast"}, {"kind": "fast"})
    assert json.loads((world.root / GLOBAL / "vol_data.json").read_text()) == {"volumeHandle": "vol-1", "driverName": NAME}
    assert json.loads((world.root / POD / "vol_data.json").read_text()) == {
        "specVolID": "pv-vol-1",
        "volumeHandle": "vol-1",
        "driverName": NAME,
        "nodeName": "n1",
        "volumeLifecycleMode": "Persistent",
        "attachmentID": f"csi-{hashlib.sha256(f'vol-1{NAME}n1'.encode()).hexdigest()}",
    }
    await unmount(world, device, record)
    assert (driver.staged, driver.published) == ({}, {})
    assert [(one.volume_id, one.target_path) for one in driver.asked("NodeUnpublishVolume")] == [("vol-1", record.path)]
    assert [(one.volume_id, one.staging_target_path) for one in driver.asked("NodeUnstageVolume")] == [
        ("vol-1", str(world.root / GLOBAL / "globalmount"))
    ]
    assert not (world.root / GLOBAL).exists()
    assert not (world.root / POD).exists()


async def test_a_block_volume(world: World, driver: ScriptedDriver) -> None:
    spec = spec_of(volume_of(block=True))
    device, record = await mount(world, spec)
    devices = world.root / "plugins/kubernetes.io/csi/volumeDevices"
    (staged,) = driver.asked("NodeStageVolume")
    (published,) = driver.asked("NodePublishVolume")
    assert staged.volume_capability.HasField("block")
    assert staged.staging_target_path == published.staging_target_path == str(devices / "staging/pv-vol-1")
    assert published.target_path == record.path == str(devices / "publish/pv-vol-1/u1")
    assert json.loads((devices / "pv-vol-1/data/vol_data.json").read_text())["specVolID"] == "pv-vol-1"
    await unmount(world, device, record)
    assert (driver.staged, driver.published, files(devices)) == ({}, {}, [])
    assert [path.name for path in devices.iterdir() if path.name not in ("staging", "publish")] == []
    assert list((devices / "staging").iterdir()) == []


async def test_a_driver_that_stages_nothing(world: World, driver: ScriptedDriver) -> None:
    driver.features = []
    for block in (False, True):
        device, record = await mount(world, spec_of(volume_of(block=block)))
        assert device is not None
        assert device.path == ""
        assert driver.asked("NodePublishVolume")[-1].staging_target_path == ""
        await unmount(world, device, record)
    assert driver.asked("NodeStageVolume") == driver.asked("NodeUnstageVolume") == []
    assert (driver.published, files(world.root)) == ({}, [])


async def test_a_volume_that_a_pod_describes_by_itself(world: World, driver: ScriptedDriver) -> None:
    world.api.add(core.Secret(metadata=ObjectMeta(name="key", namespace="default"), data={"password": b"hunter22"}))
    spec = inline_of(volumeAttributes={"a": "b"}, readOnly=True, fsType="ext4", nodePublishSecretRef={"name": "key"})
    assert world.plugin.unique_name(spec) == "kubernetes.io/csi/u1-data"
    assert not await world.plugin.needs_attach(spec)
    with pytest.raises(
        VolumeError, match=r'volume mode "Ephemeral" not supported by driver scripted.example \(only supports \["Persistent"\]\)'
    ):
        await world.plugin.mount_record(spec, None)
    await world.change_driver_object(volumeLifecycleModes=["Ephemeral"], podInfoOnMount=True)
    device, record = await mount(world, spec)
    assert device is None
    (published,) = driver.asked("NodePublishVolume")
    assert published.volume_id == f"csi-{hashlib.sha256(b'u1data').hexdigest()}"
    assert (published.readonly, published.target_path) == (True, str(world.root / "pods/u1/volumes/kubernetes.io~csi/data/mount"))
    assert dict(published.secrets) == {"password": "hunter22"}
    assert dict(published.volume_context) == {
        "a": "b",
        "csi.storage.k8s.io/pod.name": "web-u1",
        "csi.storage.k8s.io/pod.namespace": "default",
        "csi.storage.k8s.io/pod.uid": "u1",
        "csi.storage.k8s.io/serviceAccount.name": "default",
        "csi.storage.k8s.io/ephemeral": "true",
    }
    await unmount(world, device, record)
    assert driver.published == {}


@pytest.mark.parametrize(
    ("mode", "features", "expected"),
    [
        ("ReadWriteOnce", (STAGE,), Mode.SINGLE_NODE_WRITER),
        ("ReadWriteOncePod", (STAGE,), Mode.SINGLE_NODE_WRITER),
        ("ReadOnlyMany", (STAGE,), Mode.MULTI_NODE_READER_ONLY),
        ("ReadWriteMany", ALL, Mode.MULTI_NODE_MULTI_WRITER),
        ("ReadWriteOnce", ALL, Mode.SINGLE_NODE_MULTI_WRITER),
        ("ReadWriteOncePod", ALL, Mode.SINGLE_NODE_SINGLE_WRITER),
    ],
)
async def test_access_modes(world: World, driver: ScriptedDriver, mode: str, features: tuple[Any, ...], expected: int) -> None:
    driver.features = list(features)
    await mount(world, spec_of(volume_of(modes=(mode, "ReadWriteMany")), read_only=True))
    for request in (*driver.asked("NodeStageVolume"), *driver.asked("NodePublishVolume")):
        assert request.volume_capability.access_mode.mode == expected
    assert driver.asked("NodePublishVolume")[0].readonly


@pytest.mark.parametrize(
    ("policy", "fs_type", "modes", "read_only", "owns"),
    [
        ("ReadWriteOnceWithFSType", "ext4", ("ReadWriteOnce",), False, True),
        ("ReadWriteOnceWithFSType", "ext4", ("ReadWriteOncePod",), False, True),
        ("ReadWriteOnceWithFSType", "", ("ReadWriteOnce",), False, False),
        ("ReadWriteOnceWithFSType", "ext4", ("ReadWriteMany",), False, False),
        ("File", "", ("ReadWriteMany",), False, True),
        ("File", "", ("ReadWriteMany",), True, False),
        ("None", "ext4", ("ReadWriteOnce",), False, False),
    ],
)
async def test_groups_own_files_as_the_policy_says(
    world: World, driver: ScriptedDriver, policy: str, fs_type: str, modes: tuple[str, ...], read_only: bool, owns: bool
) -> None:
    await world.change_driver_object(fsGroupPolicy=policy)
    pv = volume_of(modes=modes, fsType=fs_type)
    assert await world.plugin.applies_fs_group(spec_of(pv, group=7, read_only=read_only)) == owns
    assert not await world.plugin.applies_fs_group(spec_of(pv, read_only=read_only))
    driver.features = list(ALL)
    assert not await world.plugin.applies_fs_group(spec_of(pv, group=7, read_only=read_only))


async def test_a_driver_that_gives_files_to_groups(world: World, driver: ScriptedDriver) -> None:
    driver.features = list(ALL)
    await mount(world, spec_of(volume_of(), group=7))
    for request in (*driver.asked("NodeStageVolume"), *driver.asked("NodePublishVolume")):
        assert request.volume_capability.mount.volume_mount_group == "7"


async def test_waits_for_the_attachment(world: World, driver: ScriptedDriver) -> None:
    await world.change_driver_object(attachRequired=True)
    spec = spec_of(volume_of())
    assert await world.plugin.needs_attach(spec)
    name = attachment_of("vol-1").metadata.name
    with pytest.raises(VolumeError, match=f"volume vol-1 has GET error for volume attachment {name}: .*not found"):
        await world.plugin.wait_attached(spec, "")
    for status, message in (
        ({}, f"volume vol-1 is not attached for volume attachment {name}"),
        ({"attachError": {"message": "no such disk"}}, "^no such disk$"),
    ):
        world.api.add(attachment_of("vol-1", **status))
        with pytest.raises(VolumeError, match=message):
            await world.plugin.wait_attached(spec, "")
    world.api.add(attachment_of("vol-1", attached=True, attachmentMetadata={"lun": "3"}))
    assert await world.plugin.wait_attached(spec, "") == ""
    await mount(world, spec)
    for request in (*driver.asked("NodeStageVolume"), *driver.asked("NodePublishVolume")):
        assert dict(request.publish_context) == {"lun": "3"}


async def test_a_mounted_volume_needs_no_attachment_once_its_driver_attaches_nothing(world: World) -> None:
    await world.change_driver_object(attachRequired=True)
    record = await world.plugin.device_record(spec_of(volume_of()), "")
    assert record is not None
    assert world.plugin.needs_attachment(record)
    await world.change_driver_object(attachRequired=False)
    assert not world.plugin.needs_attachment(record)


async def test_a_node_that_has_no_room_for_another_volume(world: World, driver: ScriptedDriver) -> None:
    spec = spec_of(volume_of())
    world.api.add(attachment_of("vol-1", attachError={"message": "full", "errorCode": 8}))
    await world.change_driver_object(attachRequired=True)
    assert not await world.plugin.lacks_room(spec)
    await world.change_driver_object(attachRequired=True, nodeAllocatableUpdatePeriodSeconds=10)
    driver.most = 3
    assert await world.plugin.lacks_room(spec)
    (entry,) = world.api.get(storage.CSINode, "n1").spec.drivers or []
    assert entry.allocatable == storage.VolumeNodeResources(count=3)


async def test_secrets_and_tokens(world: World, driver: ScriptedDriver) -> None:
    world.api.add(core.Secret(metadata=ObjectMeta(name="stage", namespace="drivers"), data={"password": b"hunter22"}))
    pod = pod_of("u1")
    pod.metadata.uid = ""
    world.api.add(pod)
    pv = volume_of(nodeStageSecretRef={"namespace": "drivers", "name": "stage"})
    spec = spec_of(pv, world.api.get(core.Pod, "web-u1", "default").metadata.uid)
    spec.pod.metadata.name = "web-u1"
    requests = [{"audience": "vault", "expirationSeconds": 600}, {"audience": ""}]
    await world.change_driver_object(tokenRequests=requests)
    device, record = await mount(world, spec)
    assert dict(driver.asked("NodeStageVolume")[0].secrets) == {"password": "hunter22"}
    key = "csi.storage.k8s.io/serviceAccount.tokens"
    (published,) = driver.asked("NodePublishVolume")
    assert dict(published.secrets) == {}
    tokens = json.loads(published.volume_context[key])
    assert sorted(tokens) == ["", "vault"]
    left = datetime.fromisoformat(tokens["vault"]["expirationTimestamp"]) - world.api.clock.now()
    assert timedelta() < left <= timedelta(seconds=600)
    await world.change_driver_object(tokenRequests=requests, serviceAccountTokenInSecrets=True)
    driver.next("NodePublishVolume", refuse(Failed(f"cannot use {tokens['vault']['token']}")))
    with pytest.raises(VolumeError, match=r"desc = cannot use \*\*\*stripped\*\*\*$"):
        await world.plugin.remount(spec, record, device)
    published = driver.asked("NodePublishVolume")[-1]
    assert (sorted(published.secrets), dict(published.volume_context)) == ([key], {})


async def test_a_missing_secret(world: World) -> None:
    spec = spec_of(volume_of(nodeStageSecretRef={"namespace": "drivers", "name": "gone"}))
    with pytest.raises(VolumeError, match="fetching NodeStageSecretRef drivers/gone failed: failed to find the secret gone"):
        await mount(world, spec)
    assert files(world.root) == []


FINAL = Failed("no such device")
OPEN = (Unavailable("socket closed"), Pending("still at it"), Exhausted("too many requests"), Deadline("too late"))


@pytest.mark.parametrize("verb", ["NodeStageVolume", "NodePublishVolume"])
@pytest.mark.parametrize("block", [False, True])
async def test_a_call_that_failed_for_good_leaves_nothing(world: World, driver: ScriptedDriver, verb: str, block: bool) -> None:
    driver.next(verb, refuse(FINAL))
    spec = spec_of(volume_of(block=block))
    with pytest.raises(VolumeError, match="rpc error: code = Internal desc = no such device") as caught:
        await mount(world, spec)
    assert not isinstance(caught.value, UncertainError)
    left = [name for name in files(world.root) if "vol_data" in name or name.endswith("u1.json")]
    assert len(left) == (0 if verb == "NodeStageVolume" else 1)


@pytest.mark.parametrize("verb", ["NodeStageVolume", "NodePublishVolume"])
@pytest.mark.parametrize("error", OPEN, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("block", [False, True])
async def test_a_call_that_may_have_worked_is_undone(world: World, driver: ScriptedDriver, verb: str, error: CsiError, block: bool) -> None:
    driver.next(verb, refuse_after(error), refuse(FINAL))
    spec = spec_of(volume_of(block=block))
    for _ in range(2):
        # Even when the second attempt fails for good: nobody knows what became of the first.
        with pytest.raises(UncertainError):
            await mount(world, spec)
    device = await world.plugin.device_record(spec, "")
    await unmount(world, device, await world.plugin.mount_record(spec, device))
    assert (driver.staged, driver.published, files(world.root)) == ({}, {}, [])


async def test_a_driver_that_hangs(world: World, driver: ScriptedDriver) -> None:
    world.node.drivers.get(NAME).timeout = 0.05
    driver.next("NodePublishVolume", hang)
    with pytest.raises(UncertainError, match="code = DeadlineExceeded desc = context deadline exceeded"):
        await mount(world, spec_of(volume_of()))
    # The next pod is served.
    await mount(world, spec_of(volume_of("vol-2"), "u2"))


async def test_garbage_tells_nothing(world: World, driver: ScriptedDriver) -> None:
    driver.next("NodePublishVolume", answer(None), answer(pb.ProbeResponse()))
    for _ in range(2):
        with pytest.raises(UncertainError):
            await mount(world, spec_of(volume_of()))


async def test_a_volume_of_which_no_driver_heard_needs_none(world: World, driver: ScriptedDriver) -> None:
    spec = spec_of(volume_of())
    device = await world.plugin.device_record(spec, "")
    record = await world.plugin.mount_record(spec, device)
    await world.node.drivers.close()
    await unmount(world, device, record)
    assert driver.requests == driver.asked("NodeGetInfo")


async def test_a_driver_that_is_gone_is_waited_for(world: World, driver: ScriptedDriver) -> None:
    device, record = await mount(world, spec_of(volume_of()))
    assert device is not None
    await world.node.drivers.close()
    for call in (world.plugin.unmount(record), world.plugin.unmount_device(device), world.plugin.stats(record)):
        with pytest.raises(VolumeError, match=f"driver name {NAME} not found in the list of registered CSI drivers"):
            await call
    await world.node.drivers.add(NAME, driver)
    await unmount(world, device, record)
    assert (driver.staged, driver.published, files(world.root)) == ({}, {}, [])


@pytest.mark.parametrize("verb", ["NodeUnpublishVolume", "NodeUnstageVolume"])
async def test_unmounting_is_repeated(world: World, driver: ScriptedDriver, verb: str) -> None:
    device, record = await mount(world, spec_of(volume_of()))
    driver.next(verb, refuse(FINAL), refuse_after(Unavailable("gone")))
    for _ in range(2):
        with pytest.raises(VolumeError, match=r"(TearDownAt|UnmountDevice) failed: rpc error"):
            await unmount(world, device, record)
    await unmount(world, device, record)
    assert (driver.staged, driver.published, files(world.root)) == ({}, {}, [])


async def test_a_volume_with_content_is_never_removed(world: World, driver: ScriptedDriver) -> None:
    _, record = await mount(world, spec_of(volume_of()))
    (Path(record.path) / "data").write_text("precious")
    driver.next("NodeUnpublishVolume", _lie)
    with pytest.raises(VolumeError, match="failed to clean mount dir"):
        await world.plugin.unmount(record)
    assert (Path(record.path) / "data").read_text() == "precious"


async def _lie(work: Any) -> pb.NodeUnpublishVolumeResponse:
    return pb.NodeUnpublishVolumeResponse()


async def test_measures_volumes(world: World, driver: ScriptedDriver) -> None:
    _, record = await mount(world, spec_of(volume_of()))
    assert await world.plugin.stats(record) is None
    driver.features.append(pb.NodeServiceCapability.RPC.GET_VOLUME_STATS)
    usual = VolumeStats(capacity=10, available=7, used=3, inodes=5, inodes_free=4)
    assert await world.plugin.stats(record) == usual
    assert driver.asked("NodeGetVolumeStats")[0].volume_path == record.path
    driver.features.append(pb.NodeServiceCapability.RPC.VOLUME_CONDITION)
    stats = await world.plugin.stats(record)
    assert stats is not None
    assert (stats.abnormal, stats.message) == (True, "worn out")
    driver.features.pop()
    driver.next("NodeGetVolumeStats", answer(pb.NodeGetVolumeStatsResponse()), refuse(FINAL))
    for message in ("usage is nil", "no such device"):
        with pytest.raises(VolumeError, match=message):
            await world.plugin.stats(record)


async def test_enlarges_volumes(world: World, driver: ScriptedDriver) -> None:
    spec = spec_of(volume_of())
    device, record = await mount(world, spec)
    assert not await world.plugin.needs_expansion_on_node(spec)
    with pytest.raises(UnsupportedError, match="NodeExpand is not supported by the CSI driver"):
        await world.plugin.expand(spec, record, device, 7)
    driver.features.append(pb.NodeServiceCapability.RPC.EXPAND_VOLUME)
    assert await world.plugin.needs_expansion_on_node(spec)
    assert await world.plugin.expand(spec, record, device, 7) == 7
    (request,) = driver.asked("NodeExpandVolume")
    assert device is not None
    assert (request.volume_path, request.staging_target_path) == (record.path, device.path)
    errors = (
        (OutOfRange("too large"), UnsupportedError),
        (FailedPrecondition("in use"), BusyError),
        (Pending(""), UncertainError),
        (FINAL, VolumeError),
    )
    for error, kind in errors:
        driver.next("NodeExpandVolume", refuse(error))
        with pytest.raises(kind):
            await world.plugin.expand(spec, record, device, 8)


async def test_republishes_as_the_driver_wishes(world: World, driver: ScriptedDriver) -> None:
    spec = spec_of(volume_of())
    assert not await world.plugin.requires_remount(spec)
    await world.change_driver_object(requiresRepublish=True)
    assert await world.plugin.requires_remount(spec)
    device, record = await mount(world, spec)
    driver.next("NodePublishVolume", refuse(FINAL))
    with pytest.raises(VolumeError):
        await world.plugin.remount(spec, record, device)
    # The pod goes on with what it has.
    assert driver.published == {record.path: "vol-1"}
    assert files(world.root) == sorted(f"{directory}/vol_data.json" for directory in (GLOBAL, POD))
    await unmount(world, device, record)
    assert files(world.root) == []
