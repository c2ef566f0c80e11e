"""Workloads, apps/v1: daemon set."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.base import IntOrString, MapList, Patch, Struct, Time, always, constant
from tiphys.api.core.v1.pod import PodTemplateSpec
from tiphys.api.meta.v1.meta import KubeObject, LabelSelector


class DaemonSetCondition(Struct):
    type: str = always(str)
    status: str = always(str)
    lastTransitionTime: Time | None = None
    reason: str = ""
    message: str = ""


class DaemonSetStatus(Struct):
    currentNumberScheduled: int = always(int)
    numberMisscheduled: int = always(int)
    desiredNumberScheduled: int = always(int)
    numberReady: int = always(int)
    observedGeneration: int = 0
    updatedNumberScheduled: int = 0
    numberAvailable: int = 0
    numberUnavailable: int = 0
    collisionCount: int | None = None
    conditions: Annotated[list[DaemonSetCondition], MapList("type"), Patch("merge", "type")] = []


class RollingUpdateDaemonSet(Struct):
    maxUnavailable: IntOrString | None = None
    maxSurge: IntOrString | None = None


class DaemonSetUpdateStrategy(Struct):
    type: str = ""
    rollingUpdate: RollingUpdateDaemonSet | None = None


class DaemonSetSpec(Struct):
    selector: LabelSelector | None = None
    template: PodTemplateSpec = always(PodTemplateSpec)
    updateStrategy: DaemonSetUpdateStrategy = always(DaemonSetUpdateStrategy)
    minReadySeconds: int = 0
    revisionHistoryLimit: int | None = None


class DaemonSet(KubeObject):
    apiVersion: str = constant("apps/v1")
    kind: str = constant("DaemonSet")
    spec: DaemonSetSpec = always(DaemonSetSpec)
    status: DaemonSetStatus = always(DaemonSetStatus)
