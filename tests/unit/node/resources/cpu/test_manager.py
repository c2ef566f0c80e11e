"""CPUs that containers own."""

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
from tests.unit.node.resources.machines import machine
from tiphys.api.core import v1 as core
from tiphys.node.host.cpuset import format_cpus, parse_cpus
from tiphys.node.resources.assigner import Grant, Hint, Refused
from tiphys.node.resources.assigners import Assigners
from tiphys.node.resources.checkpoint import CheckpointError
from tiphys.node.resources.cpu import state
from tiphys.node.resources.cpu.manager import STATE_FILE, CpuManager
from tiphys.node.resources.cpu.options import CpuOptions, read_options
from tiphys.node.resources.cpu.requests import exclusive_cpus, pod_exclusive_cpus

RESERVED = frozenset({0, 16})
Make = Callable[..., CpuManager]


def sized(name: str, cpu: str, **more: Any) -> dict[str, Any]:
    size = {"cpu": cpu, "memory": "1Gi"}
    return {"name": name, "resources": {"requests": size, "limits": size}, **more}


def guaranteed(uid: str, *cpus: str, inits: list[dict[str, Any]] | None = None) -> core.Pod:
    listed = [sized(f"c{number}", cpu) for number, cpu in enumerate(cpus)]
    return pod(*listed, metadata={"uid": uid}, initContainers=inits or [])


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes CPU managers of a machine with 2 sockets, 4 nodes, 16 cores and 32 threads, all with one checkpoint."""

    def made(reserved: frozenset[int] = RESERVED, **options: bool) -> CpuManager:
        return CpuManager(machine(), reserved, CpuOptions(**options), tmp_path)

    return made


async def owned(manager: CpuManager, it: core.Pod) -> dict[str, str]:
    await Assigners([manager]).admit(it)
    return {name: format_cpus(cpus) for name, cpus in manager.owners[it.metadata.uid].items()}


@pytest.mark.parametrize(
    ("containers", "counts"),
    [
        ([sized("a", "2")], [2]),
        ([sized("a", "2"), sized("b", "1500m")], [2, 0]),
        ([sized("a", "2000m")], [2]),
        ([{"name": "a", "resources": {"limits": {"cpu": "3", "memory": "1Gi"}}}], [3]),
        ([sized("a", "2"), {"name": "b"}], [0, 0]),  # Burstable
        ([{"name": "a", "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "4"}}}], [0]),
    ],
)
def test_only_whole_cpus_of_guaranteed_pods_are_owned(containers: list[dict[str, Any]], counts: list[int]) -> None:
    it = pod(*containers)
    assert [exclusive_cpus(it, container) for container in it.spec.containers] == counts


def test_the_most_that_a_pod_owns_at_once() -> None:
    inits = [sized("i", "3"), sized("s", "2", restartPolicy="Always"), sized("j", "4")]
    assert pod_exclusive_cpus(guaranteed("a", "1", inits=inits)) == 6
    assert pod_exclusive_cpus(guaranteed("a", "5", inits=inits)) == 7
    whole = pod(sized("a", "2"), resources={"limits": {"cpu": "4", "memory": "2Gi"}, "requests": {"cpu": "4", "memory": "2Gi"}})
    assert pod_exclusive_cpus(whole) == 0


async def test_owns_and_gives_back(make: Make) -> None:
    manager = make()
    await manager.start(())
    assert format_cpus(manager.shared) == "0-31"
    assert await owned(manager, guaranteed("a", "2", "500m")) == {"c0": "1,17"}
    assert await owned(manager, guaranteed("b", "4")) == {"c0": "2-3,18-19"}
    assert format_cpus(manager.shared) == "0,4-16,20-31"
    assert format_cpus(manager.cpus_of("a", "c1")) == "0,4-16,20-31"
    await manager.release("a")
    assert format_cpus(manager.shared) == "0-1,4-17,20-31"


async def test_grants(make: Make) -> None:
    manager = make()
    it = guaranteed("a", "2", "500m")
    await owned(manager, it)
    own, shared = [await manager.prepare(it, container) for container in it.spec.containers]
    assert own == Grant(cpus=frozenset({1, 17}), unlimited_cpu=True)
    assert shared == Grant(cpus=manager.shared)
    assert manager.owns_cpus("a")
    assert manager.owns_cpus("a", "c0")
    assert not manager.owns_cpus("a", "c1")
    assert not manager.owns_cpus("b")


async def test_init_containers_lend_and_sidecars_keep(make: Make) -> None:
    inits = [sized("first", "4"), sized("sidecar", "2", restartPolicy="Always"), sized("second", "2")]
    manager = make()
    cpus = await owned(manager, guaranteed("a", "4", inits=inits))
    first, sidecar, second, main = (parse_cpus(cpus[name]) for name in ("first", "sidecar", "second", "c0"))
    assert sidecar < first
    assert second == first - sidecar
    assert second < main
    assert not sidecar & main
    assert len(manager.owned) == 6


async def test_refuses_more_than_there_is(make: Make) -> None:
    manager = make()
    await owned(manager, guaranteed("a", "20"))
    with pytest.raises(Refused) as refusal:
        await Assigners([manager]).admit(guaranteed("b", "6", "8"))
    assert refusal.value.reason == "UnexpectedAdmissionError"
    message = "Allocate failed due to not enough cpus available to satisfy request: requested=8, available=4, which is unexpected"
    assert str(refusal.value) == message
    assert manager.owners.keys() == {"a"}


async def test_full_cores_only(make: Make) -> None:
    manager = make(frozenset({0}), full_pcpus_only=True)
    with pytest.raises(Refused, match="SMT Alignment Error: requested 3 cpus not multiple cpus per core = 2") as refusal:
        await Assigners([manager]).admit(guaranteed("a", "3"))
    assert refusal.value.reason == "SMTAlignmentError"
    assert len(parse_cpus((await owned(manager, guaranteed("b", "28")))["c0"])) == 28
    with pytest.raises(Refused, match="available physical CPUs = 2, requested CPUs = 4, CPUs per core = 2"):
        await Assigners([manager]).admit(guaranteed("c", "4"))
    assert len(await owned(manager, guaranteed("d", "2"))) == 1
    assert format_cpus(manager.shared) == "0,16", "the sibling of a reserved CPU is not owned"


async def test_strict_reservation(make: Make) -> None:
    manager = make(strict_cpu_reservation=True)
    await manager.start(())
    assert format_cpus(manager.cpus_of("a", "c")) == "1-15,17-31"
    await owned(manager, guaranteed("a", "30"))
    assert format_cpus(manager.cpus_of("b", "c")) == "0,16", "containers need some CPU"


async def test_hints(make: Make) -> None:
    manager = make()
    it = guaranteed("a", "8")
    (container,) = it.spec.containers
    hints = {hint.nodes: hint.preferred for hint in manager.hints(it, container)["cpu"]}
    assert frozenset({0}) not in hints, "two of its CPUs are reserved"
    assert hints[frozenset({1})]
    assert not hints[frozenset({1, 2})]
    assert manager.hints(guaranteed("a", "500m"), container) == {"cpu": manager.hints(it, container)["cpu"]}
    assert manager.pod_hints(guaranteed("a", "500m")) == {}
    assert {hint.nodes for hint in manager.pod_hints(guaranteed("a", "9", "7"))["cpu"] if hint.preferred} == {
        frozenset({1, 2}), frozenset({1, 3}), frozenset({2, 3}),
    }  # fmt: skip


async def test_hints_of_owners_name_their_nodes(make: Make) -> None:
    manager = make()
    it = guaranteed("a", "8")
    await manager.assign(it, it.spec.containers[0], frozenset({2}))
    assert format_cpus(manager.owned) == "8-11,24-27"
    assert manager.hints(it, it.spec.containers[0])["cpu"][0] == Hint(frozenset({2}), preferred=True)
    assert manager.pod_hints(it)["cpu"][0] == Hint(frozenset({2}), preferred=True)
    assert manager.hints(guaranteed("a", "4"), it.spec.containers[0])["cpu"] != []


async def test_alignment_takes_the_rest_from_elsewhere(make: Make) -> None:
    manager = make()
    it = guaranteed("a", "10")
    await manager.assign(it, it.spec.containers[0], frozenset({2}))
    assert manager.owned >= frozenset({8, 9, 10, 11, 24, 25, 26, 27})
    assert len(manager.owned) == 10


async def test_alignment_by_socket(make: Make) -> None:
    manager = make(align_by_socket=True)
    it = guaranteed("a", "4")
    preferred = {hint.nodes for hint in manager.hints(it, it.spec.containers[0])["cpu"] if hint.preferred}
    assert preferred == {frozenset(nodes) for nodes in ({0}, {1}, {2}, {3}, {0, 1}, {2, 3})}
    it = guaranteed("a", "10")
    await manager.assign(it, it.spec.containers[0], frozenset({2}))
    assert manager.owned < manager.topology.groups["socket"][1]


# -- the checkpoint


async def test_a_restart_changes_nothing(make: Make) -> None:
    manager = make()
    await manager.start(())
    it = guaranteed("a", "2", "4")
    before = await owned(manager, it)
    await owned(manager, guaranteed("gone", "2"))
    again = make()
    await again.start({"a"})
    assert again.owners.keys() == {"a"}
    assert await owned(again, it) == before
    assert again.shared == again.topology.cpus - again.owned


async def test_the_file_has_upstreams_form(make: Make, tmp_path: Path) -> None:
    manager = make()
    await owned(manager, guaranteed("a", "2"))
    data = json.loads((tmp_path / STATE_FILE).read_text())
    assert data["checksum"]
    assert {**data, "checksum": 0} == {
        "policyName": "static", "defaultCpuSet": "0,2-16,18-31", "entries": {"a": {"c0": "1,17"}}, "checksum": 0,
    }  # fmt: skip


def test_checksums_are_upstreams() -> None:
    """These numbers are those that a kubelet writes for the same content."""
    assert json.loads(state.encoded(state.Content("none")))["checksum"] == 1353318690
    content = state.Content("none", parse_cpus("1-3"), {"pod": {"container1": parse_cpus("4-6"), "container2": parse_cpus("1-3")}})
    assert json.loads(state.encoded(content))["checksum"] == 3610638499


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"policyName":"static"', "checkpoint is corrupted"),
        ('{"policyName":"none","defaultCpuSet":"","checksum":1}', "its checksum is 1, that of its content 1353318690"),
        ('{"policyName":"none","defaultCpuSet":""}', 'configured policy "static" differs from state checkpoint policy "none"'),
        ('{"policyName":"static","defaultCpuSet":"1-31"}', 'not all reserved cpus: "0,16" are present in defaultCpuSet: "1-31"'),
        (
            '{"policyName":"static","defaultCpuSet":"0-31","entries":{"a":{"c":"3"}}}',
            'pod: a, container: c cpuset: "3" overlaps with default cpuset "0-31"',
        ),
        ('{"policyName":"static","defaultCpuSet":"0-30"}', """available CPUs "0-31" doesn't match with CPUs in state "0-30\""""),
        ('{"policyName":"static","defaultCpuSet":"3-1"}', "its first core is behind its last"),
    ],
)
async def test_refuses_checkpoints_that_do_not_fit(make: Make, tmp_path: Path, content: str, why: str) -> None:
    (tmp_path / STATE_FILE).write_text(content)
    with pytest.raises(CheckpointError) as error:
        await make().start(())
    assert why in str(error.value)
    assert f'please drain this node and delete the CPU manager checkpoint file "{tmp_path / STATE_FILE}"' in str(error.value)


