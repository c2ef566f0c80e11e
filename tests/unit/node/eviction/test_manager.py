"""The loop that evicts pods, in virtual time: only the runtime and the kernel's files are made up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.unit.node.make import pod
from tiphys.aio.clock import VirtualClock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.core import v1 as core
from tiphys.node.cri.client import CriClient
from tiphys.node.cri.errors import Unavailable
from tiphys.node.cri.pb import api_pb2 as pb
from tiphys.node.eviction.manager import EvictionManager
from tiphys.node.eviction.pressure import Level
from tiphys.node.eviction.reclaim import Disk, Reclaimed
from tiphys.node.eviction.signals import SignalMeter
from tiphys.node.host import machine
from tiphys.node.kubelet import Kubelet
from tiphys.node.metrics import families
from tiphys.node.pod.cgroups import PodCgroups
from tiphys.node.pod.worker import PodWorker
from tiphys.node.settings import NodeSettings
from tiphys.testing import eventually
from tiphys.testing.memory_api import MemoryApi

pytestmark = pytest.mark.looptime
MI = 1 << 20
MEMORY = {"memory.available": "100Mi"}
DISK = {"nodefs.available": "10%"}


class EmptyRuntime(CriClient):
    """A runtime that runs nothing."""

    async def _call(self, path: str, *_: Any, **__: Any) -> Any:
        raise Unavailable(path, "UNAVAILABLE", "it runs nothing")

    async def image_fs_info(self) -> pb.ImageFsInfoResponse:
        return pb.ImageFsInfoResponse()

    async def list_container_stats(self, **_: Any) -> list[pb.ContainerStats]:
        return []

    async def list_containers(self, **_: Any) -> list[pb.Container]:
        return []

    async def list_pod_sandboxes(self, **_: Any) -> list[pb.PodSandbox]:
        return []


class Disks(SignalMeter):
    """A disk of 1000 bytes, of which so many are free."""

    free = 1000

    def levels(self) -> Any:
        return {"nodefs.available": Level(self.free, 1000)}


class Collector:
    """A garbage collector with so many bytes to free on a disk."""

    def __init__(self, disk: Disks, bytes_: int) -> None:
        self.disk, self.bytes = disk, bytes_
        self.calls: list[tuple[Disk, int]] = []

    async def reclaim(self, disk: Disk, want: int) -> Reclaimed:
        self.calls.append((disk, want))
        freed, self.bytes = self.bytes, 0
        self.disk.free += freed
        return Reclaimed(freed, "2 images" if freed else "")


class Node:
    """A node of 1000 MiB whose pods wait for a runtime, with control groups that are plain files."""

    def __init__(self, api: MemoryApi, root: Path, **settings: Any) -> None:
        self.api, self.groups = api, root / "cgroup"
        (self.groups / "kubepods").mkdir(parents=True)
        (self.groups / "cgroup.controllers").write_text("cpu memory pids")
        known = NodeSettings(name="n1", root=root / "node", eviction_transition=60.0, enforce_allocatable=(), **settings)
        self.kubelet = Kubelet(known, api.client(), EmptyRuntime(root / "none.sock"), clock=VirtualClock())
        self.services = self.kubelet.services
        self.services.cgroups = PodCgroups("/kubepods", self.groups)
        self.workers: dict[str, PodWorker] = {}
        self.evictions = EvictionManager(self.services, lambda: [one for one in self.workers.values() if one.is_serving])
        self.evictions.signals = SignalMeter(root, "/kubepods", 1000 * MI, root=self.groups)
        self.tasks: list[asyncio.Task[None]] = []
        self.use(0)

    @classmethod
    @asynccontextmanager
    async def running(cls, root: Path, **settings: Any) -> AsyncIterator[Node]:
        async with MemoryApi.running(clock=VirtualClock()) as api:
            node = cls(api, root, **settings)
            try:
                yield node
            finally:
                for task in node.tasks:
                    await cancel_and_wait(task)
                await node.kubelet._close()

    def start(self) -> None:
        self.tasks += [asyncio.create_task(worker.run()) for worker in self.workers.values()]
        self.tasks.append(asyncio.create_task(self.evictions.run()))

    def use(self, memory: int) -> None:
        """Let the node's processes use so many MiB."""
        (self.groups / "memory.current").write_text(str(memory * MI))

    async def add(self, name: str, memory: int = 0, **spec: Any) -> None:
        """Run a pod that was admitted and uses so many MiB."""
        one = pod(metadata={"name": name, "uid": name}, **spec)
        await self.services.admitted.write(name, {})
        self.api.add(one)
        group = self.groups / self.services.cgroups.path(one).strip("/")
        group.mkdir(parents=True)
        (group / "memory.current").write_text(str(memory * MI))
        self.workers[name] = PodWorker(self.services, name, one)

    def status(self, name: str) -> core.PodStatus:
        return self.api.get(core.Pod, name, "default").status

    def evicted(self) -> list[str]:
        return [one.metadata.name for one in self.api.list(core.Pod, "default") if one.status.reason == "Evicted"]

    def told(self, reason: str) -> list[str]:
        return [one.message for one in self.api.list(core.Event) if one.reason == reason]


