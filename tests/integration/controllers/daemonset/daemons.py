"""DaemonSets, and clusters whose nodes run their pods, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from tests.integration.controllers.conftest import Cluster
from tests.integration.controllers.make import template
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import is_active
from tiphys.api.machinery.base import IntOrString, Quantity
from tiphys.api.machinery.errors import Conflict, NotFound
from tiphys.api.meta.v1 import LabelSelector, ObjectMeta
from tiphys.scheduler.scheduler import Scheduler
from tiphys.testing import eventually


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
