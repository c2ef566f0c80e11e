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
    """When it was last looked at and found worth writing."""
    lastTransitionTime: Time | None = null()
    """When the status changed last."""
    reason: str = ""
    """Why it is so, in one word."""
    message: str = ""
    """Why it is so, in words."""


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
    """How often the name of a new ReplicaSet was taken; part of the next name."""


class RollingUpdateDeployment(Struct):
    """Number of pods that a rolling update touches at a time."""

    maxUnavailable: IntOrString | None = None
    """How many pods may be missing meanwhile, as a number or a percentage of replicas, rounded down. 25% by default; not 0 if maxSurge
    is."""
    maxSurge: IntOrString | None = None
    """How many pods there may be beyond replicas, as a number or a percentage, rounded up. 25% by default; not 0 if maxUnavailable is."""


class DeploymentStrategy(Struct):
    """Strategy for replacing old pods by new ones."""

    type: str = ""
    """`RollingUpdate` (default), or `Recreate` to stop all old pods first."""
    rollingUpdate: RollingUpdateDeployment | None = None
    """Details of a rolling update."""


class DeploymentSpec(Struct):
    """Desired pods of a Deployment, and the strategy for replacing them."""

    replicas: int | None = None
    """How many pods. 1 by default."""
    selector: LabelSelector | None = None
    """The labels of the pods; those of the template must match. It cannot be changed."""
    template: PodTemplateSpec = always(PodTemplateSpec)
    """The pods. Their restart policy is always `Always`."""
    strategy: Annotated[DeploymentStrategy, Patch("retainKeys")] = always(DeploymentStrategy)
    """How old pods are replaced by new ones."""
    minReadySeconds: int = 0
    """Seconds that a pod must be ready to count as available. 0 by default."""
    revisionHistoryLimit: int | None = None
    """How many old ReplicaSets are kept to go back to. 10 by default."""
    paused: bool = False
    """Whether changes of the template wait."""
    progressDeadlineSeconds: int | None = None
    """Seconds without progress after which a rollout counts as failed. 600 by default; it is not undone."""


class Deployment(KubeObject):
    """A number of equal pods that are replaced step by step when their template changes."""

    apiVersion: str = constant("apps/v1")
    kind: str = constant("Deployment")
    spec: DeploymentSpec = always(DeploymentSpec)
    """What pods there are to be."""
    status: DeploymentStatus = always(DeploymentStatus)
    """How far that has come."""
