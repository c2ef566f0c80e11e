"""Events about the node that follow from two statuses of it. Pure; reasons and messages are those of upstream's kubelet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from tiphys.api.core import v1 as core

_REASONS = {
    ("MemoryPressure", "True"): "NodeHasInsufficientMemory",
    ("MemoryPressure", "False"): "NodeHasSufficientMemory",
    ("DiskPressure", "True"): "NodeHasDiskPressure",
    ("DiskPressure", "False"): "NodeHasNoDiskPressure",
    ("PIDPressure", "True"): "NodeHasInsufficientPID",
    ("PIDPressure", "False"): "NodeHasSufficientPID",
    ("Ready", "True"): "NodeReady",
    ("Ready", "False"): "NodeNotReady",
}
PROBLEMS = ("ReadonlyFilesystem", "ClockSkew")
"""Conditions that a node has only once there was such a problem."""


class NodeEvent(msgspec.Struct, frozen=True):
    """An event to record about the node."""

    type: str
    reason: str
    message: str


def node_events(before: core.NodeStatus | None, after: core.NodeStatus, name: str) -> list[NodeEvent]:
    """Return what to record when a node's status changes; `before` is None for a Node that registers for the first time."""
    result = []
    boots = before.nodeInfo.bootID if before is not None else "", after.nodeInfo.bootID
    if all(boots) and boots[0] != boots[1]:
        result.append(NodeEvent("Warning", "Rebooted", f"Node {name} has been rebooted, boot id: {boots[1]}"))
    known = {condition.type: condition for condition in before.conditions} if before is not None else {}
    return [*result, *_of_conditions(known, after.conditions, name)]


def _of_conditions(known: dict[str, core.NodeCondition], conditions: Sequence[core.NodeCondition], name: str) -> Iterator[NodeEvent]:
    for condition in conditions:
        old = known.get(condition.type)
        if old is not None and old.status == condition.status:
            continue
        if condition.type in PROBLEMS:
            yield NodeEvent("Warning" if condition.status == "True" else "Normal", condition.reason, condition.message)
        # A node that registers is not said to have become ready: nobody saw it otherwise.
        elif condition.type != "Ready" or old is not None:
            reason = _REASONS.get((condition.type, condition.status))
            if reason:
                yield NodeEvent("Normal", reason, f"Node {name} status is now: {reason}")
