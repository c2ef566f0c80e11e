"""The state of a pod as controllers see it ("Pod Lifecycle"). Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from tiphys.api.core import v1 as core

FINISHED = ("Succeeded", "Failed")
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""Annotation: the object as it was last applied, which is of use to kubectl only."""


def condition(pod: core.Pod, type_: str) -> core.PodCondition | None:
    """The condition of a type, or None."""
    for found in pod.status.conditions:
        if found.type == type_:
            return found
    return None


def is_finished(pod: core.Pod) -> bool:
    """Whether all its containers ended for good."""
    return pod.status.phase in FINISHED


def is_active(pod: core.Pod) -> bool:
    """Whether it runs or will, and nobody has begun to delete it."""
    return pod.status.phase not in FINISHED and pod.metadata.deletionTimestamp is None


def is_ready(pod: core.Pod) -> bool:
    """Whether its Ready condition is True."""
    ready = condition(pod, "Ready")
    return ready is not None and ready.status == "True"


def available_at(pod: core.Pod, min_ready_seconds: int) -> datetime | None:
    """When a ready pod counts (or counted) as available, None while it is not ready or nobody said since when it is."""
    ready = condition(pod, "Ready")
    if ready is None or ready.status != "True" or ready.lastTransitionTime is None:
        return None
    return ready.lastTransitionTime + timedelta(seconds=min_ready_seconds)


def is_available(pod: core.Pod, min_ready_seconds: int, now: datetime) -> bool:
    """Whether it has been ready for at least that long."""
    if not is_ready(pod):
        return False
    if min_ready_seconds == 0:
        return True
    moment = available_at(pod, min_ready_seconds)
    return moment is not None and moment <= now


def restarts(pod: core.Pod) -> int:
    """The most restarts that any of its containers has had."""
    return max((status.restartCount for status in pod.status.containerStatuses), default=0)
