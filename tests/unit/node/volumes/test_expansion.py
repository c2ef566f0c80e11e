"""Expansion of volumes on the node: when it is due, and what the claim shows of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.node.volumes.disks import Disks, Kubelet, add_claim, add_node, claiming, failing, kubelet
from tiphys.aio.clock import LoopClock
from tiphys.api.core import v1 as core
from tiphys.node.volumes.expansion import is_due, is_unsettled
from tiphys.node.volumes.payload import VolumeError
from tiphys.node.volumes.plugin import BusyError, UncertainError, UnsupportedError
from tiphys.node.volumes.upkeep import VolumeUpkeep
from tiphys.testing.eventually import eventually
from tiphys.testing.memory_api import MemoryApi

GI = 1 << 30
PENDING = {"allocatedResourceStatuses": {"storage": "NodeResizePending"}, "allocatedResources": {"storage": "2Gi"}}
UNIQUE = "kubernetes.io/csi/disks^c"


def claim(
    size: str = "1Gi", *, annotations: dict[str, str] | None = None, modes: tuple[str, ...] = ("ReadWriteOnce",), **status: Any
) -> core.PersistentVolumeClaim:
    body = {
        "metadata": {"name": "c", "annotations": annotations or {}},
        "spec": {"accessModes": modes, "resources": {"requests": {"storage": "2Gi"}}},
        "status": {"capacity": {"storage": size}, **status},
    }
    return msgspec.convert(body, core.PersistentVolumeClaim)


def volume(size: str = "2Gi") -> core.PersistentVolume:
    return msgspec.convert({"spec": {"capacity": {"storage": size}}}, core.PersistentVolume)


def statuses(value: str) -> dict[str, Any]:
    return {"allocatedResourceStatuses": {"storage": value}}


def test_an_expansion_waits_for_the_controller() -> None:
    assert not is_due(claim(), volume(), GI), "nobody has said that it is the node's turn"
    assert is_due(claim(**statuses("NodeResizePending")), volume(), GI)
    assert is_due(claim(**statuses("NodeResizeInProgress")), volume(), GI)
    for other in ("ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInfeasible"):
        assert not is_due(claim(**statuses(other)), volume(), GI)
    assert not is_due(claim(**statuses("NodeResizePending")), volume("1Gi"), GI)
    pending = [{"type": "FileSystemResizePending", "status": "True"}]
    assert is_due(claim(conditions=pending), volume(), GI)


def test_every_node_follows_an_expansion_that_another_has_finished() -> None:
    many = ("ReadWriteMany",)
    assert is_due(claim("2Gi", modes=many), volume(), GI)
    assert not is_due(claim("2Gi", modes=many), volume(), 2 * GI)
    assert not is_due(claim("2Gi"), volume(), GI)
    assert not is_due(claim("2Gi", modes=many, annotations={"volume.kubernetes.io/node-expansion-not-required": "true"}), volume(), GI)


def test_a_claim_at_rest_is_settled() -> None:
    assert is_unsettled(claim(), GI)
    assert not is_unsettled(claim("2Gi"), 2 * GI)
    assert is_unsettled(claim("2Gi"), GI)
    assert is_unsettled(claim("2Gi", conditions=[{"type": "Resizing", "status": "True"}]), 2 * GI)


class Growing:
    """A mounted claim whose volume has just been enlarged by the controller."""

    def __init__(self, api: MemoryApi, node: Kubelet, disks: Disks) -> None:
        self.api = api
        self.node = node
        self.disks = disks
        pod = claiming()
        self.upkeep = VolumeUpkeep(node.volumes, lambda uid: pod, LoopClock(), period=0.01)

    @property
    def status(self) -> core.PersistentVolumeClaimStatus:
        return self.api.get(core.PersistentVolumeClaim, "c", "default").status

    async def look(self, done: Callable[[], Any]) -> None:
        """Look after the volume until something is so."""

        async def check() -> bool:
            self.upkeep.look()
            return bool(done())

        try:
            await eventually(check)
        finally:
            await self.upkeep._tasks.close()


@pytest.fixture
def disks(tmp_path: Path) -> Disks:
    return Disks(tmp_path)


async def begin(api: MemoryApi, node: Kubelet, disks: Disks) -> Growing:
    add_node(api)
    add_claim(api)
    pod = claiming()
    await node.volumes.set_up(pod, pod.spec.volumes)
    add_claim(
        api,
        capacity={"storage": "2Gi"},
        claim={
            "spec": {"resources": {"requests": {"storage": "2Gi"}}},
            "status": {
                **PENDING,
                "conditions": [{"type": type_, "status": "True"} for type_ in ("FileSystemResizePending", "Other")],
            },
        },
    )
    return Growing(api, node, disks)


async def test_a_mounted_volume_grows(api: MemoryApi, tmp_path: Path, disks: Disks) -> None:
    seen: list[str] = []

    async def watch(verb: str) -> None:
        if verb == "before expand":
            seen.append(api.get(core.PersistentVolumeClaim, "c", "default").status.allocatedResourceStatuses["storage"])

    disks.on_call = watch
    async with kubelet(api, tmp_path, disks) as node:
        growing = await begin(api, node, disks)
        await growing.look(lambda: growing.status.capacity["storage"] == "2Gi")
        assert disks.sizes == {UNIQUE: 2 * GI}
        assert seen == ["NodeResizeInProgress"]
        assert [one.type for one in growing.status.conditions] == ["Other"]
        assert growing.status.allocatedResourceStatuses == {}
        message = 'MountVolume.NodeExpandVolume succeeded for volume "pv-c" n1'
        assert node.events == [("FileSystemResizeSuccessful", message)] * 2


async def test_a_failure_is_shown_and_tried_again(api: MemoryApi, tmp_path: Path, disks: Disks) -> None:
    async with kubelet(api, tmp_path, disks) as node:
        growing = await begin(api, node, disks)
        disks.on_call = failing(VolumeError("disk on fire"), "before expand")
        conditions: list[str] = []

        def grown() -> bool:
            conditions.extend(one.message for one in growing.status.conditions if one.type == "NodeResizeError")
            return growing.status.capacity["storage"] == "2Gi"

        await growing.look(grown)
        assert set(conditions) == {"failed to expand pvc with disk on fire"}
        text = 'NodeExpandVolume.NodeExpandVolume failed for volume "pv-c" : disk on fire'
        assert node.events[0] == ("VolumeResizeFailed", text)
        assert [one.type for one in growing.status.conditions] == ["Other"]


async def test_an_impossible_size_goes_back_to_the_controller(api: MemoryApi, tmp_path: Path, disks: Disks) -> None:
    async with kubelet(api, tmp_path, disks) as node:
        growing = await begin(api, node, disks)
        disks.on_call = failing(UnsupportedError("too large"), "before expand", times=99)
        await growing.look(lambda: growing.status.allocatedResourceStatuses.get("storage") == "NodeResizeInfeasible")
        assert disks.calls.count("expand") == 1


async def test_a_volume_in_use_waits_without_a_storm(api: MemoryApi, tmp_path: Path, disks: Disks) -> None:
    async with kubelet(api, tmp_path, disks) as node:
        growing = await begin(api, node, disks)
        disks.on_call = failing(BusyError("offline only"), "before expand", times=99)
        rounds = [0]

        def many() -> bool:
            rounds[0] += 1
            return rounds[0] > 20 and bool(growing.upkeep._hopeless)

        await growing.look(many)
        assert disks.calls.count("expand") == 1
        await node.volumes.tear_down("u1")
        disks.on_call = failing(BusyError("offline only"), "before expand", times=99)
        pod = claiming(uid="u2")
        await node.volumes.set_up(pod, pod.spec.volumes)


async def test_an_answer_that_never_came_marks_nothing(api: MemoryApi, tmp_path: Path, disks: Disks) -> None:
    async with kubelet(api, tmp_path, disks) as node:
        growing = await begin(api, node, disks)
        disks.on_call = failing(UncertainError("no answer"), "after expand")
        await growing.look(lambda: bool(node.events))
        assert growing.status.allocatedResourceStatuses == {"storage": "NodeResizeInProgress"}
        assert "NodeResizeError" not in [one.type for one in growing.status.conditions]


async def test_a_read_only_mount_grows_nothing(api: MemoryApi, tmp_path: Path, disks: Disks) -> None:
    add_node(api)
    add_claim(api, capacity={"storage": "2Gi"}, claim={"status": PENDING})
    pod = claiming()
    pod.spec.volumes[0].persistentVolumeClaim.readOnly = True  # type: ignore[union-attr]
    async with kubelet(api, tmp_path, disks) as node:
        await node.volumes.set_up(pod, pod.spec.volumes)
        assert "expand" not in disks.calls


async def test_a_node_may_write_the_progress(api: MemoryApi, tmp_path: Path, disks: Disks) -> None:
    """The rights are those of the Node authorizer and of NodeRestriction."""
    api.add(claiming())
    async with kubelet(api, tmp_path, disks) as node:
        growing = await begin(api, node, disks)
        node.volumes.client = node.volumes.mounter.expander._client = api.client("system:node:n1", "system:nodes")
        await growing.look(lambda: growing.status.capacity["storage"] == "2Gi")
