"""The state of a pod: of a whole one, or of any type that holds the fields that are asked about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Protocol

from tiphys.api.core.v1 import Pod, PodCondition
from tiphys.api.machinery.durations import later
from tiphys.api.meta.v1 import ObjectMeta

DISRUPTION_TARGET: Final = "DisruptionTarget"
"""Condition of a pod that is removed for reasons outside itself."""


class Restarted(Protocol):
    """Number of restarts of a container."""

    @property
    def restartCount(self) -> int: ...


class PodStatusLike(Protocol):
    """The fields of a pod's status that its state follows from."""

    @property
    def phase(self) -> str: ...
    @property
    def conditions(self) -> Sequence[PodCondition]: ...
    @property
    def containerStatuses(self) -> Sequence[Restarted]: ...


class PodLike(Protocol):
    """A pod, or a part of one."""

    @property
    def metadata(self) -> ObjectMeta: ...
    @property
    def status(self) -> PodStatusLike: ...


def condition(pod: PodLike, type_: str) -> PodCondition | None:
    """The condition of this type."""
    for item in pod.status.conditions:
        if item.type == type_:
            return item
    return None


def is_ready(pod: PodLike) -> bool:
    """True if the pod may get traffic."""
    ready = condition(pod, "Ready")
    return ready is not None and ready.status == "True"


def available_at(pod: PodLike, min_ready_seconds: int) -> datetime | None:
    """Return when a ready pod counts (or counted) as available; None while it is not ready or nobody said since when it is."""
    ready = condition(pod, "Ready")
    if ready is None or ready.status != "True" or ready.lastTransitionTime is None:
        return None
    return later(ready.lastTransitionTime, min_ready_seconds)


def is_available(pod: PodLike, min_ready_seconds: int, now: datetime) -> bool:
    """True if the pod has been ready for that long (`minReadySeconds`)."""
    if not is_ready(pod):
        return False
    if not min_ready_seconds:
        return True
    moment = available_at(pod, min_ready_seconds)
    return moment is not None and moment <= now


def is_finished(pod: PodLike) -> bool:
    """True if no container of the pod will run again."""
    return pod.status.phase in ("Succeeded", "Failed")


def is_active(pod: PodLike) -> bool:
    """True if the pod counts as a replica: neither over nor being deleted."""
    return not is_finished(pod) and pod.metadata.deletionTimestamp is None


def restarts(pod: PodLike) -> int:
    """The most restarts that any of its containers has had."""
    return max((status.restartCount for status in pod.status.containerStatuses), default=0)


def is_scheduled(pod: Pod) -> bool:
    """True if a node has been chosen."""
    return bool(pod.spec.nodeName)


def host_ports(pod: Pod) -> list[tuple[str, str, int]]:
    """Protocol, address (or "") and port of the node that the pod takes, sidecars' ports included."""
    taken = []
    for container in (*pod.spec.containers, *(c for c in pod.spec.initContainers if c.restartPolicy == "Always")):
        for port in container.ports:
            if port.hostPort:
                taken.append((port.protocol or "TCP", port.hostIP, port.hostPort))
    return taken
