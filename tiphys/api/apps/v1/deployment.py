"""Workloads, apps/v1: deployment."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.core.v1.pod import PodTemplateSpec
from tiphys.api.machinery.base import IntOrString, MapList, Patch, Struct, Time, always, constant, null
from tiphys.api.meta.v1.meta import KubeObject, LabelSelector


class DeploymentCondition(Struct):
    """One aspect of a rollout's state."""

    type: str = always(str)
    """`Available`, `Progressing` or `ReplicaFailure`."""
    status: str = always(str)
    """`True`, `False` or `Unknown`."""
    lastUpdateTime: Time | None = null()
    """Time of the last update of the condition."""
    lastTransitionTime: Time | None = null()
    """Time of the last change of the status."""
    reason: str = ""
    """Reason for the status, in one CamelCase word."""
    message: str = ""
    """Explanation of the status, for people."""


class DeploymentStatus(Struct):
    """Observed progress of a rollout."""

    observedGeneration: int = 0
    """The metadata.generation that the status is about."""
    replicas: int = 0
    """Pods of all templates that are not being deleted."""
    updatedReplicas: int = 0
    """Pods of the current template."""
    readyReplicas: int = 0
    """Pods that are ready."""
    availableReplicas: int = 0
    """Pods that have been ready for minReadySeconds."""
    unavailableReplicas: int = 0
    """Pods still missing for the rollout to be complete and available."""
    terminatingReplicas: int | None = None
    """Pods that are being deleted."""
    conditions: Annotated[list[DeploymentCondition], MapList("type"), Patch("merge", "type")] = []
    """Aspects of the state, one of each type."""
    collisionCount: int | None = None
    """Number of collisions of the name of a new ReplicaSet; part of the next name."""


class RollingUpdateDeployment(Struct):
    """Number of pods that a rolling update touches at a time."""

    maxUnavailable: IntOrString | None = None
    """Maximum number of missing pods, as a number or a percentage of replicas, rounded down. 25% by default; not 0 if maxSurge
    is."""
    maxSurge: IntOrString | None = None
    """Maximum number of pods beyond replicas, as a number or a percentage, rounded up. 25% by default; not 0 if maxUnavailable is."""


class DeploymentStrategy(Struct):
    """Strategy for replacing old pods by new ones."""

    type: str = ""
    """`RollingUpdate` (default), or `Recreate` to stop all old pods first."""
    rollingUpdate: RollingUpdateDeployment | None = None
    """Details of a rolling update."""


class DeploymentSpec(Struct):
    """Desired pods of a Deployment, and the strategy for replacing them."""

    replicas: int | None = None
    """Desired number of pods. 1 by default."""
    selector: LabelSelector | None = None
    """The labels of the pods; those of the template must match. It cannot be changed."""
    template: PodTemplateSpec = always(PodTemplateSpec)
    """The pods. Their restart policy is always `Always`."""
    strategy: Annotated[DeploymentStrategy, Patch("retainKeys")] = always(DeploymentStrategy)
    """Strategy for replacing old pods by new ones."""
    minReadySeconds: int = 0
    """Seconds that a pod must be ready to count as available. 0 by default."""
    revisionHistoryLimit: int | None = None
    """Number of old ReplicaSets that are kept for rollbacks. 10 by default."""
    paused: bool = False
    """True if changes of the template wait."""
    progressDeadlineSeconds: int | None = None
    """Seconds without progress after which a rollout counts as failed. 600 by default; it is not undone."""


class Deployment(KubeObject):
    """A number of equal pods that are replaced step by step when their template changes."""

    apiVersion: str = constant("apps/v1")
    kind: str = constant("Deployment")
    spec: DeploymentSpec = always(DeploymentSpec)
    """Desired state of the pods."""
    status: DeploymentStatus = always(DeploymentStatus)
    """Observed progress of the rollout."""
