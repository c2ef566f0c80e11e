"""Use of the node's disk by a pod: its volumes, its logs, and the writable layers that the runtime has measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from tiphys.api.core import v1 as core
from tiphys.node.eviction.disk_use import Size, allocated, file_system_bytes, tree_size, used_bytes
from tiphys.node.eviction.local_storage import StorageUse, limits_containers
from tiphys.node.volumes.paths import PodPaths


def storage_use(pod: core.Pod, *, paths: PodPaths, logs: Path, layers: Mapping[str, int]) -> StorageUse:
    """Measure a pod. Blocking: meant for a thread. `logs` is the pod's log directory; `layers` has writable layers by container.

    Of a pod whose containers have no limits only the emptyDirs with a limit are measured, since nothing else is compared with any.
    """
    everything = limits_containers(pod)
    volumes, total = {}, 0
    for volume in pod.spec.volumes:
        if not _is_local(volume):
            continue
        if everything or (volume.emptyDir is not None and volume.emptyDir.sizeLimit):
            in_memory = volume.emptyDir is not None and volume.emptyDir.medium != ""
            used = (file_system_bytes if in_memory else used_bytes)(paths.volume(volume))
            volumes[volume.name] = used
            total += 0 if in_memory else used
    if not everything:
        return StorageUse(volumes)
    containers = {name: layers.get(name, 0) + used_bytes(logs / name) for name in _containers(pod)}
    total += sum(containers.values()) + allocated(paths.hosts)
    return StorageUse(volumes, containers, total)


class DiskShare(msgspec.Struct, frozen=True):
    """Sizes of a pod's parts on the node's disks, each by name."""

    volumes: Mapping[str, Size] = {}
    logs: Mapping[str, Size] = {}
    layers: Mapping[str, Size] = {}


def disk_share(pod: core.Pod, *, paths: PodPaths, logs: Path, layers: Mapping[str, Size]) -> DiskShare:
    """Measure all of a pod that is on disks of the node, limited or not. Blocking: meant for a thread."""
    on_disk = [one for one in pod.spec.volumes if _is_local(one) and not (one.emptyDir is not None and one.emptyDir.medium == "Memory")]
    return DiskShare(
        {volume.name: tree_size(paths.volume(volume)) for volume in on_disk},
        {name: tree_size(logs / name) for name in _containers(pod)},
        layers,
    )


def _containers(pod: core.Pod) -> list[str]:
    return [one.name for one in (*pod.spec.containers, *pod.spec.initContainers)] + [one.name for one in pod.spec.ephemeralContainers]


def _is_local(volume: core.Volume) -> bool:
    """True if a volume is made for the pod on the node's disk (or in memory, for an emptyDir)."""
    return volume.emptyDir is not None or volume.configMap is not None or volume.downwardAPI is not None
