"""Controllers against the real API server in-process; the tests play the kubelet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tiphys.aio.clock import VirtualClock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.machinery import base
from tiphys.api.machinery.errors import AlreadyExists, Conflict, NotFound
from tiphys.api.meta.v1 import ObjectMeta, Status
from tiphys.client.client import Client
from tiphys.controllers.registry import all_controllers
from tiphys.controllers.rootca.settings import RootCaSettings
from tiphys.controllers.settings import ControllerSettings
from tiphys.runtime import Controller, Key, Manager, update_with_retry
from tiphys.testing import eventually
from tiphys.testing.api_server import ClientFor, running_api_server


class Cluster:
    """The server, an administrator's client, and the controllers, which can be stopped and started."""

    def __init__(self, client_for: ClientFor, directory: Path = Path()) -> None:
        self.directory = directory
        self.client: Client = client_for()
        self.client_for = client_for
        self.settings = ControllerSettings(RootCaSettings(file=str(directory / "pki" / "ca.crt")))

    @asynccontextmanager
    async def controllers(self, *chosen: Controller) -> AsyncIterator[Manager]:
        """All controllers, or the chosen ones, running with the rights of the controller manager."""
        client = self.client_for("system:kube-controller-manager")
        manager = Manager(client, clock=client.clock, rng=client.rng)
        manager.add_all(chosen or all_controllers(self.settings))
        task = asyncio.create_task(manager.run())
        try:
            await eventually(lambda: manager.synced or task.done())
            yield manager
            assert not task.done(), task
        finally:
            await cancel_and_wait(task)

    async def pods(self, namespace: str = "default", labels: str = "") -> list[core.Pod]:
        return (await self.client.list(core.Pod, namespace, labels=labels)).items

    async def has_account(self, namespace: str) -> bool:
        """Return whether pods can be created in the namespace."""
        return any(account.metadata.name == "default" for account in (await self.client.list(core.ServiceAccount, namespace)).items)

    async def condition_gone(self, name: str) -> bool:
        """Return whether a ReplicaSet of `default` has no conditions (any more)."""
        return not (await self.client.get(apps.ReplicaSet, name, "default")).status.conditions

    async def add_node(self, name: str, *, zone: str = "") -> core.Node:
        """A node that reports Ready once, unless it is there."""
        labels = {"topology.kubernetes.io/zone": zone} if zone else {}
        try:
            node = await self.client.create(core.Node(metadata=ObjectMeta(name=name, labels=labels)))
        except AlreadyExists:
            node = await self.client.get(core.Node, name)
        return await self.report(node)

    async def report(self, node: core.Node, status: str = "True") -> core.Node:
        """Report on a node as its kubelet does."""
        now = base.time(self.client.clock.now())

        def change(found: core.Node) -> None:
            found.status.conditions = [
                core.NodeCondition(type="Ready", status=status, reason="KubeletReady", lastHeartbeatTime=now, lastTransitionTime=now)
            ]

        return await update_with_retry(self.client, core.Node, Key.of(node), change, subresource="status")

    async def make_ready(self, pod: core.Pod, *, ready: bool = True, ip: str = "") -> core.Pod:
        """Report a pod as running and ready, as a kubelet does."""
        now = base.time(self.client.clock.now())
        pod = await self.client.get(core.Pod, pod.metadata.name, pod.metadata.namespace)
        pod.status.phase = "Running"
        status = "True" if ready else "False"
        pod.status.conditions = [
            core.PodCondition(type="Ready", status=status, lastTransitionTime=now),
            core.PodCondition(type="ContainersReady", status=status, lastTransitionTime=now),
        ]
        if ip:
            pod.status.podIP = ip
            pod.status.podIPs = [core.PodIP(ip=ip)]
        return await self.client.update_status(pod)


class Kubelet:
    """A node that runs every pod at once: binds it, makes it ready unless `unready(pod)`, and lets it go when it is deleted."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.unready: Callable[[core.Pod], bool] = lambda pod: False
        self.seen: list[core.Pod] = []
        self._next = 0

    async def run(self) -> None:
        client = self._cluster.client
        async for event in client.watch(core.Pod):
            if event.type in ("ADDED", "MODIFIED"):
                try:
                    await self._play(client, event.object)
                except (NotFound, Conflict):
                    continue

    async def _play(self, client: Client, pod: core.Pod) -> None:
        meta = pod.metadata
        if meta.deletionTimestamp is not None:
            await client.delete(core.Pod, meta.name, meta.namespace, grace=0)
        elif not pod.spec.nodeName:
            self._next += 1
            binding = core.Binding(
                metadata=ObjectMeta(name=meta.name, namespace=meta.namespace), target=core.ObjectReference(kind="Node", name="n1")
            )
            await client.post(core.Pod, meta.name, meta.namespace, "binding", binding, Status)
        elif pod.status.phase != "Running":
            self._next += 1
            await self._cluster.make_ready(pod, ready=not self.unready(pod), ip=f"10.42.{self._next // 250}.{self._next % 250 + 1}")


@asynccontextmanager
async def running_kubelet(cluster: Cluster) -> AsyncIterator[Kubelet]:
    """The kubelet, playing."""
    kubelet = Kubelet(cluster)
    await cluster.add_node("n1")
    task = asyncio.create_task(kubelet.run())
    try:
        yield kubelet
        assert not task.done(), task
    finally:
        await cancel_and_wait(task)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with running_api_server(tmp_path) as (_, client_for):
        yield Cluster(client_for, tmp_path)


@pytest.fixture
async def virtual_cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A cluster for tests with `looptime`, in which waits take no time."""
    async with running_api_server(tmp_path, clock=VirtualClock()) as (_, client_for):
        yield Cluster(client_for, tmp_path)
