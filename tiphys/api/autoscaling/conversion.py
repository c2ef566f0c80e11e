"""HorizontalPodAutoscalers of autoscaling/v1 and v2. What v1 has no fields for stands in annotations, in the words of old betas.

v1 knows one target, the CPU's utilization. Other metrics, what was measured, conditions and behavior are JSON in
`autoscaling.alpha.kubernetes.io/...`; the stored object, in v2, never carries those.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tiphys.api.autoscaling import v1, v2
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.quantity import canonicalize
from tiphys.api.meta.v1 import LabelSelector

METRICS = "autoscaling.alpha.kubernetes.io/metrics"
CURRENT_METRICS = "autoscaling.alpha.kubernetes.io/current-metrics"
CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"
_CARRIERS = frozenset(
    (
        *(METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR),
        "autoscaling.alpha.kubernetes.io/scale-down-tolerance",
        "autoscaling.alpha.kubernetes.io/scale-up-tolerance",
    )
)
"""Annotations that stand for fields."""
DEFAULT_CPU_UTILIZATION = 80
Document = dict[str, Any]
_NOTHING = Quantity("0")


def without_carriers(annotations: dict[str, str]) -> dict[str, str]:
    """Annotations less those that stand for fields."""
    if _CARRIERS.isdisjoint(annotations):
        return annotations
    return {name: text for name, text in annotations.items() if name not in _CARRIERS}


def cpu_metric(utilization: int) -> v2.MetricSpec:
    """A target for the pods' use of the CPU, in percent of their requests."""
    target = v2.MetricTarget(type="Utilization", averageUtilization=utilization)
    return v2.MetricSpec(type="Resource", resource=v2.ResourceMetricSource(name="cpu", target=target))


# --- from v2 to v1 ---


def to_v1(obj: v2.HorizontalPodAutoscaler) -> v1.HorizontalPodAutoscaler:
    """The autoscaler as v1 shows it."""
    spec, status = obj.spec, obj.status
    carried = {
        METRICS: [_metric_to_v1(metric) for metric in spec.metrics if _cpu_target(metric) is None],
        CURRENT_METRICS: [_current_to_v1(metric) for metric in status.currentMetrics or []],
        BEHAVIOR: _behavior_to_v1(spec.behavior),
        CONDITIONS: [_condition_to_v1(condition) for condition in status.conditions],
    }
    annotations = without_carriers(obj.metadata.annotations)
    texts = {name: msgspec.json.encode(content).decode() for name, content in carried.items() if content}
    measured = [
        metric.resource.current.averageUtilization
        for metric in status.currentMetrics or []
        if metric.type == "Resource" and metric.resource is not None and metric.resource.name == "cpu"
    ]
    return v1.HorizontalPodAutoscaler(
        metadata=msgspec.structs.replace(obj.metadata, annotations={**annotations, **texts}),
        spec=v1.HorizontalPodAutoscalerSpec(
            scaleTargetRef=_reference_to_v1(spec.scaleTargetRef),
            minReplicas=spec.minReplicas,
            maxReplicas=spec.maxReplicas,
            targetCPUUtilizationPercentage=next((use for metric in spec.metrics if (use := _cpu_target(metric)) is not None), None),
        ),
        status=v1.HorizontalPodAutoscalerStatus(
            observedGeneration=status.observedGeneration,
            lastScaleTime=status.lastScaleTime,
            currentReplicas=status.currentReplicas,
            desiredReplicas=status.desiredReplicas,
            currentCPUUtilizationPercentage=next((use for use in reversed(measured) if use is not None), None),
        ),
    )


def _cpu_target(metric: v2.MetricSpec) -> int | None:
    source = metric.resource
    return source.target.averageUtilization if metric.type == "Resource" and source is not None and source.name == "cpu" else None


def _reference_to_v1(reference: v2.CrossVersionObjectReference) -> v1.CrossVersionObjectReference:
    return v1.CrossVersionObjectReference(kind=reference.kind, name=reference.name, apiVersion=reference.apiVersion)


