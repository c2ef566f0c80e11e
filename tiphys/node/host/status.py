"""The Node's status from facts about the machine. Pure. See "Node Status" in the Kubernetes documentation."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.machinery import base
from tiphys.node.runtime.features import RuntimeFeatures

MAX_IMAGES = 50

_PRESSURES = {
    "MemoryPressure": (
        ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
    ),
    "DiskPressure": (
        ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("KubeletHasDiskPressure", "kubelet has disk pressure"),
    ),
    "PIDPressure": (
        ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
    ),
}
"""Reason and message of each condition, without and with pressure."""
_PROBLEMS = {
    "ReadonlyFilesystem": ("FilesystemIsNotReadOnly", "FilesystemIsReadOnly", "Filesystem is not read-only"),
    "ClockSkew": ("ClockIsInStep", "ClockIsOff", "clock of the node agrees with the API server's"),
}
"""Conditions that a node shows from the first time on that there is such a problem."""


def aggregate(problems: Sequence[str]) -> str:
    """Join several problems in upstream's way; one stands for itself."""
    distinct = list(dict.fromkeys(problems))
    return distinct[0] if len(distinct) == 1 else f"[{', '.join(distinct)}]"


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts that the status of the node is made of."""

    name: str
    addresses: Sequence[str]
    port: int
    capacity: Mapping[str, str]
    allocatable: Mapping[str, str]
    info: core.NodeSystemInfo
    images: Sequence[core.ContainerImage] = ()
    pressures: Collection[str] = ()
    """Conditions that hold."""
    volumes_in_use: Sequence[str] | None = None
    """Attached volumes that may be mounted; None to leave what the status says."""
    features: RuntimeFeatures = RuntimeFeatures()
    not_ready: Sequence[str] = ()
    """Reasons for which pods cannot run."""
    problems: Mapping[str, str] = {}
    """Other problems of the machine, by the type of their condition, each with a sentence."""


def node_status(old: core.NodeStatus, facts: NodeFacts, now: datetime) -> core.NodeStatus:
    """The status to show now. Times of transitions are kept from `old` where a condition's value is the same."""
    conditions = []
    for type_, texts in _PRESSURES.items():
        is_pressed = type_ in facts.pressures
        conditions.append(_condition(old, type_, ("True" if is_pressed else "False", *texts[is_pressed]), now))
    known = {condition.type for condition in old.conditions}
    for type_, (fine, bad, sentence) in _PROBLEMS.items():
        message = facts.problems.get(type_)
        if message or type_ in known:
            conditions.append(_condition(old, type_, ("True", bad, message) if message else ("False", fine, sentence), now))
    if facts.not_ready:
        ready = ("False", "KubeletNotReady", aggregate(facts.not_ready))
    else:
        ready = ("True", "KubeletReady", "kubelet is posting ready status")
    conditions.append(_condition(old, "Ready", ready, now))
    owned = {condition.type for condition in conditions}
    return core.NodeStatus(
        capacity={name: base.Quantity(value) for name, value in facts.capacity.items()},
        allocatable={name: base.Quantity(value) for name, value in facts.allocatable.items()},
        conditions=conditions + [condition for condition in old.conditions if condition.type not in owned],
        addresses=[core.NodeAddress(type="InternalIP", address=ip) for ip in facts.addresses]
        + [core.NodeAddress(type="Hostname", address=facts.name)],
        daemonEndpoints=core.NodeDaemonEndpoints(kubeletEndpoint=core.DaemonEndpoint(Port=facts.port)),
        nodeInfo=facts.info,
        images=list(facts.images),
        volumesInUse=old.volumesInUse if facts.volumes_in_use is None else list(facts.volumes_in_use),
        volumesAttached=old.volumesAttached,
        runtimeHandlers=facts.features.node_handlers(),
        features=core.NodeFeatures(supplementalGroupsPolicy=facts.features.supplemental_groups_policy),
    )


def _condition(old: core.NodeStatus, type_: str, value: tuple[str, str, str], now: datetime) -> core.NodeCondition:
    before = next((condition for condition in old.conditions if condition.type == type_), None)
    since = before.lastTransitionTime if before is not None and before.status == value[0] else base.time(now)
    return core.NodeCondition(
        type=type_, status=value[0], reason=value[1], message=value[2], lastHeartbeatTime=base.time(now), lastTransitionTime=since
    )


def same(left: core.NodeStatus, right: core.NodeStatus) -> bool:
    """True if two statuses say the same but for the times at which they were said."""

    def timeless(status: core.NodeStatus) -> Any:
        quiet = [msgspec.structs.replace(condition, lastHeartbeatTime=None) for condition in status.conditions]
        return msgspec.structs.replace(status, conditions=sorted(quiet, key=lambda one: one.type))

    return bool(timeless(left) == timeless(right))


def status_patch(status: core.NodeStatus) -> dict[str, Any]:
    """A strategic merge patch for the Node's status: conditions merge by type, so those of others stay."""
    body: dict[str, Any] = msgspec.to_builtins(status)
    body["addresses"] = [{"$patch": "replace"}, *body["addresses"]]
    # Left out, an empty list would leave the old one.
    body["volumesInUse"] = status.volumesInUse
    for foreign in ("volumesAttached", "config"):
        body.pop(foreign, None)
    return {"status": body}
