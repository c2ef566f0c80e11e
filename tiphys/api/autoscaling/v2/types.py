"""Horizontal autoscaling, autoscaling/v2."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.base import Atomic, MapList, Patch, Quantity, Struct, Time, always, constant
from tiphys.api.meta.v1.meta import KubeObject, LabelSelector


class MetricTarget(Struct):
    type: str = always(str)
    value: Quantity | None = None
    averageValue: Quantity | None = None
    averageUtilization: int | None = None


class ContainerResourceMetricSource(Struct):
    name: str = always(str)
    target: MetricTarget = always(MetricTarget)
    container: str = always(str)


class MetricValueStatus(Struct):
    value: Quantity | None = None
    averageValue: Quantity | None = None
    averageUtilization: int | None = None


class ContainerResourceMetricStatus(Struct):
    name: str = always(str)
    current: MetricValueStatus = always(MetricValueStatus)
    container: str = always(str)


class CrossVersionObjectReference(Struct):
    kind: str = always(str)
    name: str = always(str)
    apiVersion: str = ""


class MetricIdentifier(Struct):
    name: str = always(str)
    selector: LabelSelector | None = None


class ExternalMetricSource(Struct):
    metric: MetricIdentifier = always(MetricIdentifier)
    target: MetricTarget = always(MetricTarget)


class ExternalMetricStatus(Struct):
    metric: MetricIdentifier = always(MetricIdentifier)
    current: MetricValueStatus = always(MetricValueStatus)


class HPAScalingPolicy(Struct):
    type: str = always(str)
    value: int = always(int)
    periodSeconds: int = always(int)


class HPAScalingRules(Struct):
    stabilizationWindowSeconds: int | None = None
    selectPolicy: str | None = None
    policies: Annotated[list[HPAScalingPolicy], Atomic()] = []
    tolerance: Quantity | None = None


class ObjectMetricSource(Struct):
    describedObject: CrossVersionObjectReference = always(CrossVersionObjectReference)
    target: MetricTarget = always(MetricTarget)
    metric: MetricIdentifier = always(MetricIdentifier)


class ResourceMetricSource(Struct):
    name: str = always(str)
    target: MetricTarget = always(MetricTarget)


class PodsMetricSource(Struct):
    metric: MetricIdentifier = always(MetricIdentifier)
    target: MetricTarget = always(MetricTarget)


class MetricSpec(Struct):
    type: str = always(str)
    object: ObjectMetricSource | None = None
    pods: PodsMetricSource | None = None
    resource: ResourceMetricSource | None = None
    containerResource: ContainerResourceMetricSource | None = None
    external: ExternalMetricSource | None = None


class HorizontalPodAutoscalerBehavior(Struct):
    scaleUp: HPAScalingRules | None = None
    scaleDown: HPAScalingRules | None = None


class HorizontalPodAutoscalerSpec(Struct):
    scaleTargetRef: CrossVersionObjectReference = always(CrossVersionObjectReference)
    minReplicas: int | None = None
    maxReplicas: int = always(int)
    metrics: Annotated[list[MetricSpec], Atomic()] = []
    behavior: HorizontalPodAutoscalerBehavior | None = None


class HorizontalPodAutoscalerCondition(Struct):
    type: str = always(str)
    status: str = always(str)
    lastTransitionTime: Time | None = None
    reason: str = ""
    message: str = ""


class PodsMetricStatus(Struct):
    metric: MetricIdentifier = always(MetricIdentifier)
    current: MetricValueStatus = always(MetricValueStatus)


class ResourceMetricStatus(Struct):
    name: str = always(str)
    current: MetricValueStatus = always(MetricValueStatus)


class ObjectMetricStatus(Struct):
    metric: MetricIdentifier = always(MetricIdentifier)
    current: MetricValueStatus = always(MetricValueStatus)
    describedObject: CrossVersionObjectReference = always(CrossVersionObjectReference)


class MetricStatus(Struct):
    type: str = always(str)
    object: ObjectMetricStatus | None = None
    pods: PodsMetricStatus | None = None
    resource: ResourceMetricStatus | None = None
    containerResource: ContainerResourceMetricStatus | None = None
    external: ExternalMetricStatus | None = None


class HorizontalPodAutoscalerStatus(Struct):
    observedGeneration: int | None = None
    lastScaleTime: Time | None = None
    currentReplicas: int = 0
    desiredReplicas: int = always(int)
    currentMetrics: Annotated[list[MetricStatus], Atomic()] = always(list)
    conditions: Annotated[list[HorizontalPodAutoscalerCondition], MapList("type"), Patch("merge", "type")] = []


class HorizontalPodAutoscaler(KubeObject):
    apiVersion: str = constant("autoscaling/v2")
    kind: str = constant("HorizontalPodAutoscaler")
    spec: HorizontalPodAutoscalerSpec = always(HorizontalPodAutoscalerSpec)
    status: HorizontalPodAutoscalerStatus = always(HorizontalPodAutoscalerStatus)
