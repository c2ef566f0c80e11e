"""Workloads, apps/v1: stateful set."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.base import Atomic, IntOrString, MapList, Patch, Struct, Time, always, constant
from tiphys.api.core.v1.persistent_volume import PersistentVolumeClaim
from tiphys.api.core.v1.pod import PodTemplateSpec
from tiphys.api.meta.v1.meta import KubeObject, LabelSelector


class RollingUpdateStatefulSetStrategy(Struct):
    partition: int | None = None
    maxUnavailable: IntOrString | None = None


class StatefulSetCondition(Struct):
    type: str = always(str)
    status: str = always(str)
    lastTransitionTime: Time | None = None
    reason: str = ""
    message: str = ""


class StatefulSetStatus(Struct):
    observedGeneration: int = 0
    replicas: int = always(int)
    readyReplicas: int = 0
    currentReplicas: int = 0
    updatedReplicas: int = 0
    currentRevision: str = ""
    updateRevision: str = ""
    collisionCount: int | None = None
    conditions: Annotated[list[StatefulSetCondition], MapList("type"), Patch("merge", "type")] = []
    availableReplicas: int = always(int)


class StatefulSetOrdinals(Struct):
    start: int = always(int)


class StatefulSetUpdateStrategy(Struct):
    type: str = ""
    rollingUpdate: RollingUpdateStatefulSetStrategy | None = None


class StatefulSetPersistentVolumeClaimRetentionPolicy(Struct):
    whenDeleted: str = ""
    whenScaled: str = ""


class StatefulSetSpec(Struct):
    replicas: int | None = None
    selector: LabelSelector | None = None
    template: PodTemplateSpec = always(PodTemplateSpec)
    volumeClaimTemplates: Annotated[list[PersistentVolumeClaim], Atomic()] = []
    serviceName: str = always(str)
    podManagementPolicy: str = ""
    updateStrategy: StatefulSetUpdateStrategy = always(StatefulSetUpdateStrategy)
    revisionHistoryLimit: int | None = None
    minReadySeconds: int = 0
    persistentVolumeClaimRetentionPolicy: StatefulSetPersistentVolumeClaimRetentionPolicy | None = None
    ordinals: StatefulSetOrdinals | None = None


class StatefulSet(KubeObject):
    apiVersion: str = constant("apps/v1")
    kind: str = constant("StatefulSet")
    spec: StatefulSetSpec = always(StatefulSetSpec)
    status: StatefulSetStatus = always(StatefulSetStatus)
