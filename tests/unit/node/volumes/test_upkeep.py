"""Content of mounted volumes that drivers renew."""

from __future__ import annotations

from pathlib import Path

from tests.unit.node.volumes.disks import Disks, add_claim, add_node, claiming, kubelet
from tiphys.aio.clock import LoopClock
from tiphys.node.volumes.payload import VolumeError
from tiphys.node.volumes.plugin import DeviceRecord, MountRecord, VolumeSpec
from tiphys.node.volumes.upkeep import VolumeUpkeep
from tiphys.testing.eventually import eventually
from tiphys.testing.memory_api import MemoryApi


class Tokens(Disks):
    """Volumes that are published again and again; the first renewal fails."""

    async def requires_remount(self, spec: VolumeSpec) -> bool:
        return True

    async def remount(self, spec: VolumeSpec, record: MountRecord, device: DeviceRecord | None) -> None:
        self.calls.append("renew")
        if self.calls.count("renew") == 1:
            raise VolumeError("vault is sealed")


async def test_content_is_renewed_while_the_pod_runs_and_no_longer(api: MemoryApi, tmp_path: Path) -> None:
    disks, pod = Tokens(tmp_path), claiming()
    add_node(api)
    add_claim(api)
    async with kubelet(api, tmp_path, disks) as node:
        await node.volumes.set_up(pod, pod.spec.volumes)
        running = {"u1": pod}
        upkeep = VolumeUpkeep(node.volumes, running.get, LoopClock(), period=0.0)

        def renewed(times: int) -> bool:
            upkeep.look()
            return disks.calls.count("renew") >= times

        await eventually(lambda: renewed(3))
        await eventually(lambda: not upkeep._busy)
        text = 'MountVolume.SetUp failed for volume "pv-c" : vault is sealed'
        assert node.events == [("FailedMount", text)]
        assert len(disks.published) == 1, "a failure leaves the old content in place"
        del running["u1"]
        before = disks.calls.count("renew")
        for _ in range(3):
            upkeep.look()
            assert upkeep._busy
            await eventually(lambda: not upkeep._busy)
        assert disks.calls.count("renew") == before, "a pod that has ended needs no new content"
        await upkeep._tasks.close()
