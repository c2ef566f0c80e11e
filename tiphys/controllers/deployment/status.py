"""The status of a Deployment: counts, and the conditions that `kubectl rollout status` and `kubectl wait` read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from tiphys.api.apps import v1 as apps
from tiphys.api.machinery.base import time
from tiphys.controllers.deployment.rollout import bounds, desired_replicas

PROGRESSING = "Progressing"
AVAILABLE = "Available"
FAILURE = "ReplicaFailure"

NEVER = 2**31 - 1
"""Value from which a limit in seconds, or revisions, means no limit."""


def deadline(deployment: apps.Deployment) -> int | None:
    """Return the seconds within which progress is expected, None for no limit."""
    seconds = deployment.spec.progressDeadlineSeconds
    return None if seconds == NEVER else seconds


def condition(status: apps.DeploymentStatus, type_: str) -> apps.DeploymentCondition | None:
    """Return the condition of a type, or None."""
    return next((one for one in status.conditions if one.type == type_), None)


def set_condition(status: apps.DeploymentStatus, type_: str, value: str, reason: str, message: str, now: datetime) -> None:
    """Set a condition; one with the same status and reason stays as it is."""
    known = condition(status, type_)
    if known is not None and (known.status, known.reason) == (value, reason):
        return
    moment = time(now)
    since = known.lastTransitionTime if known is not None and known.status == value else moment
    fresh = apps.DeploymentCondition(
        type=type_, status=value, lastUpdateTime=moment, lastTransitionTime=since, reason=reason, message=message
    )
    status.conditions = [*_without(status.conditions, type_), fresh]


def _without(conditions: Iterable[apps.DeploymentCondition], type_: str) -> list[apps.DeploymentCondition]:
    return [one for one in conditions if one.type != type_]


def counted(
    deployment: apps.Deployment, replica_sets: Sequence[apps.ReplicaSet], new: apps.ReplicaSet | None, desired: int, now: datetime
) -> apps.DeploymentStatus:
    """Return the part of the status that follows from the ReplicaSets, whose desired sizes add up to `desired`."""
    states = [replica_set.status for replica_set in replica_sets]
    available = sum(state.availableReplicas for state in states)
    status = apps.DeploymentStatus(
        observedGeneration=deployment.metadata.generation,
        replicas=sum(state.replicas for state in states),
        updatedReplicas=new.status.replicas if new is not None else 0,
        readyReplicas=sum(state.readyReplicas for state in states),
        availableReplicas=available,
        unavailableReplicas=max(desired - available, 0),
        terminatingReplicas=_terminating(states),
        conditions=list(deployment.status.conditions),
        collisionCount=deployment.status.collisionCount,
    )
    if available >= desired_replicas(deployment) - bounds(deployment)[1]:
        set_condition(status, AVAILABLE, "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now)
    else:
        set_condition(status, AVAILABLE, "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.", now)
    return status


def _terminating(states: Iterable[apps.ReplicaSetStatus]) -> int | None:
    """Return the number of pods that are going, None when it is unknown for a ReplicaSet whose status somebody has written."""
    numbers = [state.terminatingReplicas for state in states if state.observedGeneration or state.terminatingReplicas is not None]
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None


def note_pause(deployment: apps.Deployment, status: apps.DeploymentStatus, now: datetime) -> None:
    """Record that the rollout is paused or resumed, so that a pause does not count against its deadline."""
    if deadline(deployment) is None:
        return
    known = condition(status, PROGRESSING)
    if known is not None and known.reason == "ProgressDeadlineExceeded":
        return
    was_paused = known is not None and known.reason == "DeploymentPaused"
    if deployment.spec.paused and not was_paused:
        set_condition(status, PROGRESSING, "Unknown", "DeploymentPaused", "Deployment is paused", now)
    elif not deployment.spec.paused and was_paused:
        set_condition(status, PROGRESSING, "Unknown", "DeploymentResumed", "Deployment is resumed", now)


def is_complete(deployment: apps.Deployment, status: apps.DeploymentStatus) -> bool:
    """Return whether all pods are new and available, and no others are left."""
    replicas = desired_replicas(deployment)
    return (status.updatedReplicas, status.replicas, status.availableReplicas) == (replicas, replicas, replicas)


def _moved(before: apps.DeploymentStatus, after: apps.DeploymentStatus) -> bool:
    return (
        after.updatedReplicas > before.updatedReplicas
        or after.replicas - after.updatedReplicas < before.replicas - before.updatedReplicas
        or after.readyReplicas > before.readyReplicas
        or after.availableReplicas > before.availableReplicas
    )


def note_progress(deployment: apps.Deployment, status: apps.DeploymentStatus, new: apps.ReplicaSet | None, now: datetime) -> None:
    """Set the Progressing condition from the changes since the Deployment's recorded status."""
    if deadline(deployment) is None:
        status.conditions = _without(status.conditions, PROGRESSING)
        return
    known = condition(status, PROGRESSING)
    if known is not None and known.reason == "NewReplicaSetAvailable" and status.replicas == status.updatedReplicas:
        # Nothing rolls out: pods that come and go are no matter of progress.
        return
    what = f'ReplicaSet "{new.metadata.name}"' if new is not None else f'Deployment "{deployment.metadata.name}"'
    if is_complete(deployment, status):
        set_condition(status, PROGRESSING, "True", "NewReplicaSetAvailable", f"{what} has successfully progressed.", now)
    elif _moved(deployment.status, status):
        # The moment of the last progress is lastUpdateTime, so the condition is renewed even when it says the same.
        since = known.lastTransitionTime if known is not None and known.status == "True" else None
        status.conditions = _without(status.conditions, PROGRESSING)
        set_condition(status, PROGRESSING, "True", "ReplicaSetUpdated", f"{what} is progressing.", now)
        if since is not None:
            status.conditions[-1].lastTransitionTime = since
    elif _is_late(deployment, status, now):
        set_condition(status, PROGRESSING, "False", "ProgressDeadlineExceeded", f"{what} has timed out progressing.", now)


