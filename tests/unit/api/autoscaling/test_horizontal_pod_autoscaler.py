"""Horizontal pod autoscalers: defaults, mistakes and what may stay as it was."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import pytest

SPEC = "{{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {{name: a}}, spec: {{scaleTargetRef: {target}, maxReplicas: {most}{more}}}}}"
TARGET = "{apiVersion: apps/v1, kind: Deployment, name: web}"
PODS = "type: Pods, pods: {metric: {name: m}, target: {type: AverageValue, averageValue: '1'}}"


def autoscaler(more: str = "", *, target: str = TARGET, most: int = 3) -> str:
    return SPEC.format(target=target, most=most, more=f", {more}" if more else "")


def metric(text: str) -> str:
    return autoscaler(f"metrics: [{{{text}}}]")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (autoscaler(most=0), ["spec.maxReplicas: Required value: must be set and greater than 0", 'spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`']),
        (autoscaler("minReplicas: -1"), ["spec.minReplicas: Invalid value: -1: must be greater than or equal to 1"]),
        (autoscaler(target="{apiVersion: apps/v1}"), ["spec.scaleTargetRef.kind: Required value", "spec.scaleTargetRef.name: Required value"]),
        (autoscaler(target="{apiVersion: apps/v1, kind: a/b, name: ..}"), ["spec.scaleTargetRef.kind: Invalid value: \"a/b\": may not contain '/'", "spec.scaleTargetRef.name: Invalid value: \"..\": may not be '..'"]),
        (autoscaler(target="{kind: Deployment, name: web}"), ['spec.scaleTargetRef.apiVersion: Invalid value: "": apiVersion must specify API group']),
        (autoscaler(target="{apiVersion: a/b/c, kind: Deployment, name: web}"), ['spec.scaleTargetRef.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c']),
        (metric("{}".strip("{}")), ["spec.metrics[0].type: Required value: must specify a metric source type", *['spec.metrics[0].type: Unsupported value: "": supported values: "ContainerResource", "External", "Object", "Pods", "Resource"'] * 2]),
        (metric("type: Pods"), ["spec.metrics[0].pods: Required value: must populate information for the given metric source"]),
        (metric("type: Pods, pods: {target: {}}"), ["spec.metrics[0].pods.metric.name: Required value: must specify a metric name", "spec.metrics[0].pods.target.type: Required value: must specify a metric target type", 'spec.metrics[0].pods.target.type: Invalid value: "": must be either Utilization, Value, or AverageValue', "spec.metrics[0].pods.target.averageValue: Required value: must specify a positive target averageValue"]),
        (metric(f"{PODS}, resource: {{name: cpu}}"), ["spec.metrics[0].resource: Forbidden: must populate the given metric source only"]),
        (metric("type: Pods, pods: {metric: {name: a/b}, target: {type: AverageValue, averageValue: '0'}}"), ["spec.metrics[0].pods.metric.name: Invalid value: \"a/b\": may not contain '/'", 'spec.metrics[0].pods.target.averageValue: Invalid value: "0": must be positive']),
        (metric("type: Resource, resource: {target: {type: Utilization}}"), ["spec.metrics[0].resource.name: Required value: must specify a resource name", "spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization"]),
        (metric("type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 1, averageValue: '1'}}"), ["spec.metrics[0].resource.target.averageValue: Forbidden: may not set both a target raw value and a target utilization"]),
        (metric("type: ContainerResource, containerResource: {target: {type: Utilization, averageUtilization: 0}}"), ["spec.metrics[0].containerResource.name: Required value: must specify a resource name", "spec.metrics[0].containerResource.container: Required value: must specify a container", "spec.metrics[0].containerResource.target.averageUtilization: Invalid value: 0: must be greater than 0"]),
        (metric("type: ContainerResource, containerResource: {name: pods, container: A, target: {type: Utilization, averageUtilization: 1}}"), ['spec.metrics[0].containerResource.name: Invalid value: "pods": must be a standard resource for containers', 'spec.metrics[0].containerResource.container: Invalid value: "A": a lowercase RFC 1123 label must consist']),
        (metric("type: External, external: {metric: {name: m}, target: {type: Value, value: '1', averageValue: '1'}}"), ["spec.metrics[0].external.target.value: Forbidden: may not set both a target value for metric and a per-pod target"]),
        (metric("type: External, external: {metric: {name: m}, target: {type: Value}}"), ["spec.metrics[0].external.target.averageValue: Required value: must set either a target value for metric or a per-pod target"]),
        (metric("type: Object, object: {metric: {name: m}, describedObject: {kind: a, name: b, apiVersion: a/b/c}, target: {type: Value}}"), ["spec.metrics[0].object.target.averageValue: Required value: must set either a target value or averageValue", 'spec.metrics[0].object.describedObject.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c']),
        (autoscaler("behavior: {scaleUp: {stabilizationWindowSeconds: 3601, selectPolicy: Odd, tolerance: '-1', policies: [{type: Odd, value: 0, periodSeconds: 1801}]}}"), ["spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600", 'spec.behavior.scaleUp.selectPolicy: Unsupported value: "Odd": supported values: "Disabled", "Max", "Min"', 'spec.behavior.scaleUp.policies[0].type: Unsupported value: "Odd": supported values: "Percent", "Pods"', "spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero", "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800", 'spec.behavior.scaleUp.tolerance: Invalid value: "-1": must be greater than or equal to 0']),
        (autoscaler("behavior: {scaleDown: {stabilizationWindowSeconds: -1}}"), ["spec.behavior.scaleDown.stabilizationWindowSeconds: Invalid value: -1: must be greater than or equal to zero"]),
    ],
)  # fmt: skip
def test_rejects_invalid_fields(server: Any, text: str, said: list[str]) -> None:
    found = server.errors(text)
    assert len(found) == len(said), found
    for one, start in zip(found, said, strict=True):
        assert one.startswith(start)


def test_defaults(server: Any) -> None:
    plain = server.create(autoscaler())
    assert plain.spec.minReplicas == 1
    assert [(metric.resource.name, metric.resource.target.averageUtilization) for metric in plain.spec.metrics] == [("cpu", 80)]
    assert plain.metadata.generation == 0
    given = server.create(autoscaler("behavior: {scaleDown: {stabilizationWindowSeconds: 5}}")).spec.behavior
    assert [(one.type, one.value, one.periodSeconds) for one in given.scaleUp.policies] == [("Pods", 4, 15), ("Percent", 100, 15)]
    assert [(one.type, one.value, one.periodSeconds) for one in given.scaleDown.policies] == [("Percent", 100, 15)]
    assert (given.scaleUp.stabilizationWindowSeconds, given.scaleDown.stabilizationWindowSeconds) == (0, 5)
    assert (given.scaleUp.selectPolicy, given.scaleDown.selectPolicy) == ("Max", "Max")
    assert server.create(autoscaler("behavior: {scaleUp: {}}")).spec.behavior.scaleDown.stabilizationWindowSeconds is None


def test_updates_may_keep_old_values(server: Any) -> None:
    external = "metrics: [{type: External, external: {metric: {name: m}, target: {type: Value, value: '1'}}}]"
    zero = server.prepared(autoscaler(f"minReplicas: 0, {external}"))
    assert server.errors_of(zero) == ["spec.minReplicas: Invalid value: 0: must be greater than or equal to 1"]
    assert server.update(zero, spec__maxReplicas=4)[1] == []
    groupless = server.prepared(autoscaler(target="{kind: Deployment, name: web}"))
    assert server.update(groupless, spec__scaleTargetRef__name="other")[1] == []
    _, errors = server.update(groupless, spec__scaleTargetRef__kind="Other")
    assert errors == ['spec.scaleTargetRef.apiVersion: Invalid value: "": apiVersion must specify API group']
    server.create(autoscaler(target="{apiVersion: v1, kind: ReplicationController, name: web}"))
    about = "metrics: [{type: Object, object: {metric: {name: m}, describedObject: {kind: a, name: b, apiVersion: a/b/c}, target: {type: Value, value: '1'}}}]"
    odd = server.prepared(autoscaler(about))
    assert server.update(odd, spec__maxReplicas=4)[1] == []


def test_table_shows_targets(server: Any) -> None:
    from datetime import UTC, datetime

    from tiphys.api.autoscaling.horizontal_pod_autoscaler import COLUMNS as AUTOSCALERS

    def targets(text: str, status: str = "{}") -> Any:
        obj = server.load(text[:-1] + f", status: {status}}}")
        return AUTOSCALERS[2].cell(obj, datetime(2026, 1, 1, tzinfo=UTC))

    assert targets(autoscaler()) == "<none>"
    cpu = "{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}"
    used = "currentMetrics: [{type: Resource, resource: {name: cpu, current: {averageUtilization: 40, averageValue: 20m}}}]"
    assert targets(autoscaler(f"metrics: [{cpu}]")) == "cpu: <unknown>/80%"
    assert targets(autoscaler(f"metrics: [{cpu}]"), f"{{{used}}}") == "cpu: 40%/80%"
    assert targets(metric(PODS)) == "<unknown>/1"
    three = f"metrics: [{cpu}, {cpu}, {cpu}]"
    assert targets(autoscaler(three)) == "cpu: <unknown>/80%, cpu: <unknown>/80% + 1 more..."
    external = "{type: External, external: {metric: {name: m}, target: {type: AverageValue, averageValue: '5'}}}"
    assert targets(autoscaler(f"metrics: [{external}]")) == "<unknown>/5 (avg)"
    about = "{type: Object, object: {metric: {name: m}, target: {type: Value, value: '5'}}}"
    seen = "currentMetrics: [{type: Object, object: {current: {value: '3'}}}]"
    assert targets(autoscaler(f"metrics: [{about}]"), f"{{{seen}}}") == "3/5"
