"""Admission of pods that are bound to a node."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.unit.node.make import pod
from tiphys.api.core import v1 as core
from tiphys.api.helpers.sysctls import AllowedSysctls, normalized
from tiphys.api.machinery import base
from tiphys.node.pod.admission_rules import Rejection, reject, under_pressure

CAPACITY = {"cpu": 2000, "memory": 1 << 30, "pods": 3}
PORT = {"name": "a", "ports": [{"containerPort": 80, "hostPort": 8080}]}


def node(**more: Any) -> core.Node:
    meta = {"name": "n1", "labels": {"kubernetes.io/os": "linux", "disk": "ssd"}}
    return msgspec.convert({"metadata": meta, **more}, core.Node)


def judged(
    it: core.Pod, *others: core.Pod, on: core.Node | None = None, unsafe: tuple[str, ...] = (), apparmor: bool = True
) -> Rejection | None:
    return reject(it, on or node(), others, CAPACITY, AllowedSysctls.of(unsafe), apparmor=apparmor)


def wanting(**requests: str) -> core.Pod:
    return pod({"name": "a", "resources": {"requests": {name.replace("_", "."): value for name, value in requests.items()}}})


def reason(found: Rejection | None) -> str:
    return found.reason if found is not None else ""


def test_a_pod_that_fits_is_taken() -> None:
    assert judged(pod(), pod(), pod()) is None
    assert judged(wanting(cpu="2"), pod()) is None


def test_a_pod_that_wants_more_than_is_left_is_rejected_with_the_numbers() -> None:
    assert judged(wanting(cpu="1000"), wanting(cpu="100m")) == Rejection(
        "OutOfcpu", "Node didn't have enough resource: cpu, requested: 1000000, used: 100, capacity: 2000", {"cpu": 998_100}
    )
    assert reason(judged(wanting(memory="600Mi"), wanting(memory="600Mi"))) == "OutOfmemory"
    assert judged(pod(), pod(), pod(), pod()) == Rejection(
        "OutOfpods", "Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3", {"pods": 1}
    )


def test_a_lack_of_room_is_the_last_reason_against_a_critical_pod() -> None:
    requests = {"resources": {"requests": {"cpu": "3", "memory": "2Gi"}}}
    crowded = pod({"name": "a", **requests}, priority=2_000_000_000)
    found = judged(crowded)
    assert found is not None
    assert (found.reason, found.missing) == ("OutOfcpu", {"cpu": 1000, "memory": 1 << 30})
    misplaced = pod({"name": "a", **requests}, priority=2_000_000_000, nodeSelector={"disk": "hdd"})
    found = judged(misplaced)
    assert found is not None
    assert (found.reason, found.missing) == ("NodeAffinity", {})
    assert reason(judged(pod({"name": "a", **requests}, nodeSelector={"disk": "hdd"}))) == "OutOfcpu"


def test_an_extended_resource_counts_where_the_node_has_it() -> None:
    it = pod({"name": "a", "resources": {"requests": {"example.com/gpu": "2"}}})
    assert judged(it) is None, "a resource of the cluster, not of the node"
    assert reason(judged(it, on=node(status={"allocatable": {"example.com/gpu": "1"}}))) == "OutOfexample.com/gpu"


@pytest.mark.parametrize("where", ["securityContext", "containers", "initContainers"])
@pytest.mark.parametrize("profile", [{"type": "RuntimeDefault"}, {"type": "Localhost", "localhostProfile": "mine"}])
def test_a_profile_that_the_kernel_cannot_apply_is_rejected(where: str, profile: dict[str, str]) -> None:
    context = {"appArmorProfile": profile}
    main = {"name": "a", "securityContext": context} if where == "containers" else {"name": "a"}
    init = [{"name": "i", "securityContext": context}] if where == "initContainers" else []
    it = pod(main, initContainers=init, securityContext=context if where == "securityContext" else None)
    assert judged(it) is None
    assert judged(it, apparmor=False) == Rejection("AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host")
    unconfined = {"appArmorProfile": {"type": "Unconfined"}}
    assert judged(pod({"name": "a", "securityContext": unconfined}), apparmor=False) is None


@pytest.mark.parametrize("spec", [{"os": {"name": "windows"}}, {"metadata": {"labels": {"kubernetes.io/os": "windows"}}}])
def test_a_pod_for_another_system_is_rejected(spec: dict[str, Any]) -> None:
    expected = "PodOSNotSupported" if "os" in spec else "PodOSSelectorNodeLabelDoesNotMatch"
    assert reason(judged(pod(**spec))) == expected


def test_strict_supplemental_groups_need_a_runtime_that_heeds_them() -> None:
    strict = pod(securityContext={"supplementalGroupsPolicy": "Strict"})
    assert reason(judged(strict)) == "SupplementalGroupsPolicyNotSupported"
    assert judged(strict, on=node(status={"features": {"supplementalGroupsPolicy": True}})) is None
    assert judged(pod(securityContext={"supplementalGroupsPolicy": "Merge"})) is None


def _required(key: str, operator: str, *values: str, part: str = "matchExpressions") -> dict[str, Any]:
    term = {part: [{"key": key, "operator": operator, "values": list(values)}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}


@pytest.mark.parametrize(
    ("spec", "fits"),
    [
        ({"nodeSelector": {"disk": "ssd"}}, True),
        ({"nodeSelector": {"disk": "hdd"}}, False),
        ({"affinity": _required("disk", "In", "ssd")}, True),
        ({"affinity": _required("disk", "NotIn", "ssd")}, False),
        ({"affinity": _required("metadata.name", "In", "n1", part="matchFields")}, True),
        ({"affinity": _required("metadata.name", "In", "n2", part="matchFields")}, False),
    ],
)
def test_a_pod_runs_only_where_its_selector_and_affinity_allow(spec: dict[str, Any], fits: bool) -> None:
    assert reason(judged(pod(**spec))) == ("" if fits else "NodeAffinity")


@pytest.mark.parametrize(
    ("other", "fits"),
    [
        ({"hostPort": 8080}, False),
        ({"hostPort": 8080, "hostIP": "127.0.0.1"}, False),
        ({"hostPort": 8080, "protocol": "UDP"}, True),
        ({"hostPort": 8081}, True),
    ],
)
def test_a_taken_port_of_the_node_is_not_given_twice(other: dict[str, Any], fits: bool) -> None:
    found = judged(pod({"name": "b", "ports": [{"containerPort": 80, **other}]}), pod(PORT))
    message = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"
    assert found == (None if fits else Rejection("NodePorts", message))


def test_only_taints_that_evict_count() -> None:
    tainted = node(spec={"taints": [{"key": "k", "effect": "NoSchedule"}, {"key": "out", "effect": "NoExecute"}]})
    assert reason(judged(pod(), on=tainted)) == "TaintToleration"
    assert judged(pod(tolerations=[{"key": "out", "operator": "Exists"}]), on=tainted) is None


@pytest.mark.parametrize(
    ("name", "unsafe", "host", "message"),
    [
        ("kernel.shm_rmid_forced", (), {}, ""),
        ("net/ipv4/tcp_syncookies", (), {}, ""),
        ("kernel.msgmax", (), {}, 'forbidden sysctl: "kernel.msgmax" not allowlisted'),
        ("kernel.msgmax", ("kernel.msg*",), {}, ""),
        ("net.core.somaxconn", ("net.core.somaxconn",), {}, ""),
        ("vm.swappiness", ("net.*",), {}, 'forbidden sysctl: "vm.swappiness" not allowlisted'),
        ("kernel.msgmax", ("kernel.msgmax",), {"hostIPC": True}, 'forbidden sysctl: "kernel.msgmax" not allowed with host IPC enabled'),
        (
            "net.ipv4.tcp_syncookies", (), {"hostNetwork": True},
            'forbidden sysctl: "net.ipv4.tcp_syncookies" not allowed with host Net enabled',
        ),
    ],
)  # fmt: skip
def test_a_sysctl_is_set_only_where_it_is_allowed(name: str, unsafe: tuple[str, ...], host: dict[str, bool], message: str) -> None:
    found = judged(pod(securityContext={"sysctls": [{"name": name, "value": "1"}]}, **host), unsafe=unsafe)
    assert found == (Rejection("SysctlForbidden", message) if message else None)


@pytest.mark.parametrize("name", ["vm.swappiness", "kernel.*", "net.*.x", "*"])
def test_sysctls_of_the_whole_machine_cannot_be_allowed(name: str) -> None:
    with pytest.raises(ValueError, match="sysctl"):
        AllowedSysctls.of((name,))


def test_a_sysctl_may_be_written_with_slashes() -> None:
    assert normalized("net/ipv4/conf/eth0.1/mtu") == "net.ipv4.conf.eth0/1.mtu"
    assert normalized("net.ipv4.tcp_rmem") == "net.ipv4.tcp_rmem"


def test_resources_that_an_assigner_hands_out_are_left_to_it() -> None:
    it, dice = wanting(), "example.com/dice"
    it.spec.containers[0].resources.requests[dice] = it.spec.containers[0].resources.limits[dice] = base.Quantity("2")
    poor = node(status={"allocatable": {dice: "1"}})
    assert reason(judged(it, on=poor)) == f"OutOf{dice}"
    assert reject(it, poor, (), CAPACITY, AllowedSysctls.of(()), apparmor=True, managed={dice}) is None


@pytest.mark.parametrize(
    ("conditions", "of", "is_taken"),
    [
        ([], pod(), True),
        (["MemoryPressure"], pod(), False),
        (["MemoryPressure"], pod({"name": "a", "resources": {"requests": {"cpu": "1"}}}), True),
        (["MemoryPressure"], pod(tolerations=[{"key": "node.kubernetes.io/memory-pressure", "operator": "Exists"}]), True),
        (["MemoryPressure"], pod(tolerations=[{"key": "node.kubernetes.io/disk-pressure", "operator": "Exists"}]), False),
        (["MemoryPressure", "DiskPressure"], pod({"name": "a", "resources": {"requests": {"cpu": "1"}}}), False),
        (["DiskPressure"], pod(tolerations=[{"operator": "Exists"}]), False),
        (["DiskPressure"], pod(priority=2_000_000_000), True),
    ],
)
def test_a_node_under_pressure_takes_few_pods(conditions: list[str], of: core.Pod, is_taken: bool) -> None:
    rejected = under_pressure(of, conditions)
    assert (rejected is None) == is_taken
    if rejected is not None:
        assert (rejected.reason, rejected.message) == ("Evicted", f"The node had condition: [{' '.join(conditions)}]. ")