def _known(**fields: Any) -> Document:
    return {name: value for name, value in fields.items() if value is not None}


def _metric_to_v1(metric: v2.MetricSpec) -> Document:
    document: Document = {"type": metric.type}
    if (held := metric.object) is not None:
        document["object"] = {
            "target": msgspec.to_builtins(held.describedObject),
            "metricName": held.metric.name,
            "targetValue": held.target.value or _NOTHING,
            **_known(selector=_selector_to_v1(held.metric), averageValue=held.target.averageValue),
        }
    if (pods := metric.pods) is not None:
        average = pods.target.averageValue or _NOTHING
        document["pods"] = {"metricName": pods.metric.name, "targetAverageValue": average, **_known(selector=_selector_to_v1(pods.metric))}
    if (resource := metric.resource) is not None:
        document["resource"] = {"name": resource.name, **_resource_to_v1(resource.target)}
    if (contained := metric.containerResource) is not None:
        document["containerResource"] = {"name": contained.name, **_resource_to_v1(contained.target), "container": contained.container}
    if (external := metric.external) is not None:
        document["external"] = {
            "metricName": external.metric.name,
            **_known(
                metricSelector=_selector_to_v1(external.metric),
                targetValue=external.target.value,
                targetAverageValue=external.target.averageValue,
            ),
        }
    return document


def _selector_to_v1(metric: v2.MetricIdentifier) -> Any:
    return None if metric.selector is None else msgspec.to_builtins(metric.selector)


def _resource_to_v1(target: v2.MetricTarget) -> Document:
    return _known(targetAverageUtilization=target.averageUtilization, targetAverageValue=target.averageValue)


def _current_to_v1(metric: v2.MetricStatus) -> Document:
    document: Document = {"type": metric.type}
    if (held := metric.object) is not None:
        document["object"] = {
            "target": msgspec.to_builtins(held.describedObject),
            "metricName": held.metric.name,
            "currentValue": held.current.value or _NOTHING,
            **_known(selector=_selector_to_v1(held.metric), averageValue=held.current.averageValue),
        }
    if (pods := metric.pods) is not None:
        average = pods.current.averageValue or _NOTHING
        document["pods"] = {"metricName": pods.metric.name, "currentAverageValue": average, **_known(selector=_selector_to_v1(pods.metric))}
    if (resource := metric.resource) is not None:
        document["resource"] = {"name": resource.name, **_measured_to_v1(resource.current)}
    if (contained := metric.containerResource) is not None:
        document["containerResource"] = {"name": contained.name, **_measured_to_v1(contained.current), "container": contained.container}
    if (external := metric.external) is not None:
        document["external"] = {
            "metricName": external.metric.name,
            "currentValue": external.current.value or _NOTHING,
            **_known(metricSelector=_selector_to_v1(external.metric), currentAverageValue=external.current.averageValue),
        }
    return document


def _measured_to_v1(current: v2.MetricValueStatus) -> Document:
    return {
        **_known(currentAverageUtilization=current.averageUtilization),
        "currentAverageValue": current.averageValue or _NOTHING,
    }


def _condition_to_v1(condition: v2.HorizontalPodAutoscalerCondition) -> Document:
    document: Document = msgspec.to_builtins(condition, builtin_types=())
    return {"lastTransitionTime": None, **document}


def _behavior_to_v1(behavior: v2.HorizontalPodAutoscalerBehavior | None) -> Document | None:
    """Behavior is written under the names that fields have inside upstream's server; reading ignores their case."""
    if behavior is None:
        return None
    return {"ScaleUp": _rules_to_v1(behavior.scaleUp), "ScaleDown": _rules_to_v1(behavior.scaleDown)}