async def test_strict_reservation_refuses_a_checkpoint_that_shares(make: Make) -> None:
    await make().start(())
    with pytest.raises(CheckpointError, match='some of strictly reserved cpus: "0,16" are present in defaultCpuSet: "0-31"'):
        await make(strict_cpu_reservation=True).start(())


async def test_a_release_that_cannot_be_written_is_written_later(make: Make, tmp_path: Path) -> None:
    manager = make()
    await owned(manager, guaranteed("a", "2"))
    (tmp_path / f".{STATE_FILE}").mkdir()
    with pytest.raises(IsADirectoryError):
        await manager.release("a")
    (tmp_path / f".{STATE_FILE}").rmdir()
    await manager.release("a")
    again = make()
    await again.start({"a"})
    assert again.owners == {}


# -- properties

OPTIONS = [
    {}, {"full-pcpus-only": "true"}, {"distribute-cpus-across-numa": "true"}, {"align-by-socket": "true"},
    {"distribute-cpus-across-cores": "true"}, {"strict-cpu-reservation": "true"}, {"prefer-align-cpus-by-uncorecache": "true"},
    {"full-pcpus-only": "true", "distribute-cpus-across-numa": "true", "strict-cpu-reservation": "true"},
]  # fmt: skip
STEPS = st.lists(st.tuples(st.sampled_from(["admit", "release", "restart"]), st.integers(0, 5), st.integers(0, 12), st.integers(0, 4)))


