"""Health checks and metrics of a component in a process of its own, over HTTPS ("Kubernetes API health endpoints", "System Metrics").

Anybody may read the health; metrics are for callers with a bearer token that the API server knows and allows to.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self
from urllib.parse import unquote

from tiphys.aio.certificates import CertificateFiles
from tiphys.aio.clock import Clock
from tiphys.aio.tasks import TaskSet
from tiphys.api.authorization.v1 import NonResourceAttributes
from tiphys.daemon import pki
from tiphys.http.limits import Limits
from tiphys.http.server import Server, server_context
from tiphys.obs import health
from tiphys.obs import metrics as measured
from tiphys.obs.process import process_lines
from tiphys.runtime.delegated import UNREACHABLE, Reviews
from tiphys.runtime.leader import LeaderElector
from tiphys.settings.serving import ServingSettings
from tiphys.wire.http import Request, Response

HEALTH = ("healthz", "livez", "readyz")
LIMITS = Limits(body_bytes=1 << 20, at_once=0)
SILENCE = 20.0
"""Seconds beyond a lease's duration for which an election may be without an answer of the API server, as upstream's check allows."""
_TEXT = {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}


def checks_of(elector: LeaderElector | None, clock: Clock) -> dict[str, health.Check]:
    """Return the health checks of a component."""
    checks: dict[str, health.Check] = {"ping": lambda: ""}
    if elector is not None:
        started, limit = clock.monotonic(), elector.timing.duration + SILENCE

        def election() -> str:
            silence = clock.monotonic() - max(started, elector.heard_at)
            return f"the API server has not answered about the lease for {silence:.0f} s" if silence > limit else ""

        checks["leaderElection"] = election
    return checks


class Pages:
    """The server; a context that it runs in."""

    def __init__(self, settings: ServingSettings, reviews: Reviews, checks: Mapping[str, health.Check], *, clock: Clock) -> None:
        self._settings = settings
        self._reviews = reviews
        self._checks = checks
        self._clock = clock
        self._slis = health.HealthMetrics()
        self._exits = AsyncExitStack()
        self.port = settings.port

    async def __aenter__(self) -> Self:
        """Listen, unless the port is 0. Raises OSError when it is taken or the certificate cannot be read."""
        if not self.port:
            return self
        async with AsyncExitStack() as exits:
            cert, key = self._settings.tls_cert, self._settings.tls_key
            if cert is None or key is None:
                directory = exits.enter_context(tempfile.TemporaryDirectory(prefix="tiphys-serving-"))
                pair = await asyncio.to_thread(pki.make_serving, Path(directory), self._clock.now())
                cert, key = pair.cert, pair.key
            context = server_context(str(cert), str(key))
            server = Server(self.handle, context=context, limits=LIMITS)
            self.port = await server.start(self._settings.bind_address, self.port)
            exits.push_async_callback(server.stop, 0.0)
            tasks = await exits.enter_async_context(TaskSet())
            tasks.spawn(CertificateFiles(context, cert=cert, key=key).follow(self._clock), name="serving-certificate")
            self._exits = exits.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()

    async def handle(self, request: Request) -> Response:
        """Answer a request."""
        head, *rest = unquote(request.path).strip("/").split("/")
        if head in HEALTH:
            return self._health(head, rest, request)
        if head != "metrics" or rest not in ([], ["slis"]):
            return _text(404, "404 page not found")
        refusal = await self._refusal(request)
        if refusal is not None:
            return refusal
        if rest:
            results = {name: check() for name, check in self._checks.items()}
            page = measured.page(self._slis.lines({"healthz": results}))
        else:
            page = measured.page(measured.REGISTRY.lines(), process_lines())
        return Response(200, {"content-type": measured.CONTENT_TYPE}, page)

    def _health(self, endpoint: str, rest: list[str], request: Request) -> Response:
        if not rest:
            shown = health.page(endpoint, self._checks, request.query)
        elif len(rest) == 1 and rest[0] in self._checks:
            shown = health.page_of_one(rest[0], self._checks[rest[0]])
        else:
            return _text(404, "404 page not found")
        return Response(shown.status, dict(_TEXT), shown.text.encode())

    async def _refusal(self, request: Request) -> Response | None:
        """Return the answer for somebody who may not have what is asked for."""
        caller = await self._reviews.authenticate(request)
        if caller is None:
            return _text(401, "Unauthorized")
        path, verb = unquote(request.path), request.method.lower()
        try:
            allowed = await self._reviews.may(caller, NonResourceAttributes(path=path, verb=verb))
        except UNREACHABLE:
            return _text(500, f'the API server cannot say whether user "{caller.name}" may {verb} path "{path}"')
        return None if allowed else _text(403, f'forbidden: User "{caller.name}" cannot {verb} path "{path}"')


def _text(status: int, text: str) -> Response:
    return Response(status, dict(_TEXT), f"{text}\n".encode())
