"""The scheduler in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.unit.scheduler.make import node, pod
from tiphys.api.core import v1 as core
from tiphys.api.machinery import errors
from tiphys.api.meta import v1 as meta
from tiphys.api.policy import v1 as policy
from tiphys.runtime import LeaderElector
from tiphys.scheduler.scheduler import Scheduler
from tiphys.testing import eventually
from tiphys.testing.calls import Call
from tiphys.testing.memory_api import MemoryApi

pytestmark = pytest.mark.looptime


@asynccontextmanager
async def running(api: MemoryApi, **more: object) -> AsyncIterator[Scheduler]:
    scheduler = Scheduler(api.client(), clock=api.clock, rng=random.Random(1), **more)  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as group:
        task = group.create_task(scheduler.run())
        yield scheduler
        task.cancel()


def node_of(api: MemoryApi, name: str) -> str:
    return api.get(core.Pod, name, "default").spec.nodeName


def condition(api: MemoryApi, name: str) -> core.PodCondition | None:
    return next((one for one in api.get(core.Pod, name, "default").status.conditions if one.type == "PodScheduled"), None)


def told(api: MemoryApi, name: str) -> bool:
    """Return whether a pod was reported as unschedulable."""
    found = condition(api, name)
    return found is not None and (found.status, found.reason) == ("False", "Unschedulable")


def binds(api: MemoryApi) -> list[Call]:
    return [call for call in api.calls if call.subresource == "binding"]


def reasons(api: MemoryApi) -> list[str]:
    return [event.reason for event in api.list(core.Event)]


async def test_a_pod_gets_a_node_and_an_event(api: MemoryApi) -> None:
    api.add(node("n1"), pod("a"))
    async with running(api):
        await eventually(lambda: node_of(api, "a") == "n1")
        event = (await eventually(lambda: api.list(core.Event)))[0]
    assert (event.type, event.reason, event.message) == ("Normal", "Scheduled", "Successfully assigned default/a to n1")
    assert event.involvedObject.name == "a"


async def test_a_refused_binding_gives_the_place_back(api: MemoryApi) -> None:
    api.add(node("n1", cpu="1"), pod("a", cpu="1"))
    api.faults.fail("* pods/binding", errors.Conflict("not now"))
    async with running(api) as scheduler:
        await eventually(lambda: binds(api))
        began = api.clock.monotonic()
        await eventually(lambda: node_of(api, "a") == "n1")
        assert 0.9 <= api.clock.monotonic() - began <= 1.2
        await eventually(lambda: len(scheduler.queue) == 0)
    assert len(binds(api)) == 2


async def test_a_lost_connection_is_waited_for(api: MemoryApi) -> None:
    api.add(node("n1"), pod("a"))
    api.faults.fail("* pods/binding", ConnectionError("gone"), times=3)
    async with running(api):
        await eventually(lambda: node_of(api, "a") == "n1")
        await eventually(lambda: "Scheduled" in reasons(api))


async def test_a_binding_whose_answer_was_lost_is_not_done_twice(api: MemoryApi) -> None:
    api.add(node("n1", cpu="1"), pod("a", cpu="1"))
    client = api.client()
    api.faults.lose_answers("create pods/binding")
    async with running(api) as scheduler:
        await eventually(lambda: len(binds(api)) == 2)
        await client.create(pod("b", cpu="1"))
        await eventually(lambda: told(api, "b"))
        assert scheduler.queue.places == {"parked": 1}
    assert len(binds(api)) == 2


async def test_a_pod_that_goes_while_it_is_bound_leaves_no_trace(api: MemoryApi) -> None:
    api.add(node("n1", cpu="1"), pod("a", cpu="1"))
    gone = api.faults.before("create pods/binding", lambda: api.remove(core.Pod, "a", "default"))
    async with running(api) as scheduler:
        await eventually(lambda: gone.count)
        api.add(pod("b", cpu="1"))
        await eventually(lambda: node_of(api, "b") == "n1")
        assert len(scheduler.queue) == 0


async def test_nothing_is_asked_or_written_while_nothing_happens(api: MemoryApi) -> None:
    api.add(node("n1", cpu="1"))
    for new in (pod("big", cpu="2"), pod("small")):
        await api.client().create(new)
    async with running(api):
        await eventually(lambda: told(api, "big") and node_of(api, "small"))
        await eventually(lambda: len(api.list(core.Event)) == 2)
        before = len(api.writes())
        heartbeat = node("n1", cpu="1")
        heartbeat.status.conditions[0].message = "still well"
        api.add(heartbeat)
        await asyncio.sleep(290)
        assert len(api.writes()) == before
        # After five minutes it looks again, says so once more, and leaves the condition as it was.
        await asyncio.sleep(30)
    later = api.writes()[before:]
    assert [call.resource for call in later] == ["events"]


async def test_a_node_that_comes_wakes_what_it_can_take(api: MemoryApi) -> None:
    api.add(node("n1", cpu="1"), pod("big", cpu="2"), pod("huge", cpu="32"))
    async with running(api) as scheduler:
        await eventually(lambda: told(api, "big") and told(api, "huge"))
        await asyncio.sleep(60)
        began = api.clock.monotonic()
        api.add(node("n2", cpu="4"))
        await eventually(lambda: node_of(api, "big") == "n2")
        assert api.clock.monotonic() - began < 0.5
        found = condition(api, "huge")
        assert found is not None
        # The new node cannot take it, so it was not even tried.
        assert found.message.startswith("0/1 nodes")
        assert scheduler.queue.places == {"parked": 1}


async def test_room_that_a_pod_leaves_is_taken(api: MemoryApi) -> None:
    api.add(node("n1", cpu="1"), pod("first", cpu="1", on="n1"), pod("second", cpu="1"))
    async with running(api):
        await eventually(lambda: told(api, "second"))
        finished = api.get(core.Pod, "first", "default")
        finished.status.phase = "Succeeded"
        api.add(finished)
        await eventually(lambda: node_of(api, "second") == "n1")


async def test_a_message_that_changes_is_written_and_its_time_stays(api: MemoryApi) -> None:
    api.add(node("n1", cpu="1"), pod("big", cpu="2"))
    async with running(api):
        await eventually(lambda: told(api, "big"))
        first = condition(api, "big")
        await asyncio.sleep(60)
        api.add(node("n2", cpu="4", taints=[core.Taint(key="x", effect="NoSchedule")]))
        bigger = api.get(core.Pod, "big", "default")
        bigger.metadata.labels = {"new": "label"}
        api.add(bigger)
        second = await eventually(lambda: _with_message(api, "big", "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had"))
    assert first is not None
    assert second.lastTransitionTime == first.lastTransitionTime


def _with_message(api: MemoryApi, name: str, start: str) -> core.PodCondition:
    found = condition(api, name)
    assert found is not None
    assert found.message.startswith(start), found.message
    return found


async def test_gates_and_other_schedulers_are_respected(api: MemoryApi) -> None:
    api.add(node("n1"), pod("gated", schedulingGates=[core.PodSchedulingGate(name="wait")]), pod("other", schedulerName="mine"))
    async with running(api):
        await asyncio.sleep(400)
        assert api.writes() == []
        free = api.get(core.Pod, "gated", "default")
        free.spec.schedulingGates = []
        api.add(free)
        await eventually(lambda: node_of(api, "gated") == "n1")
    assert node_of(api, "other") == ""


async def test_the_important_come_first(api: MemoryApi) -> None:
    api.add(node("n1", cpu="1"), pod("low", cpu="1"), pod("high", cpu="1", priority=10))
    async with running(api):
        await eventually(lambda: node_of(api, "high") == "n1" and told(api, "low"))
    assert node_of(api, "low") == ""


async def test_another_scheduler_counts_what_the_first_placed(api: MemoryApi) -> None:
    api.add(node("n1", cpu="1"), node("n2", cpu="1"), pod("a", cpu="1"))
    async with running(api):
        await eventually(lambda: node_of(api, "a"))
    api.add(pod("b", cpu="1"), pod("c", cpu="1"))
    async with running(api):
        await eventually(lambda: node_of(api, "b") or node_of(api, "c"))
        await eventually(lambda: told(api, "b") or told(api, "c"))
    assert {node_of(api, name) for name in "abc"} == {"n1", "n2", ""}


async def test_only_the_leader_schedules(api: MemoryApi) -> None:
    api.add(node("n1"))
    first, second = (LeaderElector(api.client(), "kube-scheduler", name, clock=api.clock, rng=random.Random(1)) for name in "ab")
    async with running(api, elector=second):
        async with running(api, elector=first):
            api.add(pod("a"))
            await eventually(lambda: node_of(api, "a") == "n1")
            assert first.is_leader != second.is_leader
        api.add(pod("b"))
        await eventually(lambda: node_of(api, "b") == "n1")


async def test_events_may_come_in_any_order(api: MemoryApi) -> None:
    """Pods that are assigned to a node that is not known yet count as soon as it is."""
    api.add(pod("there", cpu="1", on="n1"), pod("wants", cpu="1"))
    async with running(api):
        await eventually(lambda: told(api, "wants"))
        found = condition(api, "wants")
        assert found is not None
        assert found.message == "no nodes available to schedule pods"
        api.add(node("n1", cpu="1"))
        await eventually(lambda: _with_message(api, "wants", "0/1 nodes are available: 1 Insufficient cpu."))


# ---- preemption ------------------------------------------------------------------------------------------------------------------------


async def test_a_pod_of_higher_priority_gets_the_place_of_one_of_lower(api: MemoryApi) -> None:
    api.add(node("n1", cpu="1"), pod("low", cpu="1", on="n1", priority=1))
    async with running(api):
        api.add(pod("high", cpu="1", priority=10))
        await eventually(lambda: _deleted(api, "low"))
        await eventually(lambda: "Preempted" in reasons(api))
        # As the kubelet does when the containers have ended.
        api.remove(core.Pod, "low", "default")
        await eventually(lambda: node_of(api, "high") == "n1")


async def test_the_room_is_kept_for_the_pod_it_was_made_for(api: MemoryApi) -> None:
    victim = pod("low", cpu="1", on="n1", priority=1)
    victim.metadata.finalizers = ["example.com/wait"]
    api.add(node("n1", cpu="1"), victim)
    async with running(api):
        api.add(pod("high", cpu="1", priority=10))
        await eventually(lambda: api.get(core.Pod, "high", "default").status.nominatedNodeName == "n1")
        leaving = await eventually(lambda: _deleted(api, "low"))
        assert [(one.type, one.reason) for one in leaving.status.conditions] == [("DisruptionTarget", "PreemptionByScheduler")]
        api.add(pod("sneaky", cpu="1", priority=5))
        await eventually(lambda: told(api, "sneaky"))
        await asyncio.sleep(30)
        assert node_of(api, "high") == ""
        api.remove(core.Pod, "low", "default")
        await eventually(lambda: node_of(api, "high") == "n1")
    assert node_of(api, "sneaky") == ""


def _deleted(api: MemoryApi, name: str) -> core.Pod:
    found = api.get(core.Pod, name, "default")
    assert found.metadata.deletionTimestamp is not None
    return found


async def test_a_new_scheduler_keeps_the_promise_of_the_last(api: MemoryApi) -> None:
    promised = pod("high", cpu="1", priority=10, schedulingGates=[core.PodSchedulingGate(name="wait")])
    promised.status.nominatedNodeName = "n1"
    api.add(node("n1", cpu="1"), promised, pod("low", cpu="1", priority=1))
    async with running(api):
        await eventually(lambda: told(api, "low"))
        await asyncio.sleep(30)
    assert node_of(api, "low") == ""


async def test_those_who_may_not_preempt_say_so(api: MemoryApi) -> None:
    api.add(node("n1", cpu="1"), pod("low", cpu="1", on="n1", priority=1), pod("polite", cpu="1", priority=10, preemptionPolicy="Never"))
    async with running(api):
        wanted = "0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never."
        await eventually(lambda: _with_message(api, "polite", wanted))
    assert node_of(api, "low") == "n1"


async def test_reports_no_nodes_available(api: MemoryApi) -> None:
    api.add(
        node("n1", cpu="1"),
        pod("equal", cpu="1", on="n1"),
        pod("p", cpu="1"),
        node("n2", taints=[core.Taint(key="x", effect="NoSchedule")]),
    )
    async with running(api):
        wanted = (
            "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s). preemption: 0/2 nodes are available: "
            "1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling."
        )
        await eventually(lambda: _with_message(api, "p", wanted))


async def test_budgets_decide_between_victims(api: MemoryApi) -> None:
    api.add(
        node("n1", cpu="1"),
        node("n2", cpu="1"),
        pod("guarded", cpu="1", on="n1", priority=1, labels={"app": "db"}),
        pod("free", cpu="1", on="n2", priority=2),
        policy.PodDisruptionBudget(
            metadata=meta.ObjectMeta(name="db", namespace="default"),
            spec=policy.PodDisruptionBudgetSpec(selector=meta.LabelSelector(matchLabels={"app": "db"})),
        ),
    )
    async with running(api):
        api.add(pod("high", cpu="1", priority=10))
        await eventually(lambda: _deleted(api, "free"))
    assert api.get(core.Pod, "guarded", "default").metadata.deletionTimestamp is None


async def test_an_uncordoned_node_takes_pods_although_its_taint_goes_a_moment_later(api: MemoryApi) -> None:
    taint = core.Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")
    api.add(node("n1", unschedulable=True, taints=[taint]), pod("a"))
    client = api.client()
    async with running(api):
        await eventually(lambda: told(api, "a"))
        for change in ({"unschedulable": None}, {"taints": None}):
            await asyncio.sleep(20)
            began = api.clock.monotonic()
            await client.patch(core.Node, "n1", body={"spec": change})
        await eventually(lambda: node_of(api, "a") == "n1")
        assert api.clock.monotonic() - began < 30
    await client.close()
