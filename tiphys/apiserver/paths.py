"""Everything that is not a resource: health, version, metrics, discovery, OpenAPI and the token issuer's documents."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from tiphys.api.errors import MethodNotSupported, NotFound
from tiphys.api.scheme import Scheme
from tiphys.apiserver import discovery, openapi
from tiphys.apiserver.auth.user import User
from tiphys.apiserver.flowcontrol import pages
from tiphys.apiserver.flowcontrol.fairness import Fairness
from tiphys.apiserver.metrics import RequestMetrics
from tiphys.apiserver.render import plain
from tiphys.apiserver.server_metrics import HealthMetrics
from tiphys.obs import metrics as measured
from tiphys.obs.process import process_lines
from tiphys.wire.http import Request, Response

Handler = Callable[[Request], Awaitable[Response]]
Check = Callable[[], str]
"""A health check: what is wrong, or ""."""
READY = "ready"
"""The check that a server passes once it has started and until it stops: to fail it is no reason to restart it."""
_MEDIA = {"/openid/v1/jwks": "application/jwk-set+json"}
"""The content type of documents that are more than JSON."""


class Paths:
    """Answers by exact path first, then by prefix."""

    def __init__(
        self, scheme: Scheme, metrics: RequestMetrics, fairness: Fairness, *, checks: dict[str, Check], documents: dict[str, Any]
    ) -> None:
        self._scheme = scheme
        self._fairness = fairness
        self._metrics = metrics
        self._checks = checks
        self._slis = HealthMetrics()
        self._documents = documents
        self._openapi = openapi.Documents(scheme)
        self._discovery = discovery.Documents(scheme)
        self._exact: dict[str, Handler] = {
            "/": self._root,
            "/version": self._version,
            "/metrics": self._metrics_page,
            "/metrics/slis": self._slis_page,
            "/api": self._discover,
            "/apis": self._discover,
            "/openapi/v2": self._open,
            "/openapi/v3": self._open,
        }

    async def handle(self, request: Request, user: User) -> Response:
        """The answer; raises NotFound, MethodNotSupported."""
        path = request.path.rstrip("/") or "/"
        if request.method not in ("GET", "HEAD"):
            raise MethodNotSupported("the server does not allow this method on the requested resource")
        if path in self._documents:
            return _json(self._documents[path], media=_MEDIA.get(path, "application/json"))
        handler = self._exact.get(path)
        if handler is None:
            if path.startswith(("/healthz", "/livez", "/readyz")):
                handler = self._health
            elif path.startswith(("/api/", "/apis/")):
                handler = self._discover
            elif path.startswith("/openapi/v3/"):
                handler = self._open
            elif path.startswith(pages.PREFIX):
                return plain(pages.dump(self._fairness, request, path))
            else:
                raise NotFound.path()
        return await handler(request)

    async def _root(self, _: Request) -> Response:
        groups = sorted({kind.root_path for kind in self._scheme})
        rest = ["/healthz", "/livez", "/metrics", "/metrics/slis", "/openapi/v2", "/openapi/v3", "/readyz", "/version"]
        return _json({"paths": ["/api", "/apis", *groups, *rest, *self._documents]})

    async def _version(self, _: Request) -> Response:
        return Response(200, {"Content-Type": "application/json"}, discovery.version())

    async def _metrics_page(self, _: Request) -> Response:
        page = measured.page(self._metrics.lines(), pages.metrics(self._fairness), measured.REGISTRY.lines(), process_lines())
        return Response(200, {"Content-Type": measured.CONTENT_TYPE}, page)

    async def _slis_page(self, _: Request) -> Response:
        page = measured.page(self._slis.lines(self._checks, types={READY: "readyz"}))
        return Response(200, {"Content-Type": measured.CONTENT_TYPE}, page)

    async def _discover(self, request: Request) -> Response:
        return self._discovery.answer(request)

    async def _open(self, request: Request) -> Response:
        return self._openapi.answer(request)

    async def _health(self, request: Request) -> Response:
        """`/livez`, `/readyz?verbose`, `/healthz/etcd`: all checks, or the one named in the path, less those excluded."""
        parts = request.path.strip("/").split("/")
        excluded = {value for key, value in request.query if key == "exclude"}
        if len(parts) > 1 and parts[1] not in self._checks:
            raise NotFound.path()
        names = [parts[1]] if len(parts) > 1 else [name for name in self._checks if name not in excluded]
        if parts[0] == "livez" and len(parts) == 1:
            names = [name for name in names if name != READY]
        results = {name: self._checks[name]() for name in names}
        failed = [name for name, wrong in results.items() if wrong]
        if not failed and not any(key == "verbose" for key, _ in request.query):
            return plain("ok")
        lines = [f"[-]{name} failed: {wrong}" if wrong else f"[+]{name} ok" for name, wrong in results.items()]
        lines.append(f"{parts[0]} check {'failed' if failed else 'passed'}")
        return plain("\n".join(lines) + "\n", 500 if failed else 200)


def _json(document: Any, status: int = 200, *, media: str = "application/json") -> Response:
    return Response(status, {"Content-Type": media}, msgspec.json.encode(document))
