"""The assigners of a node as one."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

import pytest

from tests.unit.node.make import pod
from tiphys.api.core import v1 as core
from tiphys.node.pod.plan import AnyContainer
from tiphys.node.resources.assigner import Grant, Hint, Hints, Mount, Nodes, Refused
from tiphys.node.resources.assigners import Assigners, total
from tiphys.testing.eventually import eventually

NODE_0 = frozenset({0})


class Seats:
    """An assigner of numbered seats, one for each container, within a table per NUMA node."""

    def __init__(self, count: int, *, name: str = "seats") -> None:
        self.name = name
        self.count = count
        self.owners: dict[str, dict[str, int]] = {}
        self.aligned: list[Nodes | None] = []
        self.started: Collection[str] = ()
        self.slow: asyncio.Event | None = None
        self.busy = 0

    async def start(self, live: Collection[str]) -> None:
        self.started = live

    def hints(self, pod: core.Pod, container: AnyContainer) -> Hints:
        return {self.name: [Hint(frozenset({0}))]}

    def pod_hints(self, pod: core.Pod) -> Hints:
        return {self.name: [Hint(frozenset({1}))]}

    async def assign(self, pod: core.Pod, container: AnyContainer, nodes: Nodes | None) -> Grant:
        self.busy += 1
        assert self.busy == 1, "two calls at once"
        self.aligned.append(nodes)
        await (self.slow.wait() if self.slow is not None else asyncio.sleep(0))
        self.busy -= 1
        taken = {seat for seats in self.owners.values() for seat in seats.values()}
        free = sorted(set(range(self.count)) - taken)
        seats = self.owners.setdefault(pod.metadata.uid, {})
        if container.name not in seats:
            if not free:
                raise Refused("NoSeat", f"no seat for {container.name}")
            seats[container.name] = free[0]
        return Grant(cpus=frozenset({seats[container.name]}))

    async def prepare(self, pod: core.Pod, container: AnyContainer) -> Grant:
        return Grant(env={self.name: str(self.owners[pod.metadata.uid][container.name])})

    async def release(self, uid: str) -> None:
        self.owners.pop(uid, None)


class To:
    """An alignment that sends everything to one node, or refuses."""

    def __init__(self, node: int | None, *, by_pod: bool) -> None:
        self.node = node
        self.by_pod = by_pod
        self.seen: list[Sequence[Hints]] = []

    def merge(self, hints: Sequence[Hints]) -> Nodes | None:
        self.seen.append(hints)
        if self.node is None:
            raise Refused("TopologyAffinityError", "Resources cannot be allocated with Topology locality")
        return frozenset({self.node})


def named(uid: str, *containers: str, inits: Sequence[str] = ()) -> core.Pod:
    listed = [{"name": name} for name in containers]
    return pod(*listed, metadata={"uid": uid}, initContainers=[{"name": name} for name in inits])


async def test_init_containers_come_first() -> None:
    seats = Seats(3)
    await Assigners([seats]).admit(named("a", "main", "second", inits=["init"]))
    assert seats.owners == {"a": {"init": 0, "main": 1, "second": 2}}
    assert seats.aligned == [None, None, None]


async def test_a_refusal_takes_everything_back() -> None:
    many, few = Seats(9), Seats(2, name="few")
    assigners = Assigners([many, few])
    await assigners.admit(named("a", "main"))
    with pytest.raises(Refused, match="no seat for second") as refusal:
        await assigners.admit(named("b", "main", "second"))
    assert refusal.value.reason == "NoSeat"
    assert many.owners == few.owners == {"a": {"main": 0}}


async def test_an_admission_that_is_broken_off_is_taken_back() -> None:
    first, second = Seats(2), Seats(1, name="second")
    second.slow = asyncio.Event()
    assigners = Assigners([first, second])
    task = asyncio.create_task(assigners.admit(named("a", "main")))
    await eventually(lambda: second.busy)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert first.owners == {"a": {"main": 0}}
    second.slow, second.busy = None, 0
    await assigners.admit(named("b", "main"))
    assert first.owners == second.owners == {"b": {"main": 0}}


async def test_pods_come_one_at_a_time() -> None:
    seats = Seats(20)
    assigners = Assigners([seats])
    await asyncio.gather(*(assigners.admit(named(str(number), "a", "b")) for number in range(10)))
    taken = [seat for owned in seats.owners.values() for seat in owned.values()]
    assert sorted(taken) == list(range(20))


async def test_the_room_of_a_pod_that_has_ended_goes_to_the_next() -> None:
    seats = Seats(1)
    assigners = Assigners([seats])
    await assigners.admit(named("a", "main"))
    assigners.leave("a")
    assert seats.owners == {"a": {"main": 0}}
    await assigners.admit(named("b", "main"))
    assert seats.owners == {"b": {"main": 0}}
    await assigners.release("b")
    await assigners.release("never there")
    assert seats.owners == {}


async def test_alignment_by_container_and_by_pod() -> None:
    seats = Seats(9)
    alignment = To(0, by_pod=False)
    await Assigners([seats], alignment=alignment).admit(named("a", "main", inits=["init"]))
    assert seats.aligned == [NODE_0, NODE_0]
    assert alignment.seen == [[{"seats": [Hint(NODE_0)]}]] * 2
    alignment = To(0, by_pod=True)
    await Assigners([seats], alignment=alignment).admit(named("b", "main", inits=["init"]))
    assert seats.aligned[2:] == [NODE_0, NODE_0]
    assert alignment.seen == [[{"seats": [Hint(frozenset({1}))]}]]


@pytest.mark.parametrize("by_pod", [True, False])
async def test_an_alignment_that_refuses(by_pod: bool) -> None:
    seats = Seats(9)
    with pytest.raises(Refused, match="Topology locality"):
        await Assigners([seats], alignment=To(None, by_pod=by_pod)).admit(named("a", "main"))
    assert seats.owners == {}


async def test_grants_are_added_up() -> None:
    assigners = Assigners([Seats(2), Seats(2, name="chairs")])
    it = named("a", "main")
    await assigners.admit(it)
    assert await assigners.prepare(it, it.spec.containers[0]) == Grant(env={"seats": "0", "chairs": "0"}, cpus=frozenset())
    one = Grant(cpus=frozenset({1}), memory_nodes=NODE_0, mounts=[Mount("/a", "/b")], cdi_devices=["v/c=0"], annotations={"a": "1"})
    two = Grant(cpus=frozenset({2}), devices=[("/dev/a", "/dev/a", "rw")], cdi_devices=["v/c=0", "v/c=1"], annotations={"b": "2"})
    assert total([one, two]) == Grant(
        cpus=frozenset({1, 2}),
        memory_nodes=NODE_0,
        mounts=(Mount("/a", "/b"),),
        devices=(("/dev/a", "/dev/a", "rw"),),
        annotations={"a": "1", "b": "2"},
        cdi_devices=("v/c=0", "v/c=1"),
    )


async def test_start_tells_all_assigners_who_is_alive() -> None:
    seats, chairs = Seats(1), Seats(1)
    assigners = Assigners([seats])
    assigners.add(chairs)
    await assigners.start({"a", "b"})
    assert seats.started == chairs.started == {"a", "b"}
