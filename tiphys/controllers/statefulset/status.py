"""Status of a StatefulSet. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.helpers import pods as pod_state
from tiphys.controllers.shared.slim import SlimPod
from tiphys.controllers.statefulset.identity import revision_of
from tiphys.controllers.statefulset.members import is_running_and_ready, is_terminating, size_of


def status(
    owner: apps.StatefulSet, current: str, update: str, collisions: int, pods: Sequence[SlimPod | core.Pod], now: datetime
) -> apps.StatefulSetStatus:
    """Return the status of a StatefulSet with these pods, whose revisions have these names.

    When all pods are of the update revision and ready, it becomes the current one.
    """
    created = [pod for pod in pods if pod.status.phase]
    ready = [pod for pod in created if is_running_and_ready(pod)]
    staying = [revision_of(pod) for pod in created if not is_terminating(pod)]
    updated = staying.count(update)
    if owner.spec.updateStrategy.type == "RollingUpdate" and updated == len(ready) == len(created) == size_of(owner):
        current = update
    return apps.StatefulSetStatus(
        observedGeneration=owner.metadata.generation,
        replicas=len(created),
        readyReplicas=len(ready),
        availableReplicas=sum(pod_state.is_available(pod, owner.spec.minReadySeconds, now) for pod in ready),
        currentReplicas=staying.count(current),
        updatedReplicas=updated,
        currentRevision=current,
        updateRevision=update,
        collisionCount=collisions,
        conditions=owner.status.conditions,
    )
