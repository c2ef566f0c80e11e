"""Counting containers that terminated, from the changes of pods' statuses."""

from __future__ import annotations

from collections.abc import Iterator

from tiphys.api.core import v1 as core
from tiphys.node.metrics import families

Termination = tuple[str, str, str]
"""Type of the container, its exit code and the reason: the labels of the count."""


def count_terminations(old: core.PodStatus, new: core.PodStatus) -> None:
    """Count the containers that terminated between two statuses of a pod."""
    for termination in terminations(old, new):
        families.TERMINATED_CONTAINERS.labels(*termination).inc()


def terminations(old: core.PodStatus, new: core.PodStatus) -> Iterator[Termination]:
    """Yield the containers that terminated between two statuses of a pod.

    Each container counts once per termination: one that is shown as terminated in both statuses does not count again.
    """
    for kind, before, after in (
        ("init", old.initContainerStatuses, new.initContainerStatuses),
        ("main", old.containerStatuses, new.containerStatuses),
        ("ephemeral", old.ephemeralContainerStatuses, new.ephemeralContainerStatuses),
    ):
        known = {status.name for status in before if status.state.terminated is not None}
        for status in after:
            end = status.state.terminated
            if end is not None and status.name not in known:
                yield families.CONTAINER_TYPES[kind], str(end.exitCode), end.reason
