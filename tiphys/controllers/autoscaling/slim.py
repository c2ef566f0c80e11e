"""Pods, and values of custom and external metrics, as autoscaling reads them. Pure."""

from __future__ import annotations

from typing import Final

from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import Quantity, Struct, Time, always, constant
from tiphys.api.meta.v1 import KubeObject
from tiphys.runtime import Slim


class ScaledContainer(Struct, forbid_unknown_fields=False):
    """Requests of a container."""

    name: str = ""
    resources: core.ResourceRequirements = always(core.ResourceRequirements)
    restartPolicy: str = ""


class ScaledPodSpec(Struct, forbid_unknown_fields=False):
    """Requests of a pod."""

    containers: list[ScaledContainer] = []
    initContainers: list[ScaledContainer] = []
    resources: core.ResourceRequirements | None = None


class ScaledPodStatus(Struct, forbid_unknown_fields=False):
    """State of a pod that decides whether it counts."""

    phase: str = ""
    startTime: Time | None = None
    conditions: list[core.PodCondition] = []


class ScaledPod(KubeObject, forbid_unknown_fields=False):
    """Pod of a workload that is scaled."""

    apiVersion: str = constant("v1")
    kind: str = constant("Pod")
    spec: ScaledPodSpec = always(ScaledPodSpec)
    status: ScaledPodStatus = always(ScaledPodStatus)


SCALED_PODS: Final = Slim(ScaledPod, core.Pod)
"""Read when they are needed, not kept: a cache of all pods' requests would serve few."""


class Described(Struct, forbid_unknown_fields=False):
    """Object that a value belongs to."""

    name: str = ""


class MetricValue(Struct, forbid_unknown_fields=False):
    """Value of a custom or an external metric."""

    describedObject: Described = always(Described)
    timestamp: Time | None = None
    windowSeconds: int | None = None
    value: Quantity = always(lambda: Quantity("0"))


class MetricValues(Struct, forbid_unknown_fields=False):
    """List of values."""

    items: list[MetricValue] = []
