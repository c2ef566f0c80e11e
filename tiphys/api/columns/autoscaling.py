"""Tables of horizontal pod autoscalers."""

from __future__ import annotations

from typing import Any

from tiphys.api.autoscaling import v2
from tiphys.api.columns.base import AGE, NAME, UNKNOWN, cell
from tiphys.api.machinery.scheme import Column

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
    wanted = "<auto>" if target.averageUtilization is None else f"{target.averageUtilization}%"
    return f"{source.name}: {now}/{wanted}"


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


AUTOSCALERS = (
    NAME,
    Column("Reference", cell(lambda obj: f"{obj.spec.scaleTargetRef.kind}/{obj.spec.scaleTargetRef.name}"), description="What is scaled."),
    Column("Targets", cell(_targets), description="What is measured, and what it shall be."),
    Column("MinPods", cell(_least), description="The fewest replicas."),
    Column("MaxPods", cell(lambda obj: obj.spec.maxReplicas), description="The most replicas."),
    Column("Replicas", cell(lambda obj: obj.status.currentReplicas), description="How many replicas there are."),
    AGE,
)
SCALES = (
    Column("Name", cell(lambda obj: obj.metadata.name), description="The name of what is scaled."),
    Column("Desired", cell(lambda obj: obj.spec.replicas), type="integer", description="How many replicas there shall be."),
    Column("Available", cell(lambda obj: obj.status.replicas), type="integer", description="How many replicas there are."),
    AGE,
)
