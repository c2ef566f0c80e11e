"""Use of a resource by pods, measured when the node is short of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence

from tiphys.api.core import v1 as core
from tiphys.node.cri.errors import CriError
from tiphys.node.eviction.disk_use import Size
from tiphys.node.eviction.measure import DiskShare, disk_share
from tiphys.node.eviction.ranking import PodUse
from tiphys.node.eviction.thresholds import RESOURCES, Resource, Signal
from tiphys.node.metrics.groups import GroupReader
from tiphys.node.services import NodeServices

log = logging.getLogger(__name__)

_GROUPS: Mapping[str, str] = {"memory": "working_set", "pids": "threads"}
"""The value of a control group that counts, by resource."""

Layers = dict[str, dict[str, Size]]
"""Sizes of containers' writable layers, by the pod's uid and the container's name."""


class UseMeter:
    """Measures pods: memory and processes from control groups, disks from their directories and from the runtime."""

    def __init__(self, services: NodeServices) -> None:
        self.services = services

    async def measure(self, signal: Signal, pods: Sequence[core.Pod], *, image_disk: bool) -> dict[str, PodUse]:
        """Return the use by each pod that can be measured, by uid. With an `image_disk`, writable layers are there and all else is not."""
        resource = RESOURCES[signal]
        if resource in _GROUPS:
            return await asyncio.to_thread(self._groups, resource, pods)
        parts = {"volumes", "logs", "layers"}
        if image_disk:
            parts = {"layers"} if signal.startswith("imagefs.") else {"volumes", "logs"}
        layers = await self.layers() if "layers" in parts else {}
        return await asyncio.to_thread(self._disks, resource, pods, layers, parts)

    async def layers(self) -> Layers:
        """Return the sizes of writable layers, as far as the runtime knows them."""
        try:
            listed = await self.services.cri.list_container_stats()
        except CriError as error:
            log.warning("writable layers were not measured", extra={"error": str(error)})
            return {}
        relister = self.services.relister
        sizes = {one.attributes.id: Size(one.writable_layer.used_bytes.value, one.writable_layer.inodes_used.value) for one in listed}
        result: Layers = {}
        for uid in relister.uids:
            newest = {one.name: one.id for one in reversed(relister.get(uid).containers)}
            result[uid] = {name: sizes.get(ident, Size()) for name, ident in newest.items()}
        return result

    def _groups(self, resource: Resource, pods: Iterable[core.Pod]) -> dict[str, PodUse]:
        cgroups, value = self.services.cgroups, _GROUPS[resource]
        reader = GroupReader(cgroups.root, (value,))
        uses = {}
        for pod in pods:
            path = cgroups.path(pod)
            values = reader.read(path).values
            if value in values:
                running = self.services.relister.get(pod.metadata.uid).running
                groups = {one.name: reader.read(f"{path}/{one.id}").values for one in running}
                uses[pod.metadata.uid] = PodUse(
                    int(values[value]), {name: int(each[value]) for name, each in groups.items() if value in each}
                )
        return uses

    def _disks(self, resource: Resource, pods: Iterable[core.Pod], layers: Layers, parts: set[str]) -> dict[str, PodUse]:
        uses = {}
        for pod in pods:
            meta = pod.metadata
            logs = self.services.settings.logs / f"{meta.namespace}_{meta.name}_{meta.uid}"
            share = disk_share(pod, paths=self.services.volumes.paths(meta.uid), logs=logs, layers=layers.get(meta.uid, {}))
            uses[meta.uid] = share_of(share, resource, parts)
        return uses


def share_of(share: DiskShare, resource: Resource, parts: set[str]) -> PodUse:
    """Return the use of one resource by the named parts of a pod (`volumes`, `logs`, `layers`). Pure."""
    place = 1 if resource == "inodes" else 0
    groups = [sizes for name in ("volumes", "logs", "layers") if name in parts for sizes in (getattr(share, name),)]
    total = sum(size[place] for sizes in groups for size in sizes.values())
    names = share.logs.keys() | share.layers.keys()
    containers = {name: share.logs.get(name, Size()).plus(share.layers.get(name, Size()))[place] for name in sorted(names)}
    return PodUse(total, containers)
