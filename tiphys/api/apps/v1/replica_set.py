"""Workloads, apps/v1: replica set."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.base import MapList, Patch, Struct, Time, always, constant
from tiphys.api.core.v1.pod import PodTemplateSpec
from tiphys.api.meta.v1.meta import KubeObject, LabelSelector


class ReplicaSetCondition(Struct):
    type: str = always(str)
    status: str = always(str)
    lastTransitionTime: Time | None = None
    reason: str = ""
    message: str = ""


class ReplicaSetStatus(Struct):
    replicas: int = always(int)
    fullyLabeledReplicas: int = 0
    readyReplicas: int = 0
    availableReplicas: int = 0
    terminatingReplicas: int | None = None
    observedGeneration: int = 0
    conditions: Annotated[list[ReplicaSetCondition], MapList("type"), Patch("merge", "type")] = []


class ReplicaSetSpec(Struct):
    replicas: int | None = None
    minReadySeconds: int = 0
    selector: LabelSelector | None = None
    template: PodTemplateSpec = always(PodTemplateSpec)


class ReplicaSet(KubeObject):
    apiVersion: str = constant("apps/v1")
    kind: str = constant("ReplicaSet")
    spec: ReplicaSetSpec = always(ReplicaSetSpec)
    status: ReplicaSetStatus = always(ReplicaSetStatus)
