"""token: a new token for a service account ("TokenRequest")."""

from __future__ import annotations

from tiphys.api.authentication.v1 import TokenRequest
from tiphys.apiserver.answers import render
from tiphys.apiserver.chain.context import Context
from tiphys.apiserver.verbs.pipeline import admission_request, read_body
from tiphys.wire.http import Response


async def create(ctx: Context) -> Response:
    """POST of a TokenRequest; the answer's status holds the token."""
    body: TokenRequest = await read_body(ctx, TokenRequest)
    issuer, info = ctx.services.tokens, ctx.info
    issuer.prepare(body, info.namespace, info.name)
    admission = admission_request(ctx, "CREATE", body, None)
    if admission is not None:
        await ctx.services.admission.admit(admission)
        await ctx.services.admission.validate(admission)
    ctx.warnings = [*ctx.warnings, *issuer.issue(body, info.namespace, info.name, ctx.services.now())]
    return render.value(ctx, body, 201)