@settings(max_examples=40)
@given(st.sampled_from(OPTIONS), STEPS)
async def test_no_cpu_has_two_owners_over_any_life(values: dict[str, str], steps: list[tuple[str, int, int, int]]) -> None:
    with TemporaryDirectory() as root:
        options = read_options(values)
        manager = CpuManager(machine(), RESERVED, options, Path(root))
        await manager.start(())
        for step, number, count, lent in steps:
            uid = f"pod-{number}"
            if step == "admit" and uid not in manager.owners:
                it = guaranteed(uid, str(count or "500m"), "2", inits=[sized("init", str(lent or "100m"))])
                try:
                    await Assigners([manager]).admit(it)
                except Refused:
                    assert uid not in manager.owners
            elif step == "release":
                await manager.release(uid)
            elif step == "restart":
                again = CpuManager(machine(), RESERVED, options, Path(root))
                await again.start(set(manager.owners))
                assert again.owners == manager.owners
                manager = again
            check(manager)


def check(manager: CpuManager) -> None:
    by_pod = [frozenset().union(*containers.values()) for containers in manager.owners.values()]
    assert sum(map(len, by_pod)) == len(manager.owned)
    for containers in manager.owners.values():
        lasting = [cpus for name, cpus in containers.items() if name != "init"]
        assert sum(map(len, lasting)) == len(frozenset().union(*lasting))
    assert not manager.owned & manager.reserved
    assert manager.cpus_of("other", "c")
    assert not manager.cpus_of("other", "c") & manager.owned
    assert manager.options.strict_cpu_reservation or manager.reserved <= manager.shared
