"""Controller that deletes finished Jobs, and their pods with them."""

from __future__ import annotations

from tiphys.api.batch import v1 as batch
from tiphys.api.machinery.errors import NotFound
from tiphys.controllers.ttlafterfinished.plan import expires_at
from tiphys.obs import metrics
from tiphys.runtime import DONE, ControllerContext, Declaration, Informer, Key, Result, Whole

LATE = metrics.histogram(
    "ttl_after_finished_controller_job_deletion_duration_seconds",
    "Time from the moment at which a Job was to be deleted to its deletion.",
    buckets=metrics.exponential(0.1, 2, 14),
)


class TtlAfterFinishedController:
    """Deletes Jobs whose time to live after their end is over."""

    declaration = Declaration(
        name="ttl-after-finished", kind=batch.Job, roles=("ttl-after-finished-controller",), reads=(Whole(batch.Job),)
    )

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._jobs: Informer[batch.Job] = ctx.read(batch.Job)
        ctx.watch(self._jobs, when=lambda _, new: new is not None and expires_at(new) is not None)

    async def reconcile(self, key: Key) -> Result:
        job = self._jobs.get(key)
        left = self._left(job)
        if left is None:
            return DONE
        if left > 0:
            return Result(left)
        # The time to live may just have been changed.
        try:
            job = await self._ctx.client.get(batch.Job, key.name, key.namespace)
        except NotFound:
            return DONE
        left = self._left(job)
        if left is not None and left <= 0:
            await self._delete(job)
            LATE.labels().observe(-left)
            return DONE
        return Result(left)

    def _left(self, job: batch.Job | None) -> float | None:
        moment = expires_at(job) if job is not None else None
        return (moment - self._ctx.clock.now()).total_seconds() if moment is not None else None

    async def _delete(self, job: batch.Job) -> None:
        meta = job.metadata
        try:
            await self._ctx.client.delete(
                batch.Job, meta.name, meta.namespace, uid=meta.uid, resource_version=meta.resourceVersion, propagation="Foreground"
            )
        except NotFound:
            return
