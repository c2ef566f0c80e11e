"""finalize: a namespace's own finalizers, which only the namespace controller removes ("Namespaces")."""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.apiserver.answers import render
from tiphys.apiserver.cache.entry import Entry
from tiphys.apiserver.chain.context import Context
from tiphys.apiserver.verbs.pipeline import check_place, read_body
from tiphys.apiserver.verbs.pipeline import update as apply_change
from tiphys.wire.http import Response


async def update(ctx: Context) -> Response:
    """PUT of the namespace: only spec.finalizers changes; with none left and the deletion begun, the namespace is gone."""
    body: core.Namespace = await read_body(ctx)
    check_place(ctx, body, named=True)

    namespaces = ctx.storage.cache(ctx.kind).codec

    def change(entry: Entry, old: core.Namespace) -> core.Namespace:
        new: core.Namespace = namespaces.decode(entry.data)
        new.spec.finalizers = list(body.spec.finalizers)
        new.metadata.resourceVersion = body.metadata.resourceVersion
        return new

    entry, _ = await apply_change(ctx, change, subresource="finalize")
    return render.single(ctx, entry)
