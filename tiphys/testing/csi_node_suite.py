"""Suite of tests for the node half of CSI drivers: volumes at the paths of pods, with real mounts. Used like `tiphys.testing.csi_suite`."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tiphys.csi.driver import Driver
from tiphys.csi.errors import AlreadyExists, CsiError, FailedPrecondition, InvalidArgument, NotFound, Unimplemented
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.testing.csi_suite import ABSENT, MIB, Can, CsiCase, Mode, NodeCan, block, mounted
from tiphys.testing.mounts import claimed, mount_count, remove_abandoned, unmount_below


class Place:
    """A volume on its way to a pod: attach, stage, publish, and back, each of which may be repeated."""

    def __init__(self, driver: Driver, case: CsiCase, volume: pb.Volume, directory: Path, capability: pb.VolumeCapability) -> None:
        self.driver, self.case, self.volume, self.capability = driver, case, volume, capability
        self.staging, self.target = directory / "staging", directory / "pods" / "target"
        self.staging.mkdir(parents=True, exist_ok=True)
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self.context: Mapping[str, str] = {}

    @property
    def _shared(self) -> dict[str, Any]:
        return {"volume_id": self.volume.volume_id, "volume_context": self.volume.volume_context, "volume_capability": self.capability}

    async def attach(self, *, readonly: bool = False) -> None:
        """Attach the volume, if the driver does that."""
        answer = await self.driver.ControllerGetCapabilities(pb.ControllerGetCapabilitiesRequest())
        if Can.PUBLISH_UNPUBLISH_VOLUME in {one.rpc.type for one in answer.capabilities}:
            node = await self.case.node_id(self.driver)
            request = pb.ControllerPublishVolumeRequest(**self._shared, node_id=node, readonly=readonly)
            self.context = (await self.driver.ControllerPublishVolume(request)).publish_context

    async def stage(self) -> None:
        """Stage the volume, if the driver does that."""
        if await self.case.node_can(self.driver, NodeCan.STAGE_UNSTAGE_VOLUME):
            await self.driver.NodeStageVolume(
                pb.NodeStageVolumeRequest(**self._shared, staging_target_path=str(self.staging), publish_context=self.context)
            )

    async def publish(self, *, readonly: bool = False, target: Path | None = None) -> None:
        """Publish the volume at a path."""
        has_staging = await self.case.node_can(self.driver, NodeCan.STAGE_UNSTAGE_VOLUME)
        request = pb.NodePublishVolumeRequest(
            **self._shared,
            staging_target_path=str(self.staging) if has_staging else "",
            target_path=str(target or self.target),
            readonly=readonly,
            publish_context=self.context,
        )
        await self.driver.NodePublishVolume(request)

    async def unpublish(self, target: Path | None = None) -> None:
        """Take the volume away from a path."""
        request = pb.NodeUnpublishVolumeRequest(volume_id=self.volume.volume_id, target_path=str(target or self.target))
        await self.driver.NodeUnpublishVolume(request)

    async def unstage(self) -> None:
        """Undo staging and attaching."""
        if await self.case.node_can(self.driver, NodeCan.STAGE_UNSTAGE_VOLUME):
            request = pb.NodeUnstageVolumeRequest(volume_id=self.volume.volume_id, staging_target_path=str(self.staging))
            await self.driver.NodeUnstageVolume(request)
        if self.context:
            await self.driver.ControllerUnpublishVolume(pb.ControllerUnpublishVolumeRequest(volume_id=self.volume.volume_id))

    async def bring(self, *, readonly: bool = False) -> None:
        """Attach, stage and publish."""
        await self.attach()
        await self.stage()
        await self.publish(readonly=readonly)

    async def away(self) -> None:
        """Take everything back."""
        await self.unpublish()
        await self.unstage()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
class CsiNodeSuite(CsiCase):
    """Volumes at the paths of pods, with real mounts. Whatever a test leaves mounted in its directory is unmounted after it."""

    capability = mounted()
    """Mount of the usual volume."""
    grows_online = True

    @pytest.fixture
    async def driver(self, tmp_path: Path) -> AsyncIterator[Driver]:
        await asyncio.to_thread(remove_abandoned)
        with claimed(tmp_path):
            driver = await asyncio.to_thread(self.make_driver, tmp_path / "driver")
            yield driver
            await driver.close()
            left = await asyncio.to_thread(unmount_below, tmp_path)
        assert left == [], "the driver left mounts or loop devices"

    async def place(self, driver: Driver, tmp_path: Path, name: str = "v", capability: pb.VolumeCapability | None = None) -> Place:
        """Create a volume to bring to a pod."""
        capability = capability or self.capability
        volume = await self.create(driver, name, volume_capabilities=[capability])
        return Place(driver, self, volume, tmp_path / name, capability)

    async def test_each_step_may_be_repeated(self, driver: Driver, tmp_path: Path) -> None:
        place = await self.place(driver, tmp_path)
        for step in (place.attach, place.stage, place.publish):
            await step()
            await step()
        (place.target / "file").write_text("data")
        assert mount_count(place.target) == 1
        await place.publish()
        assert mount_count(place.target) == 1
        await place.unpublish()
        await place.unpublish()
        assert not place.target.exists()
        await place.unstage()
        await place.unstage()

    async def test_data_stays(self, driver: Driver, tmp_path: Path) -> None:
        place = await self.place(driver, tmp_path)
        await place.bring()
        (place.target / "file").write_text("data")
        await place.away()
        again = Place(driver, self, place.volume, tmp_path / "again", place.capability)
        await again.bring()
        assert (again.target / "file").read_text() == "data"
        await again.away()

    async def test_pods_share_a_volume(self, driver: Driver, tmp_path: Path) -> None:
        place = await self.place(driver, tmp_path)
        await place.bring()
        other = place.target.with_name("other")
        await place.publish(target=other, readonly=True)
        (place.target / "file").write_text("data")
        assert (other / "file").read_text() == "data"
        with pytest.raises(OSError, match="Read-only"):
            (other / "file").write_text("more")
        await place.unpublish(other)
        assert (place.target / "file").read_text() == "data"
        await place.away()

    async def test_published_in_another_way_is_refused(self, driver: Driver, tmp_path: Path) -> None:
        place = await self.place(driver, tmp_path)
        await place.attach()
        await place.stage()
        await place.publish(readonly=True)
        with pytest.raises(AlreadyExists):
            await place.publish(readonly=False)
        await place.away()

    async def test_a_single_writer_is_single(self, driver: Driver, tmp_path: Path) -> None:
        if not await self.node_can(driver, NodeCan.SINGLE_NODE_MULTI_WRITER):
            pytest.skip("the driver does not tell one writer from many")
        place = await self.place(driver, tmp_path, capability=mounted(Mode.SINGLE_NODE_SINGLE_WRITER))
        await place.bring()
        await place.publish()
        with pytest.raises(FailedPrecondition):
            await place.publish(target=place.target.with_name("other"))
        await place.away()

    async def test_nothing_is_published_unstaged(self, driver: Driver, tmp_path: Path) -> None:
        if not await self.node_can(driver, NodeCan.STAGE_UNSTAGE_VOLUME):
            pytest.skip("the driver does not stage")
        place = await self.place(driver, tmp_path)
        await place.attach()
        with pytest.raises((FailedPrecondition, InvalidArgument)):
            await place.publish()
        place.volume = pb.Volume(volume_id=ABSENT)
        for step in (place.stage, place.publish):
            with pytest.raises(NotFound):
                await step()

    async def test_reports_usage(self, driver: Driver, tmp_path: Path) -> None:
        if not await self.node_can(driver, NodeCan.GET_VOLUME_STATS):
            pytest.skip("the driver has no statistics")
        place = await self.place(driver, tmp_path)
        await place.bring()
        before = await self.usage(place)
        (place.target / "file").write_bytes(os.urandom(3 * MIB))
        os.sync()
        after = await self.usage(place)
        assert after[pb.VolumeUsage.BYTES].used - before[pb.VolumeUsage.BYTES].used >= 3 * MIB
        assert after[pb.VolumeUsage.INODES].used - before[pb.VolumeUsage.INODES].used == 1
        with pytest.raises(NotFound):
            await driver.NodeGetVolumeStats(pb.NodeGetVolumeStatsRequest(volume_id=ABSENT, volume_path=str(place.target)))
        with pytest.raises(NotFound):
            await driver.NodeGetVolumeStats(
                pb.NodeGetVolumeStatsRequest(volume_id=place.volume.volume_id, volume_path=str(tmp_path / "nowhere"))
            )
        await place.away()

    async def usage(self, place: Place) -> dict[int, pb.VolumeUsage]:
        """Return the usage by unit."""
        request = pb.NodeGetVolumeStatsRequest(
            volume_id=place.volume.volume_id, volume_path=str(place.target), staging_target_path=str(place.staging)
        )
        answer = await place.driver.NodeGetVolumeStats(request)
        assert not answer.volume_condition.abnormal
        return {one.unit: one for one in answer.usage}

    async def test_grows_between_pods(self, driver: Driver, tmp_path: Path) -> None:
        await self.need(driver, Can.EXPAND_VOLUME)
        place = await self.place(driver, tmp_path)
        await place.bring()
        (place.target / "file").write_text("data")
        before = (await self.usage(place))[pb.VolumeUsage.BYTES].total
        await place.away()
        await driver.ControllerExpandVolume(
            pb.ControllerExpandVolumeRequest(
                volume_id=place.volume.volume_id, capacity_range=pb.CapacityRange(required_bytes=4 * self.size)
            )
        )
        await place.bring()
        assert (await self.usage(place))[pb.VolumeUsage.BYTES].total >= before + 2 * self.size
        assert (place.target / "file").read_text() == "data"
        await place.away()

    async def test_grows_under_a_pod(self, driver: Driver, tmp_path: Path) -> None:
        await self.need(driver, Can.EXPAND_VOLUME)
        if not self.grows_online:
            pytest.skip("file systems of this kind do not grow here while they are mounted")
        place = await self.place(driver, tmp_path)
        await place.bring()
        (place.target / "file").write_text("data")
        before = (await self.usage(place))[pb.VolumeUsage.BYTES].total
        await self.expand(place, 4 * self.size)
        assert (await self.usage(place))[pb.VolumeUsage.BYTES].total >= before + 2 * self.size
        assert (place.target / "file").read_text() == "data"
        await place.away()

    async def expand(self, place: Place, size: int) -> None:
        """Enlarge a volume that is published."""
        sizes = pb.CapacityRange(required_bytes=size)
        answer = await place.driver.ControllerExpandVolume(
            pb.ControllerExpandVolumeRequest(volume_id=place.volume.volume_id, capacity_range=sizes, volume_capability=place.capability)
        )
        if answer.node_expansion_required:
            request = pb.NodeExpandVolumeRequest(
                volume_id=place.volume.volume_id,
                volume_path=str(place.target),
                staging_target_path=str(place.staging),
                capacity_range=sizes,
                volume_capability=place.capability,
            )
            for _ in range(2):
                await place.driver.NodeExpandVolume(request)

    async def test_copies_have_the_data_and_their_own_life(self, driver: Driver, tmp_path: Path) -> None:
        await self.need(driver, Can.CREATE_DELETE_SNAPSHOT, Can.CLONE_VOLUME)
        place = await self.place(driver, tmp_path)
        await place.bring()
        (place.target / "file").write_text("old")
        await place.away()
        id = place.volume.volume_id
        snapshot = (await driver.CreateSnapshot(pb.CreateSnapshotRequest(name="s", source_volume_id=id))).snapshot
        await place.bring()
        (place.target / "file").write_text("new")
        await place.away()
        sources = {
            "old": pb.VolumeContentSource(snapshot=pb.VolumeContentSource.SnapshotSource(snapshot_id=snapshot.snapshot_id)),
            "new": pb.VolumeContentSource(volume=pb.VolumeContentSource.VolumeSource(volume_id=id)),
        }
        sizes = pb.CapacityRange(required_bytes=2 * self.size)
        await place.bring()
        for text, source in sources.items():
            if text == "new":
                await place.away()
            volume = await self.create(
                driver, text, volume_content_source=source, capacity_range=sizes, volume_capabilities=[self.capability]
            )
            copy = Place(driver, self, volume, tmp_path / text, self.capability)
            await copy.bring()
            assert (copy.target / "file").read_text() == text
            (copy.target / "file").write_text("changed")
            await copy.away()
        await place.bring()
        assert (place.target / "file").read_text() == "new"
        await place.away()

    async def test_links_out_of_a_volume_lead_nowhere(self, driver: Driver, tmp_path: Path) -> None:
        victim = tmp_path / "victim"
        victim.mkdir()
        (victim / "file").write_text("precious")
        place = await self.place(driver, tmp_path)
        await place.bring()
        (place.target / "link").symlink_to(victim)
        (place.target / "file").symlink_to(victim / "file")
        await self.usage(place)
        await place.away()
        request = pb.CreateSnapshotRequest(name="s", source_volume_id=place.volume.volume_id)
        try:
            snapshot = (await driver.CreateSnapshot(request)).snapshot
            await driver.DeleteSnapshot(pb.DeleteSnapshotRequest(snapshot_id=snapshot.snapshot_id))
        except Unimplemented:
            pass
        await driver.DeleteVolume(pb.DeleteVolumeRequest(volume_id=place.volume.volume_id))
        assert (victim / "file").read_text() == "precious"

    async def test_what_is_not_the_drivers_stays(self, driver: Driver, tmp_path: Path) -> None:
        place = await self.place(driver, tmp_path)
        foreign = tmp_path / "foreign"
        foreign.mkdir()
        (foreign / "file").write_text("precious")
        for action in (place.unpublish(foreign), place.unpublish(foreign / "file")):
            with pytest.raises(CsiError):
                await action
        assert (foreign / "file").read_text() == "precious"

    async def test_brings_a_block_device(self, driver: Driver, tmp_path: Path) -> None:
        if not self.has_block:
            pytest.skip("the driver has no block devices")
        place = await self.place(driver, tmp_path, capability=block())
        for step in (place.attach, place.stage, place.publish):
            await step()
            await step()
        assert stat.S_ISBLK(place.target.stat().st_mode)
        assert read_device(place.target)[0] >= self.size
        place.target.write_bytes(b"raw data")
        await self.expand(place, 2 * self.size)
        size, content = read_device(place.target)
        assert size >= 2 * self.size
        assert content == b"raw data"
        if await self.node_can(driver, NodeCan.GET_VOLUME_STATS):
            assert (await self.usage(place))[pb.VolumeUsage.BYTES].total >= 2 * self.size
        await place.away()
        assert not place.target.exists()


def read_device(path: Path) -> tuple[int, bytes]:
    """Return the size of a block device and its first bytes."""
    with open(path, "rb") as device:
        content = device.read(8)
        return device.seek(0, os.SEEK_END), content