def _is_late(deployment: apps.Deployment, status: apps.DeploymentStatus, now: datetime) -> bool:
    left = time_left(deployment, status, now)
    return left is not None and left < 0


def time_left(deployment: apps.Deployment, status: apps.DeploymentStatus, now: datetime) -> float | None:
    """Return the seconds until lack of progress is an error, None when there is no deadline."""
    limit, known = deadline(deployment), condition(status, PROGRESSING)
    if limit is None or known is None or known.lastUpdateTime is None or is_complete(deployment, status):
        return None
    if known.reason in ("NewReplicaSetAvailable", "ProgressDeadlineExceeded", "DeploymentPaused"):
        return None
    return (known.lastUpdateTime + timedelta(seconds=limit) - now).total_seconds()


def copy_failure(status: apps.DeploymentStatus, replica_sets: Sequence[apps.ReplicaSet], new: apps.ReplicaSet | None) -> None:
    """Copy the failure of a ReplicaSet, the new one's above all, to the Deployment; or record that there is none."""
    ordered = [*([new] if new is not None else []), *replica_sets]
    failures = [one for replica_set in ordered for one in replica_set.status.conditions if one.type == FAILURE]
    if not failures:
        status.conditions = _without(status.conditions, FAILURE)
        return
    one, known = failures[0], condition(status, FAILURE)
    if known is not None and (known.status, known.reason) == (one.status, one.reason):
        return
    moment = one.lastTransitionTime
    status.conditions = [
        *_without(status.conditions, FAILURE),
        apps.DeploymentCondition(
            type=FAILURE,
            status=one.status,
            lastUpdateTime=moment,
            lastTransitionTime=moment,
            reason=one.reason,
            message=one.message,
        ),
    ]
