"""Explanation of an unschedulable pod: reasons per node, and the sentence that `kubectl describe` shows. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import msgspec

from tiphys.scheduler.causes import ALLOWED, NO_DEVICES, NO_NODE, Causes, reasons_of, rule_of
from tiphys.scheduler.snapshot import Snapshot
from tiphys.scheduler.template import PodInfo

NO_NODES = "no nodes available to schedule pods"


class Diagnosis(msgspec.Struct, frozen=True):
    """`reasons` per node that turned the pod down; `rules` are the filters that did; `nodes` counts all nodes."""

    nodes: int
    reasons: Mapping[str, tuple[str, ...]] = {}
    rules: frozenset[str] = frozenset()
    before: str = ""
    """Reason against all nodes, for which none was looked at."""
    after: str = ""
    """Outcome of the attempts made after no node was left."""

    @property
    def message(self) -> str:
        """Message in upstream's words: `0/3 nodes are available: 1 Insufficient memory, 2 node(s) had untolerated taint(s).`"""
        if not self.nodes:
            return NO_NODES
        counted = Counter(reason for reasons in self.reasons.values() for reason in reasons)
        text = f"0/{self.nodes} nodes are available:"
        if self.before:
            text += f" {self.before}."
        elif counted:
            text += f" {', '.join(sorted(f'{count} {reason}' for reason, count in counted.items()))}."
        return f"{text} {self.after}" if self.after else text


def diagnose(info: PodInfo, cluster: Snapshot, causes: Causes, reason_in: Callable[[int], str] | None = None) -> Diagnosis:
    """Collect the reasons against each node; nodes that would take the pod are left out.

    `reason_in` returns a more exact reason why a row does not have the devices that a pod claims, or "".
    """
    reasons: dict[str, tuple[str, ...]] = {}
    rules: set[str] = set()
    numbers = causes.tolist()
    for name, row in cluster.row_of.items():
        cause = numbers[row]
        if cause not in (ALLOWED, NO_NODE):
            rules.add(rule_of(cause))
            exact = reason_in(row) if reason_in is not None and cause == NO_DEVICES else ""
            reasons[name] = (exact,) if exact else reasons_of(cause, info.template, cluster, row)
    return Diagnosis(nodes=len(cluster), reasons=reasons, rules=frozenset(rules))
