"""The DaemonSet loop against an API server in memory that loses requests and answers, lags, and outlives the loop; in virtual time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager

import pytest

from tests.unit.controllers.daemonset.make import daemon_set, node
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import is_active
from tiphys.api.machinery import base, errors
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.client.client import Client
from tiphys.controllers.daemonset.controller import DaemonSetController
from tiphys.controllers.daemonset.placement import TEMPLATE_GENERATION
from tiphys.controllers.shared.revisions import HASH_LABEL
from tiphys.runtime import Manager
from tiphys.testing import eventually
from tiphys.testing.calls import Call
from tiphys.testing.faults import Fault, Faults
from tiphys.testing.loops import running_loops
from tiphys.testing.memory_api import MemoryApi
from tiphys.testing.watch_stream import WatchStream

pytestmark = pytest.mark.looptime

NODES = 6


def target(pod: core.Pod) -> str:
    """Return the node that the scheduler would choose."""
    assert pod.spec.affinity is not None
    assert pod.spec.affinity.nodeAffinity is not None
    required = pod.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution
    assert required is not None
    return required.nodeSelectorTerms[0].matchFields[0].values[0]


class World:
    """The server, and scheduler and kubelets that act when they are told to."""

    def __init__(self, api: MemoryApi, seed: int = 0) -> None:
        self.api = api
        self.rng = random.Random(seed)
        self.failing: Callable[[core.Pod], bool] = lambda pod: False
        self._begun = api.revision
        for number in range(NODES):
            self.api.add(node(f"n{number}"))

    def loop(self, client: Client | None = None) -> AbstractAsyncContextManager[Manager]:
        """The loop, killed at the end without a word."""
        return running_loops(client or self.api.client(), DaemonSetController)

    def add(self, made: apps.DaemonSet) -> None:
        self.api.add(made)

    def roll(self, image: str) -> None:
        """Change the template as the server does."""
        found = self.api.get(apps.DaemonSet, "web", "default")
        found.spec.template.spec.containers[0].image = image
        found.metadata.generation += 1
        found.metadata.annotations[TEMPLATE_GENERATION] = str(int(found.metadata.annotations[TEMPLATE_GENERATION]) + 1)
        self.api.add(found)

    def act(self, share: float = 1.0) -> None:
        """Bind, run, and remove pods: all of them, or a share by chance."""
        now = base.time(self.api.clock.now())
        for pod in self.api.list(core.Pod):
            if self.rng.random() >= share:
                continue
            if pod.metadata.deletionTimestamp is not None:
                self.api.remove(core.Pod, pod.metadata.name, "default")
            elif not pod.spec.nodeName:
                pod.spec.nodeName = target(pod)
                self.api.add(pod)
            elif pod.status.phase in ("", "Pending"):
                failed = self.failing(pod)
                pod.status.phase = "Failed" if failed else "Running"
                pod.status.conditions = [core.PodCondition(type="Ready", status=str(not failed), lastTransitionTime=now)]
                self.api.add(pod)

    def images(self) -> Counter[str]:
        return Counter(pod.spec.containers[0].image for pod in self.api.list(core.Pod) if is_active(pod))

    def is_done(self, image: str) -> bool:
        """Return whether a pod of this image is ready on every node, and the status says so."""
        status = self.api.get(apps.DaemonSet, "web", "default").status
        ready = (status.numberAvailable, status.updatedNumberScheduled, status.desiredNumberScheduled) == (NODES, NODES, NODES)
        return ready and dict(self.images()) == {image: NODES} and len(self.api.list(core.Pod)) == NODES

    async def settle(self, image: str, share: float = 1.0) -> None:
        """Let time pass until everything is done."""
        for _ in range(2000):
            self.act(share)
            await self.api.clock.sleep(0.2)
            if self.is_done(image):
                return
        raise AssertionError(f"{self.images()}, {self.api.get(apps.DaemonSet, 'web', 'default').status}")

    async def check_history(self, *, most: int = 1, unavailable: int | None = None) -> None:
        """Check at every moment that no node had two active pods (of one template), and that enough were ready once they had been."""
        pods: dict[str, core.Pod] = {}
        full = False
        client = self.api.client(faults=Faults(clock=self.api.clock))
        changes = [change async for change in client.watch(core.Pod, resource_version=str(self._begun), bookmarks=False, timeout=1)]
        assert changes
        for change in changes:
            meta = change.object.metadata
            pods[meta.name] = change.object
            if change.type == "DELETED":
                del pods[meta.name]
            active = [pod for pod in pods.values() if is_active(pod)]
            places = Counter(pod.spec.nodeName or target(pod) for pod in active)
            assert not places or max(places.values()) <= most, f"revision {meta.resourceVersion}: {places}"
            kinds = Counter((pod.spec.nodeName or target(pod), pod.metadata.labels[HASH_LABEL]) for pod in active)
            assert not kinds or max(kinds.values()) <= 1, f"revision {meta.resourceVersion}: {kinds}"
            ready = {pod.spec.nodeName for pod in active if any(one.status == "True" for one in pod.status.conditions)}
            full = full or len(ready) == NODES
            assert not full or unavailable is None or NODES - len(ready) <= unavailable, f"revision {meta.resourceVersion}: {ready}"

    def lose(self, requests: float, answers: float) -> None:
        """Lose a share of the writes on their way there, and the answers to a share of the others on their way back."""

        def chance(share: float) -> Callable[[Call], bool]:
            return lambda call: call.writes and call.resource != "events" and self.rng.random() < share

        self.api.faults.fail(chance(requests), ConnectionError("the request was lost"), times=None)
        self.api.faults.lose_answers(chance(answers), times=None)

    def hold(self, watches: Iterable[WatchStream]) -> Fault:
        """Hold back the events of open watches, not of those that follow them."""
        calls = {id(watch.call): watch.call for watch in watches}
        return self.api.faults.hold_events(lambda call: id(call) in calls)

    def hide_pods(self) -> None:
        """Hold back all events about pods, until the watches end."""
        watches = [watch for watch in self.api.faults.watches if watch.call.resource == "pods"]
        assert watches
        self.hold(watches)

    async def create_behind_the_cache(self) -> None:
        """Create a DaemonSet; its pods are made once although the loop's cache does not show them, which it does afterwards."""
        self.hide_pods()
        self.add(daemon_set())
        await eventually(lambda: self.images()["a"] == NODES)
        await self.touch()
        assert self.images()["a"] == NODES
        self.api.faults.end_watches()

    async def touch(self, times: int = 20) -> None:
        """Give the loop reasons to look again."""
        for number in range(times):
            found = self.api.get(apps.DaemonSet, "web", "default")
            found.metadata.annotations["touched"] = str(number)
            self.api.add(found)
            await self.api.clock.sleep(1.0)

    def sent(self, verb: str) -> int:
        """Return the number of requests about pods."""
        return len([call for call in self.api.calls if (call.verb, call.resource) == (verb, "pods")])


