"""Nodes that a pod's node selector and required node affinity select ("Assigning Pods to Nodes")."""

from __future__ import annotations

from collections.abc import Mapping

from tiphys.api.core.v1 import Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodSpec
from tiphys.api.helpers.taints import integer


def requirement_holds(requirement: NodeSelectorRequirement, value: str | None) -> bool:
    """True if a label with this value (None: absent) meets a requirement of a node selector."""
    match requirement.operator:
        case "In":
            return value is not None and value in requirement.values
        case "NotIn":
            return value is None or value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator:
            bound = integer(requirement.values[0]) if len(requirement.values) == 1 else None
            number = integer(value) if value is not None else None
            if bound is None or number is None:
                return False
            return number > bound if operator == "Gt" else number < bound
    return False


def selects(spec: PodSpec, node: Node) -> bool:
    """True if a pod with this spec may be on the node as far as its selector and its required affinity go."""
    labels = node.metadata.labels
    if any(labels.get(name) != value for name, value in spec.nodeSelector.items()):
        return False
    affinity = spec.affinity.nodeAffinity if spec.affinity is not None else None
    required = affinity.requiredDuringSchedulingIgnoredDuringExecution if affinity is not None else None
    return required is None or any(term_holds(term, node) for term in required.nodeSelectorTerms)


def selects_labels(selector: NodeSelector, labels: Mapping[str, str]) -> bool:
    """True if a selector selects nodes with these labels, whatever it says about their fields."""
    return any(
        all(requirement_holds(one, labels.get(one.key)) for one in term.matchExpressions)
        for term in selector.nodeSelectorTerms
        if term.matchExpressions or term.matchFields
    )


def term_holds(term: NodeSelectorTerm, node: Node) -> bool:
    """True if a node meets all requirements of a term. One without requirements selects nothing."""
    if not term.matchExpressions and not term.matchFields:
        return False
    fields = {"metadata.name": node.metadata.name}
    return all(requirement_holds(one, node.metadata.labels.get(one.key)) for one in term.matchExpressions) and all(
        requirement_holds(one, fields.get(one.key)) for one in term.matchFields
    )
