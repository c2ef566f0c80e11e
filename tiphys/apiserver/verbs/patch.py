"""patch: JSON, merge and strategic merge patches of an object or its status ("Update API Objects in Place Using kubectl patch")."""

from __future__ import annotations

from typing import Any

import msgspec

from tiphys.api import codec
from tiphys.api.errors import BadRequest, UnsupportedMediaType
from tiphys.api.patch import json_patch, merge_patch, strategic_merge
from tiphys.api.scheme import Kind
from tiphys.apiserver import render
from tiphys.apiserver.context import Context
from tiphys.apiserver.entry import Entry
from tiphys.apiserver.options import field_validation
from tiphys.apiserver.verbs.pipeline import update as apply_change
from tiphys.wire.http import Response

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
SUPPORTED = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH)


async def patch(ctx: Context) -> Response:
    """PATCH of an object or its status."""
    media, body = read_patch(ctx)
    validation = field_validation(ctx.request)
    problems: list[str] = []

    def change(entry: Entry, _: Any) -> Any:
        document = apply_patch(ctx.kind, media, msgspec.json.decode(entry.data), body)
        decoded = codec.decode_document(ctx.kind.type, document, validation=validation)
        problems[:] = decoded.problems
        wanted = decoded.obj
        meta = wanted.metadata
        if meta.name != entry.name:
            raise BadRequest(f"metadata.name may not be changed by a patch: it is {entry.name}")
        if meta.namespace != entry.namespace:
            raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
        if meta.resourceVersion == str(entry.revision):
            meta.resourceVersion = ""  # Not pinned by the patch, so a lost race is tried again.
        return wanted

    entry, _ = await apply_change(ctx, change, subresource=ctx.info.subresource)
    ctx.warnings = [*ctx.warnings, *problems]
    return render.single(ctx, entry)


def read_patch(ctx: Context) -> tuple[str, Any]:
    """The patch's media type and document; raises UnsupportedMediaType, BadRequest."""
    media = ctx.request.headers.get("content-type", "").partition(";")[0].strip()
    if media not in SUPPORTED:
        raise UnsupportedMediaType(
            f"the body of the request was in an unknown format - accepted media types include: {', '.join(SUPPORTED)}"
        )
    try:
        body = msgspec.json.decode(ctx.request.body)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise BadRequest(f"error decoding patch: {exc}") from exc
    if media == JSON_PATCH and not isinstance(body, list):
        raise BadRequest("error decoding patch: a JSON patch is a list of operations")
    if media != JSON_PATCH and not isinstance(body, dict):
        raise BadRequest("error decoding patch: the patch must be a JSON object")
    return media, body


def apply_patch(kind: Kind[Any], media: str, document: Any, body: Any) -> Any:
    """The patched document."""
    if media == JSON_PATCH:
        return json_patch(document, body)
    if media == MERGE_PATCH:
        return merge_patch(document, body)
    return strategic_merge(kind.type, document, body)


__all__ = ["JSON_PATCH", "MERGE_PATCH", "STRATEGIC_PATCH", "apply_patch", "patch", "read_patch"]
