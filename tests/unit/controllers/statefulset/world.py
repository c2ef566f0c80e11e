"""A StatefulSet's life in virtual time: the real API server and the real loop, a kubelet, a user, and a judge of every write."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus

import msgspec

from tiphys.aio.clock import VirtualClock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.helpers import pods as pod_state
from tiphys.api.machinery import base
from tiphys.client.client import Client
from tiphys.client.inprocess import InProcessTransport
from tiphys.controllers.shared.revisions import HASH_LABEL
from tiphys.controllers.statefulset.controller import StatefulSetController
from tiphys.controllers.statefulset.identity import parse_pod_name
from tiphys.runtime import Manager
from tiphys.testing.api_server import ADMIN
from tiphys.testing.calls import Call, call_of
from tiphys.testing.faults import Faults, FaultyTransport
from tiphys.testing.memory_api import MemoryApi
from tiphys.wire.http import Request, Response

from .make import stateful_set

BROKEN = "broken"
"""Image with which pods never become ready."""
MEMORY = 40.0
"""Seconds for which a state of the StatefulSet may still be what the loop acts on: watches and requests are late."""


@dataclass
class Judge:
    """Transport of the loop, next to the server: objects to writes that no state of the StatefulSet of the last seconds justifies."""

    api: MemoryApi
    created: list[Call] = field(default_factory=list)
    refused: list[Call] = field(default_factory=list)
    """Creations of what was there already."""
    objections: list[str] = field(default_factory=list)
    specs: list[tuple[float, apps.StatefulSet]] = field(default_factory=list)

    def observe(self) -> None:
        """Remember what the StatefulSet is now."""
        owner = self.api.find(apps.StatefulSet, "web", "default")
        if owner is not None and (not self.specs or self.specs[-1][1].spec != owner.spec):
            self.specs.append((self.api.clock.monotonic(), owner))

    async def request(self, request: Request) -> Response:
        """Pass a request on."""
        call = call_of(request)
        objection = self._judge(call) if call.resource == "pods" and call.verb in ("create", "delete") else ""
        response = await InProcessTransport(self.api.handle, peer=ADMIN).request(request)
        if objection and response.status < HTTPStatus.BAD_REQUEST:
            self.objections.append(objection)
        if call.verb == "create" and call.resource != "events":
            (self.created if response.status == HTTPStatus.CREATED else self.refused).append(call)
        return response

    async def close(self) -> None:
        """Nothing is open."""

    def _judge(self, call: Call) -> str:
        """Return the objection to a write, "" for none."""
        self.observe()
        now = self.api.clock.monotonic()
        ended = [ended for ended, _ in self.specs[1:]] + [now]
        recent = [owner for (_, owner), end in zip(self.specs, ended, strict=True) if end >= now - MEMORY]
        check = self._may_create if call.verb == "create" else self._may_delete
        reasons = [check(call, owner) for owner in recent]
        return f"{now:.0f}s {call}: {'; '.join(reasons)}" if all(reasons) else ""

    def _pods(self) -> dict[int, core.Pod]:
        found = {}
        for pod in self.api.list(core.Pod, "default"):
            parsed = parse_pod_name(pod.metadata.name)
            assert parsed is not None
            found[parsed[1]] = pod
        return found

    def _may_create(self, call: Call, owner: apps.StatefulSet) -> str:
        made = msgspec.json.decode(call.request.body, type=core.Pod)
        parsed = parse_pod_name(made.metadata.name)
        assert parsed is not None
        if parsed[1] >= (owner.spec.replicas or 0):
            return "out of range"
        below = [self._pods().get(ordinal) for ordinal in range(parsed[1])]
        if owner.spec.podManagementPolicy == "OrderedReady" and not all(pod is not None and is_available(pod) for pod in below):
            return "its predecessors are not ready"
        return ""

    def _may_delete(self, call: Call, owner: apps.StatefulSet) -> str:
        pods, size = self._pods(), owner.spec.replicas or 0
        parsed = parse_pod_name(call.name)
        assert parsed is not None
        pod = pods.get(parsed[1])
        if pod is None or not is_available(pod):
            return ""
        ordered = owner.spec.podManagementPolicy == "OrderedReady"
        if parsed[1] >= size:
            return "not the highest" if ordered and any(ordinal > parsed[1] for ordinal in pods) else ""
        rolling = owner.spec.updateStrategy.rollingUpdate
        assert rolling is not None
        if parsed[1] < (rolling.partition or 0):
            return "below the partition"
        available = sum(is_available(found) for ordinal, found in pods.items() if ordinal < size)
        allowed = rolling.maxUnavailable or 1
        assert isinstance(allowed, int)
        if size - available + 1 > allowed:
            return f"{size - available} of {size} are missing already"
        return "surplus pods go first" if ordered and any(ordinal >= size for ordinal in pods) else ""


def is_available(pod: core.Pod) -> bool:
    """Return whether a pod serves."""
    return pod.metadata.deletionTimestamp is None and pod.status.phase == "Running" and pod_state.is_ready(pod)


class World:
    """The server and who acts on it; nothing of it ever waits for real."""

    def __init__(self, api: MemoryApi, rng: random.Random) -> None:
        self.api = api
        self.rng = rng
        self.judge = Judge(api)
        self.faults = Faults(clock=api.clock, revision=api.store.current_revision)

    @classmethod
    @asynccontextmanager
    async def living(cls, seed: int) -> AsyncIterator[World]:
        """A world with a kubelet."""
        async with MemoryApi.running(clock=VirtualClock()) as api:
            world = cls(api, random.Random(seed))
            task = asyncio.create_task(kubelet(api, world.rng))
            try:
                yield world
                assert not task.done(), task
            finally:
                await cancel_and_wait(task)

    def client(self) -> Client:
        """A client to whom faults happen, under the eyes of the judge."""
        return Client(FaultyTransport(self.judge, self.faults), user_agent="loop", clock=self.api.clock, rng=self.rng)

    @asynccontextmanager
    async def loop(self) -> AsyncIterator[None]:
        """The control loop, as a process that begins and ends."""
        task = asyncio.create_task(control(self.client()))
        try:
            yield
            assert not task.done(), task
        finally:
            await cancel_and_wait(task)

    @property
    def owner(self) -> apps.StatefulSet:
        """The StatefulSet as it is stored."""
        return self.api.get(apps.StatefulSet, "web", "default")

    def create(self, image: str = "a", **spec: object) -> None:
        """Put the StatefulSet in place."""
        made = stateful_set(image=image, **spec)  # type: ignore[arg-type]
        made.metadata.uid, made.status = "", apps.StatefulSetStatus()
        self.api.add(made)
        self.judge.observe()

    def change(self, *, image: str = "", replicas: int | None = None, partition: int | None = None) -> None:
        """Do what a user does."""
        owner = self.owner
        if image:
            owner.spec.template.spec.containers[0].image = image
        if replicas is not None:
            owner.spec.replicas = replicas
        if partition is not None and owner.spec.updateStrategy.rollingUpdate is not None:
            owner.spec.updateStrategy.rollingUpdate.partition = partition
        owner.metadata.generation += 1
        self.api.add(owner)
        self.judge.observe()

    def pods(self) -> list[core.Pod]:
        """Return the pods by ordinal."""
        return sorted(self.api.list(core.Pod, "default"), key=lambda pod: int(pod.metadata.name.rpartition("-")[2]))

    def is_settled(self) -> bool:
        """Return whether pods, claims, revisions and status are as the StatefulSet wants them; raises AssertionError otherwise."""
        owner, pods = self.owner, self.pods()
        size, status = owner.spec.replicas or 0, owner.status
        assert [pod.metadata.name for pod in pods] == [f"web-{ordinal}" for ordinal in range(size)]
        assert all(is_available(pod) for pod in pods), "pods are not ready"
        rolling = owner.spec.updateStrategy.rollingUpdate
        partition = (rolling.partition or 0) if rolling is not None else 0
        revisions = {one.metadata.name: one for one in self.api.list(apps.ControllerRevision, "default")}
        newest = max(revisions.values(), key=lambda one: one.revision)
        assert status.updateRevision == newest.metadata.name
        image = owner.spec.template.spec.containers[0].image
        assert newest.data["spec"]["template"]["spec"]["containers"][0]["image"] == image
        for pod in pods[partition:]:
            assert (pod.metadata.labels[HASH_LABEL], pod.spec.containers[0].image) == (newest.metadata.name, image)
        assert all(pod.metadata.labels[HASH_LABEL] in revisions for pod in pods)
        counted = (status.replicas, status.readyReplicas, status.availableReplicas, status.observedGeneration)
        assert counted == (size, size, size, owner.metadata.generation)
        assert status.updatedReplicas == sum(pod.metadata.labels[HASH_LABEL] == newest.metadata.name for pod in pods)
        claims = {claim.metadata.name for claim in self.api.list(core.PersistentVolumeClaim, "default")}
        assert {f"data-{pod.metadata.name}" for pod in pods if owner.spec.volumeClaimTemplates} <= claims
        return True


async def control(client: Client) -> None:
    """Run the loop until it is cancelled."""
    manager = Manager(client, clock=client.clock, rng=client.rng)
    manager.add(StatefulSetController())
    await manager.run()


async def kubelet(api: MemoryApi, rng: random.Random) -> None:
    """Play the kubelet of all pods, at its own pace."""
    while True:
        await asyncio.sleep(rng.uniform(0.2, 3.0))
        for pod in api.list(core.Pod, "default"):
            if rng.random() < 0.5:
                _play(api, pod)


def _play(api: MemoryApi, pod: core.Pod) -> None:
    now = base.time(api.clock.now())
    if pod.metadata.deletionTimestamp is not None:
        api.remove(core.Pod, pod.metadata.name, "default")
    elif pod.status.phase == "Pending":
        ready = "False" if pod.spec.containers[0].image == BROKEN else "True"
        # Only pods with a node end gracefully.
        pod.spec.nodeName = "n1"
        pod.status.phase = "Running"
        pod.status.startTime = now - timedelta(seconds=1)
        pod.status.conditions = [core.PodCondition(type="Ready", status=ready, lastTransitionTime=now)]
        api.add(pod)
