"""DaemonSets against the real API server and scheduler, with nodes made by hand; the tests play the kubelets.

Names of upstream's conformance tests are in docs/conformance.md, beside the tests here that prove the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.integration.controllers.conftest import Cluster
from tests.integration.controllers.make import template
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import is_active
from tiphys.api.machinery.base import IntOrString, Quantity
from tiphys.api.machinery.errors import Conflict, NotFound
from tiphys.api.meta.v1 import LabelSelector, ObjectMeta
from tiphys.controllers.shared.revisions import HASH_LABEL
from tiphys.runtime import controller_of
from tiphys.scheduler.scheduler import Scheduler
from tiphys.testing import eventually
from tiphys.testing.api_server import running_api_server
from tiphys.testing.kubectl import Kubectl


def daemon_set(
    name: str = "web", *, unavailable: IntOrString = 1, surge: IntOrString = 0, strategy: str = "RollingUpdate", **spec: object
) -> apps.DaemonSet:
    rolling = apps.RollingUpdateDaemonSet(maxUnavailable=unavailable, maxSurge=surge) if strategy == "RollingUpdate" else None
    wanted = apps.DaemonSetSpec(
        selector=LabelSelector(matchLabels={"app": name}),
        template=template(name),
        updateStrategy=apps.DaemonSetUpdateStrategy(type=strategy, rollingUpdate=rolling),
        **spec,  # type: ignore[arg-type]
    )
    return apps.DaemonSet(metadata=ObjectMeta(name=name, namespace="default", labels={"app": name}), spec=wanted)


class Daemons:
    """A cluster with a scheduler, and kubelets that run pods as `phase` says: Running pods are ready at once."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.client = cluster.client
        self.phase: Callable[[core.Pod], str] = lambda pod: "Running"

    async def add_node(self, name: str, **labels: str) -> None:
        room = {"cpu": Quantity("4"), "memory": Quantity("4Gi"), "pods": Quantity("110")}
        status = core.NodeStatus(capacity=room, allocatable=room)
        await self.cluster.report(await self.client.create(core.Node(metadata=ObjectMeta(name=name, labels=labels), status=status)))

    async def label(self, node: str, **labels: str | None) -> None:
        await self.client.patch(core.Node, node, body={"metadata": {"labels": labels}})

    async def run_kubelets(self) -> None:
        async for event in self.client.watch(core.Pod):
            if event.type != "DELETED" and event.object.spec.nodeName:
                with suppress(NotFound, Conflict):  # Then it has changed, and another event follows.
                    await self._play(event.object)

    async def _play(self, pod: core.Pod) -> None:
        meta = pod.metadata
        if meta.deletionTimestamp is not None:
            await self.client.delete(core.Pod, meta.name, meta.namespace, grace=0)
        elif pod.status.phase == "Pending" and (phase := self.phase(pod)) != "Pending":
            if phase == "Running":
                await self.cluster.make_ready(pod)
            else:
                await self.client.patch(core.Pod, meta.name, meta.namespace, body={"status": {"phase": phase}}, subresource="status")

    async def update(self, **spec: object) -> None:
        await self.client.patch(apps.DaemonSet, "web", "default", body={"spec": spec}, kind="strategic")

    async def set_image(self, image: str) -> None:
        await self.update(template={"spec": {"containers": [{"name": "main", "image": image}]}})

    async def active(self) -> list[core.Pod]:
        return [pod for pod in await self.cluster.pods() if is_active(pod)]

    async def places(self) -> list[str]:
        return sorted(pod.spec.nodeName for pod in await self.active())

    async def status_is(self, **wanted: int) -> apps.DaemonSet:
        async def check() -> apps.DaemonSet:
            found = await self.client.get(apps.DaemonSet, "web", "default")
            assert {field: getattr(found.status, field) for field in wanted} == wanted
            assert found.status.observedGeneration == found.metadata.generation
            return found

        return await eventually(check)

    async def runs_on(self, *nodes: str) -> None:
        """Wait until there is one ready pod on each of these nodes and none elsewhere."""

        async def check() -> bool:
            assert await self.places() == sorted(nodes)
            return True

        await eventually(check)
        count = len(nodes)
        await self.status_is(desiredNumberScheduled=count, numberReady=count, numberAvailable=count, numberMisscheduled=0)

    async def revisions(self) -> list[apps.ControllerRevision]:
        found = (await self.client.list(apps.ControllerRevision, "default")).items
        return sorted(found, key=lambda revision: revision.revision)


