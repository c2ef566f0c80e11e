"""The topology manager: NUMA nodes that serve all requests of a container, or of a pod, best. Pure.

See "Control Topology Management Policies on a node" and KEP-693. Each resource has hints, sets of nodes that could serve it; of all ways to
take one hint for each resource the policy takes the best, and the nodes common to its hints are those to assign within.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import msgspec

from tiphys.node.resources import metrics
from tiphys.node.resources.assigner import Hint, Hints, Nodes, Refused
from tiphys.node.resources.cpu.options import read_bool

NONE, BEST_EFFORT, RESTRICTED, SINGLE_NODE = POLICIES = ("none", "best-effort", "restricted", "single-numa-node")
SCOPES = ("container", "pod")
MAX_NODES = 8
"""Most NUMA nodes with which a machine is supported by default: the ways to combine hints double with each."""
_ANYWHERE = Hint()


class TopologyOptions(msgspec.Struct, frozen=True):
    """Options of the policies."""

    closest: bool = False
    """Of sets of the same size the one whose nodes are closest to each other."""
    max_nodes: int = MAX_NODES


def read_options(values: Mapping[str, str]) -> TopologyOptions:
    """Return the options of a mapping from their names. Raises ValueError."""
    options = TopologyOptions()
    for name, text in values.items():
        if name == "prefer-closest-numa-nodes":
            try:
                options = msgspec.structs.replace(options, closest=read_bool(text))
            except ValueError as error:
                raise ValueError(f'bad value for option "{name}": {error}') from None
        elif name == "max-allowable-numa-nodes":
            if not (text.isascii() and text.isdigit()):
                raise ValueError(f'unable to convert policy option to integer "{name}": {text!r}')
            if int(text) < MAX_NODES:
                raise ValueError(f'the minimum value of "{name}" should not be less than {MAX_NODES}')
            options = msgspec.structs.replace(options, max_nodes=int(text))
        else:
            raise ValueError(f'unknown Topology Manager Policy option: "{name}"')
    return options


class TopologyManager:
    """One of the policies besides `none`. `distances` are those of the kernel: of each node to each other."""

    def __init__(
        self,
        policy: str,
        nodes: Nodes,
        *,
        scope: str = "container",
        options: TopologyOptions | None = None,
        distances: Mapping[int, Mapping[int, int]] | None = None,
    ) -> None:
        self.policy = policy
        self.nodes = nodes
        self.by_pod = scope == "pod"
        self.options = options or TopologyOptions()
        self.distances = distances or {}
        metrics.prepare_alignment()

    def merge(self, hints: Sequence[Hints]) -> Nodes | None:
        """Return the nodes to assign within, None for all. Raises Refused where the policy demands a better set than there is."""
        lists = list(_by_resource(hints))
        if self.policy == SINGLE_NODE:
            lists = [[hint for hint in one if hint.preferred and (hint.nodes is None or len(hint.nodes) == 1)] for one in lists]
        best = self._best(lists)
        scope = "pod" if self.by_pod else "container"
        if self.policy != BEST_EFFORT and not best.preferred:
            metrics.ADMISSION_ERRORS.labels().inc()
            if self.policy == SINGLE_NODE:
                metrics.ALIGNED_FAILURES.labels(scope, "numa_node").inc()
            raise Refused("TopologyAffinityError", "Resources cannot be allocated with Topology locality")
        if self.policy == SINGLE_NODE:
            metrics.ALIGNED.labels(scope, "numa_node").inc()
            if best.nodes == self.nodes:
                return None
        return best.nodes

    def _best(self, lists: Sequence[Sequence[Hint]]) -> Hint:
        """Return the best way to combine one hint of each list; not preferred, and all nodes, if there is none."""
        least = max((min((len(hint.nodes) for hint in one if hint.nodes is not None), default=0) for one in lists), default=0)
        best: Hint | None = None
        for combination in product(*lists):
            merged = self._combined(combination)
            if merged.nodes and (best is None or self._is_better(merged, best, least)):
                best = merged
        return best or Hint(self.nodes, preferred=False)

    def _combined(self, hints: Sequence[Hint]) -> Hint:
        sets = [hint.nodes for hint in hints if hint.nodes is not None]
        preferred = all(hint.preferred for hint in hints) and all(one == sets[0] for one in sets)
        return Hint(self.nodes.intersection(*sets), preferred)

    def _is_better(self, one: Hint, other: Hint, least: int) -> bool:
        """Return whether a hint is better than the best so far.

        Preferred ones are; among others the size that is closest to `least` from below, which the most demanding resource needs.
        """
        if one.preferred != other.preferred:
            return one.preferred
        ours, theirs = len(one.nodes or ()), len(other.nodes or ())
        if not one.preferred and theirs <= least and ours != theirs:
            return theirs < ours <= least
        return self._is_fitter(one.nodes or frozenset(), other.nodes or frozenset())

    def _is_fitter(self, one: Nodes, other: Nodes) -> bool:
        """Return whether a set has fewer nodes, or closer ones where that counts, or else lower numbers."""
        if len(one) != len(other):
            return len(one) < len(other)
        if self.options.closest and self.policy != SINGLE_NODE:
            near, far = self._distance(one), self._distance(other)
            if near != far:
                return near < far
        return _mask(one) < _mask(other)

    def _distance(self, nodes: Nodes) -> float:
        distances = [self.distances[first][second] for first in nodes for second in nodes]
        return sum(distances) / len(distances)


def _by_resource(hints: Sequence[Hints]) -> Iterator[Sequence[Hint]]:
    """Yield the hints of each resource of all assigners."""
    for one in hints:
        for resource in one.values():
            yield resource or (Hint(None, preferred=False),)
        if not one:
            yield (_ANYWHERE,)


def _mask(nodes: Nodes) -> int:
    return sum(1 << node for node in nodes)
