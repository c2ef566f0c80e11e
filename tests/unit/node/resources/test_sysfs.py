"""The topology of machines, from sysfs."""

from __future__ import annotations

from pathlib import Path

from tests.unit.node.resources.machines import machine, write_sysfs
from tiphys.node.resources.sysfs import read_topology
from tiphys.node.resources.topology import Place, node_sets


def test_two_sockets_with_two_nodes_each() -> None:
    large = machine(caches=2)
    assert large.cpus == frozenset(range(32))
    assert large.places[0] == large.places[16] == Place(socket=0, node=0, cache=0, core=0)
    assert large.places[3] == large.places[19] == Place(socket=0, node=0, cache=2, core=3)
    assert large.places[31] == Place(socket=1, node=3, cache=14, core=15)
    assert large.nodes == (0, 1, 2, 3)
    assert large.groups["node"][1] == {4, 5, 6, 7, 20, 21, 22, 23}
    assert large.groups["socket"][1] == set(range(8, 16)) | set(range(24, 32))
    assert large.groups["cache"][2] == {2, 3, 18, 19}
    assert large.threads_per_core == 2
    assert large.within("core", {0, 5}) == {0, 16, 5, 21}
    assert large.numbers("socket", {0, 31, 99}) == {0, 1}


def test_cpus_that_are_offline_or_forbidden(tmp_path: Path) -> None:
    write_sysfs(tmp_path, sockets=1, nodes=1)
    (tmp_path / "cpu" / "online").write_text("0-5\n")
    small = read_topology(tmp_path, allowed={0, 4, 5, 7})
    assert small.cpus == {0, 4, 5}
    assert small.groups["core"] == {0: {0, 4}, 5: {5}}


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    """Some virtual machines show neither NUMA nodes nor caches."""
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "online").write_text("0-1\n")
    assert read_topology(tmp_path).places == {0: Place(0, 0, 0, 0), 1: Place(0, 0, 0, 1)}
    assert read_topology(tmp_path / "none").places == {}


def test_sets_of_nodes_in_order() -> None:
    assert [sorted(nodes) for nodes in node_sets({2, 0, 1})] == [[0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]]
