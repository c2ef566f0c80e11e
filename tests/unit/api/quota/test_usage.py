"""Usage of quotas by objects."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from tiphys.api.core import v1 as core
from tiphys.api.kinds import SCHEME
from tiphys.api.machinery.scheme import Kind
from tiphys.api.quota.amounts import plus, rise, same
from tiphys.api.quota.evaluators import evaluator_for, evaluator_of, tracked
from tiphys.api.quota.judge import Refused, charges
from tiphys.api.resource.v1 import ResourceClaim

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pod(**parts: Any) -> core.Pod:
    return msgspec.convert({"metadata": {"name": "a", "namespace": "d"}, **parts}, core.Pod)


def container(requests: dict[str, str], limits: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    return {"name": "c", "resources": {"requests": requests, "limits": limits or {}}, **more}


def used(obj: Any, plural: str) -> dict[str, str]:
    return dict(evaluator_for(plural).usage(obj, NOW))


def test_pods() -> None:
    spec = {
        "containers": [container({"cpu": "1", "memory": "1Gi", "hugepages-2Mi": "4Mi", "example.com/gpu": "2"}, {"cpu": "2"})],
        "initContainers": [container({"cpu": "3"}), container({"cpu": "500m"}, name="s", restartPolicy="Always")],
        "overhead": {"cpu": "100m", "memory": "1Mi"},
    }
    assert used(pod(spec=spec), "pods") == {
        "count/pods": "1", "pods": "1", "cpu": "3100m", "requests.cpu": "3100m", "memory": "1025Mi", "requests.memory": "1025Mi",
        "hugepages-2Mi": "4Mi", "requests.hugepages-2Mi": "4Mi", "requests.example.com/gpu": "2", "limits.cpu": "2100m",
    }  # fmt: skip


def test_pods_that_have_ended_or_should_have() -> None:
    spec = {"containers": [container({"cpu": "1"})]}
    for phase in ("Failed", "Succeeded"):
        assert used(pod(spec=spec, status={"phase": phase}), "pods") == {"count/pods": "1"}
    late = pod(spec=spec)
    late.metadata.deletionTimestamp, late.metadata.deletionGracePeriodSeconds = NOW - timedelta(seconds=31), 30
    assert used(late, "pods") == {"count/pods": "1"}
    late.metadata.deletionTimestamp = NOW - timedelta(seconds=29)
    assert used(late, "pods")["pods"] == "1"
    late.metadata.deletionGracePeriodSeconds = 2**63 - 1
    assert used(late, "pods")["pods"] == "1"


def test_a_resize_is_charged_by_the_larger_side() -> None:
    status = {"containerStatuses": [{"name": "c", "resources": {"requests": {"cpu": "2"}}, "allocatedResources": {"cpu": "3"}}]}
    resized = pod(spec={"containers": [container({"cpu": "1"})]}, status=status)
    assert used(resized, "pods")["cpu"] == "3"
    resized.spec.containers[0].resources.requests["cpu"] = "4"  # type: ignore[assignment]
    assert used(resized, "pods")["cpu"] == "4"
    resized.status.conditions = [core.PodCondition(type="PodResizePending", status="True", reason="Infeasible")]
    assert used(resized, "pods")["cpu"] == "3"


@pytest.mark.parametrize(
    ("spec", "ports", "balancers"),
    [
        ({"type": "ClusterIP", "ports": [{"port": 1}]}, "0", "0"),
        ({"type": "NodePort", "ports": [{"port": 1}, {"port": 2}]}, "2", "0"),
        ({"type": "LoadBalancer", "ports": [{"port": 1}, {"port": 2}]}, "2", "1"),
        (
            {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False, "ports": [{"port": 1}, {"port": 2, "nodePort": 30000}]},
            "1",
            "1",
        ),
    ],
)
def test_services(spec: dict[str, Any], ports: str, balancers: str) -> None:
    found = used(msgspec.convert({"spec": spec}, core.Service), "services")
    assert found == {"count/services": "1", "services": "1", "services.nodeports": ports, "services.loadbalancers": balancers}


def test_claims() -> None:
    claim = msgspec.convert(
        {"spec": {"storageClassName": "gold", "resources": {"requests": {"storage": "1Gi"}}}}, core.PersistentVolumeClaim
    )
    assert used(claim, "persistentvolumeclaims") == {
        "persistentvolumeclaims": "1", "count/persistentvolumeclaims": "1", "requests.storage": "1Gi",
        "gold.storageclass.storage.k8s.io/persistentvolumeclaims": "1", "gold.storageclass.storage.k8s.io/requests.storage": "1Gi",
    }  # fmt: skip
    claim.status.allocatedResources = {"storage": "2Gi"}  # type: ignore[dict-item]
    assert used(claim, "persistentvolumeclaims")["requests.storage"] == "2Gi"
    half = msgspec.convert({"spec": {"resources": {"requests": {"storage": "1500m"}}}}, core.PersistentVolumeClaim)
    assert used(half, "persistentvolumeclaims")["requests.storage"] == "2"


def test_claims_of_devices() -> None:
    spec = {
        "devices": {
            "requests": [
                {"name": "a", "exactly": {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 2}},
                {"name": "b", "exactly": {"deviceClassName": "nic", "allocationMode": "All"}},
                {
                    "name": "c",
                    "firstAvailable": [
                        {"name": "x", "deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1},
                        {"name": "y", "deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 4},
                        {"name": "z", "deviceClassName": "fpga", "allocationMode": "ExactCount", "count": 1},
                    ],
                },
            ]
        }
    }
    evaluator = evaluator_for("resourceclaims", "resource.k8s.io")
    assert evaluator.usage(msgspec.convert({"spec": spec}, ResourceClaim), NOW) == {
        "count/resourceclaims.resource.k8s.io": "1",
        "gpu.deviceclass.resource.k8s.io/devices": "6",
        "nic.deviceclass.resource.k8s.io/devices": "32",
        "fpga.deviceclass.resource.k8s.io/devices": "1",
    }
    assert tracked(("gpu.deviceclass.resource.k8s.io/devices",)) == {("resourceclaims", "resource.k8s.io")}


def test_quota_covers_the_kinds_it_names() -> None:
    hard = (
        "pods",
        "count/widgets.example.com",
        "services.nodeports",
        "secrets",
        "gold.storageclass.storage.k8s.io/requests.storage",
        "odd",
    )
    assert tracked(hard) == {("pods", ""), ("widgets", "example.com"), ("services", ""), ("secrets", ""), ("persistentvolumeclaims", "")}
    assert tracked(("requests.example.com/gpu", "limits.cpu", "hugepages-2Mi")) == {("pods", "")}
    assert evaluator_of(SCHEME.of(core.Node)) is None
    assert evaluator_of(SCHEME.of(core.Event)) is None
    widgets = evaluator_of(Kind(core.ConfigMap, "widgets", "example.com"))
    assert widgets is not None
    assert widgets.resources(["count/widgets.example.com", "pods"]) == ["count/widgets.example.com"]


def quota(hard: dict[str, str], used: dict[str, str], **spec: Any) -> core.ResourceQuota:
    return msgspec.convert({"metadata": {"name": "q"}, "spec": spec, "status": {"hard": hard, "used": used}}, core.ResourceQuota)


def test_charges() -> None:
    new = pod(spec={"containers": [container({"cpu": "1"})]})
    pods = evaluator_for("pods")
    assert charges([quota({"cpu": "2", "secrets": "1"}, {"cpu": "500m", "secrets": "0"})], pods, new, None, NOW) == {
        "q": {"cpu": "1500m", "secrets": "0"}
    }
    assert charges([quota({"secrets": "1"}, {"secrets": "1"})], pods, new, None, NOW) == {}
    assert charges([quota({}, {})], pods, new, None, NOW) == {}
    for wrong, said in (
        (quota({"cpu": "1"}, {"cpu": "1m"}), "exceeded quota: q, requested: cpu=1, used: cpu=1m, limited: cpu=1"),
        (quota({"cpu": "1"}, {}), "status unknown for quota: q, resources: cpu"),
        (quota({"memory": "1"}, {"memory": "0"}), "failed quota: q: must specify memory for: c"),
    ):
        with pytest.raises(Refused, match=said):
            charges([wrong], pods, new, None, NOW)
    # More than is allowed already: what asks for nothing more may change.
    assert charges([quota({"cpu": "1"}, {"cpu": "5"})], pods, new, new, NOW) == {}


def test_pods_that_enter_a_scope_are_charged_in_full() -> None:
    old = pod(spec={"containers": [container({"cpu": "1"})]})
    new = pod(spec={"containers": [container({"cpu": "1"})], "activeDeadlineSeconds": 5})
    scoped = quota({"cpu": "2"}, {"cpu": "0"}, scopes=["Terminating"])
    assert charges([scoped], evaluator_for("pods"), new, old, NOW) == {"q": {"cpu": "1"}}
    assert charges([scoped], evaluator_for("pods"), old, None, NOW) == {}


def test_sums() -> None:
    left: Any = {"a": "1Gi", "b": "1"}
    assert plus(left, {"a": "1Mi"}) == {"a": "1025Mi", "b": "1"}  # type: ignore[dict-item]
    assert rise({"a": "2Gi", "c": "1"}, left) == {"a": "1Gi", "c": "1"}  # type: ignore[dict-item]
    assert same(left, {"a": "1024Mi", "b": "1000m"})  # type: ignore[dict-item]
