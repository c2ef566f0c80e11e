"""patch: JSON, merge and strategic merge patches of an object or its status ("Update API Objects in Place Using kubectl patch").

Apply patches go on to `verbs.apply`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from tiphys.api.machinery import codec
from tiphys.api.machinery.errors import BadRequest
from tiphys.api.machinery.patch import JSON_PATCH, STRATEGIC_MERGE_PATCH, apply_patch, check_format
from tiphys.api.meta.v1 import KubeObject, ObjectMeta
from tiphys.apiserver.cache.entry import Entry
from tiphys.apiserver.chain.context import Context
from tiphys.apiserver.chain.options import field_validation, is_apply
from tiphys.apiserver.verbs.apply import apply
from tiphys.apiserver.verbs.pipeline import answered
from tiphys.apiserver.verbs.pipeline import update as apply_change
from tiphys.wire.http import Response

_Metadata = msgspec.defstruct("_Metadata", [(name, Any, msgspec.UNSET) for name in ObjectMeta.__struct_fields__ if name != "managedFields"])
"""Metadata as generic values, but for managedFields."""


class _Half(msgspec.Struct):
    """Part of an object that a patch of the status can change, and the part that it needs to see."""

    apiVersion: str = ""
    kind: str = ""
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)  # type: ignore[valid-type]
    status: Any = msgspec.UNSET


_decode_half = msgspec.json.Decoder(_Half).decode


def _read_half(data: bytes) -> dict[str, Any]:
    """The document of an object without its spec and managedFields: reading past them costs a third of reading them."""
    half = _decode_half(data)
    document = {"apiVersion": half.apiVersion, "kind": half.kind, "metadata": msgspec.to_builtins(half.metadata)}
    if half.status is not msgspec.UNSET:
        document["status"] = half.status
    return document


@cache
def _beside_status(type_: type[KubeObject]) -> tuple[bytes, ...]:
    """The fields of a type that are not read in halves, as they stand in JSON."""
    return tuple(b'"%b"' % name.encode() for name in type_.__struct_fields__ if name not in _Half.__struct_fields__)


def _touches_status_alone(ctx: Context) -> bool:
    """Return whether this is a patch of the status that names no field beside it. An update of a status restores those in any case."""
    type_: type[KubeObject] = ctx.kind.type
    body = ctx.request.body
    if ctx.info.subresource != "status" or type_.__model__ is not None:
        return False
    for name in _beside_status(type_):  # noqa: SIM110 (any() takes twice as long, and kubelets ask without end)
        if name in body:
            return False
    return True


def keep_type(document: dict[str, Any], api_version: str, kind: str) -> None:
    """Undo changes of the object's type by a strategic merge patch: it is merged into a known one, so its own kind means nothing."""
    document["apiVersion"], document["kind"] = api_version, kind


async def patch(ctx: Context) -> Response:
    """PATCH of an object or its status."""
    request = ctx.request
    media = request.headers.get("content-type", "")
    if is_apply(media):
        return await apply(ctx)
    form = check_format(media, typed=ctx.kind.type.__model__ is None)
    by_place = form == JSON_PATCH
    validation = field_validation(ctx.options)
    problems: list[str] = []
    read = _read_half if not by_place and _touches_status_alone(ctx) else msgspec.json.decode

    def change(entry: Entry, _: Any) -> Any:
        document = read(entry.data)
        if not by_place:
            document["metadata"].pop("managedFields", None)  # Half of the object; without any, an update keeps those that there are.
        patched = apply_patch(ctx.kind.type, document, request.body, media, validation=validation)
        if form == STRATEGIC_MERGE_PATCH:
            keep_type(patched.document, ctx.kind.api_version, ctx.kind.kind)
        decoded = codec.decode_document(ctx.kind.type, patched.document, validation=validation, earlier=patched.problems)
        problems[:] = decoded.problems
        new = decoded.obj
        meta = new.metadata
        if meta.name != entry.name:
            raise BadRequest(f"metadata.name may not be changed by a patch: it is {entry.name}")
        if not ctx.kind.namespaced:
            meta.namespace = ""
        if meta.namespace != entry.namespace:
            raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
        if meta.resourceVersion == str(entry.revision):
            meta.resourceVersion = ""  # Not pinned by the patch, so a lost race is tried again.
        return new

    entry, _ = await apply_change(ctx, change, subresource=ctx.info.subresource)
    ctx.warnings = [*ctx.warnings, *problems]
    return await answered(ctx, entry)
