"""/healthz of the kubelet: on its server, and plain on loopback for supervisors of the machine (`--healthz-port`)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from urllib.parse import unquote

from tiphys.aio.clock import Clock
from tiphys.http.server import Server
from tiphys.node.serve.endpoints.refusal import Refusal, not_found
from tiphys.node.serve.limits import LIMITS
from tiphys.obs.health import Check, page, page_of_one
from tiphys.wire.http import Request, Response

log = logging.getLogger(__name__)

ENDPOINT = "healthz"
RETRY = 5.0
"""Seconds between attempts to listen while somebody else has the port: pods do not need the page."""
_TEXT = {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}


def answer(checks: Mapping[str, Check], rest: list[str], request: Request) -> Response:
    """The page of all checks, or of the one that the path names. Raises Refusal."""
    if not rest:
        shown = page(ENDPOINT, checks, request.query)
    elif len(rest) == 1 and rest[0] in checks:
        shown = page_of_one(rest[0], checks[rest[0]])
    else:
        raise not_found()
    if shown.failed:
        log.info("health check failed", extra={"failed": dict(shown.failed)})
    return Response(shown.status, dict(_TEXT), shown.text.encode())


class HealthServer:
    """The page without TLS and without asking who calls. It says nothing but names of checks."""

    def __init__(self, checks: Mapping[str, Check], clock: Clock) -> None:
        self.checks = checks
        self.clock = clock
        self.http = Server(self.handle, context=None, limits=LIMITS)
        self.listening = asyncio.Event()
        self.port = 0
        """Where it is served, once `listening` is set."""

    async def handle(self, request: Request) -> Response:
        """The answer to any request."""
        head, *rest = unquote(request.path).strip("/").split("/")
        try:
            if head != ENDPOINT:
                raise not_found()
            return answer(self.checks, rest, request)
        except Refusal as refusal:
            return Response(refusal.status, dict(_TEXT), f"{refusal}\n".encode())

    async def run(self, host: str, port: int) -> None:
        """Serve until cancelled, once the port is free."""
        while True:
            try:
                self.port = await self.http.start(host, port)
                break
            except OSError as error:
                log.warning("health page is not served", extra={"address": f"{host}:{port}", "error": str(error)})
                await self.clock.sleep(RETRY)
        self.listening.set()
        try:
            await asyncio.Event().wait()
        finally:
            await self.http.stop(grace=0.0)
