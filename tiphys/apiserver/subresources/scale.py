"""scale: the number of replicas of anything that has one, as autoscaling/v1 Scale."""

from __future__ import annotations

from typing import Any

import msgspec

from tiphys.api.autoscaling.scale import COLUMNS as SCALES
from tiphys.api.autoscaling.v1 import Scale, ScaleSpec, ScaleStatus
from tiphys.api.custom.scale import custom_scale, nested, set_custom_replicas
from tiphys.api.machinery import codec
from tiphys.api.machinery.errors import Invalid, invalid
from tiphys.api.machinery.patch import STRATEGIC_MERGE_PATCH, apply_patch, check_format
from tiphys.api.machinery.selectors import Selector, from_label_selector, from_map
from tiphys.api.meta.v1 import LabelSelector, ObjectMeta
from tiphys.apiserver.answers import render
from tiphys.apiserver.cache.entry import Entry
from tiphys.apiserver.chain.context import Context
from tiphys.apiserver.chain.options import field_validation, is_apply
from tiphys.apiserver.verbs.apply import applied_change, check_fields, configuration
from tiphys.apiserver.verbs.patch import keep_type
from tiphys.apiserver.verbs.pipeline import check_place, read_body
from tiphys.apiserver.verbs.pipeline import update as apply_change
from tiphys.apiserver.verbs.read import entry_of
from tiphys.wire.http import Response


def scale_of(entry: Entry, obj: Any) -> Scale:
    """The Scale of a Deployment, ReplicaSet or anything shaped like them, or of a custom object that says where its replicas are."""
    meta = obj.metadata
    if obj.__model__ is not None:
        spec, status = custom_scale(obj)
    else:
        spec = ScaleSpec(replicas=1 if obj.spec.replicas is None else obj.spec.replicas)
        status = ScaleStatus(replicas=obj.status.replicas, selector=str(_selector(obj.spec.selector)))
    return Scale(
        metadata=ObjectMeta(
            name=meta.name,
            namespace=meta.namespace,
            uid=meta.uid,
            resourceVersion=str(entry.revision),
            creationTimestamp=meta.creationTimestamp,
        ),
        spec=spec,
        status=status,
    )


def _selector(selector: LabelSelector | dict[str, str] | None) -> Selector:
    """Replication controllers know equality only."""
    return from_map(selector) if isinstance(selector, dict) else from_label_selector(selector)


def set_replicas(obj: Any, replicas: int) -> None:
    """Write the values of a Scale into its object."""
    if obj.__model__ is None:
        obj.spec.replicas = replicas
    else:
        set_custom_replicas(obj, replicas)


async def get(ctx: Context) -> Response:
    """GET of the scale."""
    entry = await entry_of(ctx)
    return render.value(ctx, scale_of(entry, ctx.storage.cache(ctx.kind).codec.decode(entry.data)), columns=SCALES)


async def update(ctx: Context) -> Response:
    """PUT of the scale."""
    body = await read_body(ctx, Scale)
    check_place(ctx, body, named=True)
    return await _apply(ctx, lambda _: body)


async def patch(ctx: Context) -> Response:
    """PATCH of the scale."""
    request = ctx.request
    media, validation = request.headers.get("content-type", ""), field_validation(ctx.options)
    if is_apply(media):
        return await _server_side_apply(ctx)

    form = check_format(media)

    def patched(current: Scale) -> Scale:
        document = apply_patch(Scale, msgspec.to_builtins(current), request.body, media, validation=validation)
        if form == STRATEGIC_MERGE_PATCH:
            keep_type(document.document, current.apiVersion, current.kind)
        decoded = codec.decode_document(Scale, document.document, validation=validation, earlier=document.problems)
        ctx.warnings = [*ctx.warnings, *decoded.problems]
        scale = decoded.obj
        if scale.metadata.resourceVersion == current.metadata.resourceVersion:
            scale.metadata.resourceVersion = ""
        return scale

    return await _apply(ctx, patched)


async def _server_side_apply(ctx: Context) -> Response:
    """An apply of a Scale is one of its owner's replicas."""
    config = await configuration(ctx, Scale)
    check_fields(ctx, Scale, config)
    meta, spec = config.get("metadata") or {}, config.get("spec") or {}
    replicas = spec.get("replicas") if isinstance(spec, dict) else None
    if isinstance(replicas, int) and replicas < 0:
        raise _negative(ctx, replicas)
    described = {"apiVersion": ctx.kind.api_version, "kind": ctx.kind.kind, "metadata": meta}
    model = ctx.kind.type.__model__
    path = ".spec.replicas" if model is None else model.scale.replicas
    owned = nested(path, replicas) if replicas is not None else {}
    entry, _ = await apply_change(ctx, applied_change(ctx, {**described, **owned}))
    return render.value(ctx, scale_of(entry, ctx.storage.cache(ctx.kind).codec.decode(entry.data)), columns=SCALES)


def _negative(ctx: Context, replicas: int) -> Invalid:
    error = invalid("spec.replicas", replicas, "must be greater than or equal to 0")
    return Invalid.object("Scale", ctx.info.name, [error], group="autoscaling")


async def _apply(ctx: Context, make: Any) -> Response:
    codec_ = ctx.storage.cache(ctx.kind).codec

    def change(entry: Entry, old: Any) -> Any:
        scale = make(scale_of(entry, old))
        if scale.spec.replicas < 0:
            raise _negative(ctx, scale.spec.replicas)
        new = codec_.decode(entry.data)
        set_replicas(new, scale.spec.replicas)
        new.metadata.resourceVersion = scale.metadata.resourceVersion
        return new

    entry, _ = await apply_change(ctx, change)
    return render.value(ctx, scale_of(entry, codec_.decode(entry.data)), columns=SCALES)
