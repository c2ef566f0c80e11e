"""Pods that use more local storage than their limits allow. Pure.

See "Local ephemeral storage" in the Kubernetes documentation. An emptyDir has a limit of its own (`sizeLimit`), a container one for its
writable layer and its logs, and the pod the sum of its containers' for everything. Messages are upstream's; clients match on them.
"""

from __future__ import annotations

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.helpers.resources import pod_limits
from tiphys.api.machinery import quantity

RESOURCE = "ephemeral-storage"


class StorageUse(msgspec.Struct, frozen=True):
    """Bytes that a pod uses."""

    volumes: dict[str, int] = {}
    """By name: the emptyDirs, in memory or not, and the other volumes that are made for the pod."""
    containers: dict[str, int] = {}
    """By name: writable layer and logs."""
    total: int = 0
    """All that is on the node's disk."""


class Excess(msgspec.Struct, frozen=True):
    """A limit that a pod has exceeded."""

    signal: str
    """Upstream's name of the limit in metrics."""
    message: str


def is_limited(pod: core.Pod) -> bool:
    """True if a pod has any limit that its use is compared with."""
    return any(volume.emptyDir is not None and volume.emptyDir.sizeLimit for volume in pod.spec.volumes) or limits_containers(pod)


def limits_containers(pod: core.Pod) -> bool:
    """True if what its containers write is limited."""
    return any(RESOURCE in one.resources.limits for one in (*pod.spec.containers, *pod.spec.initContainers))


def excess(pod: core.Pod, use: StorageUse) -> Excess | None:
    """The first limit that the pod has exceeded: of a volume, of all containers together, of one container."""
    return _of_volume(pod, use) or _of_pod(pod, use) or _of_container(pod, use)


def _of_volume(pod: core.Pod, use: StorageUse) -> Excess | None:
    for volume in pod.spec.volumes:
        limit = volume.emptyDir.sizeLimit if volume.emptyDir is not None else None
        if limit and 0 < quantity.whole(limit) < use.volumes.get(volume.name, 0):
            return Excess("emptydirfs.limit", f'Usage of EmptyDir volume "{volume.name}" exceeds the limit "{limit}". ')
    return None


def _of_pod(pod: core.Pod, use: StorageUse) -> Excess | None:
    limit = pod_limits(pod).get(RESOURCE)
    if limit is None or use.total <= limit:
        return None
    spelled = quantity.format_value(limit, _family(pod))
    return Excess("ephemeralpodfs.limit", f"Pod ephemeral local storage usage exceeds the total limit of containers {spelled}. ")


def _family(pod: core.Pod) -> quantity.Family:
    containers = (*pod.spec.containers, *pod.spec.initContainers)
    return next((quantity.family_of(limit) for one in containers if (limit := one.resources.limits.get(RESOURCE))), "binary")


def _of_container(pod: core.Pod, use: StorageUse) -> Excess | None:
    for container in pod.spec.containers:
        limit = container.resources.limits.get(RESOURCE)
        if limit and 0 < quantity.whole(limit) < use.containers.get(container.name, 0):
            message = f'Container {container.name} exceeded its local ephemeral storage limit "{limit}". '
            return Excess("ephemeralcontainerfs.limit", message)
    return None
