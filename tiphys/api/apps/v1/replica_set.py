"""Workloads, apps/v1: replica set."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.core.v1.pod import PodTemplateSpec
from tiphys.api.machinery.base import MapList, Patch, Struct, Time, always, constant, null
from tiphys.api.meta.v1.meta import KubeObject, LabelSelector


class ReplicaSetCondition(Struct):
    """One aspect of a ReplicaSet's state."""

    type: str = always(str)
    """`ReplicaFailure`."""
    status: str = always(str)
    """`True`, `False` or `Unknown`."""
    lastTransitionTime: Time | None = null()
    """When the status changed last."""
    reason: str = ""
    """Why it is so, in one word."""
    message: str = ""
    """Why it is so, in words."""


class ReplicaSetStatus(Struct):
    """Observed numbers of pods."""

    replicas: int = always(int)
    """Pods that are not being deleted."""
    fullyLabeledReplicas: int = 0
    """Pods that have all labels of the template."""
    readyReplicas: int = 0
    """Pods that are ready."""
    availableReplicas: int = 0
    """Pods that have been ready for minReadySeconds."""
    terminatingReplicas: int | None = None
    """Pods that are being deleted."""
    observedGeneration: int = 0
    """The metadata.generation that the status is about."""
    conditions: Annotated[list[ReplicaSetCondition], MapList("type"), Patch("merge", "type")] = []
    """Aspects of the state, one of each type."""


class ReplicaSetSpec(Struct):
    """Desired number of pods, and their template."""

    replicas: int | None = None
    """How many pods. 1 by default."""
    minReadySeconds: int = 0
    """Seconds that a pod must be ready to count as available. 0 by default."""
    selector: LabelSelector | None = None
    """The labels of the pods; those of the template must match. It cannot be changed."""
    template: PodTemplateSpec = always(PodTemplateSpec)
    """The pods that are made when some are missing."""


class ReplicaSet(KubeObject):
    """Keeps a number of equal pods. Deployments make them; few people do."""

    apiVersion: str = constant("apps/v1")
    kind: str = constant("ReplicaSet")
    spec: ReplicaSetSpec = always(ReplicaSetSpec)
    """How many pods of which sort there are to be."""
    status: ReplicaSetStatus = always(ReplicaSetStatus)
    """How many there are."""
