"""The CPUs of a machine and their places: sockets, NUMA nodes, last-level caches, cores with their threads. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from itertools import combinations
from typing import Literal

import msgspec

Level = Literal["socket", "node", "cache", "core"]


class Place(msgspec.Struct, frozen=True):
    """Position of one CPU. Numbers are unique in the machine; those of cores and caches are the lowest of their CPUs."""

    socket: int
    node: int
    cache: int
    core: int


class Topology(msgspec.Struct, frozen=True, dict=True):
    """All CPUs that are online, by their number."""

    places: Mapping[int, Place]

    @cached_property
    def cpus(self) -> frozenset[int]:
        """Numbers of all CPUs."""
        return frozenset(self.places)

    @cached_property
    def groups(self) -> Mapping[Level, Mapping[int, frozenset[int]]]:
        """The CPUs of each socket, NUMA node, cache and core."""
        result: dict[Level, dict[int, frozenset[int]]] = {}
        levels: tuple[Level, ...] = ("socket", "node", "cache", "core")
        for level in levels:
            members: dict[int, set[int]] = {}
            for cpu, place in self.places.items():
                members.setdefault(getattr(place, level), set()).add(cpu)
            result[level] = {number: frozenset(cpus) for number, cpus in members.items()}
        return result

    @cached_property
    def nodes(self) -> tuple[int, ...]:
        """NUMA nodes that have CPUs, in order."""
        return tuple(sorted(self.groups["node"]))

    @property
    def threads_per_core(self) -> int:
        """Average number of threads per core, rounded down, as upstream counts them."""
        return max(len(self.places) // max(len(self.groups["core"]), 1), 1)

    def within(self, level: Level, numbers: Collection[int]) -> frozenset[int]:
        """Return the CPUs of several groups of a level."""
        return frozenset(cpu for cpu, place in self.places.items() if getattr(place, level) in numbers)

    def numbers(self, level: Level, cpus: Iterable[int]) -> frozenset[int]:
        """Return the groups of a level that some CPUs are in. CPUs that are not online are in none."""
        return frozenset(getattr(self.places[cpu], level) for cpu in cpus if cpu in self.places)


def node_sets(nodes: Collection[int]) -> Iterator[frozenset[int]]:
    """Yield every set of one or more of the NUMA nodes, small sets and low numbers first."""
    for size in range(1, len(nodes) + 1):
        for chosen in combinations(sorted(nodes), size):
            yield frozenset(chosen)