async def test_one_pod_after_the_other_goes_until_there_is_memory(tmp_path: Path) -> None:
    async with Node.running(tmp_path, eviction_hard=MEMORY) as node:
        await node.add("greedy", 700)
        await node.add("modest", 50)
        await node.add("vital", 200, priority=2_000_000_000)
        node.use(950)
        before = families.EVICTIONS.labels("memory.available").value
        node.start()
        await eventually(lambda: node.evicted() == ["greedy"])
        node.use(300)
        await asyncio.sleep(30)
        assert node.evicted() == ["greedy"]
        status = node.status("greedy")
        assert (status.phase, status.message) == (
            "Failed", "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. ",
        )  # fmt: skip
        condition = next(one for one in status.conditions if one.type == "DisruptionTarget")
        assert (condition.status, condition.reason, condition.message) == ("True", "TerminationByKubelet", status.message)
        assert families.EVICTIONS.labels("memory.available").value == before + 1
        assert node.told("Evicted") == [status.message]
        assert node.told("EvictionThresholdMet") == ["Attempting to reclaim memory"]
        node.use(990)
        await eventually(lambda: node.evicted() == ["greedy", "modest"])
        await asyncio.sleep(100)
        assert node.evicted() == ["greedy", "modest"], "a critical pod is spared"


async def test_the_node_shows_pressure_and_its_end(tmp_path: Path) -> None:
    async with Node.running(tmp_path, eviction_hard=MEMORY) as node:
        hurried: list[tuple[str, ...]] = []
        node.evictions.hurry = lambda: hurried.append(node.services.pressure.conditions)
        node.use(950)
        await node.evictions.begin()
        assert list(node.services.pressure.conditions) == ["MemoryPressure"]
        assert hurried == [("MemoryPressure",)]
        rejected = await node.services.rejection(pod())
        assert rejected is not None
        assert (rejected.reason, rejected.message) == ("Evicted", "The node had condition: [MemoryPressure]. ")
        node.use(100)
        node.start()
        await asyncio.sleep(59)
        assert "MemoryPressure" in node.services.pressure.conditions
        await asyncio.sleep(12)
        assert not node.services.pressure.conditions
        assert len(hurried) == 2


async def test_a_soft_threshold_waits_and_leaves_time(tmp_path: Path) -> None:
    soft = {"eviction_soft": MEMORY, "eviction_soft_grace": {"memory.available": "20s"}, "eviction_max_grace": 7}
    async with Node.running(tmp_path, eviction_hard={}, **soft) as node:
        await node.add("a", 500, terminationGracePeriodSeconds=30)
        node.use(950)
        node.start()
        await asyncio.sleep(15)
        assert node.evicted() == []
        await eventually(lambda: node.evicted() == ["a"])
        assert node.workers["a"]._grace_cap == 7


def disks(node: Node, free: int, bytes_: int) -> Collector:
    node.evictions.signals = disk = Disks(node.groups, "/kubepods", 0)
    disk.free = free
    collector = Collector(disk, bytes_)
    node.evictions.reclaimer = collector
    return collector


async def test_unused_images_go_before_a_pod_does(tmp_path: Path) -> None:
    async with Node.running(tmp_path, eviction_hard=DISK, eviction_reclaim={"nodefs.available": "50"}) as node:
        await node.add("a")
        (node.groups / "filler").mkdir()
        (node.groups / "filler" / "f").write_bytes(b"x" * MI)
        collector = disks(node, 80, 70)
        node.start()
        await eventually(lambda: node.told("ReclaimedDiskSpace") == ["Deleted what was not in use: 2 images"])
        await asyncio.sleep(60)
        assert collector.calls == [("nodefs", 70)]
        assert node.evicted() == []


async def test_a_pod_goes_when_nothing_unused_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where: list[Path] = []

    def itself(path: Path) -> Path:
        where.append(path)
        return path

    monkeypatch.setattr(machine, "mount_point", itself)
    async with Node.running(tmp_path, eviction_hard=DISK) as node:
        await node.add("a")
        (node.groups / "filler").mkdir()
        (node.groups / "filler" / "f").write_bytes(b"x" * MI)
        collector = disks(node, 80, 10)
        node.start()
        await eventually(lambda: node.evicted() == ["a"])
        assert collector.calls[0] == ("nodefs", 20)
        assert where == [node.groups], "the search is bounded"
        (message,) = node.told("EvictionThresholdMet")
        assert message == f"Attempting to reclaim ephemeral-storage. Largest directories: {node.groups}/filler 1.0Mi"
        assert node.status("a").message.startswith(
            "The node was low on resource: ephemeral-storage. Threshold quantity: 100, available: 80. "
        )


@pytest.mark.parametrize("break_", ["reclaim", "levels"])
async def test_a_failure_does_not_end_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, break_: str) -> None:
    async with Node.running(tmp_path, eviction_hard=DISK) as node:
        await node.add("a")
        collector = disks(node, 80, 0)
        target: Any = collector if break_ == "reclaim" else node.evictions.signals
        sound: Callable[..., Any] = getattr(target, break_)
        failures = [ValueError("once")]

        def fails(*args: Any) -> Any:
            if failures:
                raise failures.pop()
            return sound(*args)

        monkeypatch.setattr(target, break_, fails)
        node.start()
        await eventually(lambda: node.evicted() == ["a"])
        assert failures == []