def _rules_to_v1(rules: v2.HPAScalingRules | None) -> Document | None:
    if rules is None:
        return None
    return {
        "StabilizationWindowSeconds": rules.stabilizationWindowSeconds,
        "SelectPolicy": rules.selectPolicy,
        "Policies": [{"Type": one.type, "Value": one.value, "PeriodSeconds": one.periodSeconds} for one in rules.policies] or None,
        "Tolerance": rules.tolerance,
    }


# --- from v1 to v2 ---


def from_v1(obj: v1.HorizontalPodAutoscaler) -> v2.HorizontalPodAutoscaler:
    """The autoscaler as it is stored. Annotations that cannot be read are dropped; without any metric the CPU's default is the target."""
    annotations, spec, status = obj.metadata.annotations, obj.spec, obj.status
    metrics = [_metric_from_v1(one) for one in _carried(annotations, METRICS, list[_CarriedV1]) or ()]
    if spec.targetCPUUtilizationPercentage is not None:
        metrics.append(cpu_metric(spec.targetCPUUtilizationPercentage))
    current = _carried(annotations, CURRENT_METRICS, list[_CarriedV1])
    if current is not None:
        measured = [_current_from_v1(one) for one in current]
    elif status.currentCPUUtilizationPercentage is not None:
        value = v2.MetricValueStatus(averageUtilization=status.currentCPUUtilizationPercentage)
        measured = [v2.MetricStatus(type="Resource", resource=v2.ResourceMetricStatus(name="cpu", current=value))]
    else:
        measured = []
    return v2.HorizontalPodAutoscaler(
        metadata=msgspec.structs.replace(obj.metadata, annotations=without_carriers(annotations)),
        spec=v2.HorizontalPodAutoscalerSpec(
            scaleTargetRef=_reference_from_v1(spec.scaleTargetRef),
            minReplicas=spec.minReplicas,
            maxReplicas=spec.maxReplicas,
            metrics=metrics or [cpu_metric(DEFAULT_CPU_UTILIZATION)],
            behavior=_behavior_from_v1(annotations.get(BEHAVIOR, "")),
        ),
        status=v2.HorizontalPodAutoscalerStatus(
            observedGeneration=status.observedGeneration,
            lastScaleTime=status.lastScaleTime,
            currentReplicas=status.currentReplicas,
            desiredReplicas=status.desiredReplicas,
            currentMetrics=measured or None,
            conditions=_carried(annotations, CONDITIONS, list[v2.HorizontalPodAutoscalerCondition]) or [],
        ),
    )


class _HeldV1(msgspec.Struct):
    """The old betas' form of every source of a metric, target and measured value in one."""

    name: str = ""
    container: str = ""
    metricName: str = ""
    selector: LabelSelector | None = None
    metricSelector: LabelSelector | None = None
    target: v2.CrossVersionObjectReference | None = None
    targetValue: Quantity | None = None
    averageValue: Quantity | None = None
    targetAverageValue: Quantity | None = None
    targetAverageUtilization: int | None = None
    currentValue: Quantity = _NOTHING
    currentAverageValue: Quantity | None = None
    currentAverageUtilization: int | None = None

    @property
    def metric(self) -> v2.MetricIdentifier:
        return v2.MetricIdentifier(name=self.metricName, selector=self.selector or self.metricSelector)


class _CarriedV1(msgspec.Struct):
    """A metric in an annotation."""

    type: str = ""
    object: _HeldV1 | None = None
    pods: _HeldV1 | None = None
    resource: _HeldV1 | None = None
    containerResource: _HeldV1 | None = None
    external: _HeldV1 | None = None


def _carried(annotations: dict[str, str], name: str, type_: Any) -> Any:
    """Value of an annotation; None when it is absent or makes no sense."""
    try:
        content = msgspec.json.decode(annotations[name], type=type_)
        for item in content:
            canonicalize(item)
        return content
    except (KeyError, ValueError, msgspec.MsgspecError):
        return None


def _reference_from_v1(reference: v1.CrossVersionObjectReference) -> v2.CrossVersionObjectReference:
    return v2.CrossVersionObjectReference(kind=reference.kind, name=reference.name, apiVersion=reference.apiVersion)


