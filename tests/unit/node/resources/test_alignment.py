"""The policies of the topology manager."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.node.make import pod
from tests.unit.node.resources.machines import machine
from tiphys.node.host.cpuset import parse_cpus
from tiphys.node.resources.alignment import TopologyManager, TopologyOptions, read_options
from tiphys.node.resources.assigner import Hint, Hints, Nodes, Refused
from tiphys.node.resources.assigners import Assigners
from tiphys.node.resources.cpu.manager import CpuManager
from tiphys.node.resources.cpu.options import CpuOptions
from tiphys.node.resources.sysfs import read_distances
from tiphys.node.resources.topology import node_sets

ALL = frozenset({0, 1})
FOUR = frozenset(range(4))


def of(*hints: str) -> list[Hint]:
    """Hints such as `0!` (preferred), `0-1`, `any!`, `any`."""
    return [Hint(None if one.startswith("any") else parse_cpus(one.rstrip("!")), one.endswith("!")) for one in hints]


def merged(policy: str, *resources: list[Hint], nodes: Nodes = ALL) -> str:
    """The nodes that a policy chooses, "all", or "refused"."""
    manager = TopologyManager(policy, nodes)
    try:
        chosen = manager.merge([{str(number): hints} for number, hints in enumerate(resources)])
    except Refused as refused:
        return "refused" if refused.reason == "TopologyAffinityError" else refused.reason
    return "all" if chosen is None else ",".join(map(str, sorted(chosen)))


@pytest.mark.parametrize(
    ("resources", "best_effort", "restricted", "single"),
    [
        ([of("0!", "1!", "0-1")], "0", "0", "0"),
        ([of("1!", "0-1"), of("0!", "1!", "0-1")], "1", "1", "1"),
        ([of("0!"), of("1!")], "0,1", "refused", "refused"),
        ([of("0-1!")], "0,1", "0,1", "refused"),  # more than one node has
        ([of("0-1"), of("1!")], "1", "refused", "refused"),
        ([of("any!"), of("1!")], "1", "1", "1"),
        ([of("any!")], "0,1", "0,1", "all"),
        ([[]], "0,1", "refused", "refused"),  # cannot be served anywhere
        ([of("0", "1")], "0", "refused", "refused"),
    ],
)
def test_policies(resources: list[list[Hint]], best_effort: str, restricted: str, single: str) -> None:
    assert merged("best-effort", *resources) == best_effort
    assert merged("restricted", *resources) == restricted
    assert merged("single-numa-node", *resources) == single


def test_assigners_without_requests_do_not_mind() -> None:
    manager = TopologyManager("single-numa-node", ALL)
    assert manager.merge([{}, {"cpu": of("1!")}, {}]) == frozenset({1})
    assert manager.merge([{}, {}]) is None


def test_of_sets_that_are_not_preferred_the_most_demanding_resource_decides() -> None:
    large, small = of("0-1", "0-2", "0-3"), of("0", "1", "0-1", "0-2")
    assert merged("best-effort", large, small, nodes=FOUR) == "0,1"


def test_closest_nodes() -> None:
    distances = {0: {0: 10, 1: 31, 2: 21}, 1: {0: 31, 1: 10, 2: 11}, 2: {0: 21, 1: 11, 2: 10}}
    hints = [{"cpu": of("0-1!", "0,2!", "1-2!")}]
    nodes = frozenset({0, 1, 2})
    assert TopologyManager("restricted", nodes, distances=distances).merge(hints) == frozenset({0, 1})
    closest = TopologyManager("restricted", nodes, options=TopologyOptions(closest=True), distances=distances)
    assert closest.merge(hints) == frozenset({1, 2})


def test_distances(tmp_path: Path) -> None:
    for node, row in enumerate(("10 21", "21 10")):
        directory = tmp_path / "node" / f"node{node}"
        directory.mkdir(parents=True)
        (directory / "distance").write_text(row)
    (tmp_path / "node" / "online").write_text("0-1\n")
    assert read_distances(tmp_path) == {0: {0: 10, 1: 21}, 1: {0: 21, 1: 10}}
    (tmp_path / "node" / "node1" / "distance").unlink()
    assert read_distances(tmp_path) == {}


def test_options() -> None:
    assert read_options({"prefer-closest-numa-nodes": "true", "max-allowable-numa-nodes": "12"}) == TopologyOptions(
        closest=True, max_nodes=12
    )
    for values, message in (
        ({"prefer-closest-numa-nodes": "yes"}, "bad value for option"),
        ({"max-allowable-numa-nodes": "many"}, "unable to convert policy option to integer"),
        ({"max-allowable-numa-nodes": "7"}, "should not be less than 8"),
        ({"nearby": "true"}, "unknown Topology Manager Policy option"),
    ):
        with pytest.raises(ValueError, match=message):
            read_options(values)


HINTS = st.builds(Hint, st.sampled_from([None, *node_sets(range(3))]), st.booleans())


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.builds(Hint, st.sampled_from([None, *node_sets(range(3))]), st.booleans()), max_size=4), min_size=1, max_size=3)
)
def test_aligned_nodes_are_common_to_a_hint_of_each_resource(resources: list[list[Hint]]) -> None:
    nodes = frozenset(range(3))
    hints: list[Hints] = [{str(number): one} for number, one in enumerate(resources)]
    chosen = TopologyManager("best-effort", nodes).merge(hints)
    ways = product(*(one or [Hint(None, preferred=False)] for one in resources))
    possible = {nodes.intersection(*(hint.nodes for hint in way if hint.nodes is not None)) for way in ways} - {frozenset()}
    assert chosen in (possible or {nodes})
    try:
        assert TopologyManager("restricted", nodes).merge(hints) == chosen
    except Refused:
        preferred = [{hint.nodes for hint in one if hint.preferred} for one in resources]
        assert not any(all(sets & {None, every} for sets in preferred) for every in node_sets(nodes))


# -- with CPUs


def guaranteed(*cpus: str) -> list[dict[str, object]]:
    return [
        {"name": f"c{number}", "resources": {"limits": {"cpu": count, "memory": "1Gi"}}} for number, count in enumerate(cpus)
    ]  # fmt: skip


async def test_containers_stay_within_a_node(tmp_path: Path) -> None:
    cpus = CpuManager(machine(), frozenset({0, 16}), CpuOptions(), tmp_path)
    assigners = Assigners([cpus], alignment=TopologyManager("single-numa-node", FOUR))
    await assigners.admit(pod(*guaranteed("4", "4"), metadata={"uid": "a"}))
    assert all(len(machine().numbers("node", own)) == 1 for own in cpus.owners["a"].values())
    with pytest.raises(Refused, match="Topology locality"):
        await assigners.admit(pod(*guaranteed("2", "10"), metadata={"uid": "b"}))
    assert cpus.owners.keys() == {"a"}


async def test_a_pod_stays_within_a_node(tmp_path: Path) -> None:
    cpus = CpuManager(machine(), frozenset({0, 16}), CpuOptions(), tmp_path)
    assigners = Assigners([cpus], alignment=TopologyManager("single-numa-node", FOUR, scope="pod"))
    await assigners.admit(pod(*guaranteed("4", "3"), metadata={"uid": "a"}))
    assert len(machine().numbers("node", cpus.owned)) == 1
    with pytest.raises(Refused, match="Topology locality"):
        await assigners.admit(pod(*guaranteed("4", "5"), metadata={"uid": "b"}))
