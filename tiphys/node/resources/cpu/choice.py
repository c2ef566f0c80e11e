"""Choice of CPUs for a container. Pure.

Containers are packed: of places that serve equally well the one with the fewest free CPUs is taken, so that whole sockets, NUMA nodes and
cores stay free for those who need them. A request takes whole sockets and NUMA nodes while it is large enough for them, then whole cores,
then single threads ("Control CPU Management Policies on the Node", and KEP-2902 for the distribution across NUMA nodes).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from math import ceil
from statistics import pstdev

from tiphys.node.resources.cpu.options import CpuOptions
from tiphys.node.resources.topology import Level, Topology


class NotEnoughCpus(Exception):
    """Fewer CPUs are free than are requested."""

    def __init__(self, requested: int, available: int) -> None:
        super().__init__(f"not enough cpus available to satisfy request: requested={requested}, available={available}")


def choose(topology: Topology, free: frozenset[int], count: int, options: CpuOptions) -> frozenset[int]:
    """Return `count` of the free CPUs. Raises NotEnoughCpus."""
    if count > len(free):
        raise NotEnoughCpus(count, len(free))
    if options.distribute_cpus_across_numa:
        chosen = _distributed(topology, free, count, options)
        if chosen is not None:
            return chosen
    return _packed(topology, free, count, options)


def _packed(topology: Topology, free: frozenset[int], count: int, options: CpuOptions) -> frozenset[int]:
    taking = _Taking(topology, free, count)
    taking.take_whole(taking.order[0])
    taking.take_whole(taking.order[1])
    if options.prefer_align_cpus_by_uncorecache and not options.distribute_cpus_across_numa:
        taking.take_whole("cache")
        taking.take_within_cache()
    if options.distribute_cpus_across_cores:
        taking.take_spread()
    else:
        taking.take_whole("core")
        taking.take_threads()
    return frozenset(taking.chosen)


class _Taking:
    """CPUs taken so far for one request."""

    def __init__(self, topology: Topology, free: frozenset[int], count: int) -> None:
        self.topology = topology
        self.free = set(free)
        self.chosen: set[int] = set()
        self.need = count
        groups = topology.groups
        # The larger of the two contains the other; a machine with as many sockets as nodes has the nodes outside.
        self.order: tuple[Level, Level] = ("node", "socket") if len(groups["socket"]) >= len(groups["node"]) else ("socket", "node")

    def _path(self, level: Level) -> tuple[Level, ...]:
        if level in self.order:
            return self.order[: self.order.index(level) + 1]
        return (*(("socket", "node") if self.order[0] == "socket" else ("node",)), level) if level == "cache" else (*self.order, level)

    def sorted(self, level: Level) -> list[int]:
        """Return the groups of a level that have free CPUs, the fullest first, from the outside in."""
        path = self._path(level)
        counts = Counter((one, getattr(self.topology.places[cpu], one)) for cpu in self.free for one in path)
        keys: dict[int, tuple[int, ...]] = {}
        for cpu in self.free:
            place = self.topology.places[cpu]
            key = tuple(part for one in path for part in (counts[one, getattr(place, one)], getattr(place, one)))
            number = getattr(place, level)
            keys[number] = min(keys.get(number, key), key)
        return sorted(keys, key=lambda number: keys[number])

    def take(self, cpus: Iterable[int]) -> None:
        taken = set(cpus)
        self.chosen |= taken
        self.free -= taken
        self.need -= len(taken)

    def take_whole(self, level: Level) -> None:
        """Take groups that are free as a whole while at least as much is needed."""
        for number in self.sorted(level) if self.need else ():
            group = self.topology.groups[level][number]
            if group <= self.free and self.need >= len(group):
                self.take(group)

    def take_within_cache(self) -> None:
        """Take the rest from one cache, if one has enough: the first cores of it, the last of them perhaps in part."""
        threads = self.topology.threads_per_core
        for cache in self.sorted("cache") if self.need else ():
            inside = self.topology.groups["cache"][cache] & self.free
            cores = sorted(self.topology.numbers("core", inside))[: ceil(self.need / threads)]
            cpus = sorted(inside & self.topology.within("core", cores))
            if threads > 1 and self.need % 2 and len(cpus) > self.need:
                cpus.pop()
            if len(cpus) == self.need:
                self.take(cpus)
                return

    def take_threads(self) -> None:
        """Take single threads, first of cores that are in use already."""
        while self.need:
            core = self.sorted("core")[0]
            self.take(sorted(self.topology.groups["core"][core] & self.free)[:1])

    def take_spread(self) -> None:
        """Take threads by their numbers, socket by socket: the first threads of all cores come before the second ones."""
        for socket in self.sorted("socket") if self.need else ():
            self.take(sorted(self.topology.groups["socket"][socket] & self.free)[: self.need])


def _distributed(topology: Topology, free: frozenset[int], count: int, options: CpuOptions) -> frozenset[int] | None:
    """Return CPUs that the fewest NUMA nodes have in equal parts, None if no nodes have."""
    size = topology.threads_per_core if options.full_pcpus_only else 1
    if count % size or not count:
        return None
    nodes = _Taking(topology, free, count).sorted("node")
    room = {node: len(topology.groups["node"][node] & free) for node in nodes}
    per_node = ceil(ceil(len(topology.cpus) / size) / len(topology.nodes))
    for number in range(ceil(count / size / per_node), min(count // size, len(nodes)) + 1):
        best: tuple[float, tuple[int, ...], tuple[int, ...]] | None = None
        for combination in combinations(nodes, number):
            option = _balance(room, combination, count, size)
            if option is not None and (best is None or option[0] < best[0]):
                best = (option[0], combination, option[1])
        if best is not None:
            return _take_evenly(topology, free, count, size, best[1], best[2], options)
    return None


def _balance(room: dict[int, int], combination: Sequence[int], count: int, size: int) -> tuple[float, tuple[int, ...]] | None:
    """Return how unequal the free CPUs of all nodes would be, and the nodes that the remainder comes from; None if it does not fit."""
    if sum(room[node] // size for node in combination) * size < count:
        return None
    share = count // len(combination) // size * size
    if any(room[node] < share for node in combination):
        return None
    left = {node: free - (share if node in combination else 0) for node, free in room.items()}
    remainder = count - share * len(combination)
    if not remainder:
        return round(pstdev(left.values()), 3), ()
    best: tuple[float, tuple[int, ...]] | None = None
    candidates = [node for node in combination if left[node] >= size]
    for number in range(len(candidates), 0, -1):
        for subset in combinations(candidates, number):
            after = _without_remainder(left, subset, remainder, size)
            if after is None:
                continue
            deviation = round(pstdev(after.values()), 3)
            if best is None or deviation < best[0]:
                best = (deviation, subset)
    return best


def _without_remainder(left: dict[int, int], subset: Sequence[int], remainder: int, size: int) -> dict[int, int] | None:
    """Return what is left when the remainder is dealt to the nodes of a subset in turn; None if they have too little."""
    if sum(left[node] // size for node in subset) * size < remainder:
        return None
    after = dict(left)
    while remainder > 0:
        for node in subset:
            if remainder > 0 and after[node] >= size:
                after[node] -= size
                remainder -= size
    return after


def _take_evenly(
    topology: Topology, free: frozenset[int], count: int, size: int, nodes: Sequence[int], rest: Sequence[int], options: CpuOptions
) -> frozenset[int]:
    chosen: frozenset[int] = frozenset()
    share = count // len(nodes) // size * size
    for node in nodes:
        chosen |= _packed(topology, topology.groups["node"][node] & free, share, options)
    while len(chosen) < count:
        for node in rest:
            inside = (topology.groups["node"][node] & free) - chosen
            if len(chosen) < count and len(inside) >= size:
                chosen |= _packed(topology, inside, size, options)
    return chosen