def _by_use(held: _HeldV1) -> v2.MetricTarget:
    use, average = held.targetAverageUtilization, held.targetAverageValue
    return v2.MetricTarget(type="AverageValue" if use is None else "Utilization", averageValue=average, averageUtilization=use)


def _metric_from_v1(one: _CarriedV1) -> v2.MetricSpec:
    metric = v2.MetricSpec(type=one.type)
    if (held := one.object) is not None:
        value = held.targetValue
        if held.averageValue is not None and (value is None or value == _NOTHING):
            value = None  # v1 cannot leave it out.
        else:
            value = value or _NOTHING
        target = v2.MetricTarget(type="Value" if held.averageValue is None else "AverageValue", value=value, averageValue=held.averageValue)
        about = held.target or v2.CrossVersionObjectReference()
        metric.object = v2.ObjectMetricSource(describedObject=about, target=target, metric=held.metric)
    if (held := one.pods) is not None:
        target = v2.MetricTarget(type="AverageValue", averageValue=held.targetAverageValue or _NOTHING)
        metric.pods = v2.PodsMetricSource(metric=held.metric, target=target)
    if (held := one.resource) is not None:
        metric.resource = v2.ResourceMetricSource(name=held.name, target=_by_use(held))
    if (held := one.containerResource) is not None:
        metric.containerResource = v2.ContainerResourceMetricSource(name=held.name, target=_by_use(held), container=held.container)
    if (held := one.external) is not None:
        kind = "AverageValue" if held.targetValue is None else "Value"
        target = v2.MetricTarget(type=kind, value=held.targetValue, averageValue=held.targetAverageValue)
        metric.external = v2.ExternalMetricSource(metric=held.metric, target=target)
    return metric


def _current_from_v1(one: _CarriedV1) -> v2.MetricStatus:
    metric = v2.MetricStatus(type=one.type)
    if (held := one.object) is not None:
        about = held.target or v2.CrossVersionObjectReference()
        value = v2.MetricValueStatus(value=held.currentValue, averageValue=held.averageValue)
        metric.object = v2.ObjectMetricStatus(metric=held.metric, current=value, describedObject=about)
    if (held := one.pods) is not None:
        value = v2.MetricValueStatus(averageValue=held.currentAverageValue or _NOTHING)
        metric.pods = v2.PodsMetricStatus(metric=held.metric, current=value)
    if (held := one.resource) is not None:
        metric.resource = v2.ResourceMetricStatus(name=held.name, current=_measured_from_v1(held))
    if (held := one.containerResource) is not None:
        current = _measured_from_v1(held)
        metric.containerResource = v2.ContainerResourceMetricStatus(name=held.name, current=current, container=held.container)
    if (held := one.external) is not None:
        value = v2.MetricValueStatus(value=held.currentValue, averageValue=held.currentAverageValue)
        metric.external = v2.ExternalMetricStatus(metric=held.metric, current=value)
    return metric


def _measured_from_v1(held: _HeldV1) -> v2.MetricValueStatus:
    return v2.MetricValueStatus(averageValue=held.currentAverageValue or _NOTHING, averageUtilization=held.currentAverageUtilization)


def _behavior_from_v1(text: str) -> v2.HorizontalPodAutoscalerBehavior | None:
    try:
        content = _lower_first(msgspec.json.decode(text))
        behavior = msgspec.convert(content, v2.HorizontalPodAutoscalerBehavior)
        canonicalize(behavior)
    except (ValueError, msgspec.MsgspecError):
        return None
    return behavior if behavior != v2.HorizontalPodAutoscalerBehavior() else None


def _lower_first(content: Any) -> Any:
    """The document under the names of fields, without nulls."""
    if isinstance(content, dict):
        return {name[:1].lower() + name[1:]: _lower_first(value) for name, value in content.items() if value is not None}
    return [_lower_first(item) for item in content] if isinstance(content, list) else content
