"""Conversions between kinds of one storage: nothing is lost on the way there and back."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.api.autoscaling import v1, v2
from tiphys.api.autoscaling.conversion import from_v1, to_v1
from tiphys.api.core import v1 as core
from tiphys.api.kinds import SCHEME
from tiphys.api.machinery.scheme import converted
from tiphys.api.meta.v1 import ObjectMeta

SELECTOR = {"matchLabels": {"a": "b"}}
METRIC = {"name": "hits", "selector": SELECTOR}
ABOUT = {"kind": "Service", "name": "web", "apiVersion": "v1"}

METRICS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"type": "Object", "object": {"describedObject": ABOUT, "target": {"type": "Value", "value": "5"}, "metric": METRIC}},
        {"type": "Object", "object": {"target": ABOUT, "metricName": "hits", "targetValue": "5", "selector": SELECTOR}},
    ),
    (
        {"type": "Object", "object": {"describedObject": ABOUT, "target": {"type": "AverageValue", "averageValue": "5"}, "metric": METRIC}},
        {"type": "Object", "object": {"target": ABOUT, "metricName": "hits", "targetValue": "0", "selector": SELECTOR, "averageValue": "5"}},
    ),
    (
        {"type": "Pods", "pods": {"metric": METRIC, "target": {"type": "AverageValue", "averageValue": "500m"}}},
        {"type": "Pods", "pods": {"metricName": "hits", "targetAverageValue": "500m", "selector": SELECTOR}},
    ),
    (
        {"type": "Resource", "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 50}}},
        {"type": "Resource", "resource": {"name": "memory", "targetAverageUtilization": 50}},
    ),
    (
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "2"}}},
        {"type": "Resource", "resource": {"name": "cpu", "targetAverageValue": "2"}},
    ),
    (
        {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "a", "target": {"type": "Utilization", "averageUtilization": 5}}},
        {"type": "ContainerResource", "containerResource": {"name": "cpu", "targetAverageUtilization": 5, "container": "a"}},
    ),
    (
        {"type": "External", "external": {"metric": METRIC, "target": {"type": "Value", "value": "7"}}},
        {"type": "External", "external": {"metricName": "hits", "metricSelector": SELECTOR, "targetValue": "7"}},
    ),
    (
        {"type": "External", "external": {"metric": METRIC, "target": {"type": "AverageValue", "averageValue": "7"}}},
        {"type": "External", "external": {"metricName": "hits", "metricSelector": SELECTOR, "targetAverageValue": "7"}},
    ),
]  # fmt: skip

MEASURED: list[dict[str, Any]] = [
    {"type": "Object", "object": {"metric": METRIC, "current": {"value": "5", "averageValue": "2"}, "describedObject": ABOUT}},
    {"type": "Pods", "pods": {"metric": METRIC, "current": {"averageValue": "2"}}},
    {"type": "Resource", "resource": {"name": "cpu", "current": {"averageValue": "2", "averageUtilization": 40}}},
    {"type": "ContainerResource", "containerResource": {"name": "cpu", "current": {"averageValue": "2"}, "container": "a"}},
    {"type": "External", "external": {"metric": METRIC, "current": {"value": "5"}}},
]


def stored(metrics: list[dict[str, Any]], **more: Any) -> v2.HorizontalPodAutoscaler:
    target = {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"}
    document = {
        "metadata": {"name": "a"},
        "spec": {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 3, "metrics": metrics},
        **more,
    }
    return msgspec.convert(document, v2.HorizontalPodAutoscaler)


@pytest.mark.parametrize(("metric", "carried"), METRICS)
def test_metrics_go_into_the_annotation_of_old_betas_and_back(metric: dict[str, Any], carried: dict[str, Any]) -> None:
    whole = stored([metric])
    old = to_v1(whole)
    assert json.loads(old.metadata.annotations["autoscaling.alpha.kubernetes.io/metrics"]) == [carried]
    assert from_v1(old) == whole


@pytest.mark.parametrize("measured", MEASURED)
def test_measured_values_and_conditions_go_there_and_back(measured: dict[str, Any]) -> None:
    condition = {
        "type": "ScalingActive",
        "status": "True",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "reason": "Fine",
        "message": "yes",
    }
    bare = {"type": "AbleToScale", "status": "False"}
    status = {"currentReplicas": 2, "desiredReplicas": 3, "currentMetrics": [measured], "conditions": [condition, bare]}
    whole = stored([METRICS[3][0]], status=status)
    assert from_v1(to_v1(whole)) == whole


def test_behavior_is_carried_under_upstreams_inner_names() -> None:
    behavior = {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "selectPolicy": "Max",
            "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}],
            "tolerance": "50m",
        }
    }
    whole = stored([METRICS[3][0]])
    whole.spec.behavior = msgspec.convert(behavior, v2.HorizontalPodAutoscalerBehavior)
    old = to_v1(whole)
    assert old.metadata.annotations["autoscaling.alpha.kubernetes.io/behavior"] == (
        '{"ScaleUp":{"StabilizationWindowSeconds":0,"SelectPolicy":"Max",'
        '"Policies":[{"Type":"Pods","Value":4,"PeriodSeconds":15}],"Tolerance":"50m"},"ScaleDown":null}'
    )
    assert from_v1(old) == whole


def test_the_use_of_the_cpu_is_a_field_of_the_old_version() -> None:
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}
    old = to_v1(stored([cpu], status={"desiredReplicas": 1, "currentMetrics": [MEASURED[2]]}))
    assert old.spec.targetCPUUtilizationPercentage == 60
    assert old.status.currentCPUUtilizationPercentage == 40
    assert "autoscaling.alpha.kubernetes.io/metrics" not in old.metadata.annotations
    bare = v1.HorizontalPodAutoscaler(status=v1.HorizontalPodAutoscalerStatus(currentCPUUtilizationPercentage=7))
    assert from_v1(bare).spec.metrics == [msgspec.convert({**cpu, "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}, v2.MetricSpec)]  # fmt: skip
    found = (from_v1(bare).status.currentMetrics or [])[0].resource
    assert found is not None
    assert found.current.averageUtilization == 7


@given(
    name=st.sampled_from(["metrics", "current-metrics", "conditions", "behavior"]),
    text=st.one_of(
        st.text(max_size=20),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "object", "pods", "selector", "ScaleUp"]), inner),
            max_leaves=8,
        ).map(json.dumps),
        st.just('[{"type":"Pods","pods":{"metricName":"a","targetAverageValue":"lots"}}]'),
        st.just('[{"type":"Pods","pods":{"metricName":"a","selector":5}}]'),
    ),
)  # fmt: skip
def test_annotations_that_make_no_sense_are_dropped(name: str, text: str) -> None:
    key = f"autoscaling.alpha.kubernetes.io/{name}"
    old = v1.HorizontalPodAutoscaler(metadata=ObjectMeta(name="a", annotations={key: text, "mine": "1"}))
    shown = from_v1(old)
    assert shown.metadata.annotations == {"mine": "1"}
    assert old.metadata.annotations == {key: text, "mine": "1"}
    assert from_v1(to_v1(shown)) == shown


def test_events_there_and_back() -> None:
    document = {
        "metadata": {"name": "a", "namespace": "b", "labels": {"c": "d"}},
        "involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "spec"},
        **{name: name for name in ("reason", "message", "type", "action", "reportingComponent", "reportingInstance")},
        "source": {"component": "x", "host": "y"},
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:01Z",
        "count": 3,
        "eventTime": "2026-01-01T00:00:02.000003Z",
        "series": {"count": 4, "lastObservedTime": "2026-01-01T00:00:03.000004Z"},
        "related": {"kind": "Node", "name": "n"},
    }
    old = msgspec.convert(document, core.Event)
    assert {name for name in old.__struct_fields__ if getattr(old, name) == getattr(core.Event(), name)} == {"apiVersion", "kind"}
    kind, other = SCHEME.of(core.Event), SCHEME.by_gvk("events.k8s.io/v1", "Event")
    assert other is not None
    new = converted(old, kind, other)
    assert (new.apiVersion, new.note, new.regarding, new.deprecatedCount) == ("events.k8s.io/v1", "message", old.involvedObject, 3)
    assert converted(new, other, kind) == old
    assert SCHEME.in_version(kind, "events.k8s.io/v1") is other
    assert SCHEME.in_version(other, "v1") is kind
    assert SCHEME.in_version(kind, "apps/v1") is None
