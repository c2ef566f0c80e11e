"""In-place resize: what of a pod's resources the node has agreed to, what is in force, and what is left to do. Pure.

A pod's spec says what is wanted. The node admits that when it has room, and from then on it is *allocated*; until then the pod runs with
what was allocated before and says that its resize is pending. What a running container was started with or updated to is *applied*. The
resize is in progress while allocated and applied differ (KEP-1287 "In-Place Update of Pod Resources").
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Literal

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.helpers.resources import Amounts, amount, pod_requests, qos_class
from tiphys.api.machinery import base
from tiphys.node.pod.observed import Observed

POD = ""
"""The name under which the resources of the pod as a whole stand among those of its containers."""
RESIZABLE = ("cpu", "memory")

Sizes = Mapping[str, core.ResourceRequirements]
"""By container name."""
Container = core.Container | core.EphemeralContainer


class Pending(msgspec.Struct, frozen=True):
    """Reason for which a resize is not admitted: `Infeasible` on this node whatever else leaves it, or `Deferred` until there is room."""

    reason: Literal["Infeasible", "Deferred"]
    message: str


class Progress(msgspec.Struct, frozen=True):
    """A resize that is being carried out: the generation of the pod that wanted it, and what went wrong so far."""

    generation: int
    error: str = ""


def sizes_of(pod: core.Pod) -> dict[str, core.ResourceRequirements]:
    """Return the resources in the pod's spec."""
    sizes = {one.name: one.resources for one in (*pod.spec.containers, *pod.spec.initContainers)}
    if pod.spec.resources is not None:
        sizes[POD] = pod.spec.resources
    return sizes


def with_sizes(pod: core.Pod, sizes: Sizes) -> core.Pod:
    """The pod as if its spec asked for these resources. The pod itself is not changed."""
    if sizes == sizes_of(pod):
        return pod
    spec = copy.copy(pod.spec)
    spec.containers = [_sized(one, sizes) for one in spec.containers]
    spec.initContainers = [_sized(one, sizes) for one in spec.initContainers]
    spec.resources = sizes.get(POD)
    return msgspec.structs.replace(pod, spec=spec)


def _sized(container: core.Container, sizes: Sizes) -> core.Container:
    return msgspec.structs.replace(container, resources=sizes.get(container.name, container.resources))


def adopted(
    pod: core.Pod, seen: Observed, recorded: Sizes | None
) -> tuple[dict[str, core.ResourceRequirements], dict[str, core.ResourceRequirements]]:
    """Return what is allocated to a pod that a kubelet before this one `recorded`, and what is applied by id to the containers that run.

    The status of a pod is not believed about what is allocated, which would be a way around admission. Only a pod that runs without a
    record, which an older kubelet has started, has what its status says.
    """
    running = {one.id for one in seen.running}
    allocated, applied = sizes_of(pod), {}
    for status in (*pod.status.containerStatuses, *pod.status.initContainerStatuses):
        ident = status.containerID.rpartition("/")[2]
        if ident in running and status.resources is not None and status.name in allocated:
            applied[ident] = status.resources
            if recorded is None:
                allocated[status.name] = status.resources
    if recorded is not None:
        allocated.update({name: size for name, size in recorded.items() if name in allocated})
    elif running and pod.status.resources is not None and POD in allocated:
        allocated[POD] = pod.status.resources
    return allocated, applied


def is_unfinished(pod: core.Pod, seen: Observed, allocated: Sizes, applied: Sizes) -> bool:
    """True if a kubelet before this one agreed to a resize and did not carry it out."""
    shown = pod.status.resources
    if shown is not None and POD in allocated and seen.running and changed(shown, allocated[POD]):
        return True
    return not settled(with_sizes(pod, allocated), seen, applied)


def changed(before: core.ResourceRequirements, after: core.ResourceRequirements) -> frozenset[str]:
    """The resources that the kernel must get. A request for memory only matters to schedulers."""
    names = set()
    if _differ(before.requests, after.requests, "cpu") or _differ(before.limits, after.limits, "cpu"):
        names.add("cpu")
    if _differ(before.limits, after.limits, "memory"):
        names.add("memory")
    return frozenset(names)


def _differ(before: Mapping[str, base.Quantity], after: Mapping[str, base.Quantity], name: str) -> bool:
    old, new = (amount(name, listed[name]) if name in listed else None for listed in (before, after))
    return old != new


