"""Next step of a ReplicaSet or a ReplicationController, as data ("ReplicaSet", "ReplicationController").

Its pods that are active (neither finished nor being deleted) must be as many as it wants. The plan says how many to create or which to
delete, and what the status is afterwards. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.helpers import pods as pod_state
from tiphys.api.machinery.base import time
from tiphys.api.well_known import POD_DELETION_COST
from tiphys.controllers.shared.availability import next_available
from tiphys.controllers.shared.pods import templated_pod
from tiphys.controllers.shared.slim import SlimPod

Replicator = apps.ReplicaSet | core.ReplicationController
"""Kinds that maintain a number of pods. They differ in how they select, which does not concern the plan."""
_Status = apps.ReplicaSetStatus | core.ReplicationControllerStatus
ConditionT = TypeVar("ConditionT", bound=apps.ReplicaSetCondition | core.ReplicationControllerCondition)

BURST = 500
"""Maximum number of pods that one step creates or deletes."""

FAILURE = "ReplicaFailure"


class Plan(NamedTuple):
    """Next step: at most one of `create` and `delete` is not empty."""

    create: int
    delete: Sequence[SlimPod]
    keep: Sequence[SlimPod]
    """Active pods that remain."""
    terminating: int
    after: float | None
    """Seconds until a pod becomes available by time alone."""


class Failure(NamedTuple):
    """Failure of a step: the reason (FailedCreate, FailedDelete) and a message."""

    reason: str
    message: str


def desired(owner: Replicator) -> int:
    """Return the desired number of pods."""
    replicas = owner.spec.replicas
    return 1 if replicas is None else replicas


def plan(owner: Replicator, pods: Iterable[SlimPod], related: Callable[[], Iterable[SlimPod]], now: datetime) -> Plan:
    """Plan the next step for the owner of `pods`; `related` yields the pods of all owners with the same controller."""
    active, terminating = [], 0
    for pod in pods:
        if pod_state.is_active(pod):
            active.append(pod)
        elif not pod_state.is_finished(pod):
            terminating += 1
    create = 0
    surplus: Sequence[SlimPod] = ()
    keep: Sequence[SlimPod] = active
    difference = desired(owner) - len(active)
    if owner.metadata.deletionTimestamp is None:
        if difference > 0:
            create = min(difference, BURST)
        elif difference < 0:
            ranked = rank(active, related(), now)
            count = min(-difference, BURST)
            surplus, keep = ranked[:count], ranked[count:]
    return Plan(create, surplus, keep, terminating, next_available(keep, owner.spec.minReadySeconds, now))


def rank(active: Sequence[SlimPod], related: Iterable[SlimPod], now: datetime) -> list[SlimPod]:
    """Sort pods into the order of deletion: the least valuable come first."""
    crowd = Counter(pod.spec.nodeName for pod in related if pod_state.is_active(pod))
    return sorted(active, key=lambda pod: _worth(pod, crowd[pod.spec.nodeName], now))


_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


def _worth(pod: SlimPod, neighbors: int, now: datetime) -> tuple[float | int | bool | str, ...]:
    """Return a sort key, larger for more valuable pods: bound, running, ready, high cost, alone on its node, long ready, few restarts."""
    ready = pod_state.is_ready(pod)
    return (
        bool(pod.spec.nodeName),
        _PHASES.get(pod.status.phase, 0),
        ready,
        deletion_cost(pod),
        -neighbors,
        _age(pod_state.available_at(pod, 0), now) if ready else 0.0,
        -pod_state.restarts(pod),
        _age(pod.metadata.creationTimestamp, now),
        pod.metadata.name,
    )


def _age(moment: datetime | None, now: datetime) -> float:
    """Return the seconds since a time; 0 when unknown. Times are whole seconds on the wire, so pods of one second count as equally old."""
    return (now - moment).total_seconds() if moment is not None else 0.0


def deletion_cost(pod: SlimPod) -> int:
    """Return the pod's deletion cost set by the user ("Pod deletion cost"), 0 when it is missing or not a number."""
    text = pod.metadata.annotations.get(POD_DELETION_COST, "0")
    try:
        return int(text)
    except ValueError:
        return 0


def template_pod(owner: Replicator) -> core.Pod:
    """Create a pod from its owner's template, without the reference; it shares the template's parts, so write it but do not change it."""
    return templated_pod(owner, owner.spec.template or core.PodTemplateSpec())


def status(owner: Replicator, pods: Sequence[pod_state.PodLike], terminating: int, failure: Failure | None, now: datetime) -> _Status:
    """Return the status of the owner of these active pods."""
    spec = owner.spec
    labels = spec.template.metadata.labels.items() if spec.template is not None else {}.items()
    ready = [pod for pod in pods if pod_state.is_ready(pod)]
    waits = spec.minReadySeconds > 0
    result: _Status
    if isinstance(owner, core.ReplicationController):
        result = core.ReplicationControllerStatus(
            conditions=_conditions(core.ReplicationControllerCondition, owner.status.conditions, failure, now)
        )
    else:
        result = apps.ReplicaSetStatus(
            terminatingReplicas=terminating, conditions=_conditions(apps.ReplicaSetCondition, owner.status.conditions, failure, now)
        )
    result.replicas = len(pods)
    result.fullyLabeledReplicas = sum(labels <= pod.metadata.labels.items() for pod in pods)
    result.readyReplicas = len(ready)
    result.availableReplicas = sum(pod_state.is_available(pod, spec.minReadySeconds, now) for pod in ready) if waits else len(ready)
    result.observedGeneration = owner.metadata.generation
    return result


def _conditions(type_: type[ConditionT], before: Sequence[ConditionT], failure: Failure | None, now: datetime) -> list[ConditionT]:
    others: list[ConditionT] = [condition for condition in before if condition.type != FAILURE]
    if failure is None:
        return others
    known = next((condition for condition in before if condition.type == FAILURE), None)
    if known is not None and known.reason == failure.reason:
        # The message changes with every attempt; the first one stands.
        return [*others, known]
    failed = type_(type=FAILURE, status="True", lastTransitionTime=time(now), reason=failure.reason, message=failure.message)
    return [*others, failed]