UPDATES = pytest.mark.parametrize(
    ("made", "most", "unavailable"),
    [(daemon_set(unavailable=2), 1, 2), (daemon_set(unavailable=0, surge="34%"), 2, 0)],
    ids=["unavailable", "surge"],
)


@UPDATES
async def test_pods_are_made_and_rolled_out(api: MemoryApi, made: apps.DaemonSet, most: int, unavailable: int) -> None:
    world = World(api)
    world.add(made)
    async with world.loop() as manager:
        await world.settle("a")
        assert world.sent("create") == NODES
        world.roll("b")
        await world.settle("b")
        await eventually(lambda: manager.idle)
        writes = len(world.api.writes())
        await world.api.clock.sleep(3600)
        assert len(world.api.writes()) == writes
    await world.check_history(most=most, unavailable=unavailable)


async def test_own_pods_that_the_cache_does_not_show_are_not_made_again(api: MemoryApi) -> None:
    world = World(api)
    async with world.loop() as manager:
        await eventually(lambda: manager.synced)
        await world.create_behind_the_cache()
        await world.settle("a")
    await world.check_history()


async def test_pods_whose_answers_were_lost_are_not_made_again(api: MemoryApi) -> None:
    world = World(api)
    world.lose(0.0, answers=1.0)
    async with world.loop() as manager:
        await eventually(lambda: manager.synced)
        await world.create_behind_the_cache()
        await world.touch(5)
    await world.check_history()


async def test_pods_that_became_ready_unseen_wait_for_their_turn(api: MemoryApi) -> None:
    """The cache shows them as not ready, and such pods are replaced without counting."""
    world = World(api)
    async with world.loop():
        world.add(daemon_set(unavailable=1))
        await eventually(lambda: world.images()["a"] == NODES)
        world.hide_pods()
        world.act()
        world.act()
        world.roll("b")
        await world.touch(5)
        assert world.images() == Counter({"a": NODES})
        world.api.faults.end_watches()
        await world.settle("b")
    await world.check_history(unavailable=1)


async def test_own_deletions_that_the_cache_does_not_show_are_not_repeated(api: MemoryApi) -> None:
    world = World(api)
    world.add(daemon_set(unavailable=2))
    async with world.loop():
        await world.settle("a")
        world.hide_pods()
        world.api.add(node("n0", ("broken", "NoExecute")))
        world.roll("b")
        await world.touch()
        # The pod of that node, and as many others as may be missing.
        assert world.sent("delete") == 3


