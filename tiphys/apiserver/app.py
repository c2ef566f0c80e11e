"""The chain that every request passes, top to bottom.

    request > authenticate > impersonate > authorize > route > verb > response

A StatusError anywhere becomes the answer that tells the client; anything else is a 500 with the stack in the log. Admission and validation
are part of the verbs that write (`verbs.pipeline`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from tiphys.api.errors import InternalError, MethodNotSupported, NotFound, StatusError
from tiphys.apiserver import render, reviews
from tiphys.apiserver.auth.attributes import Attributes, refusal, selected_name
from tiphys.apiserver.auth.authenticate import AuthenticatorChain
from tiphys.apiserver.auth.impersonate import impersonate
from tiphys.apiserver.auth.user import User
from tiphys.apiserver.context import Context, Services
from tiphys.apiserver.metrics import RequestMetrics
from tiphys.apiserver.paths import Paths
from tiphys.apiserver.routes import RequestInfo, resolve
from tiphys.apiserver.subresources import binding, connect, eviction, finalize, scale, token
from tiphys.apiserver.verbs.create import create
from tiphys.apiserver.verbs.delete import delete, delete_collection
from tiphys.apiserver.verbs.patch import patch
from tiphys.apiserver.verbs.read import get, list_
from tiphys.apiserver.verbs.update import update
from tiphys.apiserver.verbs.watch import watch
from tiphys.wire.http import Request, Response

log = logging.getLogger(__name__)

Verb = Callable[[Context], Awaitable[Response]]

VERBS: dict[str, Verb] = {
    "get": get,
    "list": list_,
    "watch": watch,
    "create": create,
    "update": update,
    "patch": patch,
    "delete": delete,
    "deletecollection": delete_collection,
}

_PROXIES: dict[str, Verb] = {"pods": connect.proxy_pod, "services": connect.proxy_service, "nodes": connect.proxy_node}

SUBRESOURCES: dict[tuple[str, str], Verb] = {
    ("status", "get"): get,
    ("status", "update"): update,
    ("status", "patch"): patch,
    ("scale", "get"): scale.get,
    ("scale", "update"): scale.update,
    ("scale", "patch"): scale.patch,
    ("binding", "create"): binding.create,
    ("eviction", "create"): eviction.create,
    ("finalize", "update"): finalize.update,
    ("token", "create"): token.create,
    ("log", "get"): connect.log,
    ("exec", "get"): connect.exec_,
    ("exec", "create"): connect.exec_,
    ("attach", "get"): connect.attach,
    ("attach", "create"): connect.attach,
    ("portforward", "get"): connect.port_forward,
    ("portforward", "create"): connect.port_forward,
}

ALWAYS_ALLOWED_PATHS = frozenset(("/healthz", "/livez", "/readyz"))


class App:
    """Answers requests: the same whether they come over TLS or from a controller in the same process."""

    def __init__(self, services: Services, authenticators: AuthenticatorChain, paths: Paths, metrics: RequestMetrics) -> None:
        self.services = services
        self._authenticators = authenticators
        self._paths = paths
        self._metrics = metrics

    async def handle(self, request: Request) -> Response:
        """The answer to a request; never raises but for cancellation."""
        info = resolve(request)
        started = asyncio.get_running_loop().time()
        try:
            response = await self._answer(request, info)
        except StatusError as error:
            response = render.failure(error, request.headers.get("accept", ""))
        except Exception:
            log.exception("request failed", extra={"method": request.method, "path": request.path})
            unexpected = InternalError("Internal error occurred: see the server's log")
            response = render.failure(unexpected, request.headers.get("accept", ""))
        self._metrics.observe(info, response.status, asyncio.get_running_loop().time() - started)
        return response

    async def _answer(self, request: Request, info: RequestInfo) -> Response:
        user = await self._authenticators.authenticate(request)
        user = impersonate(request, user, self.services.authorizer)
        if not info.is_resource:
            if info.path not in ALWAYS_ALLOWED_PATHS:
                self._authorize(user, info, request)
            return await self._paths.handle(request, user)
        self._authorize(user, info, request)
        kind = self.services.scheme.by_resource(info.group, info.version, info.resource)
        if kind is None:
            raise NotFound.path()
        ctx = Context(request, info, kind, user, self.services)
        return await self._verb(ctx)(ctx)

    def _authorize(self, user: User, info: RequestInfo, request: Request) -> None:
        selects = request.query and info.verb in ("list", "watch", "deletecollection")
        selector = request.param("fieldSelector") if selects else ""
        attributes = Attributes(
            user=user,
            verb=info.verb,
            group=info.group,
            version=info.version,
            resource=info.resource,
            subresource=info.subresource,
            namespace=info.namespace,
            name=info.name or (selected_name(selector) if selector else ""),
            path=info.path,
            is_resource=info.is_resource,
            field_selector=selector,
        )
        decision = self.services.authorizer.authorize(attributes)
        if not decision.allowed:
            raise refusal(attributes, decision.reason)

    def _verb(self, ctx: Context) -> Verb:
        info, kind = ctx.info, ctx.kind
        if info.subresource:
            known = next((sub for sub in kind.subresources if sub.name == info.subresource), None)
            if known is None:
                raise NotFound.path()
            if info.subresource == "proxy":
                return _PROXIES[kind.plural]
            found = SUBRESOURCES.get((info.subresource, info.verb))
        elif kind.plural in reviews.REVIEWS and info.verb == "create":
            found = reviews.REVIEWS[kind.plural]
        else:
            found = VERBS.get(info.verb) if info.verb in kind.verbs else None
        if found is None:
            raise MethodNotSupported(
                f'{info.verb} is not supported on resources of kind "{kind.resource}{"/" + info.subresource if info.subresource else ""}"'
            )
        if kind.namespaced and not info.namespace and info.verb not in ("list", "watch", "deletecollection"):
            raise NotFound.path()
        return found