@asynccontextmanager
async def running_daemons(cluster: Cluster, *nodes: str) -> AsyncIterator[Daemons]:
    daemons = Daemons(cluster)
    client = cluster.client_for("system:kube-scheduler")
    scheduler = Scheduler(client, clock=client.clock, rng=client.rng)
    async with cluster.controllers():
        for name in nodes:
            await daemons.add_node(name)
        await eventually(lambda: cluster.has_account("default"))
        tasks = [asyncio.create_task(scheduler.run()), asyncio.create_task(daemons.run_kubelets())]
        try:
            yield daemons
            assert not [task for task in tasks if task.done()]
        finally:
            for task in tasks:
                await cancel_and_wait(task)


@pytest.fixture
async def daemons(cluster: Cluster) -> AsyncIterator[Daemons]:
    async with running_daemons(cluster, "n1", "n2", "n3") as made:
        yield made


async def test_every_node_has_one_and_a_deleted_one_is_replaced(daemons: Daemons) -> None:
    made = await daemons.client.create(daemon_set())
    await daemons.runs_on("n1", "n2", "n3")
    pods = await daemons.active()
    (revision,) = await daemons.revisions()
    for pod in pods:
        owner = controller_of(pod)
        assert owner is not None
        assert (owner.kind, owner.name, owner.uid) == ("DaemonSet", "web", made.metadata.uid)
        assert pod.metadata.labels[HASH_LABEL] == revision.metadata.labels[HASH_LABEL]
        assert pod.metadata.labels["pod-template-generation"] == "1"
    victim = pods[0]
    await daemons.client.delete(core.Pod, victim.metadata.name, "default")

    async def replaced() -> bool:
        return victim.metadata.uid not in {pod.metadata.uid for pod in await daemons.active()} and len(await daemons.active()) == 3

    await eventually(replaced)
    await daemons.runs_on("n1", "n2", "n3")
    events = (await daemons.client.list(core.Event, "default")).items
    told = [event for event in events if event.reason == "SuccessfulCreate" and event.involvedObject.kind == "DaemonSet"]
    assert told
    assert told[0].source.component == "daemonset-controller"


async def test_labels_of_nodes_decide(daemons: Daemons) -> None:
    made = daemon_set()
    made.spec.template.spec.nodeSelector = {"color": "blue"}
    await daemons.client.create(made)
    await daemons.status_is(desiredNumberScheduled=0)
    assert await daemons.active() == []
    await daemons.label("n1", color="blue")
    await daemons.runs_on("n1")
    await daemons.label("n1", color="green")
    await daemons.runs_on()
    await daemons.update(template={"spec": {"nodeSelector": {"color": "green"}}})
    await daemons.runs_on("n1")
    await daemons.add_node("n4", color="green")
    await daemons.runs_on("n1", "n4")


async def test_node_affinity_decides(daemons: Daemons) -> None:
    made = daemon_set()
    requirement = core.NodeSelectorRequirement(key="color", operator="In", values=["blue"])
    selector = core.NodeSelector(nodeSelectorTerms=[core.NodeSelectorTerm(matchExpressions=[requirement])])
    made.spec.template.spec.affinity = core.Affinity(
        nodeAffinity=core.NodeAffinity(requiredDuringSchedulingIgnoredDuringExecution=selector)
    )
    await daemons.client.create(made)
    await daemons.status_is(desiredNumberScheduled=0)
    await daemons.label("n2", color="blue")
    await daemons.runs_on("n2")
    await daemons.label("n2", color=None)
    await daemons.runs_on()


