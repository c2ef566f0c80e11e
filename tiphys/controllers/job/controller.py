"""Controller of Jobs."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from tiphys.api.batch import v1 as batch
from tiphys.api.helpers.jobs import CONTROLLER_LABELS, TRACKING, is_finished, is_managed_elsewhere
from tiphys.api.helpers.pods import is_active
from tiphys.api.helpers.pods import is_finished as has_ended
from tiphys.api.machinery.errors import NotFound
from tiphys.controllers.job import metrics
from tiphys.controllers.job.plan import Plan, finish, plan
from tiphys.controllers.job.sight import Sight
from tiphys.controllers.job.writing import PodWriter
from tiphys.controllers.shared.claim import ORPHANS, claim_among, index_orphans, sort_out
from tiphys.controllers.shared.pacing import Pace, Pacer
from tiphys.controllers.shared.selecting import report_everything, workload_selector
from tiphys.controllers.shared.slim import PODS, SlimPod
from tiphys.runtime import (
    DONE,
    ControllerContext,
    Declaration,
    Informer,
    Key,
    Result,
    Whole,
    controller_of,
    to_owner,
    write_status,
)

UNSETTLED = "uid of the Job of an unsettled pod"
"""Index: the owner of pods that a Job may have to do with again."""
UNFINISHED = "namespace of unfinished Jobs"
BATCHES = Pace(noticeable=0.0, shortest=0.1)
"""Every step is followed by a pause, in which the events of many pods gather into one more step and one more status."""


def unsettled(pod: SlimPod) -> Iterable[str]:
    """Return the function of the UNSETTLED index: pods that have ended and are counted are left out, unless their label is not theirs."""
    owner = controller_of(pod)
    if owner is None or owner.kind != "Job":
        return ()
    meta = pod.metadata
    settled = has_ended(pod) and TRACKING not in meta.finalizers and meta.labels.get(CONTROLLER_LABELS[-1]) == owner.uid
    return () if settled else (owner.uid,)


def unfinished(job: batch.Job) -> Iterable[str]:
    """Return the function of the UNFINISHED index."""
    return () if is_finished(job.status) else (job.metadata.namespace,)


class JobController:
    """Runs pods for Jobs until enough of them have succeeded, or too many failed, and counts each exactly once."""

    declaration = Declaration(
        name="job",
        kind=batch.Job,
        roles=("job-controller",),
        reads=(Whole(batch.Job), PODS),
    )

    def __init__(self) -> None:
        self._sights: dict[Key, Sight] = {}
        self._watching = False
        self._begun: int | None = None

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._pacer = Pacer(ctx.clock, BATCHES)
        self._jobs: Informer[batch.Job] = ctx.read(batch.Job)
        self._jobs.add_index(UNFINISHED, unfinished)
        self._pods: Informer[SlimPod] = index_orphans(ctx.read(SlimPod))
        self._pods.add_index(UNSETTLED, unsettled)
        self._to_owner = to_owner("Job", "batch")
        self._jobs.subscribe(self._on_job)
        ctx.watch(self._jobs)
        ctx.watch(self._pods, self._keys)
        self._pods.subscribe(metrics.note_pod)
        self._watching = True

    def _on_job(self, old: batch.Job | None, new: batch.Job | None) -> None:
        if new is None:
            return
        key = Key.of(new)
        if old is None and self._watching and self._jobs.synced:
            version = new.metadata.resourceVersion
            self._sights[key] = Sight(new.metadata.uid, born=int(version) if version.isdigit() else 0)
        if old is None or old.metadata.generation != new.metadata.generation:
            # What a user changes takes effect at once.
            self._pacer.forget(key)

    def _keys(self, pod: SlimPod) -> Iterable[Key]:
        if controller_of(pod) is not None:
            return self._to_owner(pod)
        meta = pod.metadata
        if not meta.labels:
            return ()
        jobs = self._jobs.by_index(UNFINISHED, meta.namespace)
        return [Key.of(job) for job in jobs if workload_selector(job.spec.selector).matches(meta.labels)]

    async def reconcile(self, key: Key) -> Result:
        job = self._jobs.get(key)
        if job is None or is_finished(job.status) or is_managed_elsewhere(job.spec):
            self._sights.pop(key, None)
            self._pacer.forget(key)
            return DONE
        if pause := self._pacer.pause(key):
            return pause
        if workload_selector(job.spec.selector).nothing:
            # Upstream gives such a Job every pod of its namespace that has no controller.
            report_everything(self._ctx.recorder, job, "job")
            return DONE
        sight = self._sights.get(key)
        if sight is None or sight.uid != job.metadata.uid:
            sight = self._sights[key] = Sight(job.metadata.uid)
        try:
            job, pods = await self._look(job, sight)
            if is_finished(job.status):
                return DONE
            now = self._ctx.clock.now()
            with self._pacer.measure(key):
                step = plan(job, pods, now, failures=sight.failures, memory=sight.memory)
            await self._timed(job, sight, step)
        except NotFound:
            return DONE
        except Exception as error:
            sight.doubt(error)
            raise
        return Result(step.after)

    async def _look(self, job: batch.Job, sight: Sight) -> tuple[batch.Job, list[SlimPod]]:
        """Return the Job and the pods that it controls, settled ones left out; raises NotFound when the Job is gone.

        They come from the server when the caches cannot be believed: the pods are never older than the Job.
        """
        selector = workload_selector(job.spec.selector)
        meta, client, kind = job.metadata, self._ctx.client, self._pods.kind
        owned = self._pods.by_index(UNSETTLED, meta.uid)
        orphans = self._pods.by_index(ORPHANS, meta.namespace)
        if not sight.trusts(job.status, self._pods.revision, begun=await self._begin()):
            job = await client.get(batch.Job, meta.name, meta.namespace)
            if job.metadata.uid != meta.uid:
                raise NotFound.object("jobs", meta.name)
            listed = await client.list(kind, meta.namespace, labels=str(selector))
            strays = [pod for pod in owned if not selector.matches(pod.metadata.labels)]
            owned = [*strays, *(pod for pod in listed.items if meta.uid in unsettled(pod))]
            orphans = [pod for pod in listed.items if controller_of(pod) is None]
            sight.read(job.status, listed.resourceVersion)
        sight.look(owned)
        claims = sort_out(job, selector, owned, filter(_is_adoptable, orphans))
        return job, await claim_among(client, job, claims, kind, finalizer=TRACKING)

    async def _begin(self) -> int:
        """Return a revision of the server after which no other loop acted."""
        if self._begun is None:
            version = (await self._ctx.client.list(batch.Job, limit=1)).resourceVersion
            self._begun = int(version) if version.isdigit() else sys.maxsize
        return self._begun

    async def _timed(self, job: batch.Job, sight: Sight, step: Plan) -> None:
        started, failed = self._ctx.clock.monotonic(), True
        try:
            await self._take(job, sight, step)
            failed = False
        finally:
            metrics.note_step(step, self._ctx.clock.monotonic() - started, failed=failed)

    async def _take(self, job: batch.Job, sight: Sight, step: Plan) -> None:
        written, status = job, step.status
        if step.record:
            written = await self._record(job, sight, status)
            status = written.status
        metrics.note_policy(step)
        sight.failures = step.failures
        writer = PodWriter(self._ctx, job)
        try:
            await writer.take(step)
            outcome = writer.outcome
            sight.did(outcome.settled, outcome.deleted)
            final, events = finish(step, status, outcome, self._ctx.clock.now())
            await self._record(written, sight, final)
        finally:
            for error in writer.errors:
                sight.doubt(error)
        for event in events:
            self._ctx.recorder.event(job, event.type, event.reason, event.message)
        if writer.errors:
            raise writer.errors[0]

    async def _record(self, job: batch.Job, sight: Sight, status: batch.JobStatus) -> batch.Job:
        """Write a status; raises NotFound when the Job is gone, Conflict when it changed."""
        written = await write_status(self._ctx.client, job, status)
        if written is None:
            raise NotFound.object("jobs", job.metadata.name)
        metrics.note_status(job, job.status, written.status)
        sight.wrote(written.status)
        return written


def _is_adoptable(pod: SlimPod) -> bool:
    """Return whether a pod without a controller can be taken over: what has ended without the finalizer may be counted already."""
    return is_active(pod) or TRACKING in pod.metadata.finalizers
