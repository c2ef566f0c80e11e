"""Controller of pods that Jobs left behind: nobody counts them any more, so nothing may hold them ("Job": job tracking with finalizers)."""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.api.batch import v1 as batch
from tiphys.api.core import v1 as core
from tiphys.api.helpers.jobs import TRACKING, is_finished, is_managed_elsewhere
from tiphys.api.machinery.errors import NotFound
from tiphys.api.meta.v1 import OwnerReference
from tiphys.controllers.job.writing import remove_finalizer
from tiphys.controllers.shared.slim import PODS, SlimPod
from tiphys.runtime import (
    DONE,
    OWNER,
    ControllerContext,
    Declaration,
    Informer,
    Key,
    Result,
    Whole,
    controller_of,
    index_owners,
)


def is_left(owner: OwnerReference | None, job: batch.Job | None) -> bool:
    """Return whether a tracked pod is nobody's to count, by its owner and the Job of that name. Pure."""
    if owner is None:
        return True
    if owner.kind != "Job" or owner.apiVersion.rpartition("/")[0] != "batch":
        return False
    if job is None:
        return True
    if is_managed_elsewhere(job.spec):
        return False
    return job.metadata.uid != owner.uid or is_finished(job.status)


class JobOrphanController:
    """Removes the tracking finalizer from pods that no Job looks after. Keys are pods."""

    declaration = Declaration(name="job-orphan-pods", kind=core.Pod, roles=("job-controller",), reads=(Whole(batch.Job), PODS))

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._jobs: Informer[batch.Job] = ctx.read(batch.Job)
        self._pods: Informer[SlimPod] = index_owners(ctx.read(SlimPod))
        ctx.watch(self._jobs, self._pods_of, when=lambda old, new: new is None or is_finished(new.status))
        ctx.watch(self._pods, when=self._concerns)

    def _pods_of(self, job: batch.Job) -> Iterable[Key]:
        return [Key.of(pod) for pod in self._pods.by_index(OWNER, job.metadata.uid) if TRACKING in pod.metadata.finalizers]

    def _concerns(self, old: SlimPod | None, new: SlimPod | None) -> bool:
        return new is not None and TRACKING in new.metadata.finalizers and self._is_left(new)

    def _is_left(self, pod: SlimPod) -> bool:
        owner = controller_of(pod)
        job = self._jobs.get(Key(pod.metadata.namespace, owner.name)) if owner is not None else None
        return is_left(owner, job)

    async def reconcile(self, key: Key) -> Result:
        pod = self._pods.get(key)
        if pod is None or TRACKING not in pod.metadata.finalizers or not self._is_left(pod):
            return DONE
        owner = controller_of(pod)
        if owner is not None:
            # The cache of Jobs may be behind that of pods.
            try:
                job = await self._ctx.client.get(batch.Job, owner.name, key.namespace)
            except NotFound:
                job = None
            if not is_left(owner, job):
                return DONE
        # A Job may be adopting it.
        await remove_finalizer(self._ctx.client, pod, unchanged=True)
        return DONE
