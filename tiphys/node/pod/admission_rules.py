"""Admission of the pods that are bound to the node. Pure.

The scheduler has looked at most of this before, but pods are also bound by hand, by other schedulers, and in races. The checks, their
order, reasons and messages are those of upstream's kubelet; clients match on the reasons ("Node-pressure Eviction", "Using sysctls",
"Configure a Security Context", "Taints and Tolerations").
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec

from tiphys.api import well_known
from tiphys.api.core import v1 as core
from tiphys.api.helpers.node_selector import selects
from tiphys.api.helpers.pods import host_ports
from tiphys.api.helpers.resources import Amounts, amounts, pod_requests, qos_class
from tiphys.api.helpers.sysctls import AllowedSysctls
from tiphys.api.helpers.taints import tolerates
from tiphys.node.pod.plan import AnyContainer
from tiphys.node.pod.preemption import is_critical
from tiphys.node.static.annotations import is_static

NODE_AFFINITY = "NodeAffinity"
_ANY_ADDRESS = ("", "0.0.0.0")


class Rejection(msgspec.Struct, frozen=True):
    """Reason for which a pod fails without having run."""

    reason: str
    message: str
    missing: Amounts = {}
    """Resources that the node lacks for the pod, when that is all there is against it."""


def reject(
    pod: core.Pod,
    node: core.Node,
    others: Sequence[core.Pod],
    capacity: Amounts,
    sysctls: AllowedSysctls,
    *,
    apparmor: bool,
    managed: Collection[str] = (),
) -> Rejection | None:
    """The first reason against a pod beside the `others` that the node has taken, or None.

    `capacity` is what pods may use of the node: CPU in thousandths of a core, everything else in whole units. `apparmor` says whether the
    kernel can confine containers with AppArmor; `managed` are resources that an assigner hands out, and judges by itself. Room can be made
    for critical pods, so a lack of it is the last reason against them.
    """
    before = _sysctls(pod, sysctls) or _apparmor(pod, apparmor) or _system(pod) or _groups(pod, node)
    if before is not None:
        return before
    room = _resources(pod, others, {**amounts(node.status.allocatable), **capacity}, managed)
    if room is not None and not is_critical(pod):
        return room
    return _place(pod, node, others) or _taints(pod, node) or room


def under_pressure(pod: core.Pod, conditions: Sequence[str]) -> Rejection | None:
    """The reason against a pod on a node with these conditions of pressure, or None ("Node-pressure Eviction").

    Critical pods are always taken. While only memory is short, pods that request some are taken, and those that tolerate it.
    """
    if not conditions or is_critical(pod):
        return None
    if list(conditions) == ["MemoryPressure"]:
        taint = core.Taint(key=well_known.MEMORY_PRESSURE, effect="NoSchedule")
        if qos_class(pod) != "BestEffort" or any(tolerates(one, taint) for one in pod.spec.tolerations):
            return None
    return Rejection("Evicted", f"The node had condition: [{' '.join(conditions)}]. ")


def _sysctls(pod: core.Pod, allowed: AllowedSysctls) -> Rejection | None:
    context = pod.spec.securityContext
    for sysctl in context.sysctls if context is not None else ():
        fault = allowed.fault(sysctl.name, host_network=bool(pod.spec.hostNetwork), host_ipc=bool(pod.spec.hostIPC))
        if fault:
            return Rejection("SysctlForbidden", f"forbidden sysctl: {fault}")
    return None


def _apparmor(pod: core.Pod, enabled: bool) -> Rejection | None:
    """A profile that the kernel cannot apply would silently be none ("Restrict a Container's Access to Resources with AppArmor")."""
    if enabled:
        return None
    spec = pod.spec
    everyone: tuple[AnyContainer, ...] = (*spec.containers, *spec.initContainers, *spec.ephemeralContainers)
    contexts = (spec.securityContext, *(container.securityContext for container in everyone))
    profiles = (context.appArmorProfile for context in contexts if context is not None)
    if any(profile is not None and profile.type != "Unconfined" for profile in profiles):
        return Rejection("AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host")
    return None


def _system(pod: core.Pod) -> Rejection | None:
    if pod.metadata.labels.get(well_known.OS, "linux") != "linux":
        message = "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label"
        return Rejection("PodOSSelectorNodeLabelDoesNotMatch", message)
    if pod.spec.os is not None and pod.spec.os.name != "linux":
        return Rejection("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS")
    return None


def _groups(pod: core.Pod, node: core.Node) -> Rejection | None:
    context, features = pod.spec.securityContext, node.status.features
    if context is None or context.supplementalGroupsPolicy != "Strict" or (features is not None and features.supplementalGroupsPolicy):
        return None
    return Rejection("SupplementalGroupsPolicyNotSupported", "SupplementalGroupsPolicy=Strict is not supported in this node")


def _resources(pod: core.Pod, others: Sequence[core.Pod], capacity: Amounts, managed: Collection[str]) -> Rejection | None:
    """Extended resources that the node lacks entirely are left to the binder of the pod, as upstream."""
    counted = {name: number for name, number in pod_requests(pod).items() if number and name not in managed}
    requests = {name: number for name, number in counted.items() if name in capacity or not _is_extended(name)}
    used: Amounts = {}
    for other in others if requests else ():
        for name, number in pod_requests(other).items():
            used[name] = used.get(name, 0) + number
    requests, used = {"pods": 1, **requests}, {**used, "pods": len(others)}
    lacks = {name: number + used.get(name, 0) - capacity.get(name, 0) for name, number in requests.items()}
    missing = {name: number for name, number in lacks.items() if number > 0}
    for name in missing:
        numbers = f"requested: {requests[name]}, used: {used.get(name, 0)}, capacity: {capacity.get(name, 0)}"
        return Rejection(f"OutOf{name}", f"Node didn't have enough resource: {name}, {numbers}", missing)
    return None


def _is_extended(name: str) -> bool:
    return "/" in name and "kubernetes.io/" not in name


def _place(pod: core.Pod, node: core.Node, others: Iterable[core.Pod]) -> Rejection | None:
    if not selects(pod.spec, node):
        return _failed(NODE_AFFINITY, "node(s) didn't match Pod's node affinity/selector")
    ports = host_ports(pod)
    if ports and any(_collide(one, taken) for other in others for taken in host_ports(other) for one in ports):
        return _failed("NodePorts", "node(s) didn't have free ports for the requested pod ports")
    return None


def _collide(one: tuple[str, str, int], other: tuple[str, str, int]) -> bool:
    if (one[0], one[2]) != (other[0], other[2]):
        return False
    return one[1] == other[1] or one[1] in _ANY_ADDRESS or other[1] in _ANY_ADDRESS


def _taints(pod: core.Pod, node: core.Node) -> Rejection | None:
    """Of the taints only those that would evict the pod again count, and static pods are not evicted."""
    if is_static(pod):
        return None
    for taint in node.spec.taints:
        if taint.effect == "NoExecute" and not any(tolerates(one, taint) for one in pod.spec.tolerations):
            return _failed("TaintToleration", "node(s) had taints that the pod didn't tolerate")
    return None


def _failed(check: str, why: str) -> Rejection:
    return Rejection(check, f"Predicate {check} failed: {why}")
