"""Pods that use more of the disk than they may: each is evicted ("Local ephemeral storage", "Node-pressure Eviction").

Three limits count: `sizeLimit` of an emptyDir on disk, a container's limit of `ephemeral-storage` (its writable layer and its logs), and
that of the pod as a whole (those and its emptyDirs). Only pods that have one are measured, every ten seconds as by upstream's kubelet.
The kernel is not asked to enforce anything, so a pod may go over its limit until the next look.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from tiphys.api import quantity
from tiphys.api.core import v1 as core
from tiphys.api.helpers.resources import pod_limits
from tiphys.node import names
from tiphys.node.container_config import log_directory
from tiphys.node.cri.errors import RuntimeError_
from tiphys.node.loop import PodLoop
from tiphys.node.pod_plan import AnyContainer
from tiphys.node.services import NodeServices

log = logging.getLogger(__name__)

REASON = "Evicted"
GRACE = 1
CRITICAL = 2_000_000_000
RESOURCE = "ephemeral-storage"


class DiskUse(msgspec.Struct, frozen=True):
    """Bytes on disk: by emptyDir, and by container with its logs."""

    volumes: Mapping[str, int] = {}
    containers: Mapping[str, int] = {}


def is_limited(pod: core.Pod) -> bool:
    """Whether the pod has any limit of the disk. Critical pods are never evicted ("Pod Priority and Preemption")."""
    if (pod.spec.priority or 0) >= CRITICAL:
        return False
    return bool(_bounded(pod)) or RESOURCE in pod_limits(pod) or any(RESOURCE in one.resources.limits for one in _containers(pod))


def exceeded(pod: core.Pod, use: DiskUse) -> str:
    """What the pod uses too much of, or ""."""
    for volume in _bounded(pod):
        assert volume.emptyDir is not None
        limit = volume.emptyDir.sizeLimit
        if limit is not None and use.volumes.get(volume.name, 0) > quantity.whole(limit):
            return f'Usage of EmptyDir volume "{volume.name}" exceeds the limit "{limit}". '
    total = pod_limits(pod).get(RESOURCE)
    if total is not None and sum(use.volumes.values()) + sum(use.containers.values()) > total:
        shown = quantity.format_value(total, "binary")
        return f"Pod ephemeral local storage usage exceeds the total limit of containers {shown}. "
    for container in pod.spec.containers:
        own = container.resources.limits.get(RESOURCE)
        if own is not None and quantity.whole(own) and use.containers.get(container.name, 0) > quantity.whole(own):
            return f'Container {container.name} exceeded its local ephemeral storage limit "{own}". '
    return ""


def _containers(pod: core.Pod) -> Iterable[AnyContainer]:
    return (*pod.spec.containers, *pod.spec.initContainers)


def _on_disk(pod: core.Pod) -> list[core.Volume]:
    return [volume for volume in pod.spec.volumes if volume.emptyDir is not None and not volume.emptyDir.medium]


def _bounded(pod: core.Pod) -> list[core.Volume]:
    """EmptyDirs on disk that have a limit; the kernel keeps that of a tmpfs. A limit of 0 is none."""
    return [one for one in _on_disk(pod) if one.emptyDir is not None and one.emptyDir.sizeLimit and quantity.whole(one.emptyDir.sizeLimit)]


def directory_use(root: Path) -> int:
    """Bytes that a directory takes of its file system, everything in it included; 0 where there is none. Blocks."""
    total, todo, linked = 0, [str(root)], set()
    while todo:
        try:
            entries = list(os.scandir(todo.pop()))
        except OSError:
            continue
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if status.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                if status.st_ino in linked:
                    continue
                linked.add(status.st_ino)
            total += status.st_blocks * 512
            if entry.is_dir(follow_symlinks=False) and not os.path.ismount(entry.path):
                todo.append(entry.path)
    return total


async def watch_storage(services: NodeServices, loop: PodLoop) -> None:
    """Look at the pods that have limits, for ever."""
    while True:
        await services.clock.sleep(services.settings.storage_period)
        for pod in loop.running_pods():
            if is_limited(pod):
                await _judge(services, loop, pod)


async def _judge(services: NodeServices, loop: PodLoop, pod: core.Pod) -> None:
    try:
        use = await _measure(services, pod)
    except RuntimeError_ as error:
        log.info("disk use of a pod is not known", extra={"pod": pod.metadata.name, "error": str(error)})
        return
    message, worker = exceeded(pod, use), loop.worker(pod.metadata.uid)
    if message and worker is not None and worker.give_up(REASON, message, grace=GRACE):
        services.tell(pod, "", "Warning", REASON, message)


async def _measure(services: NodeServices, pod: core.Pod) -> DiskUse:
    layers = {
        one.attributes.labels.get(names.CONTAINER_NAME, ""): one.writable_layer.used_bytes.value
        for one in await services.cri.list_container_stats(labels={names.POD_UID: pod.metadata.uid})
    }
    return await asyncio.to_thread(_walk, services, pod, layers)


def _walk(services: NodeServices, pod: core.Pod, layers: Mapping[str, int]) -> DiskUse:
    paths, logs = services.volumes.paths(pod.metadata.uid), Path(log_directory(str(services.settings.logs), pod))
    return DiskUse(
        volumes={volume.name: directory_use(paths.volume(volume)) for volume in _on_disk(pod)},
        containers={one.name: layers.get(one.name, 0) + directory_use(logs / one.name) for one in _containers(pod)},
    )
