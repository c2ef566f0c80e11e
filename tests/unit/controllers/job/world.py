"""A small world around the controller of Jobs: answers that get lost, watches that lag, crashes, and pods with lives of their own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import NamedTuple

import msgspec
from tiphys.testing.fake_api import FakeApi

from tiphys.aio.clock import VirtualClock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.batch import v1 as batch
from tiphys.api.core import v1 as core
from tiphys.api.helpers.jobs import COMPLETION_INDEX, TRACKING, is_finished
from tiphys.api.machinery import base, errors
from tiphys.api.machinery.errors import Conflict, NotFound
from tiphys.client.client import Client
from tiphys.client.inprocess import InProcessTransport
from tiphys.controllers.job.controller import JobController
from tiphys.controllers.job.orphans import JobOrphanController
from tiphys.runtime import Key, Manager, update_with_retry
from tiphys.testing import eventually
from tiphys.wire.http import Request, Response

LAGS = (0.0, 0.0, 0.0, 0.01, 0.2, 3.0)
"""Seconds by which a frame of a watch is late."""


class Fault(NamedTuple):
    """A fault of one write: it takes place or not, and the controller is told nothing, a conflict, or dies."""

    applied: bool
    ending: str


FAULTS = (
    Fault(applied=False, ending="no answer"),
    Fault(applied=True, ending="no answer"),
    Fault(applied=False, ending="conflict"),
    Fault(applied=False, ending="crash"),
    Fault(applied=True, ending="crash"),
)


class World:
    """The server with the truth, and the controller, which sees it through faults."""

    def __init__(self, seed: int, *, faults: int = 12, failing: float = 0.3, deleting: float = 0.1) -> None:
        self.rng = random.Random(seed)
        self.api = FakeApi(clock=VirtualClock(), validate=True)
        self.admin = self.api.client()
        self.faults_left = faults
        self.failing, self.deleting = failing, deleting
        self.crashed = asyncio.Event()
        self.crashes = 0
        self.stale_lists = 0
        self._old_lists: dict[str, bytes] = {}

    async def run(self, job: batch.Job, *, restless: int = 0, patience: float = 40_000.0) -> batch.Job:
        """Create a Job and live on until it is finished and everything is quiet; returns it. A restless user changes it so many times."""
        controllers = asyncio.create_task(self._controllers())
        kubelets = asyncio.create_task(self._kubelets())
        try:
            await self.admin.create(job)
            await self._use(job, restless)
            await eventually(lambda: self._is_over(job), timeout=patience, interval=1.0)
            self.faults_left = 0
            await asyncio.sleep(300.0)
            before = len(self.api.writes())
            await asyncio.sleep(1000.0)
            assert len(self.api.writes()) == before, "a finished Job is left alone"
        finally:
            await cancel_and_wait(controllers)
            await cancel_and_wait(kubelets)
        return self.api.get(batch.Job, job.metadata.name, "default")

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
            client = Client(InProcessTransport(self._handle), scheme=self.api.scheme, clock=self.api.clock, rng=self.rng)
            manager = Manager(client, clock=self.api.clock, rng=self.rng)
            manager.add_all([JobController(), JobOrphanController()])
            task = asyncio.create_task(manager.run())
            try:
                await self.crashed.wait()
            finally:
                await cancel_and_wait(task)
            self.crashes += 1
            await asyncio.sleep(self.rng.choice((0.0, 1.0, 30.0)))

    async def _handle(self, request: Request) -> Response:
        """The server as the controller sees it."""
        if request.method == "GET":
            return await self._read(request)
        if request.path.endswith("/events") or "/events/" in request.path:
            return await self.api.handle(request)
        await asyncio.sleep(self.rng.choice((0.0, 0.0, 0.005, 0.05)))
        if not self.faults_left or self.rng.random() > 0.15:
            return await self.api.handle(request)
        self.faults_left -= 1
        fault = self.rng.choice(FAULTS)
        if fault.applied:
            await self.api.handle(request)
        if fault.ending == "conflict":
            status = errors.Conflict("the object has been modified").status()
            return Response(status=409, headers={"content-type": "application/json"}, body=msgspec.json.encode(status))
        if fault.ending == "crash":
            self.crashed.set()
            await asyncio.get_running_loop().create_future()
        raise ConnectionError("no answer")

    async def _read(self, request: Request) -> Response:
        query = dict(request.query)
        response = await self.api.handle(request)
        if "watch" in query:
            assert response.stream is not None
            response.stream = self._late(response.stream)
        elif "labelSelector" not in query and query.get("limit") != "1" and "/namespaces/" not in request.path:
            # What informers list: it may come from a cache of the server that is behind.
            old = self._old_lists.get(request.path)
            if old is None or self.rng.random() < 0.3:
                self._old_lists[request.path] = response.body
            elif self.rng.random() < 0.7:
                response.body = old
                self.stale_lists += 1
        return response

    async def _late(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for frame in stream:
            await asyncio.sleep(self.rng.choice(LAGS))
            yield frame

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

    # What happened, from the server's log.

    def jobs(self) -> Iterator[batch.Job]:
        """States of the Job, in order."""
        for change in self.api.store.log:
            if isinstance(change.new, batch.Job):
                yield change.new

    def crowds(self) -> Iterator[list[core.Pod]]:
        """Pods that are there after each change of one of them."""
        there: dict[str, core.Pod] = {}
        for change in self.api.store.log:
            obj = change.new or change.old
            if isinstance(obj, core.Pod):
                there.pop(obj.metadata.uid, None)
                if isinstance(change.new, core.Pod):
                    there[obj.metadata.uid] = change.new
                yield list(there.values())

    def ended(self, phase: str) -> set[str]:
        """Uids of the pods that carried the finalizer when they ended in a phase."""
        uids = set()
        for change in self.api.store.log:
            pod = change.new
            if isinstance(pod, core.Pod) and pod.status.phase == phase and TRACKING in pod.metadata.finalizers:
                uids.add(pod.metadata.uid)
        return uids

    def last(self, uid: str) -> core.Pod:
        """Return the last state of a pod that was there."""
        states = [change.new for change in self.api.store.log if isinstance(change.new, core.Pod) and change.new.metadata.uid == uid]
        return states[-1]

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


def _dies(pod: core.Pod) -> bool:
    return pod.metadata.deletionTimestamp is not None


def is_running(pod: core.Pod) -> bool:
    """Return whether a pod is active."""
    return pod.status.phase not in ("Succeeded", "Failed") and pod.metadata.deletionTimestamp is None


def index_of(pod: core.Pod) -> int:
    """Return the completion index of a pod."""
    return int(pod.metadata.annotations[COMPLETION_INDEX])
