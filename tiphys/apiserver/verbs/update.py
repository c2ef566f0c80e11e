"""update: replace an object, or its status."""

from __future__ import annotations

from typing import Any

from tiphys.api.machinery.errors import Invalid, invalid
from tiphys.apiserver.cache.entry import Entry
from tiphys.apiserver.chain.context import Context
from tiphys.apiserver.verbs.create import store_new
from tiphys.apiserver.verbs.pipeline import answered, check_place, decode_body, read_body
from tiphys.apiserver.verbs.pipeline import update as apply_change
from tiphys.wire.http import Response


async def update(ctx: Context) -> Response:
    """PUT of an object (or of its status). Some kinds are created when they are not there."""
    body = await read_body(ctx) if ctx.large else decode_body(ctx)
    check_place(ctx, body, named=True)
    subresource = ctx.info.subresource
    missing = ctx.storage.cache(ctx.kind).get(ctx.info.namespace, ctx.info.name) is None
    if missing and not subresource and ctx.kind.rules.create_on_update:
        if body.metadata.resourceVersion:
            raise ctx.not_found()
        return await answered(ctx, await store_new(ctx, body), 201)
    if missing:
        raise ctx.not_found()
    if not body.metadata.resourceVersion and ctx.kind.rules.needs_version and subresource in ("", "status"):
        errors = [invalid("metadata.resourceVersion", 0, "must be specified for an update")]
        raise Invalid.object(ctx.kind.plural, ctx.info.name, errors, group=ctx.kind.group)

    sent = [body]

    def change(_: Entry, __: Any) -> Any:
        # A retry after a lost race must start from the client's object, not from the last attempt's.
        if sent:
            return sent.pop()
        again = decode_body(ctx)
        check_place(ctx, again, named=True)
        return again

    entry, _ = await apply_change(ctx, change, subresource=subresource)
    return await answered(ctx, entry)
