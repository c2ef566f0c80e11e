"""Horizontal autoscaling, autoscaling/v2."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.machinery.base import Atomic, MapList, Patch, Quantity, Struct, Time, always, constant, null
from tiphys.api.meta.v1.meta import KubeObject, LabelSelector


class MetricTarget(Struct):
    """The value that a metric should have."""

    type: str = always(str)
    """`Utilization`, `Value` or `AverageValue`."""
    value: Quantity | None = None
    """The value itself."""
    averageValue: Quantity | None = None
    """The value divided by the number of pods."""
    averageUtilization: int | None = None
    """The average as a percentage of what pods request; only for resources."""


class ContainerResourceMetricSource(Struct):
    """Target for the use of a resource by one container of each pod."""

    name: str = always(str)
    """The resource, such as `cpu`."""
    target: MetricTarget = always(MetricTarget)
    """The value to reach."""
    container: str = always(str)
    """The container."""


class MetricValueStatus(Struct):
    """The value that a metric had."""

    value: Quantity | None = None
    """The value itself."""
    averageValue: Quantity | None = None
    """The value divided by the number of pods."""
    averageUtilization: int | None = None
    """The average as a percentage of what pods request."""


class ContainerResourceMetricStatus(Struct):
    """Observed use of a resource by one container of each pod."""

    name: str = always(str)
    """The resource."""
    current: MetricValueStatus = always(MetricValueStatus)
    """The value that was seen."""
    container: str = always(str)
    """The container."""


class CrossVersionObjectReference(Struct):
    """An object that can be scaled or measured, by kind and name."""

    kind: str = always(str)
    """Its kind."""
    name: str = always(str)
    """Its name."""
    apiVersion: str = ""
    """Its group and version."""


class MetricIdentifier(Struct):
    """Name and selector of a metric."""

    name: str = always(str)
    """Its name."""
    selector: LabelSelector | None = None
    """Labels that its series must have."""


class ExternalMetricSource(Struct):
    """A metric from outside the cluster, as a target."""

    metric: MetricIdentifier = always(MetricIdentifier)
    """Name and selector of the metric."""
    target: MetricTarget = always(MetricTarget)
    """The value to reach."""


class ExternalMetricStatus(Struct):
    """A metric from outside the cluster, as seen last."""

    metric: MetricIdentifier = always(MetricIdentifier)
    """Name and selector of the metric."""
    current: MetricValueStatus = always(MetricValueStatus)
    """The value that was seen."""


class HPAScalingPolicy(Struct):
    """Greatest change within a period."""

    type: str = always(str)
    """`Pods` or `Percent`."""
    value: int = always(int)
    """Greatest change, in pods or in percent."""
    periodSeconds: int = always(int)
    """The length of the while, at most 1800 seconds."""


class HPAScalingRules(Struct):
    """Rate of scaling in one direction."""

    stabilizationWindowSeconds: int | None = None
    """For how long the gentlest recommendation counts, at most 3600 seconds."""
    selectPolicy: str | None = None
    """Policy that is applied: `Max`, `Min`, or `Disabled` for no scaling in this direction."""
    policies: Annotated[list[HPAScalingPolicy], Atomic()] = []
    """The policies; without any the defaults of the direction hold."""
    tolerance: Quantity | None = None
    """Tolerated distance of the metric from its target, as a share such as `0.1`."""


class ObjectMetricSource(Struct):
    """A metric of one object, as a target."""

    describedObject: CrossVersionObjectReference = always(CrossVersionObjectReference)
    """The object."""
    target: MetricTarget = always(MetricTarget)
    """The value to reach."""
    metric: MetricIdentifier = always(MetricIdentifier)
    """Name and selector of the metric."""


class ResourceMetricSource(Struct):
    """A resource that pods use, as a target."""

    name: str = always(str)
    """The resource, such as `cpu`."""
    target: MetricTarget = always(MetricTarget)
    """The value to reach."""


class PodsMetricSource(Struct):
    """A metric of each pod, as a target."""

    metric: MetricIdentifier = always(MetricIdentifier)
    """Name and selector of the metric."""
    target: MetricTarget = always(MetricTarget)
    """The value to reach, as an average."""


class MetricSpec(Struct):
    """A metric and its target."""

    type: str = always(str)
    """`Object`, `Pods`, `Resource`, `ContainerResource` or `External`; the field of that name is set."""
    object: ObjectMetricSource | None = None
    """A metric of one object, such as requests of an Ingress."""
    pods: PodsMetricSource | None = None
    """A metric of each pod, averaged."""
    resource: ResourceMetricSource | None = None
    """A resource that pods request, averaged."""
    containerResource: ContainerResourceMetricSource | None = None
    """A resource of one container of each pod, averaged."""
    external: ExternalMetricSource | None = None
    """A metric from outside the cluster."""


class HorizontalPodAutoscalerBehavior(Struct):
    """Rate of scaling in both directions."""

    scaleUp: HPAScalingRules | None = None
    """Upwards."""
    scaleDown: HPAScalingRules | None = None
    """Downwards."""


class HorizontalPodAutoscalerSpec(Struct):
    """Workload to scale, its metrics and its bounds."""

    scaleTargetRef: CrossVersionObjectReference = always(CrossVersionObjectReference)
    """The object whose scale subresource is written."""
    minReplicas: int | None = None
    """The fewest replicas, 1 by default."""
    maxReplicas: int = always(int)
    """The most replicas."""
    metrics: Annotated[list[MetricSpec], Atomic()] = []
    """The metrics; the one that asks for most replicas decides. CPU at 80 percent by default."""
    behavior: HorizontalPodAutoscalerBehavior | None = None
    """Rate of scaling in both directions."""


class HorizontalPodAutoscalerCondition(Struct):
    """One aspect of how an autoscaler stands: `AbleToScale`, `ScalingActive` or `ScalingLimited`."""

    type: str = always(str)
    """The type of the condition, in CamelCase."""
    status: str = always(str)
    """`True`, `False` or `Unknown`."""
    lastTransitionTime: Time | None = null()
    """Time of the last change of the status."""
    reason: str = ""
    """Reason for the status, in one CamelCase word."""
    message: str = ""
    """Explanation of the status, for people."""


class PodsMetricStatus(Struct):
    """A metric of each pod, as seen last."""

    metric: MetricIdentifier = always(MetricIdentifier)
    """Name and selector of the metric."""
    current: MetricValueStatus = always(MetricValueStatus)
    """The value that was seen."""


class ResourceMetricStatus(Struct):
    """A resource that pods use, as seen last."""

    name: str = always(str)
    """The resource."""
    current: MetricValueStatus = always(MetricValueStatus)
    """The value that was seen."""


class ObjectMetricStatus(Struct):
    """A metric of one object, as seen last."""

    metric: MetricIdentifier = always(MetricIdentifier)
    """Name and selector of the metric."""
    current: MetricValueStatus = always(MetricValueStatus)
    """The value that was seen."""
    describedObject: CrossVersionObjectReference = always(CrossVersionObjectReference)
    """The object."""


class MetricStatus(Struct):
    """A metric as seen last."""

    type: str = always(str)
    """`Object`, `Pods`, `Resource`, `ContainerResource` or `External`; the field of that name is set."""
    object: ObjectMetricStatus | None = None
    """A metric of one object."""
    pods: PodsMetricStatus | None = None
    """A metric of each pod, averaged."""
    resource: ResourceMetricStatus | None = None
    """A resource that pods request, averaged."""
    containerResource: ContainerResourceMetricStatus | None = None
    """A resource of one container of each pod, averaged."""
    external: ExternalMetricStatus | None = None
    """A metric from outside the cluster."""


class HorizontalPodAutoscalerStatus(Struct):
    """Last observation and action of the autoscaler."""

    observedGeneration: int | None = None
    """The generation of the spec that this was computed from."""
    lastScaleTime: Time | None = None
    """Time of the last change of the number of replicas."""
    currentReplicas: int = 0
    """Last observed number of replicas."""
    desiredReplicas: int = always(int)
    """Number of replicas that the autoscaler last computed."""
    currentMetrics: Annotated[list[MetricStatus], Atomic()] | None = null()
    """The metrics as seen last."""
    conditions: Annotated[list[HorizontalPodAutoscalerCondition], MapList("type"), Patch("merge", "type")] = []
    """Aspects of how it stands, one of each type."""


class HorizontalPodAutoscaler(KubeObject):
    """Keeps metrics of a workload near their targets by scaling it."""

    apiVersion: str = constant("autoscaling/v2")
    kind: str = constant("HorizontalPodAutoscaler")
    spec: HorizontalPodAutoscalerSpec = always(HorizontalPodAutoscalerSpec)
    """Desired state of the horizontal pod autoscaler."""
    status: HorizontalPodAutoscalerStatus = always(HorizontalPodAutoscalerStatus)
    """Observed state of the horizontal pod autoscaler."""
