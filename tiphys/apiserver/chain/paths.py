"""Everything that is not a resource: health, version, metrics, discovery, OpenAPI and the token issuer's documents."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec

from tiphys.api.machinery.errors import MethodNotSupported, NotFound
from tiphys.api.machinery.scheme import Scheme
from tiphys.apiserver import discovery, openapi
from tiphys.apiserver.answers.render import plain
from tiphys.apiserver.auth.user import User
from tiphys.apiserver.chain.aside import Aside
from tiphys.apiserver.flowcontrol import pages
from tiphys.apiserver.flowcontrol.fairness import Fairness
from tiphys.apiserver.health import ENDPOINTS, Health
from tiphys.apiserver.metrics import RequestMetrics
from tiphys.obs import metrics as measured
from tiphys.obs.health import HealthMetrics
from tiphys.obs.process import process_lines
from tiphys.wire.http import Request, Response

Handler = Callable[[Request], Awaitable[Response]]
_MEDIA = {"/openid/v1/jwks": "application/jwk-set+json"}
"""The content type of documents that are more than JSON."""


class Paths:
    """Answers by exact path first, then by prefix."""

    def __init__(
        self,
        scheme: Scheme,
        metrics: RequestMetrics,
        fairness: Fairness,
        *,
        health: Health,
        documents: dict[str, Any],
        aside: Aside,
        resource_lines: Callable[[], Iterator[str]],
    ) -> None:
        self._aside = aside
        self._scheme = scheme
        self._fairness = fairness
        self._metrics = metrics
        self._health = health
        self._slis = HealthMetrics()
        self._documents = documents
        self._resource_lines = resource_lines
        self._openapi = openapi.Documents(scheme)
        self._discovery = discovery.Documents(scheme)
        self._exact: dict[str, Handler] = {
            "/": self._root,
            "/version": self._version,
            "/metrics": self._metrics_page,
            "/metrics/resources": self._resources_page,
            "/metrics/slis": self._slis_page,
            "/api": self._discover,
            "/apis": self._discover,
        }

    async def handle(self, request: Request, user: User) -> Response:
        """The answer; raises NotFound, MethodNotSupported."""
        path = request.path.rstrip("/") or "/"
        if request.method not in ("GET", "HEAD"):
            raise MethodNotSupported("the server does not allow this method on the requested resource")
        if path in self._documents:
            return _json(self._documents[path], media=_MEDIA.get(path, "application/json"))
        if path in ("/openapi/v2", "/openapi/v3") or path.startswith("/openapi/v3/"):
            return await self._aside.run(user.name, self._openapi.answer, request)
        handler = self._exact.get(path)
        if handler is None:
            if path[1:].partition("/")[0] in ENDPOINTS:
                return self._health.answer(request, path)
            if path.startswith(("/api/", "/apis/")):
                handler = self._discover
            elif path.startswith(pages.PREFIX):
                return plain(pages.dump(self._fairness, request, path))
            else:
                raise NotFound.path()
        return await handler(request)

    async def _root(self, _: Request) -> Response:
        groups = sorted({kind.root_path for kind in self._scheme})
        rest = sorted(["/metrics", "/metrics/slis", "/openapi/v2", "/openapi/v3", "/version", *self._health.paths()])
        return _json({"paths": ["/api", "/apis", *groups, *rest, *self._documents]})

    async def _version(self, _: Request) -> Response:
        return Response(200, {"Content-Type": "application/json"}, discovery.version())

    async def _metrics_page(self, _: Request) -> Response:
        parts = self._metrics.lines(), list(pages.metrics(self._fairness)), measured.REGISTRY.lines(), process_lines()
        page = await measured.page_in_turns(*parts)
        return Response(200, {"Content-Type": measured.CONTENT_TYPE}, page)

    async def _resources_page(self, _: Request) -> Response:
        page = await measured.page_in_turns(self._resource_lines())
        return Response(200, {"Content-Type": measured.CONTENT_TYPE}, page)

    async def _slis_page(self, _: Request) -> Response:
        page = measured.page(self._slis.lines({endpoint: self._health.results(endpoint) for endpoint in ENDPOINTS}))
        return Response(200, {"Content-Type": measured.CONTENT_TYPE}, page)

    async def _discover(self, request: Request) -> Response:
        return self._discovery.answer(request)


def _json(document: Any, status: int = 200, *, media: str = "application/json") -> Response:
    return Response(status, {"Content-Type": media}, msgspec.json.encode(document))
