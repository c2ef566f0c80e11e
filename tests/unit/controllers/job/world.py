"""A small world around the controller of Jobs: answers that get lost, watches that lag, crashes, and pods with lives of their own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import NamedTuple

import msgspec

from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.batch import v1 as batch
from tiphys.api.core import v1 as core
from tiphys.api.helpers.jobs import COMPLETION_INDEX, TRACKING, is_finished
from tiphys.api.machinery import base
from tiphys.api.machinery.errors import Conflict, NotFound
from tiphys.client.client import Client
from tiphys.client.inprocess import InProcessTransport
from tiphys.controllers.job.controller import JobController
from tiphys.controllers.job.orphans import JobOrphanController
from tiphys.runtime import Key, update_with_retry
from tiphys.testing import eventually
from tiphys.testing.api_server import ADMIN
from tiphys.testing.calls import Call, call_of
from tiphys.testing.faults import Faults, FaultyTransport, Forward
from tiphys.testing.loops import run_loops
from tiphys.testing.memory_api import MemoryApi
from tiphys.testing.stale import read_at
from tiphys.wire.http import Request, Response, Transport

LAGS = (0.0, 0.0, 0.0, 0.01, 0.2, 3.0)
"""Seconds by which a frame of a watch is late."""


class Fault(NamedTuple):
    """A fault of one write: it takes place or not, and the controller gets no answer, a conflict, or dies."""

    applied: bool
    ending: str


FAULTS = (
    Fault(applied=False, ending="no answer"),
    Fault(applied=True, ending="no answer"),
    Fault(applied=False, ending="conflict"),
    Fault(applied=False, ending="crash"),
    Fault(applied=True, ending="crash"),
)


class LateTransport:
    """Transport whose watches lag: each event arrives after some time, and those behind it wait for it."""

    def __init__(self, transport: Transport, rng: random.Random) -> None:
        self._transport = transport
        self._rng = rng

    async def request(self, request: Request) -> Response:
        """Pass a request on."""
        response = await self._transport.request(request)
        if call_of(request).verb == "watch" and response.stream is not None:
            return msgspec.structs.replace(response, stream=self._late(response.stream))
        return response

    async def close(self) -> None:
        """Close the transport behind it."""
        await self._transport.close()

    async def _late(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for frame in stream:
                await asyncio.sleep(self._rng.choice(LAGS))
                yield frame
        finally:
            await stream.aclose()  # type: ignore[attr-defined]


class World:
    """The server with the truth, and the controller, which sees it through faults."""

    def __init__(self, api: MemoryApi, seed: int, *, faults: int = 12, failing: float = 0.3, deleting: float = 0.1) -> None:
        self.rng = random.Random(seed)
        self.api = api
        self.admin = api.client()
        self.faults = Faults(clock=api.clock)
        self.faults.intercept(lambda call: call.writes and call.resource != "events", self._write)
        self.faults.intercept(_fills_a_cache, self._list)
        self.faults_left = faults
        self.failing, self.deleting = failing, deleting
        self.crashed = asyncio.Event()
        self.crashes = 0
        self.stale_lists = 0
        self._old_lists: dict[str, int] = {}

    async def run(self, job: batch.Job, *, restless: int = 0, patience: float = 40_000.0) -> batch.Job:
        """Create a Job and live on until it is finished and everything is quiet; returns it. A restless user changes it so many times."""
        async with asyncio.TaskGroup() as others:
            tasks = [others.create_task(self._controllers()), others.create_task(self._kubelets())]
            await self.admin.create(job)
            await self._use(job, restless)
            await eventually(lambda: self._is_over(job), timeout=patience, interval=1.0)
            self.faults_left = 0
            await asyncio.sleep(300.0)
            before = self._writes()
            await asyncio.sleep(1000.0)
            assert self._writes() == before, "a finished Job is left alone"
            for task in tasks:
                task.cancel()
        return self.api.get(batch.Job, job.metadata.name, "default")

    def _writes(self) -> int:
        """Return the number of writes so far, the controller's and those of the others."""
        return len(self.faults.writes()) + len(self.api.writes())

    def _is_over(self, job: batch.Job) -> bool:
        return is_finished(self.api.get(batch.Job, job.metadata.name, "default").status)

    async def _use(self, job: batch.Job, changes: int) -> None:
        """Suspend a Job, resume it, and change how many pods run at once; in the end it is as it was."""
        meta, parallelism = job.metadata, job.spec.parallelism
        for _ in range(changes):
            await asyncio.sleep(self.rng.choice((0.05, 0.5, 3.0, 20.0)))
            spec = {"suspend": self.rng.random() < 0.5, "parallelism": self.rng.randint(0, parallelism or 1)}
            await self.admin.patch(batch.Job, meta.name, meta.namespace, body={"spec": spec})
        if changes:
            await self.admin.patch(batch.Job, meta.name, meta.namespace, body={"spec": {"suspend": False, "parallelism": parallelism}})

    async def _controllers(self) -> None:
        """The controller, started anew after every crash."""
        while True:
            self.crashed.clear()
            server = InProcessTransport(self.api.handle, peer=ADMIN)
            transport = LateTransport(FaultyTransport(server, self.faults), self.rng)
            client = Client(transport, user_agent="loop", clock=self.api.clock, rng=self.rng)
            task = asyncio.create_task(run_loops(client, JobController, JobOrphanController))
            try:
                await self.crashed.wait()
            finally:
                await cancel_and_wait(task)
            self.crashes += 1
            await asyncio.sleep(self.rng.choice((0.0, 1.0, 30.0)))

    async def _write(self, call: Call, forward: Forward) -> Response:
        """Answer a write of the controller, or do it harm."""
        await asyncio.sleep(self.rng.choice((0.0, 0.0, 0.005, 0.05)))
        if not self.faults_left or self.rng.random() > 0.15:
            return await forward(call.request)
        self.faults_left -= 1
        fault = self.rng.choice(FAULTS)
        if fault.applied:
            await forward(call.request)
        if fault.ending == "conflict":
            raise Conflict.modified(call.resource, call.name, group=call.group)
        if fault.ending == "crash":
            self.crashed.set()
            await asyncio.get_running_loop().create_future()
        raise ConnectionError("no answer")

    async def _list(self, call: Call, forward: Forward) -> Response:
        """Answer the list that fills a cache of the controller, perhaps from a cache of the server that is behind."""
        old = self._old_lists.get(call.resource)
        if old is None or self.rng.random() < 0.3:
            self._old_lists[call.resource] = self.api.revision
        elif self.rng.random() < 0.7:
            self.stale_lists += 1
            return await read_at(old, call, forward)
        return await forward(call.request)

    async def _kubelets(self) -> None:
        """Lives of pods: they start, become ready, end one way or the other, or are deleted, and go when they may."""
        while True:
            await asyncio.sleep(self.rng.choice((0.01, 0.1, 0.5, 2.0)))
            pods = [pod for pod in self.api.list(core.Pod, "default") if pod.status.phase not in ("Succeeded", "Failed") or _dies(pod)]
            if pods:
                with suppress(NotFound, Conflict):
                    await self._live(self.rng.choice(pods))

    async def _live(self, pod: core.Pod) -> None:
        meta = pod.metadata
        if meta.deletionTimestamp is not None:
            if pod.status.phase not in ("Succeeded", "Failed"):
                await self._end(pod, "Failed" if self.rng.random() < 0.8 else "Succeeded")
            await self.admin.delete(core.Pod, meta.name, "default", grace=0)
        elif not pod.spec.nodeName:
            pod.spec.nodeName = "n1"
            self.api.add(pod)
        elif self.rng.random() < self.deleting:
            await self.admin.delete(core.Pod, meta.name, "default")
        elif pod.status.phase != "Running":
            await self._end(pod, "Running")
        else:
            await self._end(pod, "Failed" if self.rng.random() < self.failing else "Succeeded")

    async def _end(self, pod: core.Pod, phase: str) -> None:
        now = base.time(self.api.clock.now())

        def write(found: core.Pod) -> bool:
            if found.status.phase in ("Succeeded", "Failed"):
                return False
            found.status.phase = phase
            ready = "True" if phase == "Running" and self.rng.random() < 0.5 else "False"
            found.status.conditions = [core.PodCondition(type="Ready", status=ready, lastTransitionTime=now)]
            if phase != "Running":
                code = self.rng.choice((1, 2, 42)) if phase == "Failed" else 0
                ended = core.ContainerState(terminated=core.ContainerStateTerminated(exitCode=code, finishedAt=now))
                found.status.containerStatuses = [core.ContainerStatus(name="main", state=ended)]
            return True

        await update_with_retry(self.admin, core.Pod, Key.of(pod), write, subresource="status")

    # What happened, from what the store wrote.

    def jobs(self) -> Iterator[batch.Job]:
        """States of the Job, in order."""
        yield from (change.object for change in self.api.changes(batch.Job) if change.kind != "delete")

    def pods(self) -> Iterator[core.Pod]:
        """States of all pods, in order."""
        yield from (change.object for change in self.api.changes(core.Pod) if change.kind != "delete")

    def crowds(self) -> Iterator[list[core.Pod]]:
        """Pods that are there after each change of one of them."""
        there: dict[str, core.Pod] = {}
        for change in self.api.changes(core.Pod):
            uid = change.object.metadata.uid
            there.pop(uid, None)
            if change.kind != "delete":
                there[uid] = change.object
            yield list(there.values())

    def ended(self, phase: str) -> set[str]:
        """Uids of the pods that carried the finalizer when they ended in a phase."""
        return {pod.metadata.uid for pod in self.pods() if pod.status.phase == phase and TRACKING in pod.metadata.finalizers}

    def last(self, uid: str) -> core.Pod:
        """Return the last state of a pod that was there."""
        return [pod for pod in self.pods() if pod.metadata.uid == uid][-1]

    def named(self) -> tuple[set[str], set[str]]:
        """Uids of the pods that the status ever named as succeeded and as failed."""
        succeeded: set[str] = set()
        failed: set[str] = set()
        for job in self.jobs():
            uncounted = job.status.uncountedTerminatedPods
            if uncounted is not None:
                succeeded.update(uncounted.succeeded)
                failed.update(uncounted.failed)
        return succeeded, failed


def _fills_a_cache(call: Call) -> bool:
    """Return whether an informer lists, rather than a loop that does not trust its cache."""
    request = call.request
    return call.verb == "list" and not call.namespace and not request.param("labelSelector") and request.param("limit") != "1"


def _dies(pod: core.Pod) -> bool:
    return pod.metadata.deletionTimestamp is not None


def index_of(pod: core.Pod) -> int:
    """Return the completion index of a pod."""
    return int(pod.metadata.annotations[COMPLETION_INDEX])
