"""binding: a pod's assignment to a node, by the scheduler ("Pod scheduling: binding")."""

from __future__ import annotations

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import time
from tiphys.api.machinery.errors import BadRequest, Conflict, Invalid, not_supported, required
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.apiserver.answers import render
from tiphys.apiserver.cache.entry import Entry
from tiphys.apiserver.chain.context import Context
from tiphys.apiserver.verbs.pipeline import check_place, read_body
from tiphys.apiserver.verbs.pipeline import update as apply_change
from tiphys.wire.http import Response


async def create_beside(ctx: Context) -> Response:
    """POST of a Binding to `bindings`, where it names its pod itself."""
    binding: core.Binding = await read_body(ctx, core.Binding)
    if not binding.metadata.name:
        raise Invalid.object("Binding", "", [required("metadata.name", "name or generateName is required")])
    info = msgspec.structs.replace(ctx.info, resource="pods", subresource="binding", name=binding.metadata.name)
    return await create(msgspec.structs.replace(ctx, info=info, kind=ctx.services.scheme.of(core.Pod)))


async def create(ctx: Context) -> Response:
    """POST of a Binding: sets spec.nodeName and the PodScheduled condition, once."""
    binding: core.Binding = await read_body(ctx, core.Binding)
    if binding.metadata.name != ctx.info.name:
        raise BadRequest("name in URL does not match name in Binding object")
    check_place(ctx, binding, named=True)
    errors = []
    if binding.target.kind not in ("", "Node"):
        errors.append(not_supported("target.kind", binding.target.kind, ["Node", "<empty>"]))
    if not binding.target.name:
        errors.append(required("target.name"))
    if errors:
        # Upstream answers 500 here, as if it had failed itself.
        raise Invalid.object("Binding", binding.metadata.name, errors)

    pods = ctx.storage.cache(ctx.kind).codec

    def change(entry: Entry, old: core.Pod) -> core.Pod:
        name, meta = old.metadata.name, old.metadata
        _check_preconditions(binding.metadata, meta, str(entry.revision))
        if meta.deletionTimestamp is not None:
            raise Conflict.object("pods/binding", name, f"pod {name} is being deleted, cannot be assigned to a host")
        if old.spec.nodeName:
            raise Conflict.object("pods/binding", name, f'pod {name} is already assigned to node "{old.spec.nodeName}"')
        if old.spec.schedulingGates:
            raise Conflict.object("pods/binding", name, f"pod {name} has non-empty .spec.schedulingGates")
        pod: core.Pod = pods.decode(entry.data)
        pod.metadata.resourceVersion = ""  # A race with a status update is looked at again, not refused.
        pod.spec.nodeName = binding.target.name
        pod.status.nominatedNodeName = ""
        pod.metadata.annotations.update(binding.metadata.annotations)
        pod.metadata.labels.update(binding.metadata.labels)
        others = [condition for condition in pod.status.conditions if condition.type != "PodScheduled"]
        now = time(ctx.services.now())
        scheduled = core.PodCondition(type="PodScheduled", status="True", lastTransitionTime=now)
        pod.status.conditions = [*others, scheduled]
        return pod

    await apply_change(ctx, change, subresource="binding")
    return render.status_success(ctx)


def _check_preconditions(preconditions: ObjectMeta, meta: ObjectMeta, revision: str) -> None:
    """A binding may name the pod, or the state of it, that it is for; raises Conflict."""
    for name, value, actual in (
        ("UID", preconditions.uid, meta.uid),
        ("ResourceVersion", preconditions.resourceVersion, revision),
    ):
        if value and value != actual:
            key = f"/pods/{meta.namespace}/{meta.name}"
            why = f"Precondition failed: {name} in precondition: {value}, {name} in object meta: {actual}"
            message = f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: {why}"
            raise Conflict.object("pods", meta.name, message)
