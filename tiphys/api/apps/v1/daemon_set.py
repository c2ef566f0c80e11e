"""Workloads, apps/v1: daemon set."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.core.v1.pod import PodTemplateSpec
from tiphys.api.machinery.base import IntOrString, MapList, Patch, Struct, Time, always, constant, null
from tiphys.api.meta.v1.meta import KubeObject, LabelSelector


class DaemonSetCondition(Struct):
    """One aspect of a DaemonSet's state."""

    type: str = always(str)
    """What it is about."""
    status: str = always(str)
    """`True`, `False` or `Unknown`."""
    lastTransitionTime: Time | None = null()
    """When the status changed last."""
    reason: str = ""
    """Why it is so, in one word."""
    message: str = ""
    """Why it is so, in words."""


class DaemonSetStatus(Struct):
    """On how many nodes the pods run."""

    currentNumberScheduled: int = always(int)
    """Nodes that should run a pod and do."""
    numberMisscheduled: int = always(int)
    """Nodes that run a pod and should not."""
    desiredNumberScheduled: int = always(int)
    """Nodes that should run a pod."""
    numberReady: int = always(int)
    """Nodes whose pod is ready."""
    observedGeneration: int = 0
    """The metadata.generation that the status is about."""
    updatedNumberScheduled: int = 0
    """Nodes whose pod is of the current template."""
    numberAvailable: int = 0
    """Nodes whose pod has been ready for minReadySeconds."""
    numberUnavailable: int = 0
    """Nodes that should have an available pod and do not."""
    collisionCount: int | None = None
    """How often the name of a new revision was taken; part of the next name."""
    conditions: Annotated[list[DaemonSetCondition], MapList("type"), Patch("merge", "type")] = []
    """Aspects of the state, one of each type."""


class RollingUpdateDaemonSet(Struct):
    """Number of nodes that a rolling update touches at a time."""

    maxUnavailable: IntOrString | None = None
    """How many nodes may be without their pod meanwhile, as a number or a percentage. 1 by default."""
    maxSurge: IntOrString | None = None
    """How many nodes may run old and new pod at once, as a number or a percentage. 0 by default."""


class DaemonSetUpdateStrategy(Struct):
    """Strategy for replacing old pods by new ones."""

    type: str = ""
    """`RollingUpdate` (default), or `OnDelete` to wait until somebody deletes them."""
    rollingUpdate: RollingUpdateDaemonSet | None = None
    """Details of a rolling update."""


class DaemonSetSpec(Struct):
    """Desired pods of a DaemonSet, one for each node."""

    selector: LabelSelector | None = None
    """The labels of the pods; those of the template must match. It cannot be changed."""
    template: PodTemplateSpec = always(PodTemplateSpec)
    """The pods; their node selector and tolerations say where they run."""
    updateStrategy: DaemonSetUpdateStrategy = always(DaemonSetUpdateStrategy)
    """How old pods are replaced by new ones."""
    minReadySeconds: int = 0
    """Seconds that a pod must be ready to count as available. 0 by default."""
    revisionHistoryLimit: int | None = None
    """How many old revisions are kept to go back to. 10 by default."""


class DaemonSet(KubeObject):
    """One pod on every node, or on every node that fits."""

    apiVersion: str = constant("apps/v1")
    kind: str = constant("DaemonSet")
    spec: DaemonSetSpec = always(DaemonSetSpec)
    """Which pods run on which nodes."""
    status: DaemonSetStatus = always(DaemonSetStatus)
    """On how many they do."""
