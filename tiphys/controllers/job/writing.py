"""Writes to the pods of a Job: finalizers removed, pods deleted and created, many at once but not all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from functools import partial

from tiphys.api.batch import v1 as batch
from tiphys.api.core import v1 as core
from tiphys.api.helpers.jobs import TRACKING
from tiphys.api.machinery.errors import NotFound
from tiphys.client.client import Client
from tiphys.controllers.job.plan import Plan
from tiphys.controllers.job.pods import JobPod
from tiphys.controllers.job.size import NewPod
from tiphys.controllers.job.status import Outcome
from tiphys.controllers.job.template import PodMaker
from tiphys.controllers.shared.batches import at_most, slow_start
from tiphys.controllers.shared.pods import create_owned, delete_owned
from tiphys.controllers.shared.refusal import namespace_ends
from tiphys.controllers.shared.slim import SlimPod
from tiphys.runtime import ControllerContext

AT_ONCE = 50
"""Maximum number of pods that are changed at the same time."""

_Call = Callable[[], Coroutine[object, object, None]]


async def remove_finalizer(client: Client, pod: SlimPod, *, unchanged: bool = False) -> None:
    """Remove the tracking finalizer of this very pod; a pod that is gone has none. Raises Conflict if it must be unchanged and is not."""
    meta = pod.metadata
    try:
        if unchanged:
            left = [name for name in meta.finalizers if name != TRACKING]
            body = {"metadata": {"uid": meta.uid, "resourceVersion": meta.resourceVersion, "finalizers": left}}
            await client.patch(core.Pod, meta.name, meta.namespace, body=body)
        else:
            change = {"metadata": {"uid": meta.uid, "$deleteFromPrimitiveList/finalizers": [TRACKING]}}
            await client.patch(core.Pod, meta.name, meta.namespace, body=change, kind="strategic")
    except NotFound:
        return


class PodWriter:
    """Takes one step of a Job. What it has done is in `outcome`, and what has failed in `errors`."""

    def __init__(self, ctx: ControllerContext, job: batch.Job) -> None:
        self._ctx = ctx
        self._job = job
        self._settled: set[str] = set()
        self._deleted: set[str] = set()
        self._created = 0
        self.errors: list[Exception] = []

    @property
    def outcome(self) -> Outcome:
        """Changes made so far."""
        return Outcome(self._settled, self._deleted, self._created)

    async def take(self, step: Plan) -> None:
        """Take a step as far as possible. Creations go on until one fails, all else is tried."""
        await asyncio.gather(at_most(AT_ONCE, self._removals(step)), self._create_all(step.create))

    def _removals(self, step: Plan) -> Iterator[_Call]:
        for pods, call in ((step.settle, self._settle), (step.kill, self._kill), (step.discard, self._discard)):
            for seen in pods:
                yield partial(self._noting, call, seen)

    async def _noting(self, call: Callable[[JobPod], Awaitable[None]], seen: JobPod) -> None:
        try:
            await call(seen)
        except Exception as error:
            self.errors.append(error)
            raise

    async def _settle(self, seen: JobPod) -> None:
        await remove_finalizer(self._ctx.client, seen.pod)
        self._settled.add(seen.uid)

    async def _kill(self, seen: JobPod) -> None:
        await self._delete(seen)
        await self._settle(seen)

    async def _discard(self, seen: JobPod) -> None:
        if seen.tracked:
            # If it has ended meanwhile, its end must be counted.
            await remove_finalizer(self._ctx.client, seen.pod, unchanged=True)
            self._settled.add(seen.uid)
        await self._delete(seen)

    async def _delete(self, seen: JobPod) -> None:
        await delete_owned(self._ctx, self._job, seen.pod.metadata)
        self._deleted.add(seen.uid)

    async def _create_all(self, new: Sequence[NewPod]) -> None:
        maker, waiting = PodMaker(self._job), iter(new)
        await slow_start(len(new), lambda: self._create(maker.make(next(waiting))))

    async def _create(self, pod: core.Pod) -> None:
        try:
            await create_owned(self._ctx, self._job, pod)
        except Exception as error:
            if not namespace_ends(error):
                self.errors.append(error)
            raise
        self._created += 1
