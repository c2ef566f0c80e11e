"""Kinds that are questions: created, answered and never stored."""

from __future__ import annotations

from tiphys.apiserver.answers import render
from tiphys.apiserver.chain.context import Context
from tiphys.apiserver.verbs.pipeline import check_place, read_body
from tiphys.wire.http import Response


async def review(ctx: Context) -> Response:
    """POST of a review; the answer is in its status."""
    body = await read_body(ctx)
    check_place(ctx, body, named=False)
    answer = await ctx.services.reviewer.review(body, ctx.user, ctx.info.namespace)
    return await ctx.aside(render.value, ctx, answer, 201) if ctx.large else render.value(ctx, answer, 201)
