"""Use of volumes: measured in the background, shown in the summary and in metrics."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.unit.node.volumes.disks import Disks, add_claim, add_node, claiming, kubelet
from tiphys.aio.clock import LoopClock
from tiphys.node.metrics.summary import summary
from tiphys.node.metrics.usage import NodeStats, PodUse, Usage
from tiphys.node.metrics.volumes import volume_lines
from tiphys.node.volumes import volume_stats
from tiphys.node.volumes.payload import VolumeError
from tiphys.node.volumes.plugin import MountRecord, VolumeStats
from tiphys.node.volumes.volume_stats import VolumeMeter, measure_directory
from tiphys.testing.eventually import eventually
from tiphys.testing.memory_api import MemoryApi


async def test_claims_are_measured(api: MemoryApi, tmp_path: Path) -> None:
    disks = Disks(tmp_path)
    add_node(api)
    add_claim(api)
    pod = claiming()
    async with kubelet(api, tmp_path, disks) as node:
        await node.volumes.set_up(pod, pod.spec.volumes)
        meter = VolumeMeter(LoopClock(), node.volumes.mounted, lambda record, message: None)
        meter.look()
        (measured,) = await eventually(meter.latest)
        (shown,) = summary("n", NodeStats(Usage()), [PodUse("default", "pod-u1", "u1", Usage())], [measured])["pods"][0]["volume"]
        assert shown["pvcRef"] == {"name": "c", "namespace": "default"}
        assert (shown["name"], shown["capacityBytes"], shown["usedBytes"], shown["availableBytes"]) == ("data", 100, 1, 99)
        lines = list(volume_lines([measured], [measured.record], [measured.record]))
        assert 'kubelet_volume_stats_capacity_bytes{namespace="default",persistentvolumeclaim="c"} 100' in "\n".join(lines)
        assert not any("inodes" in line for line in lines), "what the driver does not know is not made up"
        assert 'volume_manager_total_volumes{plugin_name="kubernetes.io/csi",state="actual_state_of_world"} 1' in "\n".join(lines)
        await node.volumes.tear_down("u1")
        assert meter.latest() == []


async def test_a_volume_that_hangs_keeps_nobody_else(tmp_path: Path) -> None:
    disks, hanging = Disks(tmp_path), Disks(tmp_path)
    asked: list[str] = []
    answered: list[str] = []

    async def hang(verb: str) -> None:
        asked.append(verb)
        await asyncio.Event().wait()

    async def answer(verb: str) -> None:
        answered.append(verb)

    hanging.on_call, disks.on_call = hang, answer
    records = [MountRecord(plugin="p", unique_name=name, name=name, uid=name, volume="v", path="/") for name in ("a", "b")]
    meter = VolumeMeter(LoopClock(), lambda: zip(records, (hanging, disks), strict=True), lambda record, message: None)
    meter.look()
    (measured,) = await eventually(meter.latest)
    assert measured.record.uid == "b"
    meter.look()
    await eventually(lambda: len(answered) == 2)
    assert asked == ["stats"], "the old measurement has not ended"
    await meter._tasks.close()


async def test_a_damaged_volume_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disks, told = Disks(tmp_path), list[str]()

    async def damaged(record: MountRecord) -> Any:
        return VolumeStats(abnormal=True, message="bad blocks")

    monkeypatch.setattr(disks, "stats", damaged)
    record = MountRecord(plugin="p", unique_name="a", name="a", uid="a", volume="v", path="/")
    meter = VolumeMeter(LoopClock(), lambda: [(record, disks)], lambda record, message: told.append(message))
    meter.look()
    await eventually(lambda: told == ["bad blocks"])


async def test_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = await measure_directory(str(tmp_path))
    assert measured.capacity
    assert measured.available is not None
    assert measured.available <= measured.capacity
    with pytest.raises(FileNotFoundError):
        await measure_directory(str(tmp_path / "none"))
    assert not volume_stats._busy, "what has ended may be measured again"
    monkeypatch.setattr(volume_stats, "_busy", {str(tmp_path)})
    with pytest.raises(VolumeError, match="still being measured"):
        await measure_directory(str(tmp_path))