async def test_taints_and_cordons_decide(daemons: Daemons) -> None:
    taint = [{"key": "dedicated", "value": "x", "effect": "NoSchedule"}]
    await daemons.client.patch(core.Node, "n2", body={"spec": {"taints": taint}})
    # A cordoned node takes daemon pods all the same.
    await daemons.client.patch(core.Node, "n3", body={"spec": {"unschedulable": True}})
    await daemons.client.create(daemon_set())
    await daemons.runs_on("n1", "n3")
    await daemons.client.patch(core.Node, "n2", body={"spec": {"taints": []}})
    await daemons.runs_on("n1", "n2", "n3")
    # A pod that is there may stay, but counts as out of place.
    await daemons.client.patch(core.Node, "n2", body={"spec": {"taints": taint}})
    await daemons.status_is(desiredNumberScheduled=2, numberMisscheduled=1, numberAvailable=2)
    assert await daemons.places() == ["n1", "n2", "n3"]
    taint[0]["effect"] = "NoExecute"
    await daemons.client.patch(core.Node, "n2", body={"spec": {"taints": taint}})
    await daemons.runs_on("n1", "n3")


async def test_a_pod_waits_for_room_on_its_own_node(daemons: Daemons) -> None:
    await daemons.add_node("small")
    crowd = core.Pod(
        metadata=ObjectMeta(name="crowd", namespace="default"),
        spec=core.PodSpec(
            nodeName="small",
            containers=[
                core.Container(name="main", image="busybox:1", resources=core.ResourceRequirements(requests={"cpu": Quantity("4")}))
            ],
        ),
    )
    await daemons.client.create(crowd)
    made = daemon_set()
    made.spec.template.spec.containers[0].resources.requests = {"cpu": Quantity("1")}
    await daemons.client.create(made)
    await daemons.status_is(desiredNumberScheduled=4, currentNumberScheduled=4, numberAvailable=3, numberUnavailable=1)
    (waiting,) = [pod for pod in await daemons.active() if not pod.spec.nodeName]

    async def told() -> str:
        found = await daemons.client.get(core.Pod, waiting.metadata.name, "default")
        return next((one.message for one in found.status.conditions if one.reason == "Unschedulable"), "")

    message = await eventually(told)
    assert "3 node(s) didn't satisfy plugin(s) [NodeAffinity]" in message
    assert "1 Insufficient cpu" in message
    await daemons.client.delete(core.Pod, "crowd", "default", grace=0)
    await daemons.status_is(numberAvailable=4)


async def test_nodes_come_and_go(daemons: Daemons) -> None:
    await daemons.client.create(daemon_set())
    await daemons.runs_on("n1", "n2", "n3")
    await daemons.add_node("n4")
    await daemons.runs_on("n1", "n2", "n3", "n4")
    await daemons.client.delete(core.Node, "n4")
    await daemons.status_is(desiredNumberScheduled=3, numberAvailable=3)


async def test_failed_pods_are_replaced(daemons: Daemons) -> None:
    await daemons.client.create(daemon_set())
    await daemons.runs_on("n1", "n2", "n3")
    victim = (await daemons.active())[0]
    await daemons.client.patch(core.Pod, victim.metadata.name, "default", body={"status": {"phase": "Failed"}}, subresource="status")

    async def replaced() -> bool:
        return victim.metadata.uid not in {pod.metadata.uid for pod in await daemons.cluster.pods()}

    await eventually(replaced)
    await daemons.runs_on("n1", "n2", "n3")

    async def told() -> bool:
        events = (await daemons.client.list(core.Event, "default")).items
        text = f"Found failed daemon pod default/{victim.metadata.name} on node {victim.spec.nodeName}, will try to kill it"
        return any((event.type, event.reason, event.message) == ("Warning", "FailedDaemonPod", text) for event in events)

    await eventually(told)


