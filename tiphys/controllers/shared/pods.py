"""Pods of workloads: made from a template, created and deleted with the events that tell of it."""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import Conflict
from tiphys.api.meta.v1 import KubeObject, ObjectMeta
from tiphys.controllers.shared.claim import reference
from tiphys.controllers.shared.refusal import namespace_ends
from tiphys.controllers.shared.slim import SlimPod
from tiphys.runtime import ControllerContext, Key, delete_exact


class Deletions:
    """Pods that a loop deleted, by owner.

    Deletions answer with no version to wait for, so they are remembered until the cache shows them.
    """

    def __init__(self) -> None:
        self._uids: dict[Key, set[str]] = {}

    def add(self, owner: Key, uid: str) -> None:
        """Record a deletion."""
        self._uids.setdefault(owner, set()).add(uid)

    def forget(self, owner: Key) -> None:
        """Drop what is known about an owner that is gone."""
        self._uids.pop(owner, None)

    def unseen(self, owner: Key, pods: Iterable[SlimPod]) -> frozenset[str]:
        """Return the uids that were deleted and that the owner's pods, as cached, still show as alive; forgets the others."""
        deleted = self._uids.get(owner)
        if not deleted:
            return frozenset()
        deleted &= {pod.metadata.uid for pod in pods if pod.metadata.deletionTimestamp is None}
        if not deleted:
            del self._uids[owner]
        return frozenset(deleted)


def templated_pod(owner: KubeObject, template: core.PodTemplateSpec) -> core.Pod:
    """Create a pod of the owner's, whose name the server completes; it shares the template's spec, so write it but do not change it."""
    meta = ObjectMeta(
        generateName=f"{owner.metadata.name}-",
        namespace=owner.metadata.namespace,
        labels=dict(template.metadata.labels),
        annotations=dict(template.metadata.annotations),
        finalizers=list(template.metadata.finalizers),
    )
    return core.Pod(metadata=meta, spec=template.spec)


async def create_owned(ctx: ControllerContext, owner: KubeObject, pod: core.Pod) -> core.Pod:
    """Create a pod that `owner` controls; returns it as written. An event of the owner tells of it, or of the error, which is raised."""
    pod.metadata.ownerReferences = [reference(owner)]
    try:
        created = await ctx.client.create(pod)
    except Exception as error:
        if not namespace_ends(error):
            ctx.recorder.event(owner, "Warning", "FailedCreate", f"Error creating: {error}")
        raise
    ctx.recorder.event(owner, "Normal", "SuccessfulCreate", f"Created pod: {created.metadata.name}")
    return created


async def delete_owned(ctx: ControllerContext, owner: KubeObject, meta: ObjectMeta, *, unchanged: bool = False) -> None:
    """Delete this very pod, and with `unchanged` only in the version known here, unless it is gone.

    An event of the owner tells of it, or of the error, which is raised; of a Conflict nobody needs to hear.
    """
    try:
        deleted = await delete_exact(ctx.client, core.Pod, meta, unchanged=unchanged)
    except Conflict:
        raise
    except Exception as error:
        ctx.recorder.event(owner, "Warning", "FailedDelete", f"Error deleting: {error}")
        raise
    if deleted:
        ctx.recorder.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {meta.name}")
