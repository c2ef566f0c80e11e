"""The memory of NUMA nodes and those who own parts of it. Pure.

Memory of a node belongs either to requests for this node alone, or to requests for one group of nodes: a group and a part of it never share
a node, so that what is free in a group can be told ("Utilizing the NUMA-aware Memory Manager", and KEP-1769).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from tiphys.node.resources.assigner import Hint, Nodes
from tiphys.node.resources.topology import node_sets

Requests = Mapping[str, int]
"""Bytes by resource: `memory`, `hugepages-2Mi`."""


class Block(msgspec.Struct, frozen=True):
    """Memory of one kind that a container owns on some nodes together."""

    nodes: Nodes
    resource: str
    size: int


class Store(msgspec.Struct, frozen=True):
    """Memory of one kind that a node has, in bytes."""

    total: int
    reserved: int
    """Kept back for the system."""
    usable: int


Machine = Mapping[int, Mapping[str, Store]]
"""Memory by node and resource."""


class Usage(msgspec.Struct):
    """Use of one node."""

    blocks: int = 0
    group: Nodes = frozenset()
    """Nodes that its memory is given out together with, itself included."""
    used: dict[str, int] = {}


def usage(machine: Machine, blocks: Iterable[Block]) -> dict[int, Usage]:
    """Return how much of each node is in use. Blocks on several nodes fill them in order."""
    result = {node: Usage(group=frozenset({node})) for node in machine}
    for block in blocks:
        left = block.size
        for node in sorted(block.nodes & machine.keys()):
            one = result[node]
            one.blocks += 1
            one.group = block.nodes
            store = machine[node].get(block.resource)
            part = min(left, (store.usable if store is not None else 0) - one.used.get(block.resource, 0))
            one.used[block.resource] = one.used.get(block.resource, 0) + part
            left -= part
    return result


def hints(machine: Machine, blocks: Iterable[Block], requests: Requests, reusable: Iterable[Block] = ()) -> list[Hint]:
    """Return the sets of nodes that can serve all requests; those of the fewest nodes that ever could are preferred.

    `reusable` blocks are of init containers that have ended by then; a set of nodes has them only if it is their own.
    """
    used, lent = usage(machine, blocks), tuple(reusable)
    least, fitting = len(machine), []
    for nodes in node_sets(machine):
        if any(sum(_usable(machine, node, name) for node in nodes) < size for name, size in requests.items()):
            continue
        least = min(least, len(nodes))
        if _is_open(used, nodes) and all(_free(machine, used, nodes, name, lent) >= size for name, size in requests.items()):
            fitting.append(nodes)
    return [Hint(nodes, len(nodes) == least) for nodes in fitting]


def _usable(machine: Machine, node: int, name: str) -> int:
    store = machine[node].get(name)
    return store.usable if store is not None else 0


def _is_open(used: Mapping[int, Usage], nodes: Nodes) -> bool:
    """Return whether memory may be given out on these nodes together."""
    if len(nodes) == 1:
        return all(len(used[node].group) == 1 for node in nodes)
    return all(not used[node].blocks or used[node].group == nodes for node in nodes)


def _free(machine: Machine, used: Mapping[int, Usage], nodes: Nodes, name: str, lent: Iterable[Block]) -> int:
    free = sum(_usable(machine, node, name) - used[node].used.get(name, 0) for node in nodes)
    return free + sum(block.size for block in lent if block.resource == name and block.nodes == nodes)


def place(machine: Machine, blocks: Iterable[Block], requests: Requests, within: Nodes | None, lent: Iterable[Block] = ()) -> Nodes | None:
    """Return the nodes to serve requests from: `within`, or the best ones that contain it, or the best of all if it is None.

    None if no nodes have enough, or only more nodes than are needed where `within` was to be kept.
    """
    options = hints(machine, blocks, requests, lent)
    fitting = [hint for hint in options if within is None or hint.nodes == within]
    if not fitting and within is not None:
        fitting = [hint for hint in options if hint.nodes is not None and hint.nodes >= within]
    best = min(fitting, key=lambda hint: (not hint.preferred, len(hint.nodes or ()), sorted(hint.nodes or ())), default=None)
    return best.nodes if best is not None else None