async def test_on_delete_leaves_pods_alone(daemons: Daemons) -> None:
    await daemons.client.create(daemon_set(strategy="OnDelete"))
    await daemons.runs_on("n1", "n2", "n3")
    await daemons.set_image("busybox:2")
    await daemons.status_is(updatedNumberScheduled=0, numberAvailable=3)
    assert [revision.revision for revision in await daemons.revisions()] == [1, 2]
    assert {pod.spec.containers[0].image for pod in await daemons.active()} == {"busybox:1"}
    await daemons.client.delete(core.Pod, (await daemons.active())[0].metadata.name, "default")
    await daemons.status_is(updatedNumberScheduled=1, numberAvailable=3)


async def watch_pods(daemons: Daemons, least: int, most: int, done: asyncio.Event) -> None:
    """Follow every change and check that there are always enough ready pods and never too many active ones."""
    pods: dict[str, core.Pod] = {}
    full = False
    async for event in daemons.client.watch(core.Pod, "default"):
        meta = event.object.metadata
        pods[meta.uid] = event.object
        if event.type == "DELETED":
            del pods[meta.uid]
        active = [pod for pod in pods.values() if is_active(pod)]
        ready = [pod for pod in active if any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions)]
        assert len(active) <= most
        full = full or len(ready) >= least
        assert not full or len(ready) >= least
        if done.is_set():
            return


@pytest.mark.parametrize(("unavailable", "surge", "least", "most"), [(1, 0, 2, 3), ("50%", 0, 1, 3), (0, 1, 3, 4)])
async def test_a_rolling_update_stays_within_its_bounds(
    daemons: Daemons, unavailable: IntOrString, surge: IntOrString, least: int, most: int
) -> None:
    await daemons.client.create(daemon_set(unavailable=unavailable, surge=surge))
    await daemons.runs_on("n1", "n2", "n3")
    done = asyncio.Event()
    watching = asyncio.create_task(watch_pods(daemons, least, most, done))
    await asyncio.sleep(0)
    await daemons.set_image("busybox:2")
    await daemons.status_is(updatedNumberScheduled=3, numberAvailable=3)
    await daemons.runs_on("n1", "n2", "n3")
    assert {pod.spec.containers[0].image for pod in await daemons.active()} == {"busybox:2"}
    assert [revision.revision for revision in await daemons.revisions()] == [1, 2]
    hashes = {pod.metadata.labels[HASH_LABEL] for pod in await daemons.active()}
    assert hashes == {(await daemons.revisions())[-1].metadata.labels[HASH_LABEL]}
    done.set()
    await daemons.client.patch(core.Pod, (await daemons.active())[0].metadata.name, "default", body={"metadata": {"labels": {"seen": "y"}}})
    await watching


async def test_a_rollback_restarts_no_pod_without_need(daemons: Daemons) -> None:
    await daemons.client.create(daemon_set())
    await daemons.runs_on("n1", "n2", "n3")
    before = {pod.metadata.uid: pod.metadata.labels[HASH_LABEL] for pod in await daemons.active()}
    # The new image cannot be pulled: one node is down, and no more.
    daemons.phase = lambda pod: "Pending" if pod.spec.containers[0].image == "foo:missing" else "Running"
    await daemons.set_image("foo:missing")
    await daemons.status_is(updatedNumberScheduled=1, numberAvailable=2)
    kept = {pod.metadata.uid for pod in await daemons.active()} & before.keys()
    assert len(kept) == 2
    await daemons.set_image("busybox:1")
    await daemons.status_is(updatedNumberScheduled=3, numberAvailable=3)
    after = {pod.metadata.uid: pod.metadata.labels[HASH_LABEL] for pod in await daemons.active()}
    assert kept <= after.keys()
    # The old revision is the current one again, under a new number.
    assert set(after.values()) == set(before.values())
    assert [revision.revision for revision in await daemons.revisions()] == [2, 3]


async def test_pods_become_available_after_a_while(daemons: Daemons) -> None:
    await daemons.client.create(daemon_set(minReadySeconds=2))
    await daemons.status_is(numberReady=3, numberAvailable=0, numberUnavailable=3)
    await daemons.status_is(numberReady=3, numberAvailable=3, numberUnavailable=0)


