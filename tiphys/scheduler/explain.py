"""Why a pod can run nowhere: the reasons per node, and the sentence that `kubectl describe` shows. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec

from tiphys.scheduler.filters.order import FILTERS
from tiphys.scheduler.snapshot import Snapshot
from tiphys.scheduler.template import PodInfo
from tiphys.scheduler.vectors import ALLOWED, NO_NODE, Vectors

NO_NODES = "no nodes available to schedule pods"


class Diagnosis(msgspec.Struct, frozen=True):
    """`reasons` per node that turned the pod down; `rules` are the filters that did; `nodes` counts all nodes."""

    nodes: int
    reasons: Mapping[str, tuple[str, ...]] = {}
    rules: frozenset[str] = frozenset()
    after: str = ""
    """What was tried when no node was left, and how that went."""

    @property
    def message(self) -> str:
        """In upstream's words: `0/3 nodes are available: 1 Insufficient memory, 2 node(s) had untolerated taint(s).`"""
        if not self.nodes:
            return NO_NODES
        counted = Counter(reason for reasons in self.reasons.values() for reason in reasons)
        text = f"0/{self.nodes} nodes are available:"
        if counted:
            text += f" {', '.join(sorted(f'{count} {reason}' for reason, count in counted.items()))}."
        return f"{text} {self.after}" if self.after else text


def diagnose(info: PodInfo, cluster: Snapshot, vectors: Vectors) -> Diagnosis:
    """What each node has against the pod. `vectors` must be up to date."""
    reasons: dict[str, tuple[str, ...]] = {}
    rules: set[str] = set()
    causes = vectors.causes.tolist()
    for name, row in cluster.row_of.items():
        cause = causes[row]
        if cause in (ALLOWED, NO_NODE):
            continue
        rule = FILTERS[cause - 1]
        rules.add(rule.name)
        reasons[name] = tuple(rule.reasons(info.template, cluster, row))
    return Diagnosis(nodes=len(cluster), reasons=reasons, rules=frozenset(rules))
