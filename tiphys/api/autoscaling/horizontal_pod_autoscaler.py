"""HorizontalPodAutoscaler: defaults, validation, columns and registration."""

from __future__ import annotations

from typing import Any

from tiphys.api.autoscaling import v1, v2
from tiphys.api.autoscaling.conversion import DEFAULT_CPU_UTILIZATION, cpu_metric, from_v1, to_v1, without_carriers
from tiphys.api.autoscaling.validation import validate_autoscaler, validate_autoscaler_change, validate_autoscaler_status
from tiphys.api.core.uncounted import Uncounted
from tiphys.api.machinery.columns import AGE, NAME, UNKNOWN, cell, of_stored
from tiphys.api.machinery.errors import FieldError
from tiphys.api.machinery.scheme import Column, Kind, Stored
from tiphys.api.machinery.served import Through
from tiphys.api.machinery.subresources import STATUS

PERIOD_SECONDS = 15


def default_autoscaler(obj: v2.HorizontalPodAutoscaler) -> None:
    """One replica at least, the use of the CPU as the target, and all of a behavior that is given in part."""
    spec = obj.spec
    if spec.minReplicas is None:
        spec.minReplicas = 1
    if not spec.metrics:
        spec.metrics = [cpu_metric(DEFAULT_CPU_UTILIZATION)]
    if spec.behavior is not None:
        spec.behavior.scaleUp = spec.behavior.scaleUp or v2.HPAScalingRules()
        spec.behavior.scaleDown = spec.behavior.scaleDown or v2.HPAScalingRules()
        _complete(spec.behavior.scaleUp, 0, [_policy("Pods", 4), _policy("Percent", 100)])
        _complete(spec.behavior.scaleDown, None, [_policy("Percent", 100)])


def _policy(type_: str, value: int) -> v2.HPAScalingPolicy:
    return v2.HPAScalingPolicy(type=type_, value=value, periodSeconds=PERIOD_SECONDS)


def _complete(rules: v2.HPAScalingRules, window: int | None, policies: list[v2.HPAScalingPolicy]) -> None:
    if rules.selectPolicy is None:
        rules.selectPolicy = "Max"
    if rules.stabilizationWindowSeconds is None:
        rules.stabilizationWindowSeconds = window
    if not rules.policies:
        rules.policies = policies


SHOWN = 2
"""Targets that are spelled out."""

_Source = v2.ResourceMetricSource | v2.ContainerResourceMetricSource


def _use(source: _Source, current: v2.MetricValueStatus | None) -> str:
    """`cpu: 40%/80%` or `memory: 3Mi/5Mi`."""
    target = source.target
    if target.averageValue is not None:
        now = UNKNOWN if current is None or current.averageValue is None else current.averageValue
        return f"{source.name}: {now}/{target.averageValue}"
    now = UNKNOWN if current is None or current.averageUtilization is None else f"{current.averageUtilization}%"
    desired = "<auto>" if target.averageUtilization is None else f"{target.averageUtilization}%"
    return f"{source.name}: {now}/{desired}"


def _value(target: v2.MetricTarget, current: v2.MetricValueStatus | None) -> str:
    if target.averageValue is not None:
        now = UNKNOWN if current is None or current.averageValue is None else current.averageValue
        return f"{now}/{target.averageValue} (avg)"
    now = UNKNOWN if current is None or current.value is None else current.value
    return f"{now}/{target.value or '<nil>'}"


def _target(metric: v2.MetricSpec, status: v2.MetricStatus | None) -> str:
    def current(name: str) -> v2.MetricValueStatus | None:
        held = None if status is None else getattr(status, name)
        return None if held is None else held.current

    match metric.type:
        case "External" if metric.external is not None:
            return _value(metric.external.target, current("external"))
        case "Object" if metric.object is not None:
            return _value(metric.object.target, current("object"))
        case "Pods" if metric.pods is not None:
            now = current("pods")
            shown = UNKNOWN if now is None or now.averageValue is None else now.averageValue
            return f"{shown}/{metric.pods.target.averageValue or '<nil>'}"
        case "Resource" if metric.resource is not None:
            return _use(metric.resource, current("resource"))
        case "ContainerResource" if metric.containerResource is not None:
            return _use(metric.containerResource, current("containerResource"))
    return "<unknown type>"


def _targets(obj: v2.HorizontalPodAutoscaler) -> str:
    metrics, statuses = obj.spec.metrics, obj.status.currentMetrics or []
    if not metrics:
        return "<none>"
    texts = [_target(metric, statuses[index] if index < len(statuses) else None) for index, metric in enumerate(metrics[:SHOWN])]
    more = f" + {len(metrics) - SHOWN} more..." if len(metrics) > SHOWN else ""
    return ", ".join(texts) + more


def _least(obj: Any) -> str:
    return "<unset>" if obj.spec.minReplicas is None else str(obj.spec.minReplicas)


COLUMNS = (
    NAME,
    Column("Reference", cell(lambda obj: f"{obj.spec.scaleTargetRef.kind}/{obj.spec.scaleTargetRef.name}"), description="What is scaled."),
    Column("Targets", cell(_targets), description="What is measured, and what it shall be."),
    Column("MinPods", cell(_least), description="The fewest replicas."),
    Column("MaxPods", cell(lambda obj: obj.spec.maxReplicas), description="The most replicas."),
    Column("Replicas", cell(lambda obj: obj.status.currentReplicas), description="How many replicas there are."),
    AGE,
)


class AutoscalerRules(Uncounted[v2.HorizontalPodAutoscaler]):
    def default(self, obj: v2.HorizontalPodAutoscaler) -> None:
        obj.metadata.annotations = without_carriers(obj.metadata.annotations)
        default_autoscaler(obj)

    validate = staticmethod(validate_autoscaler)

    def validate_create(self, obj: v2.HorizontalPodAutoscaler) -> list[FieldError]:
        return validate_autoscaler_change(obj, None)

    validate_update = staticmethod(validate_autoscaler_change)

    def validate_status_update(self, new: v2.HorizontalPodAutoscaler, old: v2.HorizontalPodAutoscaler) -> list[FieldError]:
        return validate_autoscaler_status(new)


class OldAutoscalerRules(Through[v1.HorizontalPodAutoscaler]):
    def default_here(self, obj: v1.HorizontalPodAutoscaler) -> None:
        if obj.spec.minReplicas is None:
            obj.spec.minReplicas = 1


AUTOSCALERS_V2: Kind[v2.HorizontalPodAutoscaler] = Kind(
    type=v2.HorizontalPodAutoscaler,
    plural="horizontalpodautoscalers",
    group="autoscaling",
    version="v2",
    rules=AutoscalerRules(),
    columns=COLUMNS,
    short_names=("hpa",),
    categories=("all",),
    subresources=(STATUS,),
)

_AS_V2: Stored[v1.HorizontalPodAutoscaler] = Stored(AUTOSCALERS_V2, from_v1, to_v1)

AUTOSCALERS_V1: Kind[v1.HorizontalPodAutoscaler] = Kind(
    type=v1.HorizontalPodAutoscaler,
    plural="horizontalpodautoscalers",
    group="autoscaling",
    version="v1",
    rules=OldAutoscalerRules(_AS_V2),
    columns=of_stored(COLUMNS, from_v1),
    short_names=("hpa",),
    categories=("all",),
    subresources=(STATUS,),
    stored=_AS_V2,
)

KINDS: tuple[Kind[Any], ...] = (AUTOSCALERS_V2, AUTOSCALERS_V1)