async def test_orphans_are_adopted_and_strays_released(daemons: Daemons) -> None:
    await daemons.client.create(daemon_set())
    await daemons.runs_on("n1", "n2", "n3")
    before = {pod.metadata.uid for pod in await daemons.active()}
    await daemons.client.delete(apps.DaemonSet, "web", "default", propagation="Orphan")

    async def orphaned() -> bool:
        owned = [*await daemons.active(), *await daemons.revisions()]
        return len(owned) == 4 and all(controller_of(obj) is None for obj in owned)

    await eventually(orphaned)
    made = await daemons.client.create(daemon_set())
    await daemons.status_is(numberAvailable=3, updatedNumberScheduled=3)
    assert {pod.metadata.uid for pod in await daemons.active()} == before
    owners = [controller_of(obj) for obj in (*await daemons.active(), *await daemons.revisions())]
    assert {owner.uid for owner in owners if owner is not None} == {made.metadata.uid}
    assert None not in owners
    stray = (await daemons.active())[0]
    await daemons.client.patch(core.Pod, stray.metadata.name, "default", body={"metadata": {"labels": {"app": "other"}}})

    async def released() -> bool:
        found = await daemons.client.get(core.Pod, stray.metadata.name, "default")
        return controller_of(found) is None and len(await daemons.active()) == 4

    await eventually(released)