def needs_restart(container: Container, before: core.ResourceRequirements) -> bool:
    """True if the container must be restarted to have its resources after these: for a request too, even if the kernel does not get it."""
    after = container.resources
    names = {
        name for name in RESIZABLE if _differ(before.requests, after.requests, name) or _differ(before.limits, after.limits, name)
    }  # fmt: skip
    return any(policy.restartPolicy == "RestartContainer" and policy.resourceName in names for policy in container.resizePolicy)


def _in_force(container: Container, applied: core.ResourceRequirements) -> bool:
    return not changed(applied, container.resources) and not needs_restart(container, applied)


def already(pod: core.Pod, seen: Observed, applied: Sizes) -> dict[str, core.ResourceRequirements]:
    """Return resources in force without an update, by container id: changes that the kernel need not get."""
    result = {}
    for container in (*pod.spec.containers, *pod.spec.initContainers):
        last = seen.latest(container.name)
        if last is not None and last.id in applied and _in_force(container, applied[last.id]):
            result[last.id] = container.resources
    return result


def settled(pod: core.Pod, seen: Observed, applied: Sizes) -> bool:
    """True if every running container has its allocation; `applied` is by container id."""
    for container in (*pod.spec.containers, *pod.spec.initContainers):
        last = seen.latest(container.name)
        if last is not None and last.state == "running" and last.id in applied and not _in_force(container, applied[last.id]):
            return False
    return True


def judge(pod: core.Pod, used: Amounts, capacity: Amounts) -> Pending | None:
    """Return why a node of this capacity, of which other pods use so much, has no room for the pod's requests; None if it has."""
    requests = {name: number for name, number in pod_requests(pod).items() if name in RESIZABLE and name in capacity}
    for name, number in requests.items():
        if number > capacity[name]:
            return Pending("Infeasible", f"Node didn't have enough capacity: {name}, requested: {number}, capacity: {capacity[name]}")
    for name, number in requests.items():
        if number + used.get(name, 0) > capacity[name]:
            numbers = f"requested: {number}, used: {used.get(name, 0)}, capacity: {capacity[name]}"
            return Pending("Deferred", f"Node didn't have enough resource: {name}, {numbers}")
    return None


def fixed_resource(before: core.Pod | None, pod: core.Pod, pinned: Mapping[str, str]) -> Pending | None:
    """Return the refusal for a Guaranteed pod that wants other amounts of a resource that is assigned at admission, None for all others.

    `pinned` has the manager and its policy by the resource, such as `CPU Manager policy "static"`.
    """
    if before is None or (pod.status.qosClass or qos_class(pod)) != "Guaranteed":
        return None
    old, new = sizes_of(before), sizes_of(pod)
    for name, policy in pinned.items():
        if any(_differ(old[key].requests, new[key].requests, name) for key in old.keys() & new.keys()):
            return Pending("Infeasible", f"Resize is infeasible for Guaranteed Pods alongside {policy}")
    return None


def conditions(generation: int, pending: Pending | None, progress: Progress | None) -> list[core.PodCondition]:
    """Return the conditions of the pod's resize."""
    result = []
    if pending is not None:
        result.append(
            core.PodCondition(
                type="PodResizePending", status="True", reason=pending.reason, message=pending.message, observedGeneration=generation
            )
        )
    if progress is not None:
        reason = "Error" if progress.error else ""
        result.append(
            core.PodCondition(
                type="PodResizeInProgress", status="True", reason=reason, message=progress.error, observedGeneration=progress.generation
            )
        )
    return result


def summary(what: str, pod: core.Pod, generation: int, error: str = "") -> str:
    """The sentence of an event: what happened, and to which resources."""
    entry: dict[str, object] = {}
    for name in ("initContainers", "containers"):
        group: list[core.Container] = getattr(pod.spec, name)
        listed = [{"name": one.name, "resources": msgspec.to_builtins(one.resources)} for one in group]
        if listed:
            entry[name] = listed
    entry["generation"] = generation
    if error:
        entry["error"] = error
    return f"{what}: {json.dumps(entry, separators=(',', ':'))}"


def importance(pod: core.Pod, since: float) -> tuple[int, bool, float]:
    """The order in which pods that wait for room get it: by priority, then Guaranteed ones, then the longest waiting."""
    return (-(pod.spec.priority or 0), pod.status.qosClass != "Guaranteed", since)
