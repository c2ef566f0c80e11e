"""Filters by the pod's node selector and required node affinity ("Assigning Pods to Nodes")."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tiphys.api.core import v1 as core
from tiphys.api.helpers.node_selector import requirement_holds
from tiphys.scheduler.columns import ABSENT, Bools, Rows
from tiphys.scheduler.matching import NAME_FIELD
from tiphys.scheduler.snapshot import Snapshot
from tiphys.scheduler.template import Template


def requirement_rows(requirement: core.NodeSelectorRequirement, cluster: Snapshot, rows: Rows) -> Bools:
    """Return the rows that meet one requirement on a label."""
    column = cluster.label(requirement.key)
    match requirement.operator:
        case "In":
            return column.any_of(rows, requirement.values)
        case "NotIn":
            return ~column.any_of(rows, requirement.values)
        case "Exists":
            return np.not_equal(column.codes[rows], ABSENT)
        case "DoesNotExist":
            return np.equal(column.codes[rows], ABSENT)
    return column.pick(rows, lambda value: requirement_holds(requirement, value), bool, False)


def field_rows(requirement: core.NodeSelectorRequirement, cluster: Snapshot, rows: Rows) -> Bools:
    """Return the rows that meet one requirement on the node's name, the only supported field."""
    allowed = np.zeros(cluster.capacity, dtype=np.bool_)
    if requirement.key != NAME_FIELD or len(requirement.values) != 1:
        return allowed[rows]
    row = cluster.row_of.get(requirement.values[0])
    if row is not None:
        allowed[row] = True
    match requirement.operator:
        case "In":
            return allowed[rows]
        case "NotIn":
            return ~allowed[rows]
    return np.zeros(cluster.capacity, dtype=np.bool_)[rows]


def term_rows(term: core.NodeSelectorTerm, cluster: Snapshot, rows: Rows) -> Bools:
    """Return the rows that meet all requirements of a term; a term without any matches nothing."""
    alive = cluster.alive[rows]
    if not term.matchExpressions and not term.matchFields:
        return np.zeros_like(alive)
    result = alive.copy()
    for requirement in term.matchExpressions:
        result &= requirement_rows(requirement, cluster, rows)
    for requirement in term.matchFields:
        result &= field_rows(requirement, cluster, rows)
    return result


def named_nodes(terms: Sequence[core.NodeSelectorTerm] | None) -> frozenset[str]:
    """Return the names of the only nodes that the terms of an affinity can select; empty when other nodes are possible, or none at all."""
    names: frozenset[str] = frozenset()
    for term in terms or ():
        choices = [frozenset(one.values) for one in term.matchFields if one.key == NAME_FIELD and one.operator == "In"]
        if not choices:
            return frozenset()
        names |= frozenset.intersection(*choices)
    return names


class NamedNodes:
    """Filter of all nodes but those that the affinity names, as in the pods of DaemonSets. No other filter is asked about the others."""

    name = "NodeAffinity"
    depends_on_pods = False

    def allowed(self, template: Template, cluster: Snapshot, rows: Rows) -> Bools:
        names = named_nodes(template.required)
        if not names:
            return cluster.alive[rows]
        result = np.zeros(cluster.capacity, dtype=np.bool_)
        result[[row for name in names if (row := cluster.row_of.get(name)) is not None]] = True
        return result[rows]

    def reasons(self, template: Template, cluster: Snapshot, row: int) -> list[str]:
        return ["node(s) didn't satisfy plugin(s) [NodeAffinity]"]

    def is_final(self, template: Template, cluster: Snapshot, row: int) -> bool:
        return True


class NodeAffinity:
    name = "NodeAffinity"
    depends_on_pods = False

    def allowed(self, template: Template, cluster: Snapshot, rows: Rows) -> Bools:
        result = cluster.alive[rows].copy()
        for label, value in template.node_selector.items():
            result &= cluster.label(label).any_of(rows, [value])
        if template.required is not None:
            matched = np.zeros_like(result)
            for term in template.required:
                matched |= term_rows(term, cluster, rows)
            result &= matched
        return result

    def reasons(self, template: Template, cluster: Snapshot, row: int) -> list[str]:
        return ["node(s) didn't match Pod's node affinity/selector"]

    def is_final(self, template: Template, cluster: Snapshot, row: int) -> bool:
        return True
