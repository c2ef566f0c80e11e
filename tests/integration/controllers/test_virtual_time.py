"""A control plane in virtual time: the API server on the memory store, all control loops and the scheduler live hours within seconds.

What reads the real clock shows: its part of the cluster stands still while the rest goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.integration.controllers.conftest import Cluster
from tests.integration.controllers.make import deployment
from tiphys.aio.clock import VirtualClock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.apps import v1 as apps
from tiphys.api.coordination import v1 as coordination
from tiphys.api.core import v1 as core
from tiphys.api.machinery import base
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.errors import Conflict, NotFound
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.scheduler.scheduler import Scheduler
from tiphys.testing import eventually
from tiphys.testing.api_server import running_api_server

pytestmark = pytest.mark.looptime
HOUR = 3600.0
BEAT = 10.0
"""Seconds between two renewals of a node's Lease, as a kubelet does it by default."""
NOTICED = 60.0
"""Seconds after which a silent node is found out at the latest: 50 of grace, and the period of the look-out."""
TOLERATED = 300.0
"""Seconds that pods tolerate a node that is lost (DefaultTolerationSeconds)."""


async def beat(cluster: Cluster, name: str) -> None:
    """A node that renews its Lease."""
    lease = await cluster.client.create(coordination.Lease(metadata=ObjectMeta(name=name, namespace="kube-node-lease")))
    while True:
        lease.spec.renewTime = base.micro_time(cluster.client.clock.now())
        lease = await cluster.client.update(lease)
        await cluster.client.clock.sleep(BEAT)


async def run_pods(cluster: Cluster, lost: set[str]) -> None:
    """Kubelets that make pods ready at once and let them go when they are deleted; those in `lost` do nothing any more."""
    while True:  # A watch ends after half an hour to an hour, in virtual time as well.
        async for event in cluster.client.watch(core.Pod):
            pod = event.object
            if event.type != "DELETED" and pod.spec.nodeName and pod.spec.nodeName not in lost:
                await run_pod(cluster, pod)


async def run_pod(cluster: Cluster, pod: core.Pod) -> None:
    with suppress(NotFound, Conflict):  # Then it has changed, and another event follows.
        if pod.metadata.deletionTimestamp is not None:
            await cluster.client.delete(core.Pod, pod.metadata.name, pod.metadata.namespace, grace=0)
        elif pod.status.phase != "Running":
            await cluster.make_ready(pod)


@asynccontextmanager
async def running_cluster(directory: Path, lost: set[str]) -> AsyncIterator[tuple[Cluster, dict[str, asyncio.Task[None]]]]:
    """A cluster with the nodes `a` and `b`, and the tasks that renew their Leases."""
    clock = VirtualClock()
    async with running_api_server(directory, clock=clock) as (_, client_for):
        cluster = Cluster(client_for, directory)
        client = client_for("system:kube-scheduler")
        scheduler = Scheduler(client, clock=clock, rng=client.rng)
        async with cluster.controllers():
            tasks = {"scheduler": asyncio.create_task(scheduler.run()), "kubelets": asyncio.create_task(run_pods(cluster, lost))}
            for name in ("a", "b"):
                room = {"cpu": Quantity("4"), "memory": Quantity("4Gi"), "pods": Quantity("110")}
                status = core.NodeStatus(capacity=room, allocatable=room)
                await cluster.report(await cluster.client.create(core.Node(metadata=ObjectMeta(name=name), status=status)))
                tasks[name] = asyncio.create_task(beat(cluster, name))
            try:
                yield cluster, tasks
                assert not [name for name, task in tasks.items() if task.done() and not task.cancelled()]
            finally:
                for task in tasks.values():
                    await cancel_and_wait(task)


async def places(cluster: Cluster) -> dict[str, str]:
    """The nodes of the pods that run and are to stay, by uid."""
    running = [pod for pod in await cluster.pods() if pod.metadata.deletionTimestamp is None and pod.status.phase == "Running"]
    return {pod.metadata.uid: pod.spec.nodeName for pod in running}


async def available(cluster: Cluster, replicas: int) -> bool:
    return (await cluster.client.get(apps.Deployment, "web", "default")).status.availableReplicas == replicas


async def test_a_cluster_lives_an_hour_and_survives_a_node(tmp_path: Path) -> None:
    lost: set[str] = set()
    async with running_cluster(tmp_path, lost) as (cluster, tasks):
        await eventually(lambda: cluster.has_account("default"))
        await cluster.client.create(deployment(4))
        await eventually(lambda: available(cluster, 4))
        before = await places(cluster)
        assert set(before.values()) == {"a", "b"}

        begun = cluster.client.clock.now()
        await cluster.client.clock.sleep(HOUR)
        assert (cluster.client.clock.now() - begun).total_seconds() >= HOUR
        assert await places(cluster) == before, "nothing happened to the pods while their nodes were well"

        lost.add("a")
        await cancel_and_wait(tasks["a"])
        await cluster.client.clock.sleep(TOLERATED)
        assert set(before) <= {pod.metadata.uid for pod in await cluster.pods() if pod.metadata.deletionTimestamp is None}
        await cluster.client.clock.sleep(NOTICED + 10.0)
        await eventually(lambda: available(cluster, 4))
        after = await places(cluster)
        assert set(after.values()) == {"b"}
        assert {uid for uid, node in before.items() if node == "b"} <= after.keys(), "pods of the node that is well stay"


async def test_the_same_seed_gives_the_same_cluster(tmp_path: Path) -> None:
    stories = []
    for number in range(2):
        async with running_cluster(tmp_path / str(number), set()) as (cluster, _):
            await eventually(lambda: cluster.has_account("default"))
            await cluster.client.create(deployment(4))
            await eventually(lambda: available(cluster, 4))
            pods = [(pod.metadata.name, pod.spec.nodeName, pod.spec.volumes[0].name) for pod in await cluster.pods()]
            stories.append(sorted(pods))
    assert stories[0] == stories[1], "nobody drew from a generator of their own"
