"""Workloads, apps/v1: deployment."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.base import IntOrString, MapList, Patch, Struct, Time, always, constant
from tiphys.api.core.v1.pod import PodTemplateSpec
from tiphys.api.meta.v1.meta import KubeObject, LabelSelector


class DeploymentCondition(Struct):
    type: str = always(str)
    status: str = always(str)
    lastUpdateTime: Time | None = None
    lastTransitionTime: Time | None = None
    reason: str = ""
    message: str = ""


class DeploymentStatus(Struct):
    observedGeneration: int = 0
    replicas: int = 0
    updatedReplicas: int = 0
    readyReplicas: int = 0
    availableReplicas: int = 0
    unavailableReplicas: int = 0
    terminatingReplicas: int | None = None
    conditions: Annotated[list[DeploymentCondition], MapList("type"), Patch("merge", "type")] = []
    collisionCount: int | None = None


class RollingUpdateDeployment(Struct):
    maxUnavailable: IntOrString | None = None
    maxSurge: IntOrString | None = None


class DeploymentStrategy(Struct):
    type: str = ""
    rollingUpdate: RollingUpdateDeployment | None = None


class DeploymentSpec(Struct):
    replicas: int | None = None
    selector: LabelSelector | None = None
    template: PodTemplateSpec = always(PodTemplateSpec)
    strategy: Annotated[DeploymentStrategy, Patch("retainKeys")] = always(DeploymentStrategy)
    minReadySeconds: int = 0
    revisionHistoryLimit: int | None = None
    paused: bool = False
    progressDeadlineSeconds: int | None = None


class Deployment(KubeObject):
    apiVersion: str = constant("apps/v1")
    kind: str = constant("Deployment")
    spec: DeploymentSpec = always(DeploymentSpec)
    status: DeploymentStatus = always(DeploymentStatus)
