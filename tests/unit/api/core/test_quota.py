"""Limit ranges and resource quotas: their mistakes, defaults and tables."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from tiphys.api.kinds import SCHEME


def _quoted(text: str) -> str:
    """Numbers as the texts that quantities are (the server does this when it decodes)."""
    return re.sub(r": (-?[0-9]+)(?=[,}])", r': "\1"', text)


def limit_range(item: str) -> str:
    return _quoted(f"{{apiVersion: v1, kind: LimitRange, metadata: {{name: a}}, spec: {{limits: [{{{item}}}]}}}}")


def resource_quota(spec: str) -> str:
    return _quoted(f"{{apiVersion: v1, kind: ResourceQuota, metadata: {{name: a}}, spec: {{{spec}}}}}")


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("type: Odd", 'spec.limits[0].type: Invalid value: "Odd": must be a standard limit type or fully qualified'),
        ("type: Container}, {type: Container", 'spec.limits[1].type: Duplicate value: "Container"'),
        ("type: Container, max: {storage: 1}", 'spec.limits[0].max[storage]: Invalid value: "storage": must be a standard resource for containers'),
        ("type: Pod, default: {cpu: 1}", "spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"),
        ("type: Pod, defaultRequest: {cpu: 1}", "spec.limits[0].defaultRequest: Forbidden: may not be specified when `type` is 'Pod'"),
        ("type: PersistentVolumeClaim", "spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but neither was provided"),
        ("type: Pod, min: {cpu: 2}, max: {cpu: 1}", 'spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1'),
        ("type: Container, min: {cpu: 2}, defaultRequest: {cpu: 1}, default: {cpu: 3}", 'spec.limits[0].defaultRequest[cpu]: Invalid value: "1": min value 2 is greater than default request value 1'),
        ("type: Container, max: {cpu: 2}, defaultRequest: {cpu: 3}", 'spec.limits[0].defaultRequest[cpu]: Invalid value: "3": default request value 3 is greater than max value 2'),
        ("type: Container, default: {cpu: 2}, defaultRequest: {cpu: 3}", 'spec.limits[0].defaultRequest[cpu]: Invalid value: "3": default request value 3 is greater than default limit value 2'),
        ("type: Container, min: {cpu: 2}, default: {cpu: 1}", 'spec.limits[0].default[cpu]: Invalid value: "2": min value 2 is greater than default value 1'),
        ("type: Container, max: {cpu: 2}, default: {cpu: 3}", 'spec.limits[0].default[cpu]: Invalid value: "2": default value 3 is greater than max value 2'),
        ("type: Pod, maxLimitRequestRatio: {cpu: 500m}", 'spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "500m": ratio 500m is less than 1'),
        ("type: Pod, maxLimitRequestRatio: {cpu: 4}, min: {cpu: 1}, max: {cpu: 2}", 'spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "4": ratio 4 is greater than max/min = 2.000000'),
        ("type: Container, default: {example.com/gpu: 2}, defaultRequest: {example.com/gpu: 1}", "default value 2 must equal to defaultRequest value 1 in example.com/gpu"),
    ],
)  # fmt: skip
def test_rejects_invalid_limit_ranges(server: Any, item: str, said: str) -> None:
    errors = server.errors(limit_range(item))
    assert any(said in error for error in errors), errors


def test_limit_range_defaults(server: Any) -> None:
    made = server.create(
        limit_range("type: Container, max: {cpu: 2}, min: {cpu: 1, memory: 1Gi}, default: {memory: 4Gi}, defaultRequest: {memory: 2Gi}")
    )
    [item] = made.spec.limits
    assert item.default == {"cpu": "2", "memory": "4Gi"}
    assert item.defaultRequest == {"cpu": "2", "memory": "2Gi"}
    pods = server.create(limit_range("type: Pod, max: {cpu: 2}"))
    assert not pods.spec.limits[0].default
    assert not pods.metadata.generation


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("hard: {odd: 1}", 'spec.hard[odd]: Invalid value: "odd": must be a standard resource for quota'),
        ("hard: {storage: 1}", 'spec.hard[storage]: Invalid value: "storage": must be a standard resource for quota'),
        ("hard: {pods: -1}", 'spec.hard[pods]: Invalid value: "-1": must be greater than or equal to 0'),
        ("hard: {pods: 500m}", 'spec.hard[pods]: Invalid value: "500m": must be an integer'),
        ("hard: {pods: 1}, scopes: [Odd]", 'spec.scopes: Invalid value: ["Odd"]: unsupported scope'),
        ("hard: {cpu: 1}, scopes: [BestEffort]", 'spec.scopes: Invalid value: ["BestEffort"]: unsupported scope applied to resource'),
        ("hard: {services: 1}, scopes: [Terminating]", "unsupported scope applied to resource"),
        ("hard: {pods: 1}, scopes: [VolumeAttributesClass]", "unsupported scope applied to resource"),
        ("hard: {pods: 1}, scopes: [BestEffort, NotBestEffort]", "conflicting scopes"),
        ("hard: {pods: 1}, scopeSelector: {matchExpressions: [{scopeName: Terminating, operator: In, values: [a]}]}", 'spec.scopeSelector.matchExpressions.operator: Invalid value: "In": must be \'Exists\' when scope is any of'),
        ("hard: {pods: 1}, scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In}]}", "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"),
        ("hard: {pods: 1}, scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: Exists, values: [a]}]}", "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"),
        ("hard: {pods: 1}, scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: Odd}]}", "not a valid selector operator"),
        ("hard: {pods: 1}, scopeSelector: {matchExpressions: [{scopeName: Odd, operator: Exists}]}", 'spec.scopeSelector.matchExpressions.scopeName: Invalid value: "Odd": unsupported scope'),
    ],
)  # fmt: skip
def test_rejects_invalid_quotas(server: Any, spec: str, said: str) -> None:
    errors = server.errors(resource_quota(spec))
    assert any(said in error for error in errors), errors


def test_resources_of_quotas(server: Any) -> None:
    hard = {
        "count/deployments.apps": 1, "count/pods": 1, "requests.nvidia.com/gpu": 1, "requests.hugepages-2Mi": "3Mi", "hugepages-2Mi": "4Mi",
        "gold.storageclass.storage.k8s.io/requests.storage": "1Gi", "services.loadbalancers": 1, "requests.storage": "1Gi",
    }  # fmt: skip
    text = ", ".join(f"{name}: {value}" for name, value in hard.items())
    made = server.create(resource_quota(f"hard: {{{text}}}"))
    assert not made.metadata.generation
    scoped = server.create(resource_quota("hard: {pods: 1}, scopes: [Terminating]"))
    _, errors = server.update(scoped, spec__scopes=["NotTerminating"])
    assert errors == ['spec.scopes: Invalid value: ["NotTerminating"]: field is immutable']


def test_more_requested_than_limited_is_warned_of(server: Any) -> None:
    quota = server.create(resource_quota("hard: {cpu: 3, limits.cpu: 2, requests.memory: 1Gi, limits.memory: 1Gi}"))
    assert SCHEME.of(type(quota)).rules.warnings(quota, None) == ["ResourceQuota cpu (3) should be less than limits.cpu (2)"]


def test_the_table_of_quotas(server: Any) -> None:
    quota = server.create(resource_quota("hard: {}"))
    quota.status.hard = {"pods": "5", "limits.cpu": "2", "requests.cpu": "1"}
    quota.status.used = {"pods": "1", "limits.cpu": "500m"}
    now = datetime(2026, 1, 1, tzinfo=UTC)
    cells = {column.name: column.cell(quota, now) for column in SCHEME.of(type(quota)).columns}
    assert (cells["Request"], cells["Limit"]) == ("pods: 1/5, requests.cpu: 0/1", "limits.cpu: 500m/2")
