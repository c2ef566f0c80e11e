"""Use by everything that runs on the node: its control groups, their owners, and their present use."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import msgspec

from tiphys.node.cri.errors import CriError
from tiphys.node.cri.pb import api_pb2 as pb
from tiphys.node.metrics import node
from tiphys.node.metrics.cadvisor import Machine, cadvisor_lines
from tiphys.node.metrics.groups import GroupReader, device_names
from tiphys.node.metrics.pods import PodReader, Sizes, subjects
from tiphys.node.metrics.resource import resource_lines
from tiphys.node.metrics.summary import Document, summary
from tiphys.node.metrics.usage import NodeStats, PodUse
from tiphys.node.pod.observed import Observed
from tiphys.node.runtime import cgroups as files
from tiphys.node.services import NodeServices
from tiphys.obs import metrics

log = logging.getLogger(__name__)

HOUSEKEEPING = 10.0
"""Seconds for which the sizes of layers and images are good, which only the runtime knows: as long as upstream's housekeeping."""


class NodeUse:
    """Measures the pods of one node, and the node. Kernel files are read in a thread; no answer waits for the runtime."""

    def __init__(self, services: NodeServices, *, root: Path = files.ROOT) -> None:
        self._services = services
        self._clock = services.clock
        self._started = self._clock.now().timestamp()
        self._pod_reader = PodReader(services.settings.cgroup_parent, started=self._started, root=root)
        self._sizes = Sizes()
        self._sized_at = float("-inf")
        self._facts: Machine | None = None

    async def cadvisor(self) -> bytes:
        """The page `/metrics/cadvisor`."""
        return await asyncio.to_thread(self._page, self._pods(), self._clock.now().timestamp())

    async def resource(self) -> bytes:
        """The page `/metrics/resource`."""
        return await asyncio.to_thread(self._resource_page, self._pods(), self._clock.now().timestamp())

    async def summary(self, *, brief: bool = False) -> Document:
        """The document `/stats/summary`."""
        measured = self._services.meter.latest()
        stats, pods = await asyncio.to_thread(self._whole, self._pods(), self._clock.now().timestamp(), brief)
        return summary(self._services.settings.name, stats, pods, measured, brief=brief)

    @property
    def stale(self) -> bool:
        """True if `refresh` is due; true once per housekeeping interval."""
        now = self._clock.monotonic()
        if now - self._sized_at < HOUSEKEEPING:
            return False
        self._sized_at = now
        return True

    async def refresh(self) -> None:
        """Ask the runtime for the sizes that only it knows, for the answers after this."""
        cri = self._services.cri
        try:
            listed, disks = await asyncio.gather(cri.list_container_stats(), cri.image_fs_info())
        except CriError as error:
            log.debug("sizes of layers and images are unknown", extra={"error": str(error)})
            return
        layers = {one.attributes.id: _size(one.writable_layer) for one in listed}
        images = next(iter(disks.image_filesystems), pb.FilesystemUsage())
        containers = next(iter(disks.container_filesystems), images)
        self._sizes = Sizes(
            layers, (images.fs_id.mountpoint, *_size(images)), (containers.fs_id.mountpoint, sum(size for size, _ in layers.values()), 0)
        )

    def _pods(self) -> list[Observed]:
        relister = self._services.relister
        return [relister.get(uid) for uid in relister.uids]

    def _page(self, pods: list[Observed], now: float) -> bytes:
        if self._facts is None:
            self._facts = node.facts(self._services.machine)
        groups = subjects(GroupReader(self._pod_reader.root), self._pod_reader.parent, pods, self._sizes, now)
        return metrics.page(cadvisor_lines(self._facts, groups, device_names()))

    def _resource_page(self, pods: list[Observed], now: float) -> bytes:
        reader = self._pod_reader.reader()
        uses = self._pod_reader.uses(reader, pods, now)
        return metrics.page(resource_lines(node.node_usage(reader, now, self._started), uses))

    def _whole(self, pods: list[Observed], now: float, brief: bool) -> tuple[NodeStats, list[PodUse]]:
        reader = self._pod_reader.reader(full=True, stalls=not brief)
        return self._node(reader, now, brief), self._pod_reader.uses(reader, pods, now, sizes=None if brief else self._sizes)

    def _node(self, reader: GroupReader, now: float, brief: bool) -> NodeStats:
        services = self._services
        rate = self._pod_reader.rates.rate("/", now, round(node.cpu_seconds() * 1e9))
        used = node.node_usage(reader, now, self._started, rate=rate)
        system = {"pods": self._pod_reader.usage(reader, self._pod_reader.parent, now)}
        for name, pid in (("kubelet", os.getpid()), ("runtime", node.peer(services.settings.containerd_socket))):
            process = node.process_usage(pid, now, self._started) if pid else None
            if process is not None:
                system[name] = msgspec.structs.replace(process, cpu_rate=self._pod_reader.rates.rate(name, now, process.cpu))
        if brief:
            return NodeStats(used, services.machine.memory, system)
        images, layers = (
            node.file_system(place, used=size, inodes_used=inodes or None) if place else None
            for place, size, inodes in (self._sizes.images, self._sizes.containers)
        )
        return NodeStats(
            used,
            services.machine.memory,
            system,
            network=node.network(),
            disk=node.file_system(services.settings.root),
            images=images,
            layers=layers,
            pid_limit=node.pid_limit(),
            threads=node.threads(),
        )


def _size(usage_: pb.FilesystemUsage) -> tuple[int, int]:
    return usage_.used_bytes.value, usage_.inodes_used.value
