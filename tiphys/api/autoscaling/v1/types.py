"""Horizontal autoscaling, autoscaling/v1."""

from __future__ import annotations

from typing import ClassVar

from tiphys.api.machinery.base import Struct, Time, always, constant
from tiphys.api.meta.v1.meta import KubeObject


class CrossVersionObjectReference(Struct):
    """An object that can be scaled, by kind and name."""

    __map_type__: ClassVar[str] = "atomic"
    kind: str = always(str)
    """Its kind."""
    name: str = always(str)
    """Its name."""
    apiVersion: str = ""
    """Its group and version."""


class HorizontalPodAutoscalerSpec(Struct):
    """Workload to scale, its bounds and its target."""

    scaleTargetRef: CrossVersionObjectReference = always(CrossVersionObjectReference)
    """The object whose scale subresource is written."""
    minReplicas: int | None = None
    """The fewest replicas, 1 by default."""
    maxReplicas: int = always(int)
    """The most replicas."""
    targetCPUUtilizationPercentage: int | None = None
    """Target average utilization of CPU, as a percentage of the pods' requests."""


class HorizontalPodAutoscalerStatus(Struct):
    """Last observation and action of the autoscaler."""

    observedGeneration: int | None = None
    """The generation of the spec that this was computed from."""
    lastScaleTime: Time | None = None
    """Time of the last change of the number of replicas."""
    currentReplicas: int = always(int)
    """Last observed number of replicas."""
    desiredReplicas: int = always(int)
    """Number of replicas that the autoscaler last computed."""
    currentCPUUtilizationPercentage: int | None = None
    """The average use of CPU that it saw."""


class HorizontalPodAutoscaler(KubeObject):
    """Keeps the CPU use of a workload's pods near a target by scaling it."""

    apiVersion: str = constant("autoscaling/v1")
    kind: str = constant("HorizontalPodAutoscaler")
    spec: HorizontalPodAutoscalerSpec = always(HorizontalPodAutoscalerSpec)
    """Desired state of the horizontal pod autoscaler."""
    status: HorizontalPodAutoscalerStatus = always(HorizontalPodAutoscalerStatus)
    """Observed state of the horizontal pod autoscaler."""


class ScaleStatus(Struct):
    """Observed number of replicas."""

    replicas: int = always(int)
    """The counted replicas."""
    selector: str = ""
    """The selector of its pods as text, as query parameters take it."""


class ScaleSpec(Struct):
    """Desired number of replicas."""

    replicas: int = 0
    """The wanted number of replicas."""


class Scale(KubeObject):
    """Number of replicas of a workload, whatever its kind."""

    apiVersion: str = constant("autoscaling/v1")
    kind: str = constant("Scale")
    spec: ScaleSpec = always(ScaleSpec)
    """Desired state of the scale."""
    status: ScaleStatus = always(ScaleStatus)
    """Observed state of the scale."""
