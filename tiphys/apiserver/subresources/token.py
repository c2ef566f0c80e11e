"""token: a new token for a service account ("TokenRequest")."""

from __future__ import annotations

from tiphys.api.authentication.v1 import TokenRequest
from tiphys.apiserver.answers import render
from tiphys.apiserver.chain.context import Context
from tiphys.apiserver.verbs.pipeline import admission_request, read_body
from tiphys.wire.http import Response


async def create(ctx: Context) -> Response:
    """POST of a TokenRequest; the answer's status holds the token."""
    asked: TokenRequest = await read_body(ctx, TokenRequest)
    issuer, info = ctx.services.tokens, ctx.info
    issuer.prepare(asked, info.namespace, info.name)
    admission = admission_request(ctx, "CREATE", asked, None)
    if admission is not None:
        await ctx.services.admission.admit(admission)
        await ctx.services.admission.validate(admission)
    ctx.warnings = [*ctx.warnings, *issuer.issue(asked, info.namespace, info.name, ctx.services.now())]
    return render.value(ctx, asked, 201)
