"""Status of an autoscaler: its conditions, and the metrics as seen last. Pure."""

from __future__ import annotations

from datetime import datetime

from tiphys.api.autoscaling import v2
from tiphys.api.machinery import base
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.quantity import format_value, from_milli
from tiphys.controllers.autoscaling.replicas import Use
from tiphys.controllers.shared.selecting import shown

ABLE, ACTIVE, LIMITED = "AbleToScale", "ScalingActive", "ScalingLimited"


class Conditions:
    """Conditions of an autoscaler while it is looked at; those that nobody sets stay as they were."""

    def __init__(self, before: list[v2.HorizontalPodAutoscalerCondition], now: datetime) -> None:
        self._now = base.time(now)
        self._of = {condition.type: condition for condition in before}

    def set(self, type_: str, status: bool, reason: str, message: str) -> None:
        """Set a condition; the time of its last transition changes with its status."""
        before, value = self._of.get(type_), "True" if status else "False"
        since = before.lastTransitionTime if before is not None and before.status == value else self._now
        self._of[type_] = v2.HorizontalPodAutoscalerCondition(
            type=type_, status=value, lastTransitionTime=since, reason=reason, message=message
        )

    def listed(self) -> list[v2.HorizontalPodAutoscalerCondition]:
        """Return all conditions."""
        return list(self._of.values())


def metric_status(metric: v2.MetricSpec, use: Use) -> v2.MetricStatus:
    """Return a metric as it was seen, in the terms of its target."""
    if metric.resource is not None:
        resource = v2.ResourceMetricStatus(name=metric.resource.name, current=_resource_value(metric.resource.name, use))
        return v2.MetricStatus(type=metric.type, resource=resource)
    if metric.containerResource is not None:
        source = metric.containerResource
        of_container = v2.ContainerResourceMetricStatus(
            name=source.name, container=source.container, current=_resource_value(source.name, use)
        )
        return v2.MetricStatus(type=metric.type, containerResource=of_container)
    if metric.pods is not None:
        average = v2.MetricValueStatus(averageValue=from_milli(use.average))
        return v2.MetricStatus(type=metric.type, pods=v2.PodsMetricStatus(metric=metric.pods.metric, current=average))
    if metric.object is not None:
        of_object = v2.ObjectMetricStatus(
            metric=metric.object.metric, describedObject=metric.object.describedObject, current=_value(metric.object.target, use)
        )
        return v2.MetricStatus(type=metric.type, object=of_object)
    assert metric.external is not None
    external = v2.ExternalMetricStatus(metric=metric.external.metric, current=_value(metric.external.target, use))
    return v2.MetricStatus(type=metric.type, external=external)


def _resource_value(resource: str, use: Use) -> v2.MetricValueStatus:
    return v2.MetricValueStatus(averageValue=_amount(resource, use.average), averageUtilization=use.utilization)


def _amount(resource: str, thousandths: int) -> Quantity:
    if resource == "memory" and thousandths % 1000 == 0:
        return format_value(thousandths // 1000, "binary")
    return from_milli(thousandths)


def _value(target: v2.MetricTarget, use: Use) -> v2.MetricValueStatus:
    amount = from_milli(use.average)
    return v2.MetricValueStatus(value=amount) if target.type == "Value" else v2.MetricValueStatus(averageValue=amount)


def described(metric: v2.MetricSpec) -> str:
    """Return the words by which events and conditions name a metric."""
    match metric.type:
        case "Resource" if metric.resource is not None:
            share = metric.resource.target.averageValue is None
            return f"{metric.resource.name} resource" + (" utilization (percentage of request)" if share else "")
        case "ContainerResource" if metric.containerResource is not None:
            share = metric.containerResource.target.averageValue is None
            name = metric.containerResource.name
            return f"{name} container resource utilization (percentage of request)" if share else f"{name} resource"
        case "Pods" if metric.pods is not None:
            return f"pods metric {metric.pods.metric.name}"
        case "Object" if metric.object is not None:
            if metric.object.target.type == "Value":
                return f"{metric.object.describedObject.kind} metric {metric.object.metric.name}"
            return f"external metric {metric.object.metric.name}({shown(metric.object.metric.selector)})"
        case "External" if metric.external is not None:
            return f"external metric {metric.external.metric.name}({shown(metric.external.metric.selector)})"
    return metric.type


def failure(metric: v2.MetricSpec, message: str) -> str:
    """Return the words by which the event about all metrics reports the failure of one."""
    match metric.type:
        case "Resource" if metric.resource is not None:
            return f"failed to get {metric.resource.name} resource metric value: {message}"
        case "ContainerResource" if metric.containerResource is not None:
            return f"failed to get {metric.containerResource.container} container metric value: {message}"
        case "Pods":
            return f"failed to get pods metric value: {message}"
        case "Object" if metric.object is not None:
            which = "" if metric.object.target.type == "Value" else f"failed to get {metric.object.metric.name} object metric: "
            return f"failed to get object metric value: {which}{message}"
        case "External" if metric.external is not None:
            name = metric.external.metric.name
            which = f"external metric {name}" if metric.external.target.averageValue is None else f"{name} external metric"
            return f"failed to get {name} external metric value: failed to get {which}: {message}"
    return message
