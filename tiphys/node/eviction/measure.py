"""Use of the node's disk by a pod: its volumes, its logs, and the writable layers that the runtime has measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tiphys.api.core import v1 as core
from tiphys.node.eviction.disk_use import allocated, file_system_bytes, used_bytes
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
            in_memory = volume.emptyDir is not None and volume.emptyDir.medium == "Memory"
            used = (file_system_bytes if in_memory else used_bytes)(paths.volume(volume))
            volumes[volume.name] = used
            total += 0 if in_memory else used
    if not everything:
        return StorageUse(volumes)
    names = [one.name for one in (*pod.spec.containers, *pod.spec.initContainers)] + [one.name for one in pod.spec.ephemeralContainers]
    containers = {name: layers.get(name, 0) + used_bytes(logs / name) for name in names}
    total += sum(containers.values()) + allocated(paths.hosts)
    return StorageUse(volumes, containers, total)


def _is_local(volume: core.Volume) -> bool:
    """True if a volume is made for the pod on the node's disk (or in memory, for an emptyDir)."""
    return volume.emptyDir is not None or volume.configMap is not None or volume.downwardAPI is not None