async def test_nodes_are_followed_but_their_heartbeats_are_not(api: MemoryApi) -> None:
    world = World(api)
    world.add(daemon_set(pod_spec={"nodeSelector": {"color": "blue"}}))
    async with world.loop() as manager:
        await eventually(lambda: world.api.get(apps.DaemonSet, "web", "default").status.observedGeneration == 3)
        assert world.images() == Counter()
        world.api.add(node("n1", color="blue"))
        await eventually(lambda: world.images()["a"] == 1)
        world.act()
        world.act()
        await eventually(lambda: world.api.get(apps.DaemonSet, "web", "default").status.numberAvailable == 1)
        await eventually(lambda: manager.idle)
        (loop,) = manager.loops
        reconciled: list[object] = []
        loop.ctx.queue.add = reconciled.append  # type: ignore[method-assign, assignment]
        for beat in range(50):
            beating = world.api.get(core.Node, "n1")
            beating.status.conditions = [core.NodeCondition(type="Ready", status="True", message=str(beat))]
            world.api.add(beating)
            # A label that the DaemonSet does not look at, and a taint that its pods tolerate.
            world.api.add(node("n2", ("node.kubernetes.io/disk-pressure", "NoSchedule"), size=str(beat)))
        await world.api.clock.sleep(10)
        assert reconciled == []
        del loop.ctx.queue.add
        world.api.add(node("n1", color="red"), node("n3", color="blue"))
        await eventually(lambda: [target(pod) for pod in world.api.list(core.Pod) if is_active(pod)] == ["n3"])
        world.api.remove(core.Node, "n3")
        await eventually(lambda: world.images() == Counter())
        await eventually(lambda: world.api.get(apps.DaemonSet, "web", "default").status.desiredNumberScheduled == 0)


async def test_failing_pods_are_replaced_ever_more_slowly(api: MemoryApi) -> None:
    world = World(api)
    world.failing = lambda pod: pod.spec.nodeName == "n0"
    world.add(daemon_set())
    async with world.loop():
        begun = world.api.clock.monotonic()
        while world.api.clock.monotonic() - begun < 600:
            world.act()
            await world.api.clock.sleep(0.2)
        assert NODES + 6 <= world.sent("create") <= NODES + 12
        told = [event for event in world.api.list(core.Event) if event.reason == "FailedDaemonPod"]
        assert told
        assert all("on node n0, will try to kill it" in event.message for event in told)
        # Another template is tried at once.
        world.failing = lambda pod: False
        world.roll("b")
        await world.settle("b")


async def test_pods_that_are_refused_stop_a_rollout(api: MemoryApi) -> None:
    world = World(api)
    world.add(daemon_set(unavailable=3))
    async with world.loop():
        await world.settle("a")
        world.api.faults.fail("create pods", errors.Forbidden("exceeded quota"), times=None)
        (lost, *_) = world.api.list(core.Pod)
        world.api.remove(core.Pod, lost.metadata.name, "default")
        world.roll("b")
        before = world.sent("create")
        for _ in range(100):
            world.act()
            await world.api.clock.sleep(1.0)
        # Two more could be missing, but nothing that is deleted could be replaced.
        assert world.images() == Counter({"a": NODES - 1})
        assert world.sent("create") - before < 30


async def test_revisions_with_equal_data_are_merged(api: MemoryApi) -> None:
    world = World(api)
    world.add(daemon_set())
    async with world.loop():
        await world.settle("a")
    (first,) = world.api.list(apps.ControllerRevision)
    meta = ObjectMeta(name="web-other", namespace="default", labels={**first.metadata.labels, HASH_LABEL: "other"})
    meta.ownerReferences = first.metadata.ownerReferences
    world.api.add(apps.ControllerRevision(metadata=meta, data=first.data, revision=5))
    before = {pod.metadata.uid for pod in world.api.list(core.Pod)}
    async with world.loop() as manager:
        await eventually(lambda: [one.metadata.name for one in world.api.list(apps.ControllerRevision)] == ["web-other"])
        await eventually(lambda: manager.idle)
        pods = world.api.list(core.Pod)
        assert {pod.metadata.uid for pod in pods} == before
        assert {pod.metadata.labels[HASH_LABEL] for pod in pods} == {"other"}


async def test_old_revisions_are_forgotten_unless_pods_are_of_them(api: MemoryApi) -> None:
    world = World(api)
    world.add(daemon_set(strategy="OnDelete", revisionHistoryLimit=1))
    async with world.loop() as manager:
        await world.settle("a")
        for image in "bcd":
            world.roll(image)
            await world.api.clock.sleep(1.0)
            await eventually(lambda: manager.idle)
        numbers = [one.revision for one in world.api.list(apps.ControllerRevision)]
        # Of the three former ones two are too many, but pods are of the first.
        assert sorted(numbers) == [1, 4]
        assert world.images() == Counter({"a": NODES})


async def test_a_selector_of_everything_does_nothing_but_tell(api: MemoryApi) -> None:
    world = World(api)
    made = daemon_set()
    assert made.spec.selector is not None
    made.spec.selector.matchLabels = {}
    world.add(made)
    async with world.loop():
        event = (await eventually(lambda: world.api.list(core.Event)))[0]
        assert (event.type, event.reason) == ("Warning", "SelectingAll")
        assert world.images() == Counter()
