"""A server of nothing but discovery and OpenAPI (what is posted is sent back), and a real kubectl pointed at it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tiphys.api.kinds import SCHEME
from tiphys.api.machinery.errors import StatusError
from tiphys.apiserver import discovery, openapi
from tiphys.testing.kubectl import Kubectl
from tiphys.wire.http import Request


@pytest.fixture
async def seen() -> list[str]:
    """The paths and queries that clients asked for."""
    return []


@pytest.fixture
async def server(seen: list[str]) -> AsyncIterator[str]:
    described, specified = discovery.Documents(SCHEME), openapi.Documents(SCHEME)

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.path_qs)
        if request.method == "POST":
            return web.Response(status=201, body=await request.read(), content_type="application/json")
        ours = Request(
            request.method, request.path, tuple(request.query.items()), {name.lower(): value for name, value in request.headers.items()}
        )
        try:
            if request.path == "/version":
                return web.Response(body=discovery.version(), content_type="application/json")
            if request.path.startswith("/openapi/"):
                answer = specified.answer(ours)
            else:
                answer = described.answer(ours)
        except StatusError as error:
            return web.json_response(
                {"kind": "Status", "status": "Failure", "message": error.message, "code": error.code}, status=error.code
            )
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://{runner.addresses[0][0]}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
def kubectl(server: str, tmp_path: Path) -> Kubectl:
    return Kubectl(tmp_path, f"--server={server}")
