"""The core group, v1: replication controller."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.core.v1.pod import PodTemplateSpec
from tiphys.api.machinery.base import Atomic, MapList, Patch, Struct, Time, always, constant, null
from tiphys.api.meta.v1.meta import KubeObject


class ReplicationControllerSpec(Struct):
    """Desired number of pods, and their template."""

    replicas: int | None = None
    """Desired number of pods. 1 by default."""
    minReadySeconds: int = 0
    """For how many seconds a new pod must be ready to count as available."""
    selector: Annotated[dict[str, str], Atomic()] = {}
    """Labels of its pods; those of the template by default."""
    template: PodTemplateSpec | None = None
    """The pods to make."""


class ReplicationControllerCondition(Struct):
    """One aspect of how a controller stands, such as `ReplicaFailure`."""

    type: str = always(str)
    """The type of the condition, in CamelCase."""
    status: str = always(str)
    """`True`, `False` or `Unknown`."""
    lastTransitionTime: Time | None = null()
    """Time of the last change of the status."""
    reason: str = ""
    """Reason for the status, in one CamelCase word."""
    message: str = ""
    """Explanation of the status, for people."""


class ReplicationControllerStatus(Struct):
    """Observed numbers of pods."""

    replicas: int = always(int)
    """Pods."""
    fullyLabeledReplicas: int = 0
    """Pods with all labels of the template."""
    readyReplicas: int = 0
    """Pods that are ready."""
    availableReplicas: int = 0
    """Pods that have been ready for long enough."""
    observedGeneration: int = 0
    """The generation of the spec that this was computed from."""
    conditions: Annotated[list[ReplicationControllerCondition], MapList("type"), Patch("merge", "type")] = []
    """Aspects of how it stands, one of each type."""


class ReplicationController(KubeObject):
    """Keeps a number of pods running; ReplicaSets do it better."""

    apiVersion: str = constant("v1")
    kind: str = constant("ReplicationController")
    spec: ReplicationControllerSpec = always(ReplicationControllerSpec)
    """Desired state of the replication controller."""
    status: ReplicationControllerStatus = always(ReplicationControllerStatus)
    """Observed state of the replication controller."""
