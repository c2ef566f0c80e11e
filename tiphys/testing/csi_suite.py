"""Suite of tests that every CSI driver must pass: a driver's tests subclass `CsiSuite` and give `make_driver`.

    class TestMine(CsiSuite):
        def make_driver(self, directory: Path) -> Driver:
            return MyDriver(directory)

The driver serves controller and node; one behind a socket is given as a `CsiClient`. Tests ask for a capability before they use it, so a
driver that offers less is tested less. `CsiSuite` mounts nothing; `CsiNodeSuite` of `tiphys.testing.csi_node_suite` does, and needs root.

For readable failures: `pytest.register_assert_rewrite("tiphys.testing.csi_suite")` in conftest.py. Needs pytest and pytest-asyncio (mode
auto). Behavior is that of "Container Storage Interface (CSI)".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tiphys.csi.driver import Driver
from tiphys.csi.errors import (
    AlreadyExists,
    Exhausted,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfRange,
    Pending,
    Unimplemented,
)
from tiphys.csi.pb import csi_pb2 as pb

MIB = 1 << 20
Mode = pb.VolumeCapability.AccessMode
Can = pb.ControllerServiceCapability.RPC
NodeCan = pb.NodeServiceCapability.RPC
ABSENT = "absent-volume"


def mounted(mode: Any = Mode.SINGLE_NODE_WRITER, *, fs_type: str = "", flags: tuple[str, ...] = ()) -> pb.VolumeCapability:
    """Return a capability with a file system."""
    return pb.VolumeCapability(
        mount=pb.VolumeCapability.MountVolume(fs_type=fs_type, mount_flags=flags), access_mode=pb.VolumeCapability.AccessMode(mode=mode)
    )


def block(mode: Any = Mode.SINGLE_NODE_WRITER) -> pb.VolumeCapability:
    """Return a capability with a block device."""
    return pb.VolumeCapability(block=pb.VolumeCapability.BlockVolume(), access_mode=pb.VolumeCapability.AccessMode(mode=mode))


class CsiCase:
    """Shared by both suites: the driver, its capabilities, requests for volumes."""

    parameters: Mapping[str, str] = {}
    """Parameters of the storage class."""
    size = 16 * MIB
    has_block = True

    def make_driver(self, directory: Path) -> Driver:
        """Return a driver with its data in `directory`; called again, the driver after a restart."""
        raise NotImplementedError

    @pytest.fixture
    async def driver(self, tmp_path: Path) -> AsyncIterator[Driver]:
        driver = await asyncio.to_thread(self.make_driver, tmp_path)
        yield driver
        await driver.close()

    async def need(self, driver: Driver, *capabilities: Any) -> None:
        """Skip the test unless the controller has these capabilities."""
        answer = await driver.ControllerGetCapabilities(pb.ControllerGetCapabilitiesRequest())
        missing = set(capabilities) - {one.rpc.type for one in answer.capabilities}
        if missing:
            pytest.skip(f"the driver does not offer {', '.join(Can.Type.Name(one) for one in missing)}")

    async def node_can(self, driver: Driver, capability: Any) -> bool:
        """Return whether nodes have a capability."""
        answer = await driver.NodeGetCapabilities(pb.NodeGetCapabilitiesRequest())
        return capability in {one.rpc.type for one in answer.capabilities}

    def creation(self, name: str, **fields: Any) -> pb.CreateVolumeRequest:
        """Return a request for a volume of the usual size."""
        request = {
            "volume_capabilities": [mounted()],
            "capacity_range": pb.CapacityRange(required_bytes=self.size),
            "parameters": self.parameters,
            **fields,
        }
        return pb.CreateVolumeRequest(name=name, **request)

    async def create(self, driver: Driver, name: str, **fields: Any) -> pb.Volume:
        """Create a volume."""
        return (await driver.CreateVolume(self.creation(name, **fields))).volume

    async def node_id(self, driver: Driver) -> str:
        """Return the name of the node in the driver."""
        return (await driver.NodeGetInfo(pb.NodeGetInfoRequest())).node_id


class CsiSuite(CsiCase):
    """Identity and controller."""

    # Identity

    async def test_identifies_itself(self, driver: Driver) -> None:
        info = await driver.GetPluginInfo(pb.GetPluginInfoRequest())
        assert 0 < len(info.name) <= 63
        assert "." in info.name
        assert info.vendor_version
        probe = await driver.Probe(pb.ProbeRequest())
        assert not probe.HasField("ready") or probe.ready.value

    async def test_controller_verbs_go_with_a_controller(self, driver: Driver) -> None:
        plugin = await driver.GetPluginCapabilities(pb.GetPluginCapabilitiesRequest())
        has_controller = pb.PluginCapability.Service.CONTROLLER_SERVICE in {one.service.type for one in plugin.capabilities}
        if has_controller:
            await driver.ControllerGetCapabilities(pb.ControllerGetCapabilitiesRequest())
        else:
            with pytest.raises(Unimplemented):
                await driver.ControllerGetCapabilities(pb.ControllerGetCapabilitiesRequest())

    async def test_node_names_itself(self, driver: Driver) -> None:
        info = await driver.NodeGetInfo(pb.NodeGetInfoRequest())
        assert 0 < len(info.node_id.encode()) <= 256
        assert info.max_volumes_per_node >= 0
        plugin = await driver.GetPluginCapabilities(pb.GetPluginCapabilitiesRequest())
        has_topology = pb.PluginCapability.Service.VOLUME_ACCESSIBILITY_CONSTRAINTS in {one.service.type for one in plugin.capabilities}
        assert bool(info.accessible_topology.segments) == has_topology

    # Missing arguments

    @pytest.mark.parametrize(
        ("verb", "request_"),
        [
            ("CreateVolume", pb.CreateVolumeRequest(volume_capabilities=[mounted()])),
            ("CreateVolume", pb.CreateVolumeRequest(name="v")),
            ("CreateVolume", pb.CreateVolumeRequest(name="v", volume_capabilities=[pb.VolumeCapability()])),
            ("DeleteVolume", pb.DeleteVolumeRequest()),
            ("ControllerPublishVolume", pb.ControllerPublishVolumeRequest(node_id="n", volume_capability=mounted())),
            ("ControllerPublishVolume", pb.ControllerPublishVolumeRequest(volume_id="v", volume_capability=mounted())),
            ("ControllerPublishVolume", pb.ControllerPublishVolumeRequest(volume_id="v", node_id="n")),
            ("ControllerUnpublishVolume", pb.ControllerUnpublishVolumeRequest(node_id="n")),
            ("ValidateVolumeCapabilities", pb.ValidateVolumeCapabilitiesRequest(volume_capabilities=[mounted()])),
            ("CreateSnapshot", pb.CreateSnapshotRequest(source_volume_id="v")),
            ("CreateSnapshot", pb.CreateSnapshotRequest(name="s")),
            ("DeleteSnapshot", pb.DeleteSnapshotRequest()),
            ("ControllerExpandVolume", pb.ControllerExpandVolumeRequest(capacity_range=pb.CapacityRange(required_bytes=1))),
            ("ControllerExpandVolume", pb.ControllerExpandVolumeRequest(volume_id="v")),
            ("ControllerGetVolume", pb.ControllerGetVolumeRequest()),
            ("ControllerModifyVolume", pb.ControllerModifyVolumeRequest(mutable_parameters={"a": "b"})),
            ("NodeStageVolume", pb.NodeStageVolumeRequest(staging_target_path="/x", volume_capability=mounted())),
            ("NodeStageVolume", pb.NodeStageVolumeRequest(volume_id="v", volume_capability=mounted())),
            ("NodeStageVolume", pb.NodeStageVolumeRequest(volume_id="v", staging_target_path="/x")),
            ("NodeUnstageVolume", pb.NodeUnstageVolumeRequest(staging_target_path="/x")),
            ("NodeUnstageVolume", pb.NodeUnstageVolumeRequest(volume_id="v")),
            ("NodePublishVolume", pb.NodePublishVolumeRequest(target_path="/x", volume_capability=mounted())),
            ("NodePublishVolume", pb.NodePublishVolumeRequest(volume_id="v", volume_capability=mounted())),
            ("NodePublishVolume", pb.NodePublishVolumeRequest(volume_id="v", target_path="/x")),
            ("NodeUnpublishVolume", pb.NodeUnpublishVolumeRequest(target_path="/x")),
            ("NodeUnpublishVolume", pb.NodeUnpublishVolumeRequest(volume_id="v")),
            ("NodeGetVolumeStats", pb.NodeGetVolumeStatsRequest(volume_path="/x")),
            ("NodeGetVolumeStats", pb.NodeGetVolumeStatsRequest(volume_id="v")),
            ("NodeExpandVolume", pb.NodeExpandVolumeRequest(volume_path="/x")),
            ("NodeExpandVolume", pb.NodeExpandVolumeRequest(volume_id="v")),
        ],
    )
    async def test_rejects_requests_without_what_they_need(self, driver: Driver, verb: str, request_: Any) -> None:
        with pytest.raises((InvalidArgument, Unimplemented)):
            await getattr(driver, verb)(request_)

    # Volumes

    async def test_creates_a_volume_once(self, driver: Driver) -> None:
        await self.need(driver, Can.CREATE_DELETE_VOLUME)
        first = await self.create(driver, "once")
        assert first.volume_id
        assert first.capacity_bytes == 0 or first.capacity_bytes >= self.size
        assert await self.create(driver, "once") == first
        assert (await self.create(driver, "another")).volume_id != first.volume_id

    async def test_a_volume_outlives_the_driver(self, driver: Driver, tmp_path: Path) -> None:
        await self.need(driver, Can.CREATE_DELETE_VOLUME)
        volume = await self.create(driver, "lasting")
        again = await asyncio.to_thread(self.make_driver, tmp_path)
        assert await self.create(again, "lasting") == volume
        await again.close()

    async def test_a_name_is_taken_by_a_volume_of_another_size(self, driver: Driver) -> None:
        await self.need(driver, Can.CREATE_DELETE_VOLUME)
        await self.create(driver, "taken", capacity_range=pb.CapacityRange(required_bytes=self.size, limit_bytes=self.size))
        with pytest.raises(AlreadyExists):
            await self.create(driver, "taken", capacity_range=pb.CapacityRange(required_bytes=2 * self.size, limit_bytes=2 * self.size))

    async def test_many_requests_for_one_name_make_one_volume(self, driver: Driver) -> None:
        await self.need(driver, Can.CREATE_DELETE_VOLUME)
        answers = await asyncio.gather(*(self.create(driver, "crowded") for _ in range(8)), return_exceptions=True)
        assert all(isinstance(answer, pb.Volume | Pending) for answer in answers)
        assert {answer.volume_id for answer in answers if isinstance(answer, pb.Volume)} == {
            (await self.create(driver, "crowded")).volume_id
        }

    @pytest.mark.parametrize("name", ["../../outside", "a/b", "\0", "n" * 4000, "ü ☃", ".", "-rf"])
    async def test_takes_any_name(self, driver: Driver, name: str) -> None:
        await self.need(driver, Can.CREATE_DELETE_VOLUME)
        try:
            volume = await self.create(driver, name)
        except InvalidArgument:
            return
        await driver.DeleteVolume(pb.DeleteVolumeRequest(volume_id=volume.volume_id))

    async def test_keeps_to_capacity_ranges(self, driver: Driver) -> None:
        await self.need(driver, Can.CREATE_DELETE_VOLUME)
        sizes = pb.CapacityRange(required_bytes=self.size, limit_bytes=2 * self.size)
        volume = await self.create(driver, "ranged", capacity_range=sizes)
        assert volume.capacity_bytes == 0 or self.size <= volume.capacity_bytes <= 2 * self.size
        with pytest.raises((InvalidArgument, OutOfRange)):
            await self.create(driver, "reversed", capacity_range=pb.CapacityRange(required_bytes=2 * self.size, limit_bytes=self.size))
        with pytest.raises((OutOfRange, Exhausted)):
            await self.create(driver, "immense", capacity_range=pb.CapacityRange(required_bytes=1 << 60))
        with pytest.raises((InvalidArgument, OutOfRange)):
            await self.create(driver, "negative", capacity_range=pb.CapacityRange(required_bytes=-1))

    async def test_deletes_a_volume_twice(self, driver: Driver) -> None:
        await self.need(driver, Can.CREATE_DELETE_VOLUME)
        volume = await self.create(driver, "short-lived")
        for _ in range(2):
            await driver.DeleteVolume(pb.DeleteVolumeRequest(volume_id=volume.volume_id))
        with pytest.raises(NotFound):
            await driver.ValidateVolumeCapabilities(
                pb.ValidateVolumeCapabilitiesRequest(volume_id=volume.volume_id, volume_capabilities=[mounted()])
            )

    @pytest.mark.parametrize("id", [ABSENT, "../..", "/", "\0", "x" * 5000])
    async def test_deletes_what_never_was(self, driver: Driver, id: str) -> None:
        await self.need(driver, Can.CREATE_DELETE_VOLUME)
        await driver.DeleteVolume(pb.DeleteVolumeRequest(volume_id=id))

    async def test_confirms_capabilities(self, driver: Driver) -> None:
        await self.need(driver, Can.CREATE_DELETE_VOLUME)
        volume = await self.create(driver, "capable")
        request = pb.ValidateVolumeCapabilitiesRequest(volume_id=volume.volume_id, volume_context=volume.volume_context)
        with pytest.raises(InvalidArgument):
            await driver.ValidateVolumeCapabilities(request)
        request.volume_capabilities.append(mounted())
        answer = await driver.ValidateVolumeCapabilities(request)
        assert list(answer.confirmed.volume_capabilities) == [mounted()]
        request.volume_id = ABSENT
        with pytest.raises(NotFound):
            await driver.ValidateVolumeCapabilities(request)

    async def test_lists_volumes_by_pages(self, driver: Driver) -> None:
        await self.need(driver, Can.CREATE_DELETE_VOLUME, Can.LIST_VOLUMES)
        before = {entry.volume.volume_id for entry in (await driver.ListVolumes(pb.ListVolumesRequest())).entries}
        created = {(await self.create(driver, f"listed-{number}")).volume_id for number in range(5)}
        pages, token = [], ""
        while True:
            answer = await driver.ListVolumes(pb.ListVolumesRequest(max_entries=2, starting_token=token))
            assert len(answer.entries) <= 2
            pages += [entry.volume.volume_id for entry in answer.entries]
            if not (token := answer.next_token):
                break
        assert sorted(pages) == sorted(before | created)
        with pytest.raises(Pending):
            await driver.ListVolumes(pb.ListVolumesRequest(starting_token="no token"))
        with pytest.raises(InvalidArgument):
            await driver.ListVolumes(pb.ListVolumesRequest(max_entries=-1))

    async def test_gets_a_volume(self, driver: Driver) -> None:
        await self.need(driver, Can.CREATE_DELETE_VOLUME, Can.GET_VOLUME)
        volume = await self.create(driver, "single")
        answer = await driver.ControllerGetVolume(pb.ControllerGetVolumeRequest(volume_id=volume.volume_id))
        assert answer.volume.volume_id == volume.volume_id
        assert not answer.status.volume_condition.abnormal
        with pytest.raises(NotFound):
            await driver.ControllerGetVolume(pb.ControllerGetVolumeRequest(volume_id=ABSENT))

    async def test_reports_capacity(self, driver: Driver) -> None:
        await self.need(driver, Can.GET_CAPACITY)
        request = pb.GetCapacityRequest(parameters=self.parameters)
        room = (await driver.GetCapacity(request)).available_capacity
        assert room > 0
        topology = (await driver.NodeGetInfo(pb.NodeGetInfoRequest())).accessible_topology
        if topology.segments:
            request.accessible_topology.CopyFrom(topology)
            assert (await driver.GetCapacity(request)).available_capacity > 0
            for key in topology.segments:
                request.accessible_topology.segments[key] = "elsewhere"
            assert (await driver.GetCapacity(request)).available_capacity == 0

    async def test_expands_a_volume(self, driver: Driver) -> None:
        await self.need(driver, Can.CREATE_DELETE_VOLUME, Can.EXPAND_VOLUME)
        volume = await self.create(driver, "growing")

        async def expand(id: str, size: int, limit: int = 0) -> int:
            request = pb.ControllerExpandVolumeRequest(
                volume_id=id, capacity_range=pb.CapacityRange(required_bytes=size, limit_bytes=limit)
            )
            return (await driver.ControllerExpandVolume(request)).capacity_bytes

        larger = await expand(volume.volume_id, 2 * self.size)
        assert larger >= 2 * self.size
        assert await expand(volume.volume_id, 2 * self.size) == larger
        assert await expand(volume.volume_id, self.size) == larger, "volumes do not shrink"
        with pytest.raises((OutOfRange, Exhausted)):
            await expand(volume.volume_id, 1 << 60)
        with pytest.raises((InvalidArgument, OutOfRange)):
            await expand(volume.volume_id, 3 * self.size, limit=self.size)
        assert await expand(volume.volume_id, self.size) == larger, "a refused request changes nothing"
        with pytest.raises(NotFound):
            await expand(ABSENT, self.size)

    async def test_creates_volumes_where_the_topology_requires(self, driver: Driver) -> None:
        await self.need(driver, Can.CREATE_DELETE_VOLUME)
        topology = (await driver.NodeGetInfo(pb.NodeGetInfoRequest())).accessible_topology
        if not topology.segments:
            pytest.skip("the driver has no topology")
        here = pb.TopologyRequirement(requisite=[topology], preferred=[topology])
        volume = await self.create(driver, "here", accessibility_requirements=here)
        assert list(volume.accessible_topology) == [topology]
        elsewhere = pb.Topology(segments=dict.fromkeys(topology.segments, "elsewhere"))
        with pytest.raises(Exhausted):
            await self.create(driver, "there", accessibility_requirements=pb.TopologyRequirement(requisite=[elsewhere]))

    # Attachments

    async def test_attaches_and_detaches(self, driver: Driver) -> None:
        await self.need(driver, Can.CREATE_DELETE_VOLUME, Can.PUBLISH_UNPUBLISH_VOLUME)
        volume, node = await self.create(driver, "attached"), await self.node_id(driver)
        request = pb.ControllerPublishVolumeRequest(
            volume_id=volume.volume_id, node_id=node, volume_capability=mounted(), volume_context=volume.volume_context
        )
        assert await driver.ControllerPublishVolume(request) == await driver.ControllerPublishVolume(request)
        changed = pb.ControllerPublishVolumeRequest()
        changed.CopyFrom(request)
        changed.readonly = True
        with pytest.raises((AlreadyExists, InvalidArgument)):
            await driver.ControllerPublishVolume(changed)
        with pytest.raises(FailedPrecondition):
            await driver.DeleteVolume(pb.DeleteVolumeRequest(volume_id=volume.volume_id))
        for _ in range(2):
            await driver.ControllerUnpublishVolume(pb.ControllerUnpublishVolumeRequest(volume_id=volume.volume_id, node_id=node))
        await driver.DeleteVolume(pb.DeleteVolumeRequest(volume_id=volume.volume_id))
        await driver.ControllerUnpublishVolume(pb.ControllerUnpublishVolumeRequest(volume_id=volume.volume_id, node_id=node))

    async def test_attaches_only_what_exists(self, driver: Driver) -> None:
        await self.need(driver, Can.CREATE_DELETE_VOLUME, Can.PUBLISH_UNPUBLISH_VOLUME)
        volume, node = await self.create(driver, "waiting"), await self.node_id(driver)
        for request in (
            pb.ControllerPublishVolumeRequest(volume_id=ABSENT, node_id=node, volume_capability=mounted()),
            pb.ControllerPublishVolumeRequest(volume_id=volume.volume_id, node_id="absent-node", volume_capability=mounted()),
        ):
            with pytest.raises(NotFound):
                await driver.ControllerPublishVolume(request)

    async def test_lists_where_volumes_are_attached(self, driver: Driver) -> None:
        await self.need(driver, Can.CREATE_DELETE_VOLUME, Can.PUBLISH_UNPUBLISH_VOLUME, Can.LIST_VOLUMES_PUBLISHED_NODES)
        volume, node = await self.create(driver, "published"), await self.node_id(driver)

        async def nodes() -> list[str]:
            answer = await driver.ListVolumes(pb.ListVolumesRequest())
            (entry,) = [entry for entry in answer.entries if entry.volume.volume_id == volume.volume_id]
            return list(entry.status.published_node_ids)

        assert await nodes() == []
        await driver.ControllerPublishVolume(
            pb.ControllerPublishVolumeRequest(volume_id=volume.volume_id, node_id=node, volume_capability=mounted())
        )
        assert await nodes() == [node]
        await driver.ControllerUnpublishVolume(pb.ControllerUnpublishVolumeRequest(volume_id=volume.volume_id))
        assert await nodes() == []

    # Snapshots and clones

    async def test_takes_a_snapshot_once(self, driver: Driver) -> None:
        await self.need(driver, Can.CREATE_DELETE_VOLUME, Can.CREATE_DELETE_SNAPSHOT)
        first, second = await self.create(driver, "first"), await self.create(driver, "second")
        request = pb.CreateSnapshotRequest(name="snapshot", source_volume_id=first.volume_id)
        snapshot = (await driver.CreateSnapshot(request)).snapshot
        assert snapshot.source_volume_id == first.volume_id
        assert snapshot.creation_time.seconds > 0
        assert (await driver.CreateSnapshot(request)).snapshot.snapshot_id == snapshot.snapshot_id
        with pytest.raises(AlreadyExists):
            await driver.CreateSnapshot(pb.CreateSnapshotRequest(name="snapshot", source_volume_id=second.volume_id))
        with pytest.raises(NotFound):
            await driver.CreateSnapshot(pb.CreateSnapshotRequest(name="of nothing", source_volume_id=ABSENT))
        for id in (snapshot.snapshot_id, snapshot.snapshot_id, "absent-snapshot", "../.."):
            await driver.DeleteSnapshot(pb.DeleteSnapshotRequest(snapshot_id=id))

    async def test_lists_snapshots(self, driver: Driver) -> None:
        await self.need(driver, Can.CREATE_DELETE_SNAPSHOT, Can.LIST_SNAPSHOTS)
        volumes = [await self.create(driver, name) for name in ("left", "right")]
        snapshots = {}
        for number, volume in enumerate((volumes[0], volumes[0], volumes[1])):
            request = pb.CreateSnapshotRequest(name=f"s{number}", source_volume_id=volume.volume_id)
            snapshots[(await driver.CreateSnapshot(request)).snapshot.snapshot_id] = volume.volume_id

        async def listed(**fields: Any) -> dict[str, str]:
            answer = await driver.ListSnapshots(pb.ListSnapshotsRequest(**fields))
            return {entry.snapshot.snapshot_id: entry.snapshot.source_volume_id for entry in answer.entries}

        assert await listed() == snapshots
        some = next(iter(snapshots))
        assert await listed(snapshot_id=some) == {some: snapshots[some]}
        assert len(await listed(source_volume_id=volumes[0].volume_id)) == 2
        assert await listed(snapshot_id="absent") == await listed(source_volume_id=ABSENT) == {}
        page = await driver.ListSnapshots(pb.ListSnapshotsRequest(max_entries=2))
        rest = await listed(starting_token=page.next_token)
        assert {entry.snapshot.snapshot_id for entry in page.entries} | set(rest) == set(snapshots)
        with pytest.raises(Pending):
            await listed(starting_token="no token")

    async def test_copies_volumes_and_snapshots(self, driver: Driver) -> None:
        await self.need(driver, Can.CREATE_DELETE_SNAPSHOT, Can.CLONE_VOLUME)
        origin = await self.create(driver, "origin")
        snapshot = (await driver.CreateSnapshot(pb.CreateSnapshotRequest(name="s", source_volume_id=origin.volume_id))).snapshot
        sources = {
            "restored": pb.VolumeContentSource(snapshot=pb.VolumeContentSource.SnapshotSource(snapshot_id=snapshot.snapshot_id)),
            "cloned": pb.VolumeContentSource(volume=pb.VolumeContentSource.VolumeSource(volume_id=origin.volume_id)),
        }
        for name, source in sources.items():
            copy = await self.create(driver, name, volume_content_source=source)
            assert copy.content_source == source
            assert await self.create(driver, name, volume_content_source=source) == copy
            with pytest.raises(AlreadyExists):
                await self.create(driver, name)
            with pytest.raises(OutOfRange):
                await self.create(driver, "smaller", volume_content_source=source, capacity_range=pb.CapacityRange(required_bytes=MIB))
        for source in (
            pb.VolumeContentSource(snapshot=pb.VolumeContentSource.SnapshotSource(snapshot_id="absent")),
            pb.VolumeContentSource(volume=pb.VolumeContentSource.VolumeSource(volume_id=ABSENT)),
        ):
            with pytest.raises(NotFound):
                await self.create(driver, "of nothing", volume_content_source=source)

    async def test_modifies_a_volume(self, driver: Driver) -> None:
        await self.need(driver, Can.CREATE_DELETE_VOLUME, Can.MODIFY_VOLUME)
        volume = await self.create(driver, "modified")
        unknown = {"no-driver-knows-this": "x"}
        with pytest.raises(InvalidArgument):
            await driver.ControllerModifyVolume(pb.ControllerModifyVolumeRequest(volume_id=volume.volume_id, mutable_parameters=unknown))
        with pytest.raises(NotFound):
            await driver.ControllerModifyVolume(pb.ControllerModifyVolumeRequest(volume_id=ABSENT))