async def test_a_status_that_others_write_stays(daemons: Daemons) -> None:
    await daemons.client.create(daemon_set())
    await daemons.runs_on("n1", "n2", "n3")
    condition = {"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "Set from e2e test"}
    body = {"status": {"conditions": [condition]}}
    await daemons.client.patch(apps.DaemonSet, "web", "default", body=body, subresource="status")
    await daemons.add_node("n4")
    found = await daemons.status_is(numberAvailable=4)
    assert [(one.type, one.message) for one in found.status.conditions] == [("StatusUpdate", "Set from e2e test")]


async def test_a_collection_is_listed_and_deleted(daemons: Daemons) -> None:
    await daemons.client.create(daemon_set())
    await daemons.client.create(daemon_set("other"))
    await eventually(lambda: count(daemons, 6))
    assert [one.metadata.name for one in (await daemons.client.list(apps.DaemonSet, labels="app=web")).items] == ["web"]
    await daemons.client.delete_collection(apps.DaemonSet, "default", labels="app=web")
    await eventually(lambda: count(daemons, 3))
    assert [one.metadata.name for one in (await daemons.client.list(apps.DaemonSet, "default")).items] == ["other"]


async def count(daemons: Daemons, number: int) -> bool:
    return len(await daemons.cluster.pods()) == number


async def test_the_life_of_controller_revisions(daemons: Daemons) -> None:
    """The steps of upstream's test of ControllerRevisions."""
    client = daemons.client
    made = await client.create(daemon_set())
    await daemons.runs_on("n1", "n2", "n3")
    (first,) = (await client.list(apps.ControllerRevision, labels="app=web")).items
    body = {"metadata": {"labels": {"mine": "patched"}}}
    patched = await client.patch(apps.ControllerRevision, first.metadata.name, "default", body=body)
    assert patched.metadata.labels["mine"] == "patched"
    second = apps.ControllerRevision(
        metadata=ObjectMeta(
            name="web-other",
            namespace="default",
            labels={"app": "web", HASH_LABEL: "other"},
            ownerReferences=first.metadata.ownerReferences,
        ),
        data=first.data,
        revision=first.revision + 1,
    )
    second = await client.create(second)
    assert len(await daemons.revisions()) == 2
    await client.delete(apps.ControllerRevision, first.metadata.name, "default")
    assert [one.metadata.name for one in await daemons.revisions()] == ["web-other"]
    second.metadata.labels["mine"] = "updated"
    second = await client.update(second)
    await daemons.update(template={"spec": {"terminationGracePeriodSeconds": 1}})

    async def numbers() -> list[int]:
        return [one.revision for one in await daemons.revisions()]

    async def has_three() -> bool:
        return await numbers() == [2, 3]

    await eventually(has_three)
    await client.delete_collection(apps.ControllerRevision, "default", labels="mine=updated")
    assert await numbers() == [3]
    assert controller_of((await daemons.revisions())[0]) == controller_of(first)
    assert made.metadata.uid == controller_of(first).uid  # type: ignore[union-attr]
    await daemons.status_is(updatedNumberScheduled=3, numberAvailable=3)


async def test_a_restart_in_the_middle_makes_no_extra_pods(cluster: Cluster) -> None:
    nodes = [f"n{number}" for number in range(30)]
    async with cluster.controllers():
        await eventually(lambda: cluster.has_account("default"))
    for name in nodes:
        await cluster.add_node(name)
    await cluster.client.create(daemon_set())
    for _ in range(5):
        async with cluster.controllers():
            await asyncio.sleep(0)
        assert len(await cluster.pods()) <= 30
    async with cluster.controllers() as manager:
        await eventually(lambda: everywhere(cluster, 30))
        await eventually(lambda: manager.idle)
        assert len(await cluster.pods()) == 30


async def everywhere(cluster: Cluster, nodes: int) -> bool:
    return (await cluster.client.get(apps.DaemonSet, "web", "default")).status.currentNumberScheduled == nodes


async def test_kubectl_rolls_out_and_back(tmp_path: Path) -> None:
    async with (
        running_api_server(tmp_path, listen=True) as (_, client_for),
        running_daemons(Cluster(client_for, tmp_path), "n1", "n2", "n3") as daemons,
    ):
        kubectl = Kubectl.of(tmp_path)
        await daemons.client.create(daemon_set())
        assert 'daemon set "web" successfully rolled out' in await kubectl("rollout", "status", "daemonset/web", "--timeout=30s")
        row = (await kubectl("get", "daemonset", "web", "--no-headers")).split()
        assert row[1:7] == ["3", "3", "3", "3", "3", "<none>"]
        await kubectl("set", "image", "daemonset/web", "main=busybox:2")
        await kubectl("annotate", "daemonset/web", "kubernetes.io/change-cause=second")
        assert "successfully rolled out" in await kubectl("rollout", "status", "daemonset/web", "--timeout=30s")
        history = await kubectl("rollout", "history", "daemonset/web")
        assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["1", "2"]
        assert "busybox:1" in await kubectl("rollout", "history", "daemonset/web", "--revision=1")
        assert "busybox:2" in await kubectl("rollout", "history", "daemonset/web", "--revision=2")

        assert "rolled back" in await kubectl("rollout", "undo", "daemonset/web")
        assert "successfully rolled out" in await kubectl("rollout", "status", "daemonset/web", "--timeout=30s")
        assert await kubectl("get", "daemonset", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}") == "busybox:1"
        history = await kubectl("rollout", "history", "daemonset/web")
        assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["2", "3"]
        assert "skipped rollback" in await kubectl("rollout", "undo", "daemonset/web", "--to-revision=3")
        await kubectl("rollout", "undo", "daemonset/web", "--to-revision=2")
        await kubectl("rollout", "status", "daemonset/web", "--timeout=30s")
        assert {pod.spec.containers[0].image for pod in await daemons.active()} == {"busybox:2"}

        before = {pod.metadata.uid for pod in await daemons.active()}
        await kubectl("rollout", "restart", "daemonset/web")
        assert "successfully rolled out" in await kubectl("rollout", "status", "daemonset/web", "--timeout=30s")
        assert not before & {pod.metadata.uid for pod in await daemons.active()}
        described = await kubectl("describe", "daemonset", "web")
        assert "Number of Nodes Scheduled with Available Pods: 3" in described
        assert "SuccessfulCreate" in described
        # A drain leaves the daemon's pods where they are.
        assert "ignoring DaemonSet-managed Pods" in (await kubectl.run("drain", "n1", "--ignore-daemonsets", "--timeout=20s")).text
        assert await daemons.places() == ["n1", "n2", "n3"]
        await kubectl("delete", "daemonset", "web", "--cascade=foreground", "--timeout=30s")
        assert "No resources found" in (await kubectl.run("get", "controllerrevisions,pods")).text
