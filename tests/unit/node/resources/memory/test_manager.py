"""Memory of NUMA nodes that containers own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.node.make import pod
from tiphys.api.core import v1 as core
from tiphys.node.resources.alignment import TopologyManager
from tiphys.node.resources.assigner import Grant, Hint, Refused
from tiphys.node.resources.assigners import Assigners
from tiphys.node.resources.checkpoint import CheckpointError
from tiphys.node.resources.memory import state
from tiphys.node.resources.memory.book import Block, Machine, Store, usage
from tiphys.node.resources.memory.manager import STATE_FILE, MemoryManager
from tiphys.node.resources.memory.requests import memory_requests, pod_memory_requests

GI = 1 << 30
PAGES = "hugepages-1Gi"
NODES: Machine = {
    node: {"memory": Store(13 * GI, GI, 8 * GI), PAGES: Store(4 * GI, 0, 4 * GI)} for node in range(3)
}  # fmt: skip
"""Three nodes with 8 GiB of memory and 4 GiB in huge pages that containers may own."""
Make = Callable[..., MemoryManager]


def sized(name: str, memory: int, pages: int = 0, **more: Any) -> dict[str, Any]:
    size = {"cpu": "1", "memory": f"{memory}Gi", **({PAGES: f"{pages}Gi"} if pages else {})}
    return {"name": name, "resources": {"requests": size, "limits": size}, **more}


def guaranteed(uid: str, *containers: dict[str, Any], inits: list[dict[str, Any]] | None = None) -> core.Pod:
    return pod(*containers, metadata={"uid": uid}, initContainers=inits or [])


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(machine: Machine = NODES) -> MemoryManager:
        return MemoryManager(machine, tmp_path)

    return made


async def nodes_of(manager: MemoryManager, it: core.Pod) -> dict[str, set[int]]:
    await Assigners([manager]).admit(it)
    grants = {container.name: await manager.prepare(it, container) for container in (*it.spec.initContainers, *it.spec.containers)}
    return {name: set(grant.memory_nodes) for name, grant in grants.items()}


def test_only_guaranteed_pods_own_memory() -> None:
    it = guaranteed("a", sized("c", 2, 1))
    assert memory_requests(it, it.spec.containers[0]) == {"memory": 2 * GI, PAGES: GI}
    burstable = pod({"name": "c", "resources": {"requests": {"memory": "1Gi"}}})
    assert memory_requests(burstable, burstable.spec.containers[0]) == {}
    inits = [sized("i", 3), sized("s", 2, restartPolicy="Always"), sized("j", 4)]
    assert pod_memory_requests(guaranteed("a", sized("c", 1), inits=inits)) == {"memory": 6 * GI}


async def test_one_node_if_one_has_enough(make: Make) -> None:
    manager = make()
    assert await nodes_of(manager, guaranteed("a", sized("c", 6))) == {"c": {0}}
    assert await nodes_of(manager, guaranteed("b", sized("c", 6))) == {"c": {1}}
    assert await nodes_of(manager, guaranteed("c", sized("c", 2, 3))) == {"c": {0}}
    await manager.release("a")
    assert await nodes_of(manager, guaranteed("d", sized("c", 6, 1))) == {"c": {0}}


async def test_several_nodes_are_a_group_of_their_own(make: Make) -> None:
    manager = make()
    assert await nodes_of(manager, guaranteed("a", sized("c", 12))) == {"c": {0, 1}}
    assert await nodes_of(manager, guaranteed("b", sized("c", 1))) == {"c": {2}}, "a node of a group serves no single requests"
    assert await nodes_of(manager, guaranteed("c", sized("c", 3))) == {"c": {2}}
    with pytest.raises(Refused):
        await nodes_of(manager, guaranteed("d", sized("c", 5)))
    await manager.release("a")
    assert await nodes_of(manager, guaranteed("e", sized("c", 8))) == {"c": {0}}


async def test_refuses_more_than_there_is(make: Make) -> None:
    manager = make()
    with pytest.raises(Refused, match="no NUMA nodes with enough memory is available") as refusal:
        await Assigners([manager]).admit(guaranteed("a", sized("c", 25)))
    assert refusal.value.reason == "UnexpectedAdmissionError"
    assert manager.owners == {}


async def test_containers_that_own_nothing_may_use_all(make: Make) -> None:
    it = pod({"name": "c"})
    manager = make()
    assert await manager.assign(it, it.spec.containers[0], None) == Grant()
    assert await manager.prepare(it, it.spec.containers[0]) == Grant()


async def test_init_containers_lend_and_sidecars_keep(make: Make) -> None:
    inits = [sized("init", 5), sized("sidecar", 2, restartPolicy="Always")]
    manager = make()
    nodes = await nodes_of(manager, guaranteed("a", sized("c", 6), inits=inits))
    assert nodes == {"init": {0}, "sidecar": {0}, "c": {0}}
    assert usage(NODES, manager.blocks)[0].used["memory"] == 8 * GI


async def test_alignment(make: Make) -> None:
    manager = make()
    it = guaranteed("a", sized("c", 6))
    hints = manager.hints(it, it.spec.containers[0])["memory"]
    assert [hint for hint in hints if hint.preferred] == [Hint(frozenset({node})) for node in range(3)]
    assigners = Assigners([manager], alignment=TopologyManager("single-numa-node", frozenset(NODES)))
    await assigners.admit(it)
    assert manager.hints(it, it.spec.containers[0]) == {"memory": [Hint(frozenset({0}))]}
    with pytest.raises(Refused, match="Topology locality"):
        await assigners.admit(guaranteed("b", sized("c", 9)))
    other = guaranteed("c", sized("c", 6))
    assert (await manager.assign(other, other.spec.containers[0], frozenset({2}))).memory_nodes == {2}


async def test_a_restart_changes_nothing(make: Make, tmp_path: Path) -> None:
    manager = make()
    await manager.start(())
    it = guaranteed("a", sized("c", 12, 1))
    before = await nodes_of(manager, it)
    await nodes_of(manager, guaranteed("gone", sized("c", 1)))
    again = make()
    await again.start({"a"})
    assert again.owners.keys() == {"a"}
    assert await nodes_of(again, it) == before
    data = json.loads((tmp_path / STATE_FILE).read_text())
    assert data["policyName"] == "Static"
    assert data["machineState"]["1"]["cells"] == [0, 1]
    assert {"numaAffinity": [0, 1], "type": "memory", "size": 12 * GI} in data["entries"]["a"]["c"]


def test_checksums_are_upstreams() -> None:
    """These numbers are those that a kubelet writes for the same content."""
    assert state.decoded(b'{"policyName":"None","machineState":{},"checksum":4236770233}') == state.Content("None")
    text = (
        '{"policyName":"static","machineState":{"0":{"numberOfAssignments":0,"memoryMap":{"memory":{"total":2048,"systemReserved":512,'
        '"allocatable":1536,"reserved":512,"free":1024}},"cells":[]}},"entries":{"pod":{"container1":[{"numaAffinity":[0],'
        '"type":"memory","size":512}]}},"checksum":4215593881}'
    )
    content = state.decoded(text.encode())
    assert content.owners == {"pod": {"container1": (Block(frozenset({0}), "memory", 512),)}}
    assert content.machine == {0: {"memory": Store(2048, 512, 1536)}}
    with pytest.raises(ValueError, match="its checksum is 4215593880"):
        state.decoded(text.replace("4215593881", "4215593880").encode())


async def test_refuses_checkpoints_of_another_machine(make: Make, tmp_path: Path) -> None:
    manager = make()
    await nodes_of(manager, guaranteed("a", sized("c", 12)))
    for smaller in ({0: NODES[0]}, {node: {"memory": Store(6 * GI, GI, 5 * GI)} for node in range(3)}):
        with pytest.raises(CheckpointError, match="the expected machine state is different from the real one") as error:
            await make(smaller).start({"a"})
    assert f'delete the memory manager checkpoint file "{tmp_path / STATE_FILE}"' in str(error.value)
    (tmp_path / STATE_FILE).write_text("{")
    with pytest.raises(CheckpointError, match="checkpoint is corrupted"):
        await make().start(())


async def test_a_machine_of_another_size_keeps_its_owners_while_it_has_room(make: Make) -> None:
    manager = make()
    await nodes_of(manager, guaranteed("a", sized("c", 12)))
    for size in (6, 9):
        again = make({node: {"memory": Store(size * GI, 0, size * GI)} for node in range(3)})
        await again.start({"a"})
        assert again.owners == manager.owners


STEPS = st.lists(st.tuples(st.sampled_from(["admit", "release"]), st.integers(0, 4), st.integers(1, 17), st.integers(0, 6)))


@settings(max_examples=40)
@given(STEPS)
async def test_no_node_gives_more_than_it_has(steps: list[tuple[str, int, int, int]]) -> None:
    with TemporaryDirectory() as root:
        manager = MemoryManager(NODES, Path(root))
        await manager.start(())
        for step, number, size, pages in steps:
            uid = f"pod-{number}"
            if step == "release":
                await manager.release(uid)
            elif uid not in manager.owners:
                try:
                    await Assigners([manager]).admit(guaranteed(uid, sized("c", size, pages), inits=[sized("i", 2)]))
                except Refused:
                    assert uid not in manager.owners
            used = usage(NODES, manager.blocks)
            for name in ("memory", PAGES):
                total = sum(block.size for block in manager.blocks if block.resource == name)
                assert sum(one.used.get(name, 0) for one in used.values()) == total, "every block found its room"
            groups = [block.nodes for block in manager.blocks]
            assert all(one == other or not one & other for one in groups for other in groups)
        again = MemoryManager(NODES, Path(root))
        await again.start(set(manager.owners))
        assert again.owners == manager.owners
