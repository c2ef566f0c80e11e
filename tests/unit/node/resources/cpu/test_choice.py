"""Choice of CPUs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.node.resources.machines import machine
from tiphys.node.host.cpuset import format_cpus, parse_cpus
from tiphys.node.resources.cpu.choice import NotEnoughCpus, choose
from tiphys.node.resources.cpu.options import CpuOptions
from tiphys.node.resources.topology import Topology

PACKED = CpuOptions()


@pytest.mark.parametrize(
    ("free", "count", "chosen"),
    [
        ("0-31", 1, "0"),
        ("0-31", 2, "0,16"),  # a whole core
        ("0-31", 3, "0-1,16"),
        ("1-31", 1, "16"),  # the rest of a core in use
        ("1-31", 2, "1,17"),  # but a whole core for two
        ("0-31", 8, "0-3,16-19"),  # a node
        ("0-31", 10, "0-4,16-20"),
        ("0-31", 16, "0-7,16-23"),  # a socket
        ("1-31", 16, "8-15,24-31"),  # the free one
        ("1-31", 8, "4-7,20-23"),  # a free node in the fuller socket
        ("0-31", 18, "0-8,16-24"),
        ("2,5,7,14", 3, "2,5,14"),  # of the sockets and nodes with the least first
        ("8-9,0-3,24-25,16-19", 2, "8,24"),  # of the socket with less room
        ("0-31", 32, "0-31"),
    ],
)
def test_packs(free: str, count: int, chosen: str) -> None:
    assert format_cpus(choose(machine(), parse_cpus(free), count, PACKED)) == chosen


def test_one_node_with_two_sockets_packs_by_nodes() -> None:
    """A machine without NUMA has one node around its sockets."""
    places = machine(sockets=2, nodes=1).places
    flat = Topology({cpu: type(place)(place.socket, 0, place.cache, place.core) for cpu, place in places.items()})
    assert format_cpus(choose(flat, flat.cpus, 8, PACKED)) == "0-3,8-11"
    assert format_cpus(choose(flat, flat.cpus - {0}, 2, PACKED)) == "1,9"


def test_not_enough() -> None:
    with pytest.raises(NotEnoughCpus, match="not enough cpus available to satisfy request: requested=3, available=2"):
        choose(machine(), frozenset({1, 2}), 3, PACKED)


def test_spreads_across_cores() -> None:
    spread = CpuOptions(distribute_cpus_across_cores=True)
    assert format_cpus(choose(machine(), machine().cpus, 4, spread)) == "0-3"
    assert format_cpus(choose(machine(), frozenset(range(2, 8)), 3, spread)) == "2-4"


@pytest.mark.parametrize(
    ("free", "count", "full", "chosen"),
    [
        ("0-31", 4, False, "0-1,16-17"),  # one node is enough
        ("0-31", 12, False, "0-2,4-6,16-18,20-22"),  # six of each of two nodes
        ("0-31", 12, True, "0-2,4-6,16-18,20-22"),
        ("0-1,4", 3, False, "0-1,4"),
    ],
)
def test_distributes_across_nodes(free: str, count: int, full: bool, chosen: str) -> None:
    options = CpuOptions(distribute_cpus_across_numa=True, full_pcpus_only=full)
    assert format_cpus(choose(machine(), parse_cpus(free), count, options)) == chosen


def test_the_remainder_leaves_the_nodes_as_equal_as_possible() -> None:
    options = CpuOptions(distribute_cpus_across_numa=True)
    chosen = choose(machine(), machine().cpus, 9, options)
    parts = sorted(len(cpus & chosen) for cpus in machine().groups["node"].values())
    assert parts == [0, 0, 4, 5]


@pytest.mark.parametrize(
    ("free", "count", "chosen"),
    [
        ("0-31", 4, "0-1,16-17"),
        ("1-31", 4, "2-3,18-19"),  # a whole cache rather than parts of two
        ("0-31", 3, "0-1,16"),
        ("0-31", 6, "0-2,16-18"),
        ("1-2,17-18", 4, "1-2,17-18"),  # no cache has four
    ],
)
def test_prefers_a_common_cache(free: str, count: int, chosen: str) -> None:
    options = CpuOptions(prefer_align_cpus_by_uncorecache=True)
    assert format_cpus(choose(machine(caches=2), parse_cpus(free), count, options)) == chosen


OPTIONS = st.sampled_from(
    [
        PACKED,
        CpuOptions(full_pcpus_only=True),
        CpuOptions(distribute_cpus_across_numa=True),
        CpuOptions(distribute_cpus_across_numa=True, full_pcpus_only=True),
        CpuOptions(distribute_cpus_across_cores=True),
        CpuOptions(prefer_align_cpus_by_uncorecache=True),
    ]
)
SHAPES = st.tuples(st.integers(1, 2), st.integers(1, 3), st.sampled_from([2, 4]), st.integers(1, 2), st.integers(1, 2))


@settings(max_examples=40)
@given(SHAPES, OPTIONS, st.data())
def test_takes_as_many_as_requested_of_the_free_ones(
    shape: tuple[int, int, int, int, int], options: CpuOptions, data: st.DataObject
) -> None:
    where = machine(*shape)
    free = data.draw(st.frozensets(st.sampled_from(sorted(where.cpus))))
    count = data.draw(st.integers(0, len(free)))
    chosen = choose(where, free, count, options)
    assert chosen <= free
    assert len(chosen) == count
    assert choose(where, free, count, options) == chosen


@settings(max_examples=40)
@given(SHAPES, st.booleans(), st.data())
def test_whole_cores_stay_whole(shape: tuple[int, int, int, int, int], across: bool, data: st.DataObject) -> None:
    where = machine(*shape)
    cores = data.draw(st.frozensets(st.sampled_from(sorted(where.groups["core"]))))
    count = data.draw(st.integers(0, len(cores)))
    options = CpuOptions(full_pcpus_only=True, distribute_cpus_across_numa=across)
    chosen = choose(where, where.within("core", cores), count * where.threads_per_core, options)
    assert all(where.groups["core"][core] <= chosen for core in where.numbers("core", chosen))
