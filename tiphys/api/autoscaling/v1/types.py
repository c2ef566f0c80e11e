"""Horizontal autoscaling, autoscaling/v1."""

from __future__ import annotations

from typing import ClassVar

from tiphys.api.base import Struct, Time, always, constant
from tiphys.api.meta.v1.meta import KubeObject


class CrossVersionObjectReference(Struct):
    __map_type__: ClassVar[str] = "atomic"
    kind: str = always(str)
    name: str = always(str)
    apiVersion: str = ""


class HorizontalPodAutoscalerSpec(Struct):
    scaleTargetRef: CrossVersionObjectReference = always(CrossVersionObjectReference)
    minReplicas: int | None = None
    maxReplicas: int = always(int)
    targetCPUUtilizationPercentage: int | None = None


class HorizontalPodAutoscalerStatus(Struct):
    observedGeneration: int | None = None
    lastScaleTime: Time | None = None
    currentReplicas: int = always(int)
    desiredReplicas: int = always(int)
    currentCPUUtilizationPercentage: int | None = None


class HorizontalPodAutoscaler(KubeObject):
    apiVersion: str = constant("autoscaling/v1")
    kind: str = constant("HorizontalPodAutoscaler")
    spec: HorizontalPodAutoscalerSpec = always(HorizontalPodAutoscalerSpec)
    status: HorizontalPodAutoscalerStatus = always(HorizontalPodAutoscalerStatus)


class ScaleStatus(Struct):
    replicas: int = always(int)
    selector: str = ""


class ScaleSpec(Struct):
    replicas: int = 0


class Scale(KubeObject):
    apiVersion: str = constant("autoscaling/v1")
    kind: str = constant("Scale")
    spec: ScaleSpec = always(ScaleSpec)
    status: ScaleStatus = always(ScaleStatus)
