"""Health checks and metrics over HTTP: `/healthz` asks the driver (livenessprobe), `/healthz/leader-election` the elections."""

from __future__ import annotations

from typing import Self

from tiphys.csi.driver import Driver
from tiphys.csi.errors import CsiError
from tiphys.http.limits import Limits
from tiphys.http.server import Server
from tiphys.obs import health
from tiphys.obs import metrics as measured
from tiphys.obs.process import process_lines
from tiphys.sidecar.facts import is_ready
from tiphys.wire.http import Request, Response

LIMITS = Limits(body_bytes=1 << 16, at_once=0)
_TEXT = {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}


class SidecarPages:
    """The server; a context that it runs in. Without an address it does nothing."""

    def __init__(self, endpoint: str, metrics_path: str, driver: Driver, elections: dict[str, health.Check]) -> None:
        """`driver` answers in a bounded time; `elections` may grow while this runs."""
        self._host, _, port = endpoint.rpartition(":")
        self.port = int(port) if port else None
        self._metrics_path = metrics_path
        self._driver = driver
        self._elections = elections
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        """Listen. Raises OSError when the address is taken."""
        if self.port is not None:
            self._server = Server(self.handle, context=None, limits=LIMITS)
            self.port = await self._server.start(self._host.strip("[]") or "0.0.0.0", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            await self._server.stop(0.0)

    async def handle(self, request: Request) -> Response:
        """Answer a request."""
        path = request.path.rstrip("/")
        if path == "/healthz":
            return await self._driver_health()
        if path == "/healthz/leader-election":
            page = health.page("healthz", self._elections, request.query)
            return Response(page.status, dict(_TEXT), page.text.encode())
        if path == self._metrics_path.rstrip("/"):
            page_of_metrics = measured.page(measured.REGISTRY.lines(), process_lines())
            return Response(200, {"content-type": measured.CONTENT_TYPE}, page_of_metrics)
        return _text(404, "404 page not found")

    async def _driver_health(self) -> Response:
        try:
            ready = await is_ready(self._driver)
        except CsiError as error:
            return _text(500, str(error))
        return _text(200, "ok") if ready else _text(500, "the driver is not ready")


def _text(status: int, text: str) -> Response:
    return Response(status, dict(_TEXT), f"{text}\n".encode())
