"""The core group, v1: replication controller."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.base import Atomic, MapList, Patch, Struct, Time, always, constant
from tiphys.api.core.v1.pod import PodTemplateSpec
from tiphys.api.meta.v1.meta import KubeObject


class ReplicationControllerSpec(Struct):
    replicas: int | None = None
    minReadySeconds: int = 0
    selector: Annotated[dict[str, str], Atomic()] = {}
    template: PodTemplateSpec | None = None


class ReplicationControllerCondition(Struct):
    type: str = always(str)
    status: str = always(str)
    lastTransitionTime: Time | None = None
    reason: str = ""
    message: str = ""


class ReplicationControllerStatus(Struct):
    replicas: int = always(int)
    fullyLabeledReplicas: int = 0
    readyReplicas: int = 0
    availableReplicas: int = 0
    observedGeneration: int = 0
    conditions: Annotated[list[ReplicationControllerCondition], MapList("type"), Patch("merge", "type")] = []


class ReplicationController(KubeObject):
    apiVersion: str = constant("v1")
    kind: str = constant("ReplicationController")
    spec: ReplicationControllerSpec = always(ReplicationControllerSpec)
    status: ReplicationControllerStatus = always(ReplicationControllerStatus)
